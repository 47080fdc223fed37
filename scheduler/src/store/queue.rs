//! The queue as a whole.

use sqlx::{AssertSqlSafe, Row as _};

use super::{Change, Store, StoreError, Tx, jobs, transitions::list};
use crate::domain::job::{State, Transition};

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
