//! Jobs and attempts as the protocol says them.

use std::time::Duration;

use multiflexi_proto::{duration, timestamp, v1};
use tonic::Status;

use crate::{
    api::{environment, hash, status::invalid},
    domain::{
        exit_code,
        job::{Durations, State, Times},
    },
    store::{AttemptRow, JobRow},
};

/// The protocol's name of a state.
pub(in crate::api) fn to_state(state: State) -> v1::JobState {
    match state {
        State::Loaded => v1::JobState::Loaded,
        State::Queued => v1::JobState::Queued,
        State::Offered => v1::JobState::Offered,
        State::Running => v1::JobState::Running,
        State::Unreachable => v1::JobState::Unreachable,
        State::Finishing => v1::JobState::Finishing,
        State::Succeeded => v1::JobState::Succeeded,
        State::Failed => v1::JobState::Failed,
        State::Cancelled => v1::JobState::Cancelled,
        State::TimedOut => v1::JobState::TimedOut,
        State::Lost => v1::JobState::Lost,
    }
}

/// The state of a number of the protocol.
pub(in crate::api) fn from_state(number: i32) -> Result<State, Status> {
    State::ALL
        .into_iter()
        .find(|state| to_state(*state) as i32 == number)
        .ok_or_else(|| invalid("states", format!("{number} is no state of a job")))
}

/// A job.
pub(super) fn job(row: JobRow) -> v1::Job {
    let JobRow { created, queued, started, ended, ran, .. } = row;
    let took = Durations::from(Times { created: Some(created), queued, started, ended, ran });
    v1::Job {
        id: row.id.0,
        run_template_id: row.run_template.0.0,
        run_template_name: row.run_template.1,
        application_id: row.application.0.0,
        application_name: row.application.1,
        company_id: row.company.0.0,
        company_name: row.company.1,
        state: to_state(row.state).into(),
        attempt: row.attempt,
        files: environment::files(&row.environment),
        environment: environment::shown(row.environment, Some(&row.definition)),
        created: Some(timestamp(row.created)),
        queued: row.queued.map(timestamp),
        started: row.started.map(timestamp),
        ended: row.ended.map(timestamp),
        meaning: exit_code::meaning(row.state, row.exit_code, row.signal, &row.definition),
        severity: exit_code::severity(row.state, row.exit_code, row.signal, &row.definition)
            .map(|severity| severity.to_string())
            .unwrap_or_default(),
        exit_code: row.exit_code,
        signal: row.signal,
        agent: row.agent.unwrap_or_default(),
        trouble: row.trouble.unwrap_or_default(),
        priority: row.priority,
        slot: row.slot.map(timestamp),
        not_before: row.due.map(timestamp),
        queued_time: took.queued.map(duration),
        run_time: took.run.map(duration),
        total_time: took.total.map(duration),
    }
}

/// An attempt.
pub(in crate::api) fn attempt(row: AttemptRow) -> v1::Attempt {
    let stream = |stream: Option<(i64, String)>| {
        stream.map(|(size_bytes, digits)| v1::StreamSummary { size_bytes, sha256: hash(&digits) })
    };
    let [user, system] = row.cpu_us.map(|us| duration(Duration::from_micros(us.unsigned_abs())));
    let [stdout, stderr] = row.streams;
    let AttemptRow { queued, started, ended, ran, .. } = row;
    let times = Times { created: None, queued: Some(queued), started, ended, ran };
    let took = Durations::from(times);
    v1::Attempt {
        number: row.number,
        fence: row.fence.0,
        state: to_state(row.state).into(),
        agent: row.agent,
        command: row.command,
        pid: row.pid.unwrap_or_default(),
        offered: Some(timestamp(row.offered)),
        started: row.started.map(timestamp),
        ended: row.ended.map(timestamp),
        meaning: exit_code::meaning(row.state, row.exit_code, row.signal, &row.definition),
        exit_code: row.exit_code,
        signal: row.signal,
        usage: row.state.is_terminal().then_some(v1::ResourceUsage {
            user_cpu: Some(user),
            system_cpu: Some(system),
            peak_memory_bytes: row.peak_memory_bytes,
        }),
        stdout: stream(stdout),
        stderr: stream(stderr),
        leftovers: row
            .leftovers
            .into_iter()
            .map(|leftover| v1::Leftover { pid: leftover.pid, name: leftover.name })
            .collect(),
        trouble: row.trouble.unwrap_or_default(),
        choice: row.choice.unwrap_or_default(),
        retry_due: row.retry_due.map(timestamp),
        queued: Some(timestamp(row.queued)),
        queued_time: took.queued.map(duration),
        run_time: took.run.map(duration),
    }
}
