//! An agent that connects says what it holds; both sides agree, attempt by
//! attempt, on what goes on and what is over.

use std::sync::Arc;

use multiflexi_proto::v1::{self, HeldAttempt};
use tokio::sync::MutexGuard;

use super::{
    Dispatch,
    agents::{Connected, Phase},
    convert,
};
use crate::{
    domain::ids::AttemptKey,
    logs::LogError,
    store::{Reconcile, Registered, StoreError},
    telemetry,
};

/// Why an agent's attempts cannot be reconciled.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReconcileError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Log(#[from] LogError),
}

impl Dispatch {
    /// Reconciles, and tells the agent: first the welcome, then what is over. Its `turn` ends
    /// when the store has been asked.
    pub(super) async fn reconcile(
        &self,
        agent: &Arc<Connected>,
        held: &[HeldAttempt],
        Registered { missing, moved, .. }: Registered,
        turn: MutexGuard<'_, ()>,
    ) -> Result<(), ReconcileError> {
        let keys: Vec<AttemptKey> =
            held.iter().filter_map(|held| convert::key(held.key.as_ref())).collect();
        if moved {
            // It was connected elsewhere: what is remembered here of its output is old.
            self.shared.logs.close(&keys);
        }
        let change = Reconcile { agent: agent.id, held: keys, missing };
        let outcome = self.shared.store.begin_change(change).await?;
        drop(turn);
        let outcome = outcome.await?;
        let mut resumed = Vec::with_capacity(outcome.resumed.len());
        for held in &outcome.resumed {
            let log = self.shared.logs.resume(held.key).await?;
            resumed.push(v1::ResumedAttempt {
                key: Some(convert::to_key(held.key)),
                durable_offset: log.durable(),
                cancel: held.cancel,
            });
        }
        agent.hold(outcome.resumed.iter().map(|held| held.key), Phase::Accepted);
        let heartbeat = multiflexi_proto::duration(self.shared.settings.heartbeat);
        let heartbeat_interval = Some(heartbeat);
        agent.welcome(v1::Welcome { agent_id: agent.id.0, heartbeat_interval, resumed }).await;
        let has_ended = |key: &AttemptKey| {
            held.iter().any(|held| held.ended && convert::key(held.key.as_ref()) == Some(*key))
        };
        let (ended, superseded): (Vec<_>, Vec<_>) =
            outcome.over.iter().partition(|key| has_ended(key));
        if !ended.is_empty() {
            agent.send(convert::acknowledge(&ended)).await;
        }
        if !superseded.is_empty() {
            let reason = "the attempt is over: it was given up or superseded";
            agent.send(convert::withdraw(&superseded, reason)).await;
        }
        if !outcome.returned.is_empty() {
            tracing::info!(
                agent = agent.name,
                attempts = outcome.returned.len(),
                "accepted and not launched: back in the queue"
            );
            self.shared.logs.close(&outcome.returned);
            self.notify(&outcome.returned);
        }
        self.lose(agent, outcome.gone);
        let resumed: Vec<_> = outcome.resumed.iter().map(|held| held.key).collect();
        self.shared.peers.taken(&resumed);
        telemetry::resumed(&self.shared.store, &resumed).await;
        self.notify(&resumed);
        Ok(())
    }
}
