//! Jobs that wait for their retry: the queue is looked at when the next is due.

use super::{DATABASE_RETRY, Dispatch};

impl Dispatch {
    pub(super) async fn wake_retries(self) {
        loop {
            let next = self.shared.store.next_retry().await.unwrap_or_else(|error| {
                tracing::error!(%error, "retries cannot be looked at");
                Some(DATABASE_RETRY)
            });
            // What was just queued may be due already.
            if self.wait(next, &self.shared.retried).await.is_break() {
                return;
            }
            self.job_queued();
        }
    }
}
