//! `run_end`: an agent's final record becomes the end of the attempt, once its
//! output is here whole. The agent keeps the record until it is acknowledged, and
//! it is acknowledged only when it is committed.
//!
//! Output that is lost, on the agent or here, is not waited for: the attempt ends without it,
//! and says so. Output that is only out of reach is waited for.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{Dispatch, agents::Connected, convert, repeated::Repeated};
use crate::{
    domain::{
        ids::AttemptKey,
        job::{self, Completion, LostOutput, StreamSummary},
    },
    logs::{LiveLog, Progress, Rest},
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
            // A record that comes again says what is lost besides.
            if agent.release(completion.key) {
                agent.ran_for(completion.elapsed);
            }
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
            None if completion.log_length == 0 => {
                Some(ended(completion, (NOTHING, 0), Vec::new(), None))
            }
            None => None,
            Some(log) if !log.is_whole(completion.comes()) => None,
            Some(log) => {
                let chunk = match self.shared.logs.rest(&log) {
                    Rest::Nothing => None,
                    Rest::Small(chunk) => Some(chunk),
                    Rest::Large => return None,
                };
                Some(ended_with(completion, &log, chunk))
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
                // The database does not let it be read: the end is recorded all the same.
                tracing::error!(attempt = %key, %error, "stored output cannot be read");
                let (from, to, reason) = (0, completion.log_length, error.to_string());
                let lost = vec![LostOutput { from, to, reason }];
                self.finish(agent, vec![ended(completion, (NOTHING, 0), lost, None)]).await;
                return;
            }
        };
        let comes = completion.comes();
        if !log.is_whole(comes) {
            self.finishing(&[key]).await;
            let mut progress = log.progress();
            let done = |now: &Progress| now.received >= comes || now.lost || now.ended;
            match progress.wait_for(done).await {
                Ok(now) if !now.ended => {}
                // Another record of it was first.
                _ => return,
            }
        }
        let chunk = self.store_rest(&log).await;
        self.finish(agent, vec![ended_with(completion, &log, chunk)]).await;
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
            let result = match self
                .shared
                .store
                .begin_change(Finish { agent: agent.id, ends: ended.clone() })
                .await
            {
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

/// What is to be stored of an end with what is here of its `log`, and the rest of that.
pub(super) fn ended_with(
    completion: &Arc<Completion>,
    log: &LiveLog,
    chunk: Option<StoredChunk>,
) -> Ended {
    let arrived = (log.summary(), log.received());
    ended(completion, arrived, log.lost(completion.log_length), chunk)
}

/// What is to be stored of an end, with the `streams` that have arrived and what of them is
/// `lost` of it here.
pub(super) fn ended(
    completion: &Arc<Completion>,
    (streams, length): ([StreamSummary; 2], i64),
    lost: Vec<LostOutput>,
    chunk: Option<StoredChunk>,
) -> Ended {
    let mut completion = Arc::clone(completion);
    let as_said = completion.lost_output.is_empty() && completion.agrees(&streams);
    if !as_said || !lost.is_empty() {
        let said = Arc::unwrap_or_clone(completion);
        completion = Arc::new(said.arrived(&streams, length, lost));
    }
    let trouble = completion.fault(&streams);
    if !trouble.is_empty() {
        tracing::error!(attempt = %completion.key, trouble, "output is not whole");
    }
    let outcome = job::run_end(&completion);
    // What was written is on record, and not what is left of it: so whoever reads it sees
    // that it is not whole.
    let streams = match &completion.streams {
        Some(written) if !completion.lost_output.is_empty() => written.clone(),
        _ => streams,
    };
    Ended { completion, outcome, streams, chunk, trouble }
}
