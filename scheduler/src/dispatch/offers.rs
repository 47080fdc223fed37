//! The deadlines of offers: one that an agent does not accept in time goes back
//! into the queue.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

use super::{Dispatch, agents::Phase, convert};
use crate::{
    domain::ids::{AgentId, AttemptKey},
    store::Withdraw,
};

/// Offers in the order of their deadlines.
#[derive(Debug, Default)]
pub(super) struct Offers {
    waiting: Mutex<VecDeque<(Instant, AgentId, AttemptKey)>>,
    added: Notify,
}

impl Offers {
    /// Adds offers. The deadline is the same for all, so that the oldest is first.
    pub(super) fn add(&self, agent: AgentId, keys: &[AttemptKey], deadline: Duration) {
        let due = Instant::now() + deadline;
        self.lock().extend(keys.iter().map(|key| (due, agent, *key)));
        self.added.notify_one();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<(Instant, AgentId, AttemptKey)>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the next deadline, then takes every offer that is due.
    async fn due(&self) -> Vec<(AgentId, AttemptKey)> {
        loop {
            let next = self.lock().front().map(|(due, ..)| *due);
            match next {
                Some(due) => tokio::time::sleep_until(due).await,
                None => {
                    self.added.notified().await;
                    continue;
                }
            }
            let now = Instant::now();
            let mut waiting = self.lock();
            let count = waiting.partition_point(|(due, ..)| *due <= now);
            return waiting.drain(..count).map(|(_, agent, key)| (agent, key)).collect();
        }
    }
}

impl Dispatch {
    pub(super) async fn expire_offers(self) {
        loop {
            tokio::select! {
                due = self.shared.offers.due() => self.expire(&due).await,
                () = self.shared.stop.cancelled() => return,
            }
        }
    }

    /// Withdraws those that are still offers, or that nobody has any more.
    async fn expire(&self, due: &[(AgentId, AttemptKey)]) {
        let open: Vec<(AgentId, AttemptKey)> = due
            .iter()
            .filter(|(agent, key)| match self.shared.agents.get(*agent) {
                Some(agent) => agent.phase(*key) == Some(Phase::Offered),
                None => false,
            })
            .copied()
            .collect();
        if open.is_empty() {
            return;
        }
        let keys: Vec<AttemptKey> = open.iter().map(|(_, key)| *key).collect();
        let why = "the offer was not accepted in time";
        let withdrawn = match self.shared.store.change(Withdraw { keys, why: why.to_owned() }).await
        {
            Ok(withdrawn) => withdrawn,
            Err(error) => {
                tracing::error!(%error, "expired offers cannot be taken back; trying again");
                for (agent, key) in open {
                    self.shared.offers.add(agent, &[key], self.shared.settings.offer_deadline);
                }
                return;
            }
        };
        for (id, key) in open.into_iter().filter(|(_, key)| withdrawn.contains(key)) {
            let Some(agent) = self.shared.agents.get(id) else { continue };
            agent.release(key);
            tracing::info!(
                agent = agent.name,
                job = key.job.0,
                "an offer was not accepted in time"
            );
            agent.send(convert::withdraw(&[key], why)).await;
        }
        self.notify(&withdrawn);
        self.job_queued();
    }
}
