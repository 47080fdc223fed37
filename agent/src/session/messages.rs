//! Between the protocol's messages and the supervisor's.

use std::time::Duration;

use multiflexi_proto::{duration, std_duration, timestamp, v1};

use super::SpoolLimits;
use crate::link::{AttemptKey, Cause, Completion, File, Launch, Overflow, Quota, Started};

pub(super) fn key(key: Option<&v1::AttemptKey>) -> Option<AttemptKey> {
    let key = key?;
    Some(AttemptKey { job_id: key.job_id, attempt: key.attempt, fence: key.fence })
}

pub(super) fn keys(keys: &[v1::AttemptKey]) -> impl Iterator<Item = AttemptKey> {
    keys.iter().filter_map(|known| key(Some(known)))
}

pub(super) fn to_key(key: AttemptKey) -> v1::AttemptKey {
    v1::AttemptKey { job_id: key.job_id, attempt: key.attempt, fence: key.fence }
}

/// Reads a launch; the spool's limits are the agent's own.
pub(super) fn launch(launch: v1::Launch, spool: SpoolLimits) -> Option<Launch> {
    let overflow = match launch.overflow() {
        v1::OutputOverflow::HeadTail => Overflow::HeadTail,
        v1::OutputOverflow::Fail => Overflow::Fail,
        v1::OutputOverflow::Unspecified | v1::OutputOverflow::Block => Overflow::Block,
    };
    let milliseconds = |time: &prost_types::Duration| {
        let time = std_duration(time).unwrap_or(Duration::ZERO);
        u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
    };
    Some(Launch {
        key: key(launch.key.as_ref())?,
        command: launch.command,
        environment: launch.environment.into_iter().collect(),
        timeout_ms: launch.timeout.as_ref().map(milliseconds),
        grace_ms: launch.grace.as_ref().map_or(0, milliseconds),
        quota: Quota {
            attempt_bytes: spool.attempt_bytes,
            agent_bytes: spool.agent_bytes,
            overflow,
        },
        secrets: launch.secrets,
        required_files: launch.required_files,
        files: launch.files.into_iter().map(file).collect(),
    })
}

fn file(file: v1::VariableFile) -> File {
    File { variable: file.name, name: file.file_name, content: file.content }
}

pub(super) fn started(key: AttemptKey, started: Started) -> v1::StartedAttempt {
    v1::StartedAttempt {
        key: Some(to_key(key)),
        pid: started.pid,
        started: Some(timestamp(started.at)),
    }
}

pub(super) fn waiting(key: AttemptKey, reason: &str) -> v1::Waiting {
    v1::Waiting { key: Some(to_key(key)), reason: reason.to_owned() }
}

pub(super) fn completion(
    key: AttemptKey,
    said: &Completion,
    failed_artifacts: Vec<v1::FailedArtifact>,
) -> v1::Completion {
    let cause = match said.cause {
        Cause::Exited => v1::EndCause::Exited,
        Cause::Signaled => v1::EndCause::Signaled,
        Cause::LaunchFailed => v1::EndCause::LaunchFailed,
        Cause::Cancelled => v1::EndCause::Cancelled,
        Cause::TimedOut => v1::EndCause::TimedOut,
        Cause::Lost => v1::EndCause::Lost,
        Cause::OutputLimit => v1::EndCause::OutputLimit,
    };
    let size = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
    let time = |us: u64| Some(duration(Duration::from_micros(us)));
    let stream = |index: usize| {
        let stream = &said.streams.as_ref()?[index];
        Some(v1::StreamSummary { size_bytes: size(stream.bytes), sha256: stream.sha256.to_vec() })
    };
    v1::Completion {
        key: Some(to_key(key)),
        cause: cause.into(),
        exit_code: said.exit_code,
        signal: said.signal,
        pid: said.started.map_or(0, |started| started.pid),
        started: said.started.map(|started| timestamp(started.at)),
        elapsed: time(said.elapsed_us),
        usage: Some(v1::ResourceUsage {
            user_cpu: time(said.user_cpu_us),
            system_cpu: time(said.system_cpu_us),
            peak_memory_bytes: size(said.peak_memory_bytes),
        }),
        stdout: stream(0),
        stderr: stream(1),
        log_length: size(said.log_length),
        leftovers: said
            .leftovers
            .iter()
            .map(|leftover| v1::Leftover { pid: leftover.pid, name: leftover.name.clone() })
            .collect(),
        failed_artifacts,
        trouble: said.trouble.clone(),
        lost_output: None,
    }
}

/// The final record of an attempt that was cancelled before it was launched.
pub(super) fn cancelled_unlaunched(key: AttemptKey) -> v1::Completion {
    v1::Completion {
        key: Some(to_key(key)),
        cause: v1::EndCause::Cancelled.into(),
        ..v1::Completion::default()
    }
}
