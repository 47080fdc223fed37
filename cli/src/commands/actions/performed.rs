//! The actions that follow the ends of jobs, and what came of each.

use chrono::{DateTime, Utc};
use clap::Args;
use multiflexi_proto::v1::{
    ListPerformedActionsRequest, ListPerformedActionsResponse, PerformedAction,
    PerformedActionState,
};
use serde_json::{Value, json};

use crate::{
    arguments::{self, Paging},
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

/// Only some actions of ended jobs.
#[derive(Debug, Args)]
pub struct Filter {
    /// Those of ended jobs that are in this state, and what came of each
    #[arg(long, value_parser = arguments::named(PerformedActionState::name), value_name = "STATE")]
    pub state: Option<PerformedActionState>,
    /// Of these only those of this kind
    #[arg(long, requires = "state")]
    kind: Option<String>,
    /// Of these only those whose job has ended since then: a time, or a duration ago such as 1h
    #[arg(long, value_parser = arguments::since, value_name = "WHEN", requires = "state")]
    since: Option<DateTime<Utc>>,
}

impl Filter {
    /// What is asked for, of a job or of all.
    pub(super) fn request(&self, job: Option<i64>) -> ListPerformedActionsRequest {
        ListPerformedActionsRequest {
            job_id: job.unwrap_or_default(),
            state: self.state.unwrap_or_default().into(),
            kind: self.kind.clone().unwrap_or_default(),
            since: self.since.map(arguments::timestamp),
            ..ListPerformedActionsRequest::default()
        }
    }
}

/// One page of them.
pub(super) async fn page(
    server: &Server,
    request: ListPerformedActionsRequest,
) -> Result<ListPerformedActionsResponse, Failure> {
    Ok(server.actions().list_performed_actions(request).await?.into_inner())
}

/// Lists them.
pub(super) async fn list(
    server: &Server,
    output: Output,
    paging: &Paging,
    request: ListPerformedActionsRequest,
) -> Result<(), Failure> {
    let list = pages(paging, async |page_size, page_token, list| {
        let request = ListPerformedActionsRequest { page_size, page_token, ..request.clone() };
        let answer = page(server, request).await?;
        list.values.extend(answer.actions.iter().map(performed_value));
        list.rows.extend(answer.actions.iter().map(performed_row));
        list.next_page_token = answer.next_page_token;
        Ok(())
    })
    .await?;
    output.list("actions", &performed_header(), list)
}
