//! Tells whoever waits for a job, or for any, that something has changed. It carries
//! no content: who is woken asks again. A job that nobody waits for costs nothing.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::watch;

use crate::{domain::ids::JobId, peers::Peers};

/// A handle on the bell of every job.
#[derive(Clone, Debug, Default)]
pub struct Events {
    bells: Arc<Mutex<HashMap<JobId, watch::Sender<()>>>>,
    /// Rung for any job.
    any: watch::Sender<()>,
    peers: Peers,
}

impl Events {
    /// Bells that the other schedulers' ring with.
    pub fn new(peers: Peers) -> Self {
        Self { peers, ..Self::default() }
    }

    /// A receiver that sees every change after this call.
    pub fn subscribe(&self, job: JobId) -> watch::Receiver<()> {
        self.lock().entry(job).or_insert_with(|| watch::channel(()).0).subscribe()
    }

    /// A receiver that sees what is told of any job. Not all changes are: what this scheduler
    /// does is told by its store too.
    pub fn subscribe_any(&self) -> watch::Receiver<()> {
        self.any.subscribe()
    }

    /// Says that something about a job has changed.
    pub fn notify(&self, job: JobId) {
        self.ring(job);
        self.peers.changed(job);
    }

    /// Wakes who waits here for a job.
    pub fn ring(&self, job: JobId) {
        self.any.send_replace(());
        let mut bells = self.lock();
        if let Some(bell) = bells.get(&job)
            && bell.send(()).is_err()
        {
            bells.remove(&job);
        }
    }

    /// Wakes who waits here for any job.
    pub fn ring_all(&self) {
        self.any.send_replace(());
        self.lock().retain(|_, bell| bell.send(()).is_ok());
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<JobId, watch::Sender<()>>> {
        self.bells.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_who_waits_is_woken_and_nothing_is_kept() {
        let events = Events::default();
        events.notify(JobId(1));
        let mut bell = events.subscribe(JobId(1));
        events.notify(JobId(2));
        assert!(!bell.has_changed().unwrap());
        events.notify(JobId(1));
        bell.changed().await.unwrap();
        drop(bell);
        events.notify(JobId(1));
        assert!(events.lock().is_empty());
    }
}
