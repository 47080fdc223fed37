//! `job:why`.

use multiflexi_proto::v1::{ExplainJobRequest, JobEvent};
use serde_json::{Value, json};

use crate::{
    connect::Server,
    failure::Failure,
    output::{Format, Output, json, tell},
};

fn event_value(event: &JobEvent) -> Value {
    json!({
        "time": json::time(event.time.as_ref()),
        "attempt": json::id(event.attempt.into()),
        "what": event.what,
        "why": json::text(&event.why),
    })
}

/// Explains why a job is where it is.
pub async fn why(server: &Server, output: Output, job_id: i64) -> Result<(), Failure> {
    let answer = server.jobs().explain_job(ExplainJobRequest { job_id }).await?.into_inner();
    let state = answer.state().name();
    if output.format == Format::Json {
        let events: Vec<Value> = answer.events.iter().map(event_value).collect();
        let value = json!({
            "id": job_id,
            "state": state,
            "reasons": answer.reasons,
            "events": events,
        });
        return output.done(&value, "");
    }
    let reasons = answer.reasons.join("; ");
    tell(&format!("job {job_id} is {state}: {reasons}\n\n"))?;
    let rows = answer.events.iter().map(|event| {
        vec![
            json::local(event.time.as_ref()),
            if event.attempt == 0 { String::new() } else { event.attempt.to_string() },
            event.what.clone(),
            event.why.clone(),
        ]
    });
    output.part(&["TIME", "ATTEMPT", "WHAT", "WHY"], rows.collect())
}
