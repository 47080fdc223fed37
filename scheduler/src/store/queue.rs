//! The queue as a whole.

use std::time::Duration;

use sqlx::{AssertSqlSafe, Row as _};

use super::{Change, Store, StoreError, Tx, jobs, transitions::list};
use crate::domain::{
    ids::JobId,
    job::{State, Transition},
};

/// Puts every loaded job into the queue.
#[derive(Clone, Copy, Debug)]
pub struct ProcessQueue;

impl Change for ProcessQueue {
    /// How many were queued.
    type Output = u64;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<u64, StoreError> {
        let sql = format!(
            "UPDATE job SET state = '{}', queued = $1 WHERE state IN {}",
            Transition::Queue.to(),
            list(&[State::Loaded])
        );
        let queued = sqlx::query(AssertSqlSafe(sql)).bind(tx.now).execute(&mut *tx.conn).await?;
        Ok(queued.rows_affected())
    }
}

/// How full the queue is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueueCounts {
    /// Jobs by state, in the order of a job's life; states without jobs are left out.
    pub states: Vec<(State, i64)>,
    /// When the job that waits longest was queued.
    pub oldest_queued: Option<i64>,
}

impl Store {
    /// How long until the next job that waits for its retry is due; none if none waits.
    pub async fn next_retry(&self) -> Result<Option<Duration>, StoreError> {
        let mut conn = self.readers.acquire().await?;
        let now: i64 = sqlx::query_scalar(self.dialect.now()).fetch_one(&mut *conn).await?;
        let next: Option<i64> = sqlx::query_scalar(
            "SELECT MIN(queued) FROM job WHERE state = 'queued' AND queued > $1",
        )
        .bind(now)
        .fetch_one(&mut *conn)
        .await?;
        Ok(next.map(|next| Duration::from_micros((next - now).unsigned_abs())))
    }

    /// Whether a time has not come yet.
    pub async fn is_future(&self, time: i64) -> Result<bool, StoreError> {
        let now: i64 = sqlx::query_scalar(self.dialect.now()).fetch_one(&self.readers).await?;
        Ok(time > now)
    }

    /// How many jobs would be claimed before this one.
    pub async fn jobs_ahead(&self, queued: i64, job: JobId) -> Result<i64, StoreError> {
        let ahead = sqlx::query_scalar(
            "SELECT COUNT(*) FROM job WHERE state = 'queued' \
             AND (queued < $1 OR (queued = $1 AND id < $2))",
        )
        .bind(queued)
        .bind(job.0)
        .fetch_one(&self.readers)
        .await?;
        Ok(ahead)
    }

    /// How many jobs are in which state.
    pub async fn queue_counts(&self) -> Result<QueueCounts, StoreError> {
        let rows = sqlx::query("SELECT state, COUNT(*) FROM job GROUP BY state")
            .fetch_all(&self.readers)
            .await?;
        let mut states: Vec<(State, i64)> = rows
            .iter()
            .map(|row| Ok::<_, sqlx::Error>((jobs::state(row, 0)?, row.try_get(1)?)))
            .collect::<Result<_, _>>()?;
        states.sort_unstable();
        let oldest_queued =
            sqlx::query_scalar("SELECT MIN(queued) FROM job WHERE state = 'queued'")
                .fetch_one(&self.readers)
                .await?;
        Ok(QueueCounts { states, oldest_queued })
    }
}
