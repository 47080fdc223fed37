//! Attempts whose agent is away: waited for until their run template's
//! `lost_after` has passed, then given up.

use std::time::Duration;

use super::Dispatch;
use crate::store::GiveUp;

/// When the database fails, it is asked again after this time.
const RETRY: Duration = Duration::from_secs(5);

impl Dispatch {
    pub(super) async fn give_up_unreachable(self) {
        loop {
            let next = self.give_up_due().await;
            let due = async {
                match next {
                    Some(wait) => tokio::time::sleep(wait).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = due => {}
                () = self.shared.unreachable.notified() => {}
                () = self.shared.stop.cancelled() => return,
            }
        }
    }

    /// Gives up what is due; says when to look again.
    async fn give_up_due(&self) -> Option<Duration> {
        match self.shared.store.change(GiveUp).await {
            Ok((lost, next)) => {
                for key in &lost {
                    tracing::warn!(job = key.job.0, attempt = key.number, "lost: its agent did not come back");
                }
                self.shared.logs.close(&lost);
                self.notify(&lost);
                next.map(|wait| Duration::from_micros(wait.unsigned_abs()))
            }
            Err(error) => {
                tracing::error!(%error, "unreachable attempts cannot be looked at");
                Some(RETRY)
            }
        }
    }
}
