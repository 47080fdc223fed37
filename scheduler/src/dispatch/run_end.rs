//! `run_end`: an agent's final record becomes the end of the attempt, once its
//! output is here whole. The agent keeps the record until it is acknowledged, and
//! it is acknowledged only when it is committed.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{Dispatch, agents::Connected, convert, repeated::Repeated};
use crate::{
    domain::{
        ids::AttemptKey,
        job::{self, Completion, StreamSummary},
    },
    logs::{LiveLog, Rest},
    store::{Ended, Finish, FinishingAttempts, StoredChunk},
    telemetry,
};

/// Pauses between tries when an end cannot be stored: doubled up to the second.
const RETRY: [Duration; 2] = [Duration::from_millis(250), Duration::from_secs(5)];

impl Dispatch {
    /// Ends attempts. Those whose output is here end together, in one transaction;
    /// each of the others when its output has arrived.
    pub(super) async fn complete(&self, agent: &Arc<Connected>, completions: Vec<Completion>) {
        let mut ready = Vec::with_capacity(completions.len());
        for completion in completions {
            agent.release(completion.key);
            agent.ran_for(completion.elapsed);
            let completion = Arc::new(completion);
            match self.ended_if_whole(&completion) {
                Some(ended) => ready.push(ended),
                None => self.complete_later(agent, completion),
            }
        }
        self.finish(agent, ready).await;
    }

    /// The end of an attempt whose whole output is here and small.
    fn ended_if_whole(&self, completion: &Arc<Completion>) -> Option<Ended> {
        match self.shared.logs.get(completion.key) {
            None if completion.log_length == 0 => Some(ended(completion, NOTHING, None)),
            None => None,
            Some(log) if log.received() < completion.log_length => None,
            Some(log) => {
                let chunk = match self.shared.logs.rest(&log) {
                    Rest::Nothing => None,
                    Rest::Small(chunk) => Some(chunk),
                    Rest::Large => return None,
                };
                Some(ended(completion, log.summary(), chunk))
            }
        }
    }

    fn complete_later(&self, agent: &Arc<Connected>, completion: Arc<Completion>) {
        let (dispatch, agent) = (self.clone(), Arc::clone(agent));
        self.shared.tasks.spawn(async move {
            // Until its output is whole, the agent may go: it says it all again.
            let stop = agent.stop.clone();
            tokio::select! {
                () = dispatch.complete_when_whole(&agent, &completion) => {}
                () = stop.cancelled() => {}
            }
        });
    }

    async fn complete_when_whole(&self, agent: &Arc<Connected>, completion: &Arc<Completion>) {
        let key = completion.key;
        let log = match self.shared.logs.resume_patiently(key).await {
            Ok(log) => log,
            Err(error) => {
                // Its stored part is unreadable: the end is recorded all the same.
                tracing::error!(attempt = %key, %error, "stored output cannot be read");
                let mut ended = ended(completion, NOTHING, None);
                ended.trouble = error.to_string();
                self.finish(agent, vec![ended]).await;
                return;
            }
        };
        if log.received() < completion.log_length {
            self.finishing(&[key]).await;
            let mut progress = log.progress();
            let whole = progress.wait_for(|now| now.received >= completion.log_length).await;
            if whole.is_err() {
                return;
            }
        }
        let chunk = self.store_rest(&log).await;
        self.finish(agent, vec![ended(completion, log.summary(), chunk)]).await;
    }

    /// Stores all of a log but a small rest, for as long as it takes.
    pub(super) async fn store_rest(&self, log: &LiveLog) -> Option<StoredChunk> {
        let (mut pause, mut failures) = (RETRY[0], Repeated::default());
        loop {
            match self.shared.logs.last_chunk(log).await {
                Ok(chunk) => return chunk,
                Err(error) => {
                    if failures.is_new(&error) {
                        tracing::error!(attempt = %log.key(), %error, "output cannot be stored; trying on");
                    }
                    log.set_trouble(format!("its output cannot be stored: {error}"));
                    self.shared.events.notify(log.key().job);
                }
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(RETRY[1]);
        }
    }

    /// Records ends, for as long as it takes, and acknowledges them.
    pub(super) async fn finish(&self, agent: &Arc<Connected>, ended: Vec<Ended>) {
        if ended.is_empty() {
            return;
        }
        let mut keys: Vec<AttemptKey> = ended.iter().map(|ended| ended.completion.key).collect();
        let (mut pause, since) = (RETRY[0], Instant::now());
        let elsewhere = loop {
            let result = match self.shared.store.begin_change(Finish(ended.clone())).await {
                Ok(pending) => {
                    // A claim for the free slots shares this transaction.
                    self.slot_freed();
                    pending.await
                }
                Err(error) => Err(error),
            };
            match result {
                Ok(finished) => {
                    telemetry::ended(&ended, &finished.ended, since);
                    if finished.admitted > 0 {
                        self.job_queued();
                    }
                    break finished.elsewhere;
                }
                Err(error) => {
                    tracing::error!(agent = agent.name, attempts = keys.len(), %error, "ends cannot be recorded; trying on");
                }
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = agent.stop.cancelled() => return,
            }
            pause = (pause * 2).min(RETRY[1]);
        };
        self.shared.logs.close(&keys);
        if !elsewhere.is_empty() {
            // The agent is connected to another scheduler, and tells that one.
            agent.stop.cancel();
            keys.retain(|key| !elsewhere.contains(key));
        }
        self.notify(&keys);
        if ended.iter().any(|ended| ended.outcome != job::Outcome::Succeeded) {
            self.job_delayed();
        }
        agent.send(convert::acknowledge(&keys)).await;
        for key in &keys {
            tracing::debug!(job = key.job.0, attempt = key.number, agent = agent.name, "ended");
        }
    }

    /// Records that processes have ended whose artifacts or output are on the way.
    pub(super) async fn finishing(&self, keys: &[AttemptKey]) {
        match self.shared.store.change(FinishingAttempts(keys.to_vec())).await {
            Ok(finishing) => self.notify(&finishing),
            Err(error) => tracing::warn!(%error, "attempts cannot be marked as finishing"),
        }
    }
}

/// The streams of an attempt without output.
pub(super) const NOTHING: [StreamSummary; 2] = [StreamSummary::EMPTY, StreamSummary::EMPTY];

/// What is to be stored of an end, with the `streams` that have arrived.
pub(super) fn ended(
    completion: &Arc<Completion>,
    streams: [StreamSummary; 2],
    chunk: Option<StoredChunk>,
) -> Ended {
    let trouble = completion.difference(&streams);
    if !trouble.is_empty() {
        tracing::error!(attempt = %completion.key, trouble, "output is not whole");
    }
    let outcome = job::run_end(completion);
    Ended { completion: Arc::clone(completion), outcome, streams, chunk, trouble }
}
