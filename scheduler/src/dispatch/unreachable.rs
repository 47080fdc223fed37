//! Attempts whose agent is away: waited for until their run template's
//! `lost_after` has passed, then given up. And those that an agent came back
//! without. What had arrived of their output is kept like any other.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    DATABASE_RETRY, Dispatch,
    agents::Connected,
    run_end::{NOTHING, ended, ended_with},
};
use crate::{
    domain::{ids::AttemptKey, job::Completion},
    store::{Ended, GiveUp, StoreError},
    telemetry,
};

impl Dispatch {
    pub(super) async fn give_up_unreachable(self) {
        loop {
            // Output that cannot be stored is tried for ever, but not beyond the stop: the
            // attempt is given up by the next scheduler then.
            let Some(given_up) = self.shared.stop.run_until_cancelled(self.give_up_due()).await
            else {
                return;
            };
            let next = given_up.unwrap_or_else(|error| {
                tracing::error!(%error, "unreachable attempts cannot be looked at");
                Some(DATABASE_RETRY)
            });
            if self.wait(next, &self.shared.unreachable).await.is_break() {
                return;
            }
        }
    }

    /// Gives up what is due; says when to look again.
    async fn give_up_due(&self) -> Result<Option<Duration>, StoreError> {
        let overdue = self.shared.store.overdue().await?;
        let mut ended = Vec::with_capacity(overdue.due.len());
        for key in overdue.due {
            ended.push(self.lost(key, "its agent did not come back in time").await);
        }
        if !ended.is_empty() {
            let since = Instant::now();
            let lost = self.shared.store.change(GiveUp(ended.clone())).await?;
            telemetry::ended(&ended, &lost.ended, since);
            for key in &lost.ended {
                tracing::warn!(
                    job = key.job.0,
                    attempt = key.number,
                    "lost: its agent did not come back"
                );
            }
            self.shared.logs.close(&lost.ended);
            self.notify(&lost.ended);
            self.job_delayed();
            self.job_queued();
        }
        Ok(overdue.next)
    }

    /// Ends attempts that their agent came back without.
    pub(super) fn lose(&self, agent: &Arc<Connected>, keys: Vec<AttemptKey>) {
        for key in keys {
            tracing::warn!(
                job = key.job.0,
                agent = agent.name,
                "lost: its agent came back without it"
            );
            let (dispatch, agent) = (self.clone(), Arc::clone(agent));
            let stop = self.shared.stop.clone();
            self.shared.tasks.spawn(stop.run_until_cancelled_owned(async move {
                let ended = dispatch.lost(key, "its agent came back without it").await;
                dispatch.finish(&agent, vec![ended]).await;
            }));
        }
    }

    /// The end of an attempt that is lost, with what is here of its output.
    async fn lost(&self, key: AttemptKey, trouble: &str) -> Ended {
        match self.shared.logs.resume_patiently(key).await {
            Ok(log) => {
                let chunk = self.store_rest(&log).await;
                let completion = Completion::lost(key, log.received(), trouble.to_owned());
                ended_with(&Arc::new(completion), &log, chunk)
            }
            Err(error) => {
                let trouble = format!("{trouble}; its stored output cannot be read: {error}");
                let completion = Completion::lost(key, 0, trouble);
                ended(&Arc::new(completion), (NOTHING, 0), Vec::new(), None)
            }
        }
    }
}
