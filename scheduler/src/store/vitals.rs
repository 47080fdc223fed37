//! How the database is, for whoever watches it: asked again and again, so each question is
//! answered from an index that holds what it is about and nothing else.

use std::time::Duration;

use sqlx::{AssertSqlSafe, Row as _};

use super::{
    Dialect, Store, StoreError, jobs,
    transitions::{
        admission::{DUE, LIMIT, QUEUE_PAUSED},
        list,
    },
    variables,
};
use crate::domain::{environment::Given, ids::JobId, job::State};

/// The states of jobs that have not ended and do not wait in the queue: few at a time.
const ACTIVE: [State; 5] =
    [State::Loaded, State::Offered, State::Running, State::Unreachable, State::Finishing];

/// How many of the jobs whose turn is next are looked at for the oldest.
const FRONT: i64 = 1000;

/// What is asked again and again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vitals {
    /// Jobs that have not ended, by state.
    pub states: Vec<(State, i64)>,
    /// Jobs that wait: for their turn, for their time, for a place under a limit.
    pub waiting: [i64; 3],
    /// How long the oldest waits of those that could run, as far as they were looked at.
    pub oldest: Duration,
    /// Somebody paused the queue.
    pub paused: bool,
    /// Actions that are not done.
    pub outbox: i64,
    /// How long the first of them is due.
    pub outbox_oldest: Duration,
    /// Schedulers that have shown lately that they are there.
    pub schedulers: i64,
}

/// How much there is of what changes seldom.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Catalogue {
    /// Applications.
    pub applications: i64,
    /// Companies.
    pub companies: i64,
    /// Run templates.
    pub run_templates: i64,
}

/// The connections that read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Those that are open.
    pub open: u32,
    /// Those that nobody uses.
    pub idle: u32,
    /// How many there may be.
    pub most: u32,
}

/// Jobs that have not ended and do not wait, by state.
fn active_sql(dialect: Dialect) -> String {
    let index = dialect.by_partial_index("job_active", "job_state");
    let states = list(&ACTIVE);
    format!("SELECT state, COUNT(*) FROM job {index} WHERE state IN {states} GROUP BY state")
}

/// Jobs that wait: for their turn, for their time, for a place.
fn waiting_sql(dialect: Dialect) -> [String; 3] {
    let [ready, due, limited] =
        ["job_ready", "job_due", "job_limited"].map(|index| dialect.by_index(index));
    [
        format!("SELECT COUNT(*) FROM job {ready} WHERE state = 'queued' AND held IS NULL"),
        format!("SELECT COUNT(*) FROM job {due} WHERE state = 'queued' AND held = '{DUE}'"),
        format!("SELECT COUNT(*) FROM job {limited} WHERE limited = 1 AND held = '{LIMIT}'"),
    ]
}

/// When the oldest of the jobs whose turn is next could run.
fn oldest_sql(dialect: Dialect) -> String {
    format!(
        "SELECT MIN(since) FROM (SELECT CASE WHEN due > queued THEN due ELSE queued END AS since \
         FROM job {} WHERE state = 'queued' AND held IS NULL \
         ORDER BY priority DESC, rank, id LIMIT {FRONT}) AS front",
        dialect.by_index("job_ready")
    )
}

/// Actions that are not done, and when the first is due.
fn outbox_sql(dialect: Dialect) -> String {
    let index = dialect.by_partial_index("action_due", "action_state");
    format!("SELECT COUNT(*), MIN(due) FROM action {index} WHERE state IN ('pending', 'running')")
}

impl Store {
    /// How the database is.
    pub async fn vitals(&self) -> Result<Vitals, StoreError> {
        let mut conn = self.readers.acquire().await?;
        let now: i64 = sqlx::query_scalar(self.dialect.now()).fetch_one(&mut *conn).await?;
        let age = |since: Option<i64>| {
            let age = since.map_or(0, |since| now.saturating_sub(since));
            Duration::from_micros(u64::try_from(age).unwrap_or(0))
        };
        let rows = sqlx::query(AssertSqlSafe(active_sql(self.dialect))).fetch_all(&mut *conn);
        let active = |row: &sqlx::any::AnyRow| {
            Ok::<(State, i64), sqlx::Error>((jobs::state(row, 0)?, row.try_get(1)?))
        };
        let found = rows.await?.iter().map(active).collect::<Result<Vec<_>, _>>()?;
        let mut waiting = [0; 3];
        for (count, sql) in waiting.iter_mut().zip(waiting_sql(self.dialect)) {
            *count = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&mut *conn).await?;
        }
        let mut states = vec![(State::Queued, waiting.iter().sum())];
        // Those of which there is none are said too: a line does not come and go.
        let count = |state| found.iter().find(|(known, _)| *known == state).map_or(0, |one| one.1);
        states.extend(ACTIVE.map(|state| (state, count(state))));
        states.sort_unstable();
        let oldest: Option<i64> = sqlx::query_scalar(AssertSqlSafe(oldest_sql(self.dialect)))
            .fetch_one(&mut *conn)
            .await?;
        let paused = sqlx::query("SELECT 1 FROM setting WHERE name = $1")
            .bind(QUEUE_PAUSED)
            .fetch_optional(&mut *conn)
            .await?
            .is_some();
        let outbox =
            sqlx::query(AssertSqlSafe(outbox_sql(self.dialect))).fetch_one(&mut *conn).await?;
        let schedulers =
            sqlx::query_scalar("SELECT COUNT(*) FROM scheduler").fetch_one(&mut *conn).await?;
        Ok(Vitals {
            states,
            waiting,
            oldest: age(oldest),
            paused,
            outbox: outbox.try_get(0)?,
            outbox_oldest: age(outbox.try_get(1)?),
            schedulers,
        })
    }

    /// How much there is of what changes seldom.
    pub async fn catalogue(&self) -> Result<Catalogue, StoreError> {
        let row = sqlx::query(
            "SELECT (SELECT COUNT(*) FROM apps), (SELECT COUNT(*) FROM company), \
             (SELECT COUNT(*) FROM runtemplate)",
        )
        .fetch_one(&self.readers)
        .await?;
        Ok(Catalogue {
            applications: row.try_get(0)?,
            companies: row.try_get(1)?,
            run_templates: row.try_get(2)?,
        })
    }

    /// The connections that read.
    pub fn pool(&self) -> Pool {
        let (open, idle) = self.readers.open_and_idle();
        let idle = u32::try_from(idle).unwrap_or(u32::MAX);
        Pool { open, idle, most: self.dialect.readers() }
    }

    /// The variables that a job was given.
    pub async fn variables_of_job(&self, job: JobId) -> Result<Given, StoreError> {
        let env: Option<String> = sqlx::query_scalar("SELECT env FROM job WHERE id = $1")
            .bind(job.0)
            .fetch_optional(&self.readers)
            .await?;
        let env = env.ok_or(StoreError::NotFound { what: "job", id: job.0 })?;
        variables::from_json(&env, &self.known.vault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::transitions::tests::plan;

    #[tokio::test]
    async fn a_scrape_reads_small_indices_and_no_table() {
        let [turn, time, limit] = waiting_sql(Dialect::Sqlite);
        for (sql, index) in [
            (active_sql(Dialect::Sqlite), "COVERING INDEX job_active"),
            (turn, "COVERING INDEX job_ready"),
            (time, "COVERING INDEX job_due"),
            (limit, "COVERING INDEX job_limited"),
            (outbox_sql(Dialect::Sqlite), "INDEX action_due"),
        ] {
            let plan = plan(&sql).await;
            assert!(plan.contains(index), "{sql}: {plan}");
            assert!(!plan.contains("TEMP B-TREE"), "{sql}: {plan}");
        }
    }

    #[tokio::test]
    async fn the_oldest_job_is_looked_for_at_the_front_of_the_queue() {
        let plan = plan(&oldest_sql(Dialect::Sqlite)).await;
        assert!(plan.contains("USING INDEX job_ready"), "{plan}");
        assert!(!plan.contains("TEMP B-TREE"), "{plan}");
    }
}
