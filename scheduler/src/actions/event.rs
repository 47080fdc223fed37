//! What actions can tell of a job that has ended, and the document that says it all.

use chrono::{DateTime, SecondsFormat};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::Settings;
use crate::{
    artifacts::Artifacts,
    domain::action::{Fact, Facts},
    store::{ActionClaim, Store, StoreError},
};

/// The id of what is told: the same however often it is tried, and no other action's, also
/// not one of another database or of a time that a backup has taken back.
pub(super) fn id(database: &str, claim: &ActionClaim) -> String {
    let ActionClaim { id, job, attempt, created, .. } = claim;
    let of = format!("{database} {id} {job} {attempt} {created}");
    let hash: [u8; 32] = Sha256::digest(of).into();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid().to_string()
}

/// What is known of the job that an action follows.
pub(super) async fn facts(
    store: &Store,
    claim: &ActionClaim,
    event: &str,
) -> Result<Facts, StoreError> {
    let job = store.job(claim.job).await?;
    let template = store.run_template(job.run_template.0).await?.template;
    let attempt = store.attempt(claim.job, claim.attempt).await?;
    let attempt = attempt.as_ref();
    let state = claim.state.or(attempt.map(|attempt| attempt.state)).unwrap_or(job.state);
    // A job that was cancelled while it waited for its retry ended later than its attempt.
    let ended = match (attempt.and_then(|attempt| attempt.ended), claim.state) {
        (Some(ended), Some(state)) if attempt.is_some_and(|it| it.state == state) => ended,
        _ => claim.created,
    };
    let started = attempt.and_then(|attempt| attempt.started);
    let took = started.map(|started| (ended - started).max(0) / 1_000_000);
    let ran = attempt.and_then(|attempt| i64::try_from(attempt.ran?.as_secs()).ok());
    let text = |text: &str| Fact::from(text.to_owned());
    Ok(Facts::from([
        ("EVENT_ID", text(event)),
        ("JOB_ID", job.id.0.into()),
        ("ATTEMPT", i64::from(claim.attempt).into()),
        ("STATE", text(state.name())),
        ("EXIT_CODE", attempt.and_then(|it| it.exit_code).map(i64::from).into()),
        ("SIGNAL", attempt.and_then(|it| it.signal).map(i64::from).into()),
        ("TROUBLE", attempt.and_then(|it| it.trouble.clone()).into()),
        ("AGENT", attempt.map(|it| it.agent.clone()).into()),
        ("COMMAND", attempt.map(|it| shell_words::join(&it.command)).into()),
        ("APPLICATION_ID", job.application.0.0.into()),
        ("APPLICATION_NAME", text(&job.application.1)),
        ("APP_NAME", text(&job.application.1)),
        ("COMPANY_ID", job.company.0.0.into()),
        ("COMPANY_NAME", text(&job.company.1)),
        ("COMPANY_CODE", text(&template.company_code)),
        ("RUNTEMPLATE_ID", job.run_template.0.0.into()),
        ("RUNTEMPLATE_NAME", text(&job.run_template.1)),
        ("CREATED", time(job.created).into()),
        ("STARTED", started.and_then(time).into()),
        ("ENDED", time(ended).into()),
        ("DURATION", ran.or(took).into()),
    ]))
}

/// Most bytes of the end of an output that are a fact.
const OUTPUT: usize = 4096;

/// Adds the end of what the job wrote, if a text speaks of it. It is left out if it cannot be
/// read.
pub(super) async fn add_output(
    facts: &mut Facts,
    settings: &Settings,
    claim: &ActionClaim,
    (store, artifacts): (&Store, &Artifacts),
) {
    for (fact, name) in [("STDOUT", "stdout.txt"), ("STDERR", "stderr.txt")] {
        if !settings.mentions(fact) {
            continue;
        }
        let end = async {
            let artifact = store.artifact_of(claim.job, claim.attempt, name).await.ok()??;
            let from = artifact.size.saturating_sub(OUTPUT as i64).max(0);
            artifacts.content(&artifact, from, OUTPUT).await.ok()
        };
        let end = end.await.unwrap_or_default();
        facts.set(fact, String::from_utf8_lossy(&end).trim().to_owned());
    }
}

fn time(microseconds: i64) -> Option<String> {
    let time = DateTime::from_timestamp_micros(microseconds)?;
    Some(time.to_rfc3339_opts(SecondsFormat::Millis, true))
}

/// The whole event, as docs/actions.md describes it.
pub(super) fn document(facts: &Facts) -> Value {
    let named = |what: &str| json!({ "id": facts.json(&format!("{what}_ID")), "name": facts.json(&format!("{what}_NAME")) });
    let mut company = named("COMPANY");
    company["code"] = facts.json("COMPANY_CODE");
    json!({
        "event": "job.ended",
        "id": facts.json("EVENT_ID"),
        "job_id": facts.json("JOB_ID"),
        "attempt": facts.json("ATTEMPT"),
        "state": facts.json("STATE"),
        "exit_code": facts.json("EXIT_CODE"),
        "signal": facts.json("SIGNAL"),
        "trouble": facts.json("TROUBLE"),
        "agent": facts.json("AGENT"),
        "command": facts.json("COMMAND"),
        "application": named("APPLICATION"),
        "company": company,
        "run_template": named("RUNTEMPLATE"),
        "created": facts.json("CREATED"),
        "started": facts.json("STARTED"),
        "ended": facts.json("ENDED"),
        "duration_seconds": facts.json("DURATION"),
    })
}

/// What could be known of a job: for checking texts before there is one.
pub(super) fn example() -> Facts {
    let text = |text: &str| Fact::from(text.to_owned());
    Facts::from([
        ("EVENT_ID", text("00000000-0000-8000-8000-000000000000")),
        ("JOB_ID", 1.into()),
        ("ATTEMPT", 1.into()),
        ("STATE", text("succeeded")),
        ("EXIT_CODE", 0.into()),
        ("SIGNAL", Fact::None),
        ("TROUBLE", Fact::None),
        ("AGENT", text("agent")),
        ("COMMAND", text("true")),
        ("APPLICATION_ID", 1.into()),
        ("APPLICATION_NAME", text("application")),
        ("APP_NAME", text("application")),
        ("COMPANY_ID", 1.into()),
        ("COMPANY_NAME", text("company")),
        ("COMPANY_CODE", text("code")),
        ("RUNTEMPLATE_ID", 1.into()),
        ("RUNTEMPLATE_NAME", text("run template")),
        ("CREATED", text("2026-01-01T00:00:00.000Z")),
        ("STARTED", text("2026-01-01T00:00:00.000Z")),
        ("ENDED", text("2026-01-01T00:00:00.000Z")),
        ("DURATION", 0.into()),
        ("STDOUT", text("")),
        ("STDERR", text("")),
    ])
}
