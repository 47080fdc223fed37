//! Between the protocol's messages and the domain's types. What an agent says is
//! checked here and trusted afterwards.

use std::time::Duration;

use multiflexi_proto::{
    duration, std_duration,
    v1::{self, connect_response::Message},
};

use crate::domain::{
    ids::{AttemptKey, Fence, JobId},
    job::{
        Completion, EndCause, FailedArtifact, Launch, Leftover, LostOutput, Overflow,
        StreamSummary, Usage,
    },
};

/// Most bytes of files and variables in one message of offers, if it holds more than one:
/// a message may have 16 MiB, and there are names and arguments besides.
const OFFERED: usize = 4 * 1024 * 1024;

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

/// The fewest messages that hold these launches: one, unless there are large files or very
/// large variables.
pub(super) fn offers(launches: Vec<Launch>) -> Vec<Message> {
    let mut offers = vec![v1::Offer::default()];
    let mut bytes = 0;
    for launch in launches {
        let files = launch.files.values().map(|file| file.content.len());
        let texts = launch.environment.values().map(String::len);
        let size: usize = files.chain(texts).sum();
        if bytes > 0 && bytes + size > OFFERED {
            offers.push(v1::Offer::default());
            bytes = 0;
        }
        bytes += size;
        if let Some(offer) = offers.last_mut() {
            offer.launches.push(to_launch(launch));
        }
    }
    offers.into_iter().map(Message::Offer).collect()
}

fn to_launch(launch: Launch) -> v1::Launch {
    let files = launch.files.into_iter().map(|(name, file)| v1::VariableFile {
        secret: launch.secrets.contains(&name),
        name,
        file_name: file.name,
        size_bytes: i64::try_from(file.content.len()).unwrap_or(i64::MAX),
        content: file.content,
    });
    v1::Launch {
        key: Some(to_key(launch.key)),
        command: launch.command,
        environment: launch.environment.into_iter().collect(),
        timeout: launch.timeout.map(duration),
        grace: Some(duration(launch.grace)),
        overflow: overflow(launch.overflow).into(),
        files: files.collect(),
        required_files: launch.required_files,
        secrets: launch.secrets,
    }
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
        lost_output: said
            .lost_output
            .map(|lost| lost_from(lost, said.log_length))
            .into_iter()
            .collect(),
    })
}

/// What an agent has lost of a log that is `length` long.
fn lost_from(said: v1::LostOutput, length: i64) -> LostOutput {
    LostOutput { from: said.from_offset.clamp(0, length.max(0)), to: length, reason: said.reason }
}

fn stream(said: Option<v1::StreamSummary>) -> Option<StreamSummary> {
    let said = said?;
    Some(StreamSummary { bytes: said.size_bytes, sha256: said.sha256.try_into().ok()? })
}
