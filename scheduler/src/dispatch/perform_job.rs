//! `perform_job`: takes what waits from the queue, as much as the agents have room
//! for, and holds it out to them. `run_begin` happens in the claim; the agent's
//! accept leads to `launch_job` there, and its final record to `run_end`.

use std::{sync::Arc, sync::atomic::Ordering};

use super::{
    Dispatch,
    agents::{Connected, Phase},
    convert,
    repeated::Repeated,
};
use crate::{
    domain::ids::AttemptKey,
    store::{Accept, Claim, StoreError, Withdraw},
    telemetry,
};

/// Most attempts in one offer.
const OFFER: usize = 256;

impl Dispatch {
    pub(super) async fn perform_jobs(self) {
        let mut failures = Repeated::default();
        loop {
            let offered = tokio::select! {
                () = self.shared.wake.notified() => self.offer_what_waits().await,
                () = self.shared.stop.cancelled() => return,
            };
            match offered {
                Ok(()) => failures.over(),
                Err(error) => {
                    if failures.is_new(&error) {
                        tracing::error!(%error, "the queue cannot be read; trying on");
                    }
                    self.retry_soon();
                }
            }
        }
    }

    /// Fills the agents' room.
    async fn offer_what_waits(&self) -> Result<(), StoreError> {
        loop {
            let queued = self.shared.queued.load(Ordering::SeqCst);
            if queued == self.shared.drained.load(Ordering::SeqCst) {
                return Ok(());
            }
            let agents = self.shared.agents.with_room();
            if agents.is_empty() {
                return Ok(());
            }
            for (agent, room) in agents {
                if !self.offer(&agent, room.min(OFFER)).await? {
                    // Unless something was queued since, the queue is empty.
                    self.shared.drained.store(queued, Ordering::SeqCst);
                    break;
                }
            }
        }
    }

    /// Rings again after a moment: the database has failed.
    fn retry_soon(&self) {
        let dispatch = self.clone();
        self.shared.tasks.spawn(async move {
            tokio::select! {
                () = tokio::time::sleep(std::time::Duration::from_secs(1)) => dispatch.job_queued(),
                () = dispatch.shared.stop.cancelled() => {}
            }
        });
    }

    /// Claims up to `limit` jobs for an agent; false if there were fewer.
    async fn offer(&self, agent: &Arc<Connected>, limit: usize) -> Result<bool, StoreError> {
        let choice = agent.why_it();
        let claimed = self.shared.store.change(Claim { agent: agent.id, limit, choice }).await?;
        self.notify(&claimed.failed);
        if claimed.elsewhere {
            // The session here is over, whether it knows or not.
            agent.leave();
            agent.stop.cancel();
            return Ok(true);
        }
        telemetry::claimed(&claimed, &agent.name);
        let more = claimed.launches.len() + claimed.failed.len() == limit;
        if !claimed.launches.is_empty() {
            let keys: Vec<AttemptKey> = claimed.launches.iter().map(|launch| launch.key).collect();
            agent.hold(keys.iter().copied(), Phase::Offered);
            self.shared.offers.add(agent.id, &keys, self.shared.settings.offer_deadline);
            self.notify(&keys);
            for offer in convert::offers(claimed.launches) {
                agent.send(offer).await;
            }
            if agent.stop.is_cancelled() {
                // It went while it was served: nobody else takes the offers back.
                self.take_back(agent, &keys, "its agent went before it was offered").await;
            }
        }
        Ok(more)
    }

    /// An agent takes offers. It may start those that are still its.
    pub(super) async fn accept(&self, agent: &Arc<Connected>, keys: Vec<AttemptKey>) {
        let accept = Accept { agent: agent.id, keys: keys.clone() };
        let accepted = match self.shared.store.change(accept).await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::error!(agent = agent.name, %error, "accepted offers cannot be recorded");
                self.take_back(agent, &keys, "its acceptance could not be recorded").await;
                agent.send(convert::withdraw(&keys, &error.to_string())).await;
                return;
            }
        };
        let (started, refused): (Vec<_>, Vec<_>) =
            keys.into_iter().partition(|key| accepted.contains(key));
        if !started.is_empty() {
            agent.hold(started.iter().copied(), Phase::Accepted);
            started.iter().for_each(|key| self.shared.logs.open(*key));
            telemetry::accepted(&started, &agent.name);
            agent.send(convert::start(&started)).await;
            self.notify(&started);
        }
        if !refused.is_empty() {
            refused.iter().for_each(|key| _ = agent.release(*key));
            let reason = "the offer has expired, or the job was cancelled";
            agent.send(convert::withdraw(&refused, reason)).await;
            self.slot_freed();
        }
    }

    /// Puts offers of an agent back into the queue.
    pub(super) async fn take_back(&self, agent: &Arc<Connected>, keys: &[AttemptKey], why: &str) {
        keys.iter().for_each(|key| _ = agent.release(*key));
        let withdraw = Withdraw { keys: keys.to_vec(), why: why.to_owned() };
        if let Err(error) = self.withdraw_from_store(&withdraw).await {
            tracing::error!(agent = agent.name, %error, "offers cannot be taken back; trying on");
            let dispatch = self.clone();
            self.try_on(move || {
                let (dispatch, withdraw) = (dispatch.clone(), withdraw.clone());
                async move { dispatch.withdraw_from_store(&withdraw).await.is_ok() }
            });
        }
    }

    async fn withdraw_from_store(&self, withdraw: &Withdraw) -> Result<(), StoreError> {
        let withdrawn = self.shared.store.change(withdraw.clone()).await?;
        telemetry::taken_back(&withdrawn);
        if withdrawn.is_empty() {
            self.slot_freed();
        } else {
            self.notify(&withdrawn);
            self.job_queued();
        }
        Ok(())
    }
}
