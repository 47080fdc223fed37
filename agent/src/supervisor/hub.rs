//! Where workers and server meet: the attempts that are held, and what waits to be
//! told to the session. What is told without a session is dropped: the next one
//! learns it from `Hello`.

use std::{
    collections::HashMap,
    io::Write as _,
    net::Shutdown,
    os::unix::net::UnixStream,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
};

use multiflexi_program::say;

use super::attempts::{Attempt, Spooled};
use crate::link::{self, AttemptKey, Event};

#[derive(Debug, Default)]
struct State {
    attempts: HashMap<AttemptKey, Arc<Attempt>>,
    /// Counts sessions, so that a writer knows whether it is the newest one's.
    session: u64,
    connected: bool,
    /// Encoded events that wait for the writer.
    outgoing: Vec<u8>,
}

/// The meeting place.
#[derive(Debug, Default)]
pub(super) struct Hub {
    /// What the spools of all attempts hold.
    pub(super) spooled: Spooled,
    state: Mutex<State>,
    news: Condvar,
}

impl Hub {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an attempt, unless it is held already.
    pub(super) fn add(&self, attempt: &Arc<Attempt>) -> bool {
        let mut state = self.lock();
        if state.attempts.contains_key(&attempt.key()) {
            return false;
        }
        state.attempts.insert(attempt.key(), Arc::clone(attempt));
        true
    }

    pub(super) fn get(&self, key: AttemptKey) -> Option<Arc<Attempt>> {
        self.lock().attempts.get(&key).cloned()
    }

    pub(super) fn remove(&self, key: AttemptKey) -> Option<Arc<Attempt>> {
        self.lock().attempts.remove(&key)
    }

    /// Whether `key` is the only attempt that has not ended.
    pub(super) fn is_alone(&self, key: AttemptKey) -> bool {
        let state = self.lock();
        state.attempts.values().all(|other| other.key() == key || other.has_ended())
    }

    /// Nothing is held and nobody is connected.
    pub(super) fn is_idle(&self) -> bool {
        let state = self.lock();
        state.attempts.is_empty() && !state.connected
    }

    /// Tells the session.
    pub(super) fn tell(&self, event: &Event) {
        let mut state = self.lock();
        if state.connected {
            let was_empty = state.outgoing.is_empty();
            link::encode(event, &mut state.outgoing);
            drop(state);
            if was_empty {
                self.news.notify_all();
            }
        }
    }

    /// Notes what an attempt waits for on this host, and tells the session if that is
    /// news; an empty reason: it goes on.
    pub(super) fn tell_waits(&self, attempt: &Attempt, reason: &str) {
        if attempt.waits(reason) {
            if !reason.is_empty() {
                say!("{} waits: {reason}", attempt.key());
            }
            self.tell(&Event::Waits(attempt.key(), reason.to_owned()));
        }
    }

    /// A session has connected; it takes the place of the one before. The first
    /// thing it is told is what is held. Returns its number.
    pub(super) fn connect(&self) -> u64 {
        let mut state = self.lock();
        let held = state.attempts.values().map(|attempt| attempt.held()).collect();
        state.session += 1;
        state.connected = true;
        state.outgoing.clear();
        let version = link::VERSION.to_owned();
        link::encode(&Event::Hello { version, held }, &mut state.outgoing);
        self.news.notify_all();
        state.session
    }

    /// The session is gone.
    pub(super) fn disconnect(&self) {
        let mut state = self.lock();
        state.connected = false;
        state.outgoing.clear();
        self.news.notify_all();
    }

    /// Writes what the session is told, as much as there is at a time, until it is
    /// gone or another has taken its place. A thread of its own: a session that
    /// does not read holds up nobody else.
    pub(super) fn write_to(&self, session: u64, mut stream: &UnixStream) {
        let mut batch = Vec::new();
        loop {
            let mut state = self.lock();
            while state.session == session && state.connected && state.outgoing.is_empty() {
                state = self.news.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            if state.session != session || !state.connected {
                return;
            }
            batch.clear();
            std::mem::swap(&mut batch, &mut state.outgoing);
            drop(state);
            if stream.write_all(&batch).is_err() {
                // The reader learns of it and disconnects.
                let _ = stream.shutdown(Shutdown::Both);
                return;
            }
        }
    }
}
