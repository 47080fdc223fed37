//! Into the queue.

use sqlx::{AssertSqlSafe, Row as _};

use super::list;
use crate::{
    domain::{
        ids::JobId,
        job::{State, Transition},
    },
    store::{Change, StoreError, Tx, jobs},
};

/// Queues a job, for its first attempt or for another.
#[derive(Clone, Copy, Debug)]
pub struct QueueJob(pub JobId);

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
        let sql = format!(
            "UPDATE job SET state = '{}', queued = $1, ended = NULL, cancel_requested = NULL \
             WHERE id = $2 AND state IN {} RETURNING attempt",
            Transition::Queue.to(),
            list(Transition::Queue.from())
        );
        let row = sqlx::query(AssertSqlSafe(sql))
            .bind(tx.now)
            .bind(self.0.0)
            .fetch_optional(&mut *tx.conn)
            .await?;
        if let Some(row) = row {
            let attempt = jobs::small(&row, 0)?.unwrap_or_default() + 1;
            return Ok(Queued { attempt, newly: true });
        }
        let row = sqlx::query("SELECT state, attempt FROM job WHERE id = $1")
            .bind(self.0.0)
            .fetch_optional(&mut *tx.conn)
            .await?
            .ok_or(StoreError::NotFound { what: "job", id: self.0.0 })?;
        let waits = row.try_get::<String, _>(0)? == State::Queued.name();
        let attempt = jobs::small(&row, 1)?.unwrap_or_default() + i32::from(waits);
        Ok(Queued { attempt, newly: false })
    }
}
