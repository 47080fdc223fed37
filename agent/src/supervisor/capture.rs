//! Reads the pipes of one attempt until there is nothing more to read, and keeps
//! its times: the wall timeout, the grace period, the drain deadline.

use std::{
    io::{self, Read as _},
    os::fd::{AsFd as _, OwnedFd},
    process::{ChildStderr, ChildStdout},
    sync::Arc,
    time::{Duration, Instant},
};

use multiflexi_program::say;
use multiflexi_proto::frame::Stream;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    pipe::fcntl_setpipe_size,
    process::Signal,
};

use super::{
    attempts::{Attempt, Wish},
    hub::Hub,
    mask::{Masker, Secrets},
    recorder::Recorder,
    sys,
    tree::{Killed, Tree},
};
use crate::link::{Cause, Event, Overflow};

/// Bytes of one read; and of one read of a pipe that was found full.
const READ: [usize; 2] = [64 * 1024, 256 * 1024];

/// Size of a pipe whose writer is fast, in bytes.
const PIPE: usize = 1024 * 1024;

/// How long output is read after the main process has ended, if somebody holds the
/// pipes open.
const DRAIN: Duration = Duration::from_secs(2);

/// How soon what failed is tried again: a record that did not fit on the disk, a
/// kill that did not end a process.
const RETRY: Duration = Duration::from_secs(1);

/// One pipe.
struct Pipe {
    stream: Stream,
    file: Option<std::fs::File>,
    read: usize,
    masker: Masker,
}

impl Pipe {
    fn new(stream: Stream, fd: Option<OwnedFd>, secrets: &Arc<Secrets>) -> Self {
        let (file, masker) = (fd.map(std::fs::File::from), Masker::new(secrets));
        Self { stream, file, read: READ[0], masker }
    }
}

/// The end that somebody wished for.
struct Ending {
    cause: Cause,
    /// When what is left is killed.
    kill_at: Instant,
}

/// One attempt that runs.
pub(super) struct Capture<'a> {
    attempt: &'a Attempt,
    hub: &'a Hub,
    tree: Tree<'a>,
    pipes: [Pipe; 2],
    recorder: Recorder,
    process: OwnedFd,
    ending: Option<Ending>,
    timeout_at: Option<Instant>,
    buffer: Vec<u8>,
    secrets: Arc<Secrets>,
    /// What a read became once its secrets were masked.
    masked: Vec<u8>,
    disk_was_full: bool,
}

/// What came of an attempt.
pub(super) struct Captured {
    /// Why it ended, if not by itself.
    pub(super) cause: Option<Cause>,
    /// The main process.
    pub(super) ended: io::Result<sys::Ended>,
    /// How long the main process ran.
    pub(super) elapsed: Duration,
    /// What was left of its tree.
    pub(super) killed: Killed,
    /// The disk had no room for its output at a time.
    pub(super) disk_was_full: bool,
    pub(super) recorder: Recorder,
    pub(super) secrets: Arc<Secrets>,
}

impl<'a> Capture<'a> {
    pub(super) fn new(
        attempt: &'a Attempt,
        hub: &'a Hub,
        tree: Tree<'a>,
        process: OwnedFd,
        pipes: (Option<ChildStdout>, Option<ChildStderr>),
        recorder: Recorder,
    ) -> Self {
        let timeout = attempt.launch.timeout_ms.map(Duration::from_millis);
        let secrets = Arc::new(Secrets::of(&attempt.launch));
        let pipes = [
            Pipe::new(Stream::Stdout, pipes.0.map(OwnedFd::from), &secrets),
            Pipe::new(Stream::Stderr, pipes.1.map(OwnedFd::from), &secrets),
        ];
        Self {
            attempt,
            hub,
            tree,
            pipes,
            recorder,
            process,
            ending: None,
            timeout_at: timeout.and_then(|timeout| Instant::now().checked_add(timeout)),
            buffer: vec![0; READ[0]],
            secrets,
            masked: Vec::new(),
            disk_was_full: false,
        }
    }

    /// Captures until the main process has ended, its pipes are read and its tree
    /// is gone.
    pub(super) fn run(mut self, started: Instant) -> Captured {
        while !self.step(&[], self.next_deadline(), true) {
            self.keep_times();
            self.kill_if_due();
        }
        let ended = sys::reap(self.tree.main);
        let elapsed = started.elapsed();
        self.drain();
        let killed = if self.tree.is_alone() { Killed::default() } else { self.tree.kill_others() };
        self.read_what_is_there();
        self.end_of_streams();
        self.write_what_is_stuck();
        while self.recorder.keeps_tail() && self.attempt.wish() != Wish::Kill {
            let result = self.recorder.write_tail();
            self.recorded(result);
            self.write_what_is_stuck();
        }
        let cause = self.ending.map(|ending| ending.cause);
        self.hub.tell_waits(self.attempt, "");
        let Self { disk_was_full, recorder, secrets, .. } = self;
        Captured { cause, ended, elapsed, killed, disk_was_full, recorder, secrets }
    }

    /// After the main process has ended: reads on while others hold the pipes, up
    /// to the drain deadline; an ending's grace period holds for them too.
    fn drain(&mut self) {
        let deadline = Instant::now() + DRAIN;
        loop {
            self.keep_times();
            let deadline = match &self.ending {
                Some(ending) => ending.kill_at,
                None => deadline,
            };
            let others = if self.ending.is_some() { self.tree.watch_others() } else { Vec::new() };
            let done = self.pipes.iter().all(|pipe| pipe.file.is_none()) && others.is_empty();
            if done || Instant::now() >= deadline {
                return;
            }
            self.step(&others, Some(deadline), false);
        }
    }

    /// Waits for something to happen and deals with it; true if the main process
    /// has ended.
    fn step(&mut self, others: &[OwnedFd], deadline: Option<Instant>, main: bool) -> bool {
        let full = self.spool_is_full();
        self.keep_or_write_tail(full);
        let stuck = self.recorder.is_stuck();
        let reads = !(stuck || full) || self.recorder.keeps_tail();
        // Room that another attempt has made rings no bell here.
        let retry = (stuck || full).then(|| Instant::now() + RETRY);
        let deadline = [deadline, retry].into_iter().flatten().min();
        let mut fds = vec![PollFd::from_borrowed_fd(self.attempt.wake().as_fd(), PollFlags::IN)];
        for pipe in &self.pipes {
            if let Some(file) = pipe.file.as_ref().filter(|_| reads) {
                fds.push(PollFd::new(file, PollFlags::IN));
            }
        }
        let processes = main.then_some(&self.process).into_iter().chain(others);
        fds.extend(processes.map(|process| PollFd::new(process, PollFlags::IN)));
        let timeout = deadline.map(|at| at.saturating_duration_since(Instant::now()));
        let timeout = timeout.and_then(|left| Timespec::try_from(left).ok());
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            // Out of memory: the next round may do better.
            Err(error) => say!("{}: poll failed: {error}", self.attempt.key()),
        }
        let rung = !fds[0].revents().is_empty();
        let mut readable = [false; 2];
        let mut next = 1;
        for (pipe, readable) in self.pipes.iter().zip(&mut readable) {
            if reads && pipe.file.is_some() {
                *readable = !fds[next].revents().is_empty();
                next += 1;
            }
        }
        let ended = main && !fds[next].revents().is_empty();
        drop(fds);
        if rung {
            self.attempt.wake().hush();
        }
        if self.recorder.is_stuck() {
            let result = self.recorder.retry();
            self.recorded(result);
        }
        for (index, readable) in readable.into_iter().enumerate() {
            if readable && (self.recorder.keeps_tail() || !self.recorder.is_stuck()) {
                self.read(index);
            }
        }
        ended
    }

    /// Whether there is no room for more output: as much of it waits for the scheduler
    /// as may, or the disk is full.
    fn spool_is_full(&self) -> bool {
        let quota = &self.attempt.launch.quota;
        self.recorder.is_stuck()
            || self.attempt.undurable() >= quota.attempt_bytes
            || self.hub.spooled.bytes() >= quota.agent_bytes
    }

    /// A job that may not wait goes on while the spool is full; once there is much
    /// room again, the end of its output is written.
    fn keep_or_write_tail(&mut self, full: bool) {
        let quota = &self.attempt.launch.quota;
        if full && quota.overflow == Overflow::HeadTail {
            self.recorder.keep_tail();
        } else if self.recorder.keeps_tail()
            && !self.recorder.is_stuck()
            && self.attempt.undurable() < quota.attempt_bytes / 2
        {
            let result = self.recorder.write_tail();
            self.recorded(result);
        }
    }

    /// Reads once from a pipe.
    fn read(&mut self, index: usize) {
        let pipe = &mut self.pipes[index];
        let Some(file) = &mut pipe.file else { return };
        if self.buffer.len() < pipe.read {
            self.buffer.resize(pipe.read, 0);
        }
        match file.read(&mut self.buffer[..pipe.read]) {
            Ok(0) => pipe.file = None,
            Ok(length) if !self.secrets.is_empty() => {
                self.masked.clear();
                pipe.masker.push(&self.buffer[..length], &mut self.masked);
                if !self.masked.is_empty() {
                    let result = self.recorder.record(pipe.stream, &self.masked);
                    self.recorded(result);
                }
            }
            Ok(length) => {
                if length == READ[0] && pipe.read == READ[0] {
                    // A fast writer: fewer, larger reads from now on. The size is
                    // only a wish; users have a limit.
                    pipe.read = READ[1];
                    let _ = fcntl_setpipe_size(&*file, PIPE);
                }
                let stream = pipe.stream;
                let result = self.recorder.record(stream, &self.buffer[..length]);
                self.recorded(result);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                say!("{}: a pipe cannot be read: {error}", self.attempt.key());
                pipe.file = None;
            }
        }
    }

    /// Nothing more comes: what was held back as the possible beginning of a secret is
    /// none.
    fn end_of_streams(&mut self) {
        for index in 0..self.pipes.len() {
            let pipe = &mut self.pipes[index];
            self.masked.clear();
            pipe.masker.finish(&mut self.masked);
            if !self.masked.is_empty() {
                let stream = pipe.stream;
                self.write_what_is_stuck();
                let result = self.recorder.record(stream, &self.masked);
                self.recorded(result);
            }
        }
    }

    /// Tells the session of growth, and of a full disk.
    fn recorded(&mut self, result: io::Result<()>) {
        let length = self.recorder.length();
        if self.attempt.grew(length) {
            self.hub.tell(&Event::LogGrew(self.attempt.key(), length));
        }
        match result {
            Ok(()) => self.hub.tell_waits(self.attempt, ""),
            Err(error) => {
                self.disk_was_full = true;
                let reason = format!("the agent's disk takes no more of its output: {error}");
                self.hub.tell_waits(self.attempt, &reason);
            }
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        match &self.ending {
            Some(ending) => Some(ending.kill_at),
            None => self.timeout_at,
        }
    }

    /// Begins an ending that is due.
    fn keep_times(&mut self) {
        let now = Instant::now();
        let wish = self.attempt.wish();
        let grace = Duration::from_millis(self.attempt.launch.grace_ms);
        if self.ending.is_none() {
            let cause = if wish != Wish::GoOn {
                Some(Cause::Cancelled)
            } else if self.timeout_at.is_some_and(|at| now >= at) {
                Some(Cause::TimedOut)
            } else if self.attempt.launch.quota.overflow == Overflow::Fail && self.spool_is_full() {
                Some(Cause::OutputLimit)
            } else {
                None
            };
            if let Some(cause) = cause {
                let kill_at = now.checked_add(grace).unwrap_or(now);
                self.ending = Some(Ending { cause, kill_at });
                if wish != Wish::Kill {
                    self.tree.signal(Signal::TERM);
                }
            }
        }
        if let Some(ending) = self.ending.as_mut().filter(|_| wish == Wish::Kill) {
            ending.kill_at = ending.kill_at.min(now);
        }
    }

    /// Kills the main process with its tree when the grace period is over.
    fn kill_if_due(&mut self) {
        let now = Instant::now();
        if let Some(ending) = self.ending.as_mut().filter(|ending| now >= ending.kill_at) {
            // Again, if it hangs in the kernel that long.
            ending.kill_at = now + RETRY;
            self.tree.signal(Signal::KILL);
        }
    }

    /// Everything is dead: what the pipes still hold is read, and no longer waited for.
    fn read_what_is_there(&mut self) {
        for index in 0..self.pipes.len() {
            while let Some(file) = &self.pipes[index].file {
                let now = Timespec { tv_sec: 0, tv_nsec: 0 };
                let readable = poll(&mut [PollFd::new(file, PollFlags::IN)], Some(&now));
                if !readable.is_ok_and(|count| count > 0) {
                    break;
                }
                self.write_what_is_stuck();
                self.read(index);
            }
        }
    }

    /// Waits until the disk has room; a superseded attempt's output may be lost.
    fn write_what_is_stuck(&mut self) {
        if self.ending.as_ref().is_some_and(|ending| ending.cause == Cause::OutputLimit) {
            self.recorder.drop_the_rest();
        }
        while self.recorder.is_stuck() && self.attempt.wish() != Wish::Kill {
            self.step(&[], None, false);
        }
    }
}
