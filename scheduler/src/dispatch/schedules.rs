//! Jobs that start by themselves: slots are decided when they are due.

use std::time::Duration;

use super::{DATABASE_RETRY, Dispatch};
use crate::{
    domain::ids::JobId,
    store::{Cancelled, FireSchedules, Fired, StoreError},
    telemetry,
};

/// Run templates whose slots are decided in one transaction.
const AT_ONCE: i64 = 100;

/// When the clock is looked at again, however far the next slot is: the database's may be put
/// forward while ours goes on, and another scheduler that was to decide it may have gone.
const LOOK: Duration = Duration::from_secs(30);

impl Dispatch {
    /// Says that a schedule has changed.
    pub fn schedule_changed(&self) {
        self.shared.scheduled.notify_one();
        self.shared.peers.delayed();
    }

    pub(super) async fn fire_schedules(self) {
        let mut latest = i64::MAX;
        loop {
            let fired = async {
                self.look_at_clock(&mut latest).await?;
                self.fire_due().await
            };
            let next = match fired.await {
                Ok(next) => next.map_or(LOOK, |next| next.min(LOOK)),
                Err(error) => {
                    tracing::error!(%error, "schedules cannot be looked at");
                    DATABASE_RETRY
                }
            };
            if self.wait(Some(next), &self.shared.scheduled).await.is_break() {
                return;
            }
        }
    }

    /// Says which schedules wait because the clock was ahead, at first and whenever it is before
    /// `latest`, the latest time that it has shown.
    async fn look_at_clock(&self, latest: &mut i64) -> Result<(), StoreError> {
        let store = &self.shared.store;
        let now = store.now().await?;
        if now >= *latest {
            *latest = now;
            return Ok(());
        }
        let ahead = store.schedules_ahead().await?;
        *latest = now;
        if let [first, more @ ..] = &ahead[..] {
            tracing::warn!(
                run_template = first.0,
                more = more.len(),
                "the last slot of a schedule is in the future: the clock was ahead, and it starts \
                 nothing until then; runtemplate:schedule with its settings begins anew \
                 (schedule:list names all)"
            );
        }
        Ok(())
    }

    /// Decides all that is due; how long until the next slot.
    async fn fire_due(&self) -> Result<Option<Duration>, StoreError> {
        loop {
            let next = self.shared.store.next_slot().await?;
            if next != Some(Duration::ZERO) {
                return Ok(next);
            }
            let fire = FireSchedules { limit: AT_ONCE, now: None };
            let fired = self.shared.store.change(fire).await?;
            let nothing = fired.templates == 0;
            self.fired(fired).await;
            if nothing {
                // Another scheduler decides them just now.
                return Ok(Some(Duration::from_secs(1)));
            }
        }
    }

    async fn fired(&self, fired: Fired) {
        for (job, cancelled) in fired.cancelled {
            self.cancelled(job, cancelled).await;
        }
        if !fired.jobs.is_empty() {
            self.job_queued();
        }
        for job in fired.jobs {
            telemetry::launched(&self.shared.store, job, None).await;
        }
        if fired.delayed {
            self.job_delayed();
        }
    }

    /// Tells whom it concerns that a job was cancelled.
    pub async fn cancelled(&self, job: JobId, cancelled: Cancelled) {
        match cancelled {
            Cancelled::Ended(offer) => {
                if let Some(key) = offer {
                    self.withdraw(key, "the job was cancelled").await;
                }
                self.shared.events.notify(job);
                // It may have left a place under a limit.
                self.job_queued();
            }
            Cancelled::OnAgent(agent, key) => self.cancel(agent, key).await,
        }
    }
}
