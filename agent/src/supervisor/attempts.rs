//! What the supervisor knows of one attempt, shared by the server, which takes the
//! session's wishes, and the worker, which runs it.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use multiflexi_program::say;

use super::wake::Wake;
use crate::{
    link::{AttemptKey, Completion, Held, Launch, Started},
    spool,
};

/// What the session wants to happen to an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Wish {
    /// Nothing special.
    GoOn,
    /// End it with its grace period.
    Cancel,
    /// Kill it at once, and forget it.
    Kill,
}

#[derive(Debug)]
struct State {
    wish: Wish,
    started: Option<Started>,
    /// What it waits for on this host; empty if it does not.
    waits: String,
    ended: Option<Box<Completion>>,
    /// Length of its log.
    length: u64,
    /// How much of the log the session has read.
    seen: u64,
    /// The session was told of growth that it has not seen yet.
    announced: bool,
    /// How much the scheduler has.
    durable: u64,
}

/// One attempt.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) launch: Launch,
    /// Its folder.
    pub(super) folder: PathBuf,
    wake: Wake,
    spooled: Spooled,
    state: Mutex<State>,
}

impl Attempt {
    pub(super) fn new(agent: &Path, launch: Launch, spooled: &Spooled) -> io::Result<Self> {
        let state = State {
            wish: Wish::GoOn,
            started: None,
            waits: String::new(),
            ended: None,
            length: 0,
            seen: 0,
            announced: false,
            durable: 0,
        };
        let folder = spool::attempt(agent, launch.key);
        let (wake, spooled) = (Wake::new()?, spooled.clone());
        Ok(Self { launch, folder, wake, spooled, state: Mutex::new(state) })
    }

    pub(super) fn key(&self) -> AttemptKey {
        self.launch.key
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the job left files. An empty working directory is removed on the way,
    /// which is the cheapest question.
    pub(super) fn has_files(&self) -> bool {
        match fs::remove_dir(spool::work(&self.folder)) {
            Ok(()) => false,
            Err(error) => error.kind() != io::ErrorKind::NotFound,
        }
    }

    /// Puts how it ended where a later supervisor finds it.
    pub(super) fn write_down(&self, completion: &Completion) {
        let json = serde_json::to_vec(completion).unwrap_or_default();
        if let Err(error) = fs::write(spool::ended(&self.folder), json) {
            // It matters only if this supervisor is killed before the end is acknowledged.
            say!("{}: how it ended cannot be written down: {error}", self.key());
        }
    }

    /// Rung when a wish or what is durable changes.
    pub(super) fn wake(&self) -> &Wake {
        &self.wake
    }

    pub(super) fn wish(&self) -> Wish {
        self.lock().wish
    }

    /// Says what is to happen; a weaker wish does not replace a stronger one.
    pub(super) fn want(&self, wish: Wish) {
        let mut state = self.lock();
        state.wish = state.wish.max(wish);
        drop(state);
        self.wake.ring();
    }

    pub(super) fn set_started(&self, started: Started) {
        self.lock().started = Some(started);
    }

    /// Notes what it waits for on this host, empty for nothing; true if that is news.
    pub(super) fn waits(&self, reason: &str) -> bool {
        let mut state = self.lock();
        let news = state.waits != reason;
        if news {
            reason.clone_into(&mut state.waits);
        }
        news
    }

    pub(super) fn set_ended(&self, completion: Box<Completion>) {
        self.lock().ended = Some(completion);
    }

    pub(super) fn has_ended(&self) -> bool {
        self.lock().ended.is_some()
    }

    /// Notes that its log has grown; true if the session is to be told.
    pub(super) fn grew(&self, length: u64) -> bool {
        let mut state = self.lock();
        let before = state.undurable();
        state.length = length;
        self.spooled.change(before, state.undurable());
        announce(&mut state)
    }

    /// Notes what the session has read; the log's length if it is to be told that
    /// there is more.
    pub(super) fn seen(&self, length: u64) -> Option<u64> {
        let mut state = self.lock();
        state.seen = state.seen.max(length);
        state.announced = false;
        announce(&mut state).then_some(state.length)
    }

    /// Notes what the scheduler has.
    pub(super) fn durable(&self, offset: u64) {
        let mut state = self.lock();
        let before = state.undurable();
        state.durable = state.durable.max(offset);
        self.spooled.change(before, state.undurable());
        drop(state);
        self.wake.ring();
    }

    /// Bytes of its log that the scheduler does not have.
    pub(super) fn undurable(&self) -> u64 {
        self.lock().undurable()
    }

    /// What a session that has just connected is told; it has seen all of it then.
    pub(super) fn held(&self) -> Held {
        let mut state = self.lock();
        state.seen = state.length;
        state.announced = false;
        Held {
            key: self.launch.key,
            log_length: state.length,
            grace_ms: self.launch.grace_ms,
            started: state.started,
            waits: state.waits.clone(),
            ended: state.ended.clone(),
            traceparent: self.launch.environment.get("TRACEPARENT").cloned().unwrap_or_default(),
        }
    }
}

impl State {
    fn undurable(&self) -> u64 {
        self.length.saturating_sub(self.durable)
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        self.spooled.change(self.undurable(), 0);
    }
}

/// Bytes of all attempts' logs that the scheduler does not have.
#[derive(Clone, Debug, Default)]
pub(super) struct Spooled(Arc<AtomicU64>);

impl Spooled {
    pub(super) fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn change(&self, before: u64, after: u64) {
        // Each attempt adds what it takes away later: it never falls below zero.
        self.0.fetch_add(after.wrapping_sub(before), Ordering::Relaxed);
    }
}

fn announce(state: &mut State) -> bool {
    let news = state.length > state.seen && !state.announced;
    state.announced |= news;
    news
}
