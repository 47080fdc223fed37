//! `launch_job`: runs one attempt from its working directory to its final record.
//! One worker thread does nothing else meanwhile.

use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::fs::DirBuilderExt as _,
    sync::Arc,
    time::{Duration, Instant},
};

use multiflexi_program::say;
use multiflexi_proto::frame::Stream;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::{
    attempts::{Attempt, Wish},
    capture::{Capture, Captured},
    files,
    hub::Hub,
    mask::Secrets,
    names,
    program::{self, NotLaunched},
    recorder::{self, Recorder},
    tree::Tree,
};
use crate::{
    link::{Cause, Completion, Event, Leftover, Overflow, Started},
    spool,
};

/// How soon a launch for which the disk has no room is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// Bytes of a process' name that the kernel keeps.
const LONGEST_NAME: usize = 15;

/// Runs an attempt and tells the session how it ended.
pub(super) fn launch_job(attempt: &Attempt, hub: &Hub) {
    let recorder = Recorder::new(spool::log(&attempt.folder));
    let completion = if attempt.wish() == Wish::GoOn {
        run(attempt, hub, recorder)
    } else {
        nothing_ran(recorder, Cause::Cancelled)
    };
    let completion = Box::new(completion);
    if let Err(error) = files::remove(&attempt.folder) {
        say!("{}: its files cannot be removed now: {error}", attempt.key());
    }
    attempt.write_down(&completion);
    attempt.set_ended(completion.clone());
    if attempt.wish() != Wish::Kill {
        hub.tell(&Event::Ended(attempt.key(), completion));
    }
}

fn run(attempt: &Attempt, hub: &Hub, recorder: Recorder) -> Completion {
    match make_folder_with_patience(attempt, hub) {
        Ok(true) => {}
        Ok(false) => return nothing_ran(recorder, Cause::Cancelled),
        Err(error) => {
            let trouble = format!("its working directory cannot be made: {error}");
            return failed(attempt, recorder, &trouble);
        }
    }
    let launched = Instant::now();
    let mut child = match program::spawn(&attempt.launch, &attempt.folder) {
        Ok(child) => child,
        Err(not_launched) => return explain(attempt, hub, recorder, &not_launched),
    };
    let started = Started { pid: i64::from(child.id()), at: recorder::now() };
    attempt.set_started(started);
    hub.tell(&Event::Started(attempt.key(), started));
    let main = Pid::from_child(&child);
    let process = match open(main) {
        Ok(process) => process,
        Err(error) => {
            let _ = child.kill().and_then(|()| child.wait());
            return failed(attempt, recorder, &format!("its process cannot be watched: {error}"));
        }
    };
    let tree = Tree { hub, key: attempt.key(), folder: &attempt.folder, main };
    let pipes = (child.stdout.take(), child.stderr.take());
    let captured = Capture::new(attempt, hub, tree, process, pipes, recorder).run(launched);
    completion(attempt, started, captured)
}

fn open(main: Pid) -> io::Result<std::os::fd::OwnedFd> {
    Ok(pidfd_open(main, PidfdFlags::empty())?)
}

/// Makes the attempt's folder. A full disk is waited for, unless the job would rather
/// fail; false if the attempt is no longer wanted.
fn make_folder_with_patience(attempt: &Attempt, hub: &Hub) -> io::Result<bool> {
    let patient = attempt.launch.quota.overflow != Overflow::Fail;
    loop {
        match make_folder(attempt) {
            Ok(()) => {
                hub.tell_waits(attempt, "");
                return Ok(true);
            }
            Err(error) if patient && error.kind() == io::ErrorKind::StorageFull => {
                let reason = format!("the agent's disk has no room for it to start: {error}");
                hub.tell_waits(attempt, &reason);
                attempt.wake().wait(RETRY);
                if attempt.wish() != Wish::GoOn {
                    return Ok(false);
                }
            }
            Err(error) => return Err(error),
        }
    }
}

fn make_folder(attempt: &Attempt) -> io::Result<()> {
    let mut private = fs::DirBuilder::new();
    private.mode(0o700);
    match private.create(&attempt.folder) {
        // From a try for which the disk had no room.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        result => result?,
    }
    files::deliver(&attempt.launch, &attempt.folder)?;
    private.create(spool::work(&attempt.folder))
}

fn completion(attempt: &Attempt, started: Started, captured: Captured) -> Completion {
    let mut trouble = Vec::new();
    let unmasked = match attempt.launch.secrets.is_empty() {
        true => Vec::new(),
        false => Secrets::unmasked(&attempt.launch),
    };
    if !unmasked.is_empty() {
        trouble.push(format!("too short to be masked in its output: {}", unmasked.join(", ")));
    }
    let too_large = Secrets::too_large(&attempt.launch);
    if !too_large.is_empty() {
        trouble.push(format!("too large to be masked in its output: {}", too_large.join(", ")));
    }
    let secrets = &captured.secrets;
    let [leftovers, survivors] =
        [captured.killed.leftovers, captured.killed.survivors].map(|found| masked(found, secrets));
    for survivor in &survivors {
        trouble.push(format!("{} ({}) could not be killed", survivor.name, survivor.pid));
    }
    if let Err(error) = &captured.ended {
        trouble.push(format!("how its process ended is not known: {error}"));
    }
    let quota = &attempt.launch.quota;
    let full = if captured.disk_was_full {
        "the agent's disk was full".to_owned()
    } else {
        format!(
            "{} bytes of it, or {} of all jobs, waited for the scheduler",
            quota.attempt_bytes, quota.agent_bytes
        )
    };
    if captured.cause == Some(Cause::OutputLimit) {
        trouble.push(format!("it was ended as its output did not fit into the spool: {full}"));
    }
    match captured.recorder.dropped() {
        0 => {}
        dropped => trouble.push(format!("{dropped} bytes of its output were dropped: {full}")),
    }
    let ended = captured.ended.ok();
    let signal = ended.and_then(|ended| ended.signal);
    let by_itself = if signal.is_some() { Cause::Signaled } else { Cause::Exited };
    let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    let log_length = captured.recorder.length();
    let mut has_files = attempt.has_files();
    let mut masked_names = BTreeMap::new();
    if has_files && !secrets.is_empty() {
        match names::masked(&spool::work(&attempt.folder), secrets) {
            Ok(names) => masked_names = names,
            Err(reason) => {
                trouble.push(reason);
                has_files = false;
            }
        }
    }
    Completion {
        cause: captured.cause.unwrap_or(by_itself),
        exit_code: ended.and_then(|ended| ended.exit_code),
        signal,
        started: Some(started),
        elapsed_us: micros(captured.elapsed),
        user_cpu_us: ended.map_or(0, |ended| micros(ended.user_cpu)),
        system_cpu_us: ended.map_or(0, |ended| micros(ended.system_cpu)),
        peak_memory_bytes: ended.map_or(0, |ended| ended.peak_memory_bytes),
        streams: Some(captured.recorder.summary()),
        log_length,
        leftovers,
        trouble: trouble.join("; "),
        has_files,
        masked_names,
    }
}

/// Processes, by names without secrets. The kernel has cut the longer ones.
fn masked(mut processes: Vec<Leftover>, secrets: &Arc<Secrets>) -> Vec<Leftover> {
    for process in processes.iter_mut().filter(|_| !secrets.is_empty()) {
        process.name = match process.name.len() {
            ..LONGEST_NAME => secrets.masked(&process.name),
            _ => secrets.masked_cut(&process.name),
        };
    }
    processes
}

/// The end of an attempt of which no process ran.
fn nothing_ran(recorder: Recorder, cause: Cause) -> Completion {
    let log_length = recorder.length();
    Completion { cause, streams: Some(recorder.summary()), log_length, ..Completion::default() }
}

/// The end of an attempt that this host could not run.
fn failed(attempt: &Attempt, recorder: Recorder, trouble: &str) -> Completion {
    let trouble = &own_words(attempt, trouble);
    say!("{}: {trouble}", attempt.key());
    let trouble = trouble.to_owned();
    let launch_failed = nothing_ran(recorder, Cause::LaunchFailed);
    Completion { exit_code: Some(126), trouble, ..launch_failed }
}

/// What the agent itself says about an attempt: paths and names in it may hold secrets.
fn own_words(attempt: &Attempt, text: &str) -> String {
    Arc::new(Secrets::of(&attempt.launch)).masked(text)
}

/// The end of an attempt whose program cannot be started: the user reads why where
/// a shell would have said it, and in what is shown of the job.
fn explain(
    attempt: &Attempt,
    hub: &Hub,
    mut recorder: Recorder,
    not_launched: &NotLaunched,
) -> Completion {
    let trouble = own_words(attempt, &not_launched.reason);
    let sentence = format!("multiflexi: {trouble}\n");
    if let Err(error) = recorder.record(Stream::Stderr, sentence.as_bytes()) {
        let trouble = format!("{} (and its log cannot be written: {error})", not_launched.reason);
        return failed(attempt, Recorder::new(spool::log(&attempt.folder)), &trouble);
    }
    let length = recorder.length();
    if attempt.grew(length) {
        hub.tell(&Event::LogGrew(attempt.key(), length));
    }
    attempt.has_files();
    let launch_failed = nothing_ran(recorder, Cause::LaunchFailed);
    Completion { exit_code: Some(not_launched.exit_code), trouble, ..launch_failed }
}

/// The end of an attempt for which this process has no room.
pub(super) fn no_room(error: &io::Error, spool: std::path::PathBuf) -> Completion {
    let launch_failed = nothing_ran(Recorder::new(spool), Cause::LaunchFailed);
    Completion { exit_code: Some(126), trouble: error.to_string(), ..launch_failed }
}
