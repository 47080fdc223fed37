//! What the scheduler asks for: offers, starts, cancels; and what the agent itself is told of
//! stopping.

use multiflexi_program::shutdown::Stop;
use multiflexi_proto::v1::{self, ConnectResponse, connect_response::Message};

use super::Session;
use crate::{
    link::{AttemptKey, Request},
    session::{holdings::Phase, log_pump::Command, messages, telemetry},
};

/// Most bytes of files and variables in one message to the supervisor, if it launches more
/// than one attempt.
const LAUNCHED: usize = 16 * 1024 * 1024;

impl Session<'_> {
    /// Takes the offers for which there is a slot.
    pub(super) fn accept_offers(&mut self) {
        let slots = usize::try_from(self.config.slots).unwrap_or(usize::MAX);
        while self.holdings.busy() < slots && self.stopping.now() == Stop::No {
            let Some(offer) = self.holdings.offers.pop_front() else { return };
            self.outbox.accepted.push(messages::to_key(offer.key));
            self.holdings.set(offer.key, Phase::Accepted(Box::new(offer)));
        }
    }

    /// Deals with what the scheduler says.
    pub(super) async fn told(&mut self, message: ConnectResponse) {
        match message.message {
            Some(Message::Offer(offer)) => {
                let spool = self.config.spool;
                let launches = offer.launches.into_iter();
                let launches = launches.filter_map(|launch| messages::launch(launch, spool));
                self.holdings.offers.extend(launches);
            }
            Some(Message::Start(start)) => self.start(&start.keys).await,
            Some(Message::Cancel(cancel)) => {
                for key in messages::keys(&cancel.keys) {
                    self.cancel(key).await;
                }
            }
            Some(Message::Withdraw(withdraw)) => {
                for key in messages::keys(&withdraw.keys) {
                    self.withdraw(key, &withdraw.reason).await;
                }
            }
            Some(Message::Acknowledge(acknowledge)) => {
                for key in messages::keys(&acknowledge.keys) {
                    self.holdings.remove(key);
                    self.pump.send(Command::Forget(key)).await;
                    self.supervisor.ask(Request::Forget(key)).await;
                }
            }
            Some(Message::Welcome(_)) | None => {}
        }
    }

    async fn start(&mut self, keys: &[v1::AttemptKey]) {
        let launches: Vec<_> =
            messages::keys(keys).filter_map(|key| self.holdings.launch(key)).collect();
        if launches.is_empty() {
            return;
        }
        telemetry::launched(&launches);
        for launch in &launches {
            let key = launch.key;
            tracing::debug!(job = key.job_id, attempt = key.attempt, "launching");
            self.pump.send(Command::Begin { key, durable: 0, length: 0 }).await;
        }
        // A message has its limit, and files can be large.
        let mut batch = Vec::with_capacity(launches.len());
        let mut bytes = 0;
        for launch in launches {
            let size = launch.size();
            if bytes > 0 && bytes + size > LAUNCHED {
                self.supervisor.ask(Request::Launch(std::mem::take(&mut batch))).await;
                bytes = 0;
            }
            bytes += size;
            batch.push(launch);
        }
        self.supervisor.ask(Request::Launch(batch)).await;
    }

    pub(super) async fn cancel(&mut self, key: AttemptKey) {
        match self.holdings.get(key).map(|holding| &holding.phase) {
            Some(Phase::Accepted(_)) => {
                self.complete(key, messages::cancelled_unlaunched(key));
            }
            Some(Phase::Launched) => self.supervisor.ask(Request::Cancel(key)).await,
            // It ends, or has ended, by itself.
            Some(Phase::Ended(_) | Phase::Completed(_)) | None => {}
        }
    }

    async fn withdraw(&mut self, key: AttemptKey, reason: &str) {
        if self.holdings.drop_offer(key) {
            return;
        }
        let Some(holding) = self.holdings.remove(key) else { return };
        telemetry::dropped(key);
        if !matches!(holding.phase, Phase::Accepted(_)) {
            tracing::warn!(
                job = key.job_id,
                attempt = key.attempt,
                reason,
                "killing a withdrawn attempt"
            );
            self.pump.send(Command::Forget(key)).await;
            self.supervisor.ask(Request::Kill(key)).await;
        }
    }

    /// Does what the agent was told about stopping.
    pub(super) async fn stop(&mut self) {
        if self.stopping.now() == Stop::No {
            return;
        }
        self.outbox.going_away = true;
        for offer in self.holdings.offers.drain(..) {
            let key = Some(messages::to_key(offer.key));
            let reason = "the agent is stopping".to_owned();
            self.outbox.refused.push(v1::Refuse { key, reason });
        }
        if self.stopping.now() == Stop::Cancel {
            for key in self.holdings.running() {
                self.cancel(key).await;
            }
        }
    }
}
