//! The actions that follow the ends of jobs, and what came of each.

use multiflexi_proto::v1::{ListPerformedActionsRequest, PerformedAction, PerformedActionState};
use serde_json::{Value, json};

use crate::{
    arguments::Paging,
    commands::pages,
    connect::Server,
    failure::Failure,
    output::{Output, json},
};

/// For machines.
pub fn performed_value(action: &PerformedAction) -> Value {
    json!({
        "id": action.id,
        "job_id": action.job_id,
        "attempt": action.attempt,
        "action_id": action.action_id,
        "kind": action.kind,
        "settings": action.settings,
        "state": action.state().name(),
        "tries": action.tries,
        "due": json::time(action.due.as_ref()),
        "started": json::time(action.started.as_ref()),
        "ended": json::time(action.ended.as_ref()),
        "outcome": json::text(&action.outcome),
    })
}

/// What the columns of a row are.
pub fn performed_header() -> [&'static str; 9] {
    ["ID", "JOB", "ATTEMPT", "ACTION", "KIND", "STATE", "TRIES", "ENDED", "OUTCOME"]
}

/// For people.
pub fn performed_row(action: &PerformedAction) -> Vec<String> {
    let when = match &action.due {
        Some(due) => format!("due {}", json::local(Some(due))),
        None => json::local(action.ended.as_ref()),
    };
    vec![
        action.id.to_string(),
        action.job_id.to_string(),
        action.attempt.to_string(),
        action.action_id.to_string(),
        action.kind.clone(),
        action.state().name().to_owned(),
        action.tries.to_string(),
        when,
        action.outcome.clone(),
    ]
}

/// Lists those of a job, or of all, in one state or in any.
pub(super) async fn list(
    server: &Server,
    output: Output,
    paging: &Paging,
    (job, state): (Option<i64>, Option<PerformedActionState>),
) -> Result<(), Failure> {
    let mut client = server.actions();
    let state = state.unwrap_or_default();
    let list = pages(paging, async |page_size, page_token, list| {
        let job_id = job.unwrap_or_default();
        let state = state.into();
        let request = ListPerformedActionsRequest { page_size, page_token, job_id, state };
        let answer = client.list_performed_actions(request).await?.into_inner();
        list.values.extend(answer.actions.iter().map(performed_value));
        list.rows.extend(answer.actions.iter().map(performed_row));
        list.next_page_token = answer.next_page_token;
        Ok(())
    })
    .await?;
    output.list("actions", &performed_header(), list)
}
