//! Counts objects that rows refer to and that are not in the store. Nothing is changed:
//! what they held is lost, and `job:verify` says what that is.

use tokio::task::JoinSet;

use super::{Listener, Progress, Removal, RemovalError};
use crate::store::{Referred, Referrer};

/// Rows that are read together.
const PAGE: i64 = 500;

/// Objects that are asked for at once.
const AT_ONCE: usize = 16;

/// Jobs that are named.
const NAMED: usize = 100;

impl Removal {
    pub(super) async fn count_missing(
        &self,
        progress: &mut Progress,
        listener: &Listener,
    ) -> Result<(), RemovalError> {
        for referrer in [Referrer::Chunks, Referrer::Parts] {
            let mut after: Option<Referred> = None;
            loop {
                let page = self.store.referred(referrer, after.as_ref(), PAGE).await?;
                let Some(last) = page.last() else { break };
                after = Some(last.clone());
                for lost in self.absent(page).await? {
                    progress.missing += 1;
                    if progress.missing_of.len() < NAMED && !progress.missing_of.contains(&lost.job)
                    {
                        progress.missing_of.push(lost.job);
                    }
                    tracing::error!(job = lost.job.0, object = lost.object, "an object is lost");
                }
                if listener.send(Ok(progress.clone())).await.is_err() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Those that are not there.
    async fn absent(&self, referred: Vec<Referred>) -> Result<Vec<Referred>, RemovalError> {
        let (mut asked, mut absent) = (JoinSet::new(), Vec::new());
        for one in referred {
            if asked.len() >= AT_ONCE
                && let Some(answer) = asked.join_next().await
            {
                absent.extend(joined(answer)?);
            }
            let removal = self.clone();
            asked.spawn(async move {
                if removal.objects.has(&one.object).await? {
                    return Ok(None);
                }
                // Its job may have been deleted since the row was read.
                let lost = removal.store.refers_to(one.job, one.attempt, &one.object).await?;
                Ok(lost.then_some(one))
            });
        }
        while let Some(answer) = asked.join_next().await {
            absent.extend(joined(answer)?);
        }
        Ok(absent)
    }
}

type Asked = Result<Option<Referred>, RemovalError>;

fn joined(answer: Result<Asked, tokio::task::JoinError>) -> Asked {
    // It is never aborted: it fails to join only if it panicked.
    answer.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}
