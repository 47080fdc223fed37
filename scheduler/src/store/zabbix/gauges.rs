//! How full the queue is.

use sqlx::{AssertSqlSafe, Row as _};

use crate::{
    domain::job::State,
    store::{
        Store, StoreError,
        transitions::{admission::QUEUE_PAUSED, list},
    },
};

/// How full the queue is, for who watches it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gauges {
    /// The time, by the database's clock.
    pub now: i64,
    /// Jobs that could be claimed now.
    pub ready: i64,
    /// Jobs that wait for their time or for a place under a limit.
    pub held: i64,
    /// Jobs that are on an agent.
    pub running: i64,
    /// When the first of those that could be claimed entered the queue.
    pub oldest: Option<i64>,
    /// Nothing is claimed.
    pub paused: bool,
}

impl Store {
    /// How full the queue is.
    pub async fn gauges(&self) -> Result<Gauges, StoreError> {
        let mut conn = self.readers.acquire().await?;
        let now = sqlx::query_scalar(self.dialect.now()).fetch_one(&mut *conn).await?;
        let sql = format!(
            "SELECT (SELECT COUNT(*) FROM job WHERE state = 'queued' AND held IS NULL), \
             (SELECT COUNT(*) FROM job WHERE state = 'queued' AND held IS NOT NULL), \
             (SELECT COUNT(*) FROM job WHERE state IN {on_agent}), \
             (SELECT MIN(COALESCE(due, queued)) FROM job WHERE state = 'queued' AND held IS NULL), \
             (SELECT COUNT(*) FROM setting WHERE name = '{QUEUE_PAUSED}')",
            on_agent = list(&State::ON_AGENT)
        );
        let row = sqlx::query(AssertSqlSafe(sql)).fetch_one(&mut *conn).await?;
        Ok(Gauges {
            now,
            ready: row.try_get(0)?,
            held: row.try_get(1)?,
            running: row.try_get(2)?,
            oldest: row.try_get(3)?,
            paused: row.try_get::<i64, _>(4)? > 0,
        })
    }
}
