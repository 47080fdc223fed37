//! Takes over what an earlier supervisor left. Its processes can be adopted by
//! nobody, so they are killed; their output, their files and, where it was known,
//! how they ended are still there for the session to bring to the scheduler.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::FileExt as _,
    path::Path,
    sync::Arc,
};

use multiflexi_program::say;
use multiflexi_proto::frame;

use super::{attempts::Attempt, files, hub::Hub, tree};
use crate::{
    link::{Cause, Completion, Launch, Quota},
    spool,
};

/// Adds the attempts that are left in the agent's folder to the hub, as ended.
pub(super) fn recover(agent: &Path, hub: &Hub) -> io::Result<()> {
    let mut left = Vec::new();
    for entry in fs::read_dir(spool::attempts(agent))? {
        let name = entry?.file_name();
        match name.to_str().and_then(spool::parse) {
            Some(key) => left.push(key),
            None => say!("{} is no attempt's folder and stays", name.display()),
        }
    }
    if left.is_empty() {
        return Ok(());
    }
    tree::kill_left(agent, &left)?;
    for key in left {
        let launch = Launch {
            key,
            command: Vec::new(),
            environment: [].into(),
            timeout_ms: None,
            grace_ms: 0,
            quota: Quota::default(),
            secrets: Vec::new(),
            required_files: Vec::new(),
            files: Vec::new(),
        };
        let attempt = Attempt::new(agent, launch, &hub.spooled)?;
        files::remove(&attempt.folder)?;
        let completion = completion(&attempt)?;
        say!("{key} was left by an earlier supervisor: {:?}", completion.cause);
        attempt.grew(completion.log_length);
        attempt.set_ended(Box::new(completion));
        hub.add(&Arc::new(attempt));
    }
    Ok(())
}

/// How it ended, if that was known; else that it is lost, with what there is of it.
fn completion(attempt: &Attempt) -> io::Result<Completion> {
    let ended = fs::read(spool::ended(&attempt.folder)).ok();
    // A half-written record is none.
    if let Some(known) = ended.and_then(|json| serde_json::from_slice(&json).ok()) {
        return Ok(known);
    }
    let mut trouble =
        "the agent's supervisor was killed, and the job's processes with it".to_owned();
    // One that cannot be read must not keep the others from being brought.
    let log_length = match whole_log(&attempt.folder) {
        Ok(Whole { length, cut: 0 }) => length,
        Ok(Whole { length, cut }) => {
            trouble = format!("{trouble}; the last {cut} bytes of its log were no whole record");
            length
        }
        Err(error) => {
            trouble = format!("{trouble}; the output that was left cannot be read: {error}");
            given_back(&attempt.folder)
        }
    };
    Ok(Completion {
        cause: Cause::Lost,
        streams: None,
        log_length,
        trouble,
        has_files: attempt.has_files(),
        ..Completion::default()
    })
}

/// What is whole of a log.
struct Whole {
    length: u64,
    /// Bytes behind that, which were cut off.
    cut: u64,
}

/// Cuts a record that was not written to its end, and what is behind it.
fn whole_log(attempt: &Path) -> io::Result<Whole> {
    let file = match OpenOptions::new().read(true).write(true).open(spool::log(attempt)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(Whole { length: given_back(attempt), cut: 0 });
        }
        Err(error) => return Err(error),
    };
    let size = file.metadata()?.len();
    let mut length = given_back(attempt);
    while let Some(record) = record_at(&file, length, size)? {
        length += record;
    }
    file.set_len(length)?;
    Ok(Whole { length, cut: size.saturating_sub(length) })
}

/// How much of the log's beginning is no longer there.
fn given_back(attempt: &Path) -> u64 {
    let text = fs::read_to_string(spool::durable(attempt)).unwrap_or_default();
    text.trim().parse().unwrap_or(0)
}

/// Size of the record that begins at `start`; none if it is not there whole.
fn record_at(file: &File, start: u64, size: u64) -> io::Result<Option<u64>> {
    let mut header = [0; frame::HEADER];
    if start + header.len() as u64 > size {
        return Ok(None);
    }
    file.read_exact_at(&mut header, start)?;
    let record = frame::record_size(&header).map(|record| record as u64);
    Ok(record.filter(|record| start + record <= size))
}
