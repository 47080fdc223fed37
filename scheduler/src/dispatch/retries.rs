//! Jobs that wait for their retry: the queue is looked at when the next is due.

use std::time::Duration;

use super::Dispatch;

/// When the database fails, it is asked again after this time.
const RETRY: Duration = Duration::from_secs(5);

impl Dispatch {
    pub(super) async fn wake_retries(self) {
        loop {
            let next = match self.shared.store.next_retry().await {
                Ok(next) => next.map(|wait| Duration::from_micros(wait.unsigned_abs())),
                Err(error) => {
                    tracing::error!(%error, "retries cannot be looked at");
                    Some(RETRY)
                }
            };
            let due = async {
                match next {
                    Some(wait) => tokio::time::sleep(wait).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = due => {}
                // It may be due already.
                () = self.shared.retried.notified() => {}
                () = self.shared.stop.cancelled() => return,
            }
            self.job_queued();
        }
    }
}
