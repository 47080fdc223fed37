//! Between the protocol's messages and the domain's types. What an agent says is
//! checked here and trusted afterwards.

use std::time::Duration;

use multiflexi_proto::{
    duration, std_duration,
    v1::{self, connect_response::Message},
};

use crate::domain::{
    ids::{AttemptKey, Fence, JobId},
    job::{Completion, EndCause, FailedArtifact, Launch, Leftover, Overflow, StreamSummary, Usage},
};

/// Reads a key; none if the message has none.
pub(crate) fn key(key: Option<&v1::AttemptKey>) -> Option<AttemptKey> {
    key.map(|key| AttemptKey {
        job: JobId(key.job_id),
        number: key.attempt,
        fence: Fence(key.fence),
    })
}

pub(crate) fn to_key(key: AttemptKey) -> v1::AttemptKey {
    v1::AttemptKey { job_id: key.job.0, attempt: key.number, fence: key.fence.0 }
}

pub(super) fn keys(keys: &[v1::AttemptKey]) -> Vec<AttemptKey> {
    keys.iter().filter_map(|known| key(Some(known))).collect()
}

fn to_keys(keys: &[AttemptKey]) -> Vec<v1::AttemptKey> {
    keys.iter().copied().map(to_key).collect()
}

pub(super) fn start(keys: &[AttemptKey]) -> Message {
    Message::Start(v1::Start { keys: to_keys(keys) })
}

pub(super) fn cancel(keys: &[AttemptKey]) -> Message {
    Message::Cancel(v1::Cancel { keys: to_keys(keys) })
}

pub(super) fn acknowledge(keys: &[AttemptKey]) -> Message {
    Message::Acknowledge(v1::Acknowledge { keys: to_keys(keys) })
}

pub(super) fn withdraw(keys: &[AttemptKey], reason: &str) -> Message {
    Message::Withdraw(v1::Withdraw { keys: to_keys(keys), reason: reason.to_owned() })
}

pub(super) fn offer(launches: Vec<Launch>) -> Message {
    let launches = launches
        .into_iter()
        .map(|launch| v1::Launch {
            key: Some(to_key(launch.key)),
            command: launch.command,
            environment: launch.environment.into_iter().collect(),
            timeout: launch.timeout.map(duration),
            grace: Some(duration(launch.grace)),
            overflow: overflow(launch.overflow).into(),
            secrets: launch.secrets,
        })
        .collect();
    Message::Offer(v1::Offer { launches })
}

pub(crate) fn overflow(overflow: Overflow) -> v1::OutputOverflow {
    match overflow {
        Overflow::Block => v1::OutputOverflow::Block,
        Overflow::HeadTail => v1::OutputOverflow::HeadTail,
        Overflow::Fail => v1::OutputOverflow::Fail,
    }
}

/// Reads a final record; none if it has no key.
pub(super) fn completion(said: v1::Completion) -> Option<Completion> {
    let key = key(said.key.as_ref())?;
    let cause = match said.cause() {
        v1::EndCause::Exited => EndCause::Exited,
        v1::EndCause::Signaled => EndCause::Signaled,
        v1::EndCause::LaunchFailed => EndCause::LaunchFailed,
        v1::EndCause::Cancelled => EndCause::Cancelled,
        v1::EndCause::TimedOut => EndCause::TimedOut,
        v1::EndCause::OutputLimit => EndCause::OutputLimit,
        v1::EndCause::Lost | v1::EndCause::Unspecified => EndCause::Lost,
    };
    let usage = said.usage.unwrap_or_default();
    let time = |time: Option<&prost_types::Duration>| {
        time.and_then(std_duration).unwrap_or(Duration::ZERO)
    };
    Some(Completion {
        key,
        cause,
        exit_code: said.exit_code,
        signal: said.signal,
        pid: (said.pid != 0).then_some(said.pid),
        elapsed: time(said.elapsed.as_ref()),
        usage: Usage {
            user_cpu: time(usage.user_cpu.as_ref()),
            system_cpu: time(usage.system_cpu.as_ref()),
            peak_memory_bytes: usage.peak_memory_bytes,
        },
        streams: stream(said.stdout).and_then(|stdout| Some([stdout, stream(said.stderr)?])),
        log_length: said.log_length,
        leftovers: said
            .leftovers
            .into_iter()
            .map(|leftover| Leftover { pid: leftover.pid, name: leftover.name })
            .collect(),
        failed_artifacts: said
            .failed_artifacts
            .into_iter()
            .map(|failed| FailedArtifact { filename: failed.filename, reason: failed.reason })
            .collect(),
        trouble: said.trouble,
    })
}

fn stream(said: Option<v1::StreamSummary>) -> Option<StreamSummary> {
    let said = said?;
    Some(StreamSummary { bytes: said.size_bytes, sha256: said.sha256.try_into().ok()? })
}
