//! Into the queue.

use sqlx::Row as _;

use super::{admission, list};
use crate::{
    domain::{
        ids::JobId,
        job::{State, Transition},
    },
    store::{
        Change, StoreError, Tx,
        decisions::{self, Decision},
        jobs,
    },
};

/// Queues a job, for its first attempt or for another.
#[derive(Clone, Debug)]
pub struct QueueJob {
    /// The job.
    pub job: JobId,
    /// Who asks; empty if that is not known.
    pub by: String,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Queued {
    /// Number of the attempt that runs next, or runs already.
    pub attempt: i32,
    /// Whether this call put it into the queue.
    pub newly: bool,
}

impl Change for QueueJob {
    type Output = Queued;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Queued, StoreError> {
        let id = self.job.0;
        let chosen = format!("job.id = $2 AND job.state IN {}", list(Transition::Queue.from()));
        let queued = admission::enqueue(tx, &chosen, id).await?;
        if let [(_, attempt)] = queued[..] {
            let attempt = attempt + 1;
            if !self.by.is_empty() || attempt > 1 {
                self.record(tx).await?;
            }
            return Ok(Queued { attempt, newly: true });
        }
        let row = sqlx::query("SELECT state, attempt FROM job WHERE id = $1")
            .bind(id)
            .fetch_optional(&mut *tx.conn)
            .await?
            .ok_or(StoreError::NotFound { what: "job", id })?;
        let waits = row.try_get::<String, _>(0)? == State::Queued.name();
        if waits {
            // It may wait for its time: whoever asks wants it now.
            admission::enqueue(tx, "job.id = $2 AND job.state = 'queued' AND job.held = 'due'", id)
                .await?;
        }
        let attempt = jobs::small(&row, 1)?.unwrap_or_default() + i32::from(waits);
        Ok(Queued { attempt, newly: false })
    }
}

impl QueueJob {
    async fn record(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        let by = if self.by.is_empty() { "somebody" } else { &self.by };
        let (what, why) = ("run".to_owned(), format!("asked by {by}"));
        decisions::record(tx, &[Decision { job: self.job, attempt: 0, what, why }]).await
    }
}
