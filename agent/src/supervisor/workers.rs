//! Threads that run attempts: one each while it runs, kept for the next one.

use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use multiflexi_program::say;

/// How long a thread without work stays.
const STAYS: Duration = Duration::from_secs(30);

/// A thread's stack, in bytes: the deepest call is a walk through folders.
const STACK: usize = 256 * 1024;

type Work = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct State {
    waiting: VecDeque<Work>,
    idle: usize,
    /// Work that is waiting or being done.
    unfinished: usize,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    arrived: Condvar,
    finished: Condvar,
}

/// The threads.
#[derive(Default)]
pub(super) struct Workers(Arc<Shared>);

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn done(&self) {
        let mut state = self.lock();
        state.unfinished -= 1;
        if state.unfinished == 0 {
            self.finished.notify_all();
        }
    }

    fn next(&self) -> Option<Work> {
        let mut state = self.lock();
        loop {
            if let Some(work) = state.waiting.pop_front() {
                return Some(work);
            }
            state.idle += 1;
            let (woken, wait) =
                self.arrived.wait_timeout(state, STAYS).unwrap_or_else(PoisonError::into_inner);
            state = woken;
            state.idle -= 1;
            if wait.timed_out() && state.waiting.is_empty() {
                return None;
            }
        }
    }
}

impl Workers {
    /// Waits until all work is done.
    pub(super) fn finish(&self) {
        let mut state = self.0.lock();
        while state.unfinished > 0 {
            state = self.0.finished.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Runs `work` on a thread that has nothing to do, or on a new one.
    pub(super) fn run(&self, work: Work) {
        let mut state = self.0.lock();
        state.waiting.push_back(work);
        state.unfinished += 1;
        if state.idle >= state.waiting.len() {
            drop(state);
            self.0.arrived.notify_one();
            return;
        }
        drop(state);
        let shared = Arc::clone(&self.0);
        let started =
            thread::Builder::new().name("attempt".into()).stack_size(STACK).spawn(move || {
                while let Some(work) = shared.next() {
                    work();
                    shared.done();
                }
            });
        if let Err(error) = started {
            // It waits for a thread that becomes free.
            say!("no more threads can be started: {error}");
        }
    }
}
