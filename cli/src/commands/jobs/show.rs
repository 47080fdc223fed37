//! `job:show`, and how jobs and attempts look.

use multiflexi_proto::v1::{Attempt, GetJobRequest, Job, StreamSummary};
use serde_json::{Value, json};

use crate::{
    commands::{
        actions::{performed_header, performed_row, performed_value},
        resource::given,
        variables,
    },
    connect::Server,
    failure::Failure,
    output::{Output, json},
};

/// A job, for machines.
pub fn job_value(job: &Job) -> Value {
    json!({
        "id": job.id,
        "run_template_id": job.run_template_id,
        "run_template_name": job.run_template_name,
        "application_id": job.application_id,
        "application_name": job.application_name,
        "company_id": job.company_id,
        "company_name": job.company_name,
        "state": job.state().name(),
        "attempt": job.attempt,
        "environment": variables::environment(&job.environment),
        "files": variables::files(&job.files),
        "created": json::time(job.created.as_ref()),
        "queued": json::time(job.queued.as_ref()),
        "started": json::time(job.started.as_ref()),
        "ended": json::time(job.ended.as_ref()),
        "exit_code": job.exit_code,
        "signal": job.signal,
        "meaning": json::text(&job.meaning),
        "agent": json::text(&job.agent),
        "trouble": json::text(&job.trouble),
        "severity": json::text(&job.severity),
        "priority": job.priority,
        "not_before": json::time(job.not_before.as_ref()),
        "slot": json::time(job.slot.as_ref()),
        "queued_seconds": json::seconds(job.queued_time.as_ref()),
        "run_seconds": json::seconds(job.run_time.as_ref()),
        "total_seconds": json::seconds(job.total_time.as_ref()),
    })
}

/// An attempt, for machines.
pub fn attempt_value(attempt: &Attempt) -> Value {
    let usage = attempt.usage.as_ref();
    let stream = |stream: Option<&StreamSummary>| {
        let found = |stream: &StreamSummary| json!({ "size_bytes": stream.size_bytes, "sha256": json::hash(&stream.sha256) });
        stream.map(found).unwrap_or_default()
    };
    let leftovers = attempt.leftovers.iter();
    let leftovers = leftovers.map(|left| json!({ "pid": left.pid, "name": left.name }));
    json!({
        "number": attempt.number,
        "fence": attempt.fence,
        "state": attempt.state().name(),
        "agent": json::text(&attempt.agent),
        "command": attempt.command,
        "pid": json::id(attempt.pid),
        "queued": json::time(attempt.queued.as_ref()),
        "offered": json::time(attempt.offered.as_ref()),
        "started": json::time(attempt.started.as_ref()),
        "ended": json::time(attempt.ended.as_ref()),
        "exit_code": attempt.exit_code,
        "signal": attempt.signal,
        "meaning": json::text(&attempt.meaning),
        "queued_seconds": json::seconds(attempt.queued_time.as_ref()),
        "run_seconds": json::seconds(attempt.run_time.as_ref()),
        "user_cpu_seconds": json::seconds(usage.and_then(|usage| usage.user_cpu.as_ref())),
        "system_cpu_seconds": json::seconds(usage.and_then(|usage| usage.system_cpu.as_ref())),
        "peak_memory_bytes": usage.map(|usage| usage.peak_memory_bytes),
        "stdout": stream(attempt.stdout.as_ref()),
        "stderr": stream(attempt.stderr.as_ref()),
        "leftovers": leftovers.collect::<Vec<_>>(),
        "trouble": json::text(&attempt.trouble),
        "choice": json::text(&attempt.choice),
        "retry_due": json::time(attempt.retry_due.as_ref()),
    })
}

/// How something ended, for people: `0: success`.
pub(super) fn outcome(exit_code: Option<i32>, signal: Option<i32>, meaning: &str) -> String {
    match (exit_code, signal) {
        (Some(code), None) if !meaning.is_empty() => format!("{code}: {meaning}"),
        (Some(code), None) => code.to_string(),
        _ => meaning.to_owned(),
    }
}

/// Shows a job with its attempts.
pub async fn show(server: &Server, output: Output, job_id: i64) -> Result<(), Failure> {
    let answer = server.jobs().get_job(GetJobRequest { job_id }).await?.into_inner();
    let job = given(answer.job)?;
    let mut value = job_value(&job);
    value["attempts"] = answer.attempts.iter().map(attempt_value).collect();
    value["actions"] = answer.actions.iter().map(performed_value).collect();
    let fields = [
        ("id", job.id.to_string()),
        ("state", job.state().name().to_owned()),
        ("outcome", outcome(job.exit_code, job.signal, &job.meaning)),
        ("run template", format!("{} ({})", job.run_template_name, job.run_template_id)),
        ("application", format!("{} ({})", job.application_name, job.application_id)),
        ("company", format!("{} ({})", job.company_name, job.company_id)),
        ("environment", variables::text(&job.environment, &job.files)),
        ("created", json::local(job.created.as_ref())),
        ("queued", json::local(job.queued.as_ref())),
        ("not before", json::local(job.not_before.as_ref())),
        ("priority", if job.priority == 0 { String::new() } else { job.priority.to_string() }),
        ("started", json::local(job.started.as_ref())),
        ("ended", json::local(job.ended.as_ref())),
        ("in the queue", for_seconds(job.queued_time.as_ref())),
        ("ran", for_seconds(job.run_time.as_ref())),
        ("in all", for_seconds(job.total_time.as_ref())),
        ("agent", job.agent.clone()),
        ("trouble", job.trouble.clone()),
    ];
    output.one(&value, &fields)?;
    if output.is_chatty() && !answer.attempts.is_empty() {
        crate::output::print("\n")?;
        let header = [
            "ATTEMPT",
            "STATE",
            "AGENT",
            "PID",
            "QUEUED",
            "SECONDS",
            "CPU",
            "MEMORY",
            "STDOUT",
            "STDERR",
            "OUTCOME",
            "LEFTOVERS",
        ];
        output.part(&header, answer.attempts.iter().map(attempt_row).collect())?;
    }
    if output.is_chatty() && !answer.actions.is_empty() {
        crate::output::print("\n")?;
        let rows = answer.actions.iter().map(performed_row).collect();
        output.part(&performed_header(), rows)?;
    }
    Ok(())
}

/// A duration with its unit, for people; empty if there is none.
fn for_seconds(time: Option<&prost_types::Duration>) -> String {
    time.map(|_| format!("{} s", json::rounded(time))).unwrap_or_default()
}

fn attempt_row(attempt: &Attempt) -> Vec<String> {
    let usage = attempt.usage.as_ref();
    let cpu = usage.map(|usage| {
        let times = [usage.user_cpu.as_ref(), usage.system_cpu.as_ref()];
        times.into_iter().flatten().map(json::as_seconds).sum::<f64>()
    });
    let size = |stream: Option<&StreamSummary>| {
        stream.map(|stream| json::size(stream.size_bytes)).unwrap_or_default()
    };
    let leftovers: Vec<String> =
        attempt.leftovers.iter().map(|left| format!("{} ({})", left.name, left.pid)).collect();
    let memory = usage.filter(|usage| usage.peak_memory_bytes > 0);
    vec![
        attempt.number.to_string(),
        attempt.state().name().to_owned(),
        attempt.agent.clone(),
        if attempt.pid == 0 { String::new() } else { attempt.pid.to_string() },
        json::rounded(attempt.queued_time.as_ref()),
        json::rounded(attempt.run_time.as_ref()),
        cpu.map(|cpu| format!("{cpu:.3}")).unwrap_or_default(),
        memory.map(|usage| json::size(usage.peak_memory_bytes)).unwrap_or_default(),
        size(attempt.stdout.as_ref()),
        size(attempt.stderr.as_ref()),
        outcome(attempt.exit_code, attempt.signal, &attempt.meaning),
        leftovers.join(", "),
    ]
}
