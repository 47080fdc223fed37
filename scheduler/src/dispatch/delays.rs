//! Jobs that wait for their time, given with the job or by a retry's pause: they are
//! let into the queue when it comes.

use super::{DATABASE_RETRY, Dispatch};
use crate::store::ReleaseDue;

impl Dispatch {
    pub(super) async fn release_due(self) {
        loop {
            let next = self.shared.store.next_due().await.unwrap_or_else(|error| {
                tracing::error!(%error, "jobs that wait for their time cannot be looked at");
                Some(DATABASE_RETRY)
            });
            if self.wait(next, &self.shared.delayed).await.is_break() {
                return;
            }
            match self.shared.store.change(ReleaseDue).await {
                Ok(released) if released > 0 => self.job_queued(),
                Ok(_) => {}
                Err(error) => tracing::error!(%error, "jobs that are due cannot be queued"),
            }
        }
    }
}
