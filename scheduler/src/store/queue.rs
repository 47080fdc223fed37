//! The queue as a whole.

use std::time::Duration;

use sqlx::{AssertSqlSafe, Row as _};

use super::{
    Change, Store, StoreError, Tx,
    dialect::Kind,
    jobs,
    transitions::{
        admission::{self, DUE, LIMIT, MOST, QUEUE_PAUSED},
        list,
    },
};
use crate::domain::{
    ids::{CompanyId, JobId},
    job::State,
};

/// Of a queued job: that its time has come.
const DUE_NOW: &str = "(held IS NULL OR held <> 'due')";

/// Puts every loaded job into the queue.
#[derive(Clone, Copy, Debug)]
pub struct ProcessQueue;

/// What is in the queue then, and can be run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Processed {
    /// Jobs that entered it.
    pub queued: Vec<JobId>,
    /// Jobs that waited there, and their time had come.
    pub waited: Vec<JobId>,
}

impl Change for ProcessQueue {
    type Output = Processed;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Processed, StoreError> {
        let waited = format!("SELECT id FROM job WHERE state = 'queued' AND {DUE_NOW} ORDER BY id");
        let waited: Vec<i64> =
            sqlx::query_scalar(AssertSqlSafe(waited)).fetch_all(&mut *tx.conn).await?;
        let chosen = format!("job.state = '{}' AND $2 = 0", State::Loaded);
        let queued = admission::enqueue(tx, &chosen, 0).await?;
        Ok(Processed {
            queued: queued.into_iter().map(|(job, _)| job).collect(),
            waited: waited.into_iter().map(JobId).collect(),
        })
    }
}

/// Stops the claims, or lets them go on.
#[derive(Clone, Debug)]
pub struct PauseQueue {
    /// Stop, or go on.
    pub pause: bool,
    /// Who asks; empty if that is not known.
    pub by: String,
}

impl Change for PauseQueue {
    /// Whether that changed anything.
    type Output = bool;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<bool, StoreError> {
        let changed = if self.pause {
            sqlx::query(
                "INSERT INTO setting (name, value, changed) VALUES ($1, $2, $3) \
                 ON CONFLICT (name) DO NOTHING",
            )
            .bind(QUEUE_PAUSED)
            .bind(self.by.clone())
            .bind(tx.now)
            .execute(&mut *tx.conn)
            .await?
        } else {
            let delete = sqlx::query("DELETE FROM setting WHERE name = $1").bind(QUEUE_PAUSED);
            delete.execute(&mut *tx.conn).await?
        };
        Ok(changed.rows_affected() > 0)
    }
}

/// Why a queued job waits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wait {
    /// Until then, if it waits for its time.
    pub due: Option<i64>,
    /// The limit of its run template, if it waits for a place under a limit.
    pub template_limit: Option<i64>,
    /// The limit of its company, if it waits for a place under a limit.
    pub company_limit: Option<i64>,
    /// Who paused the queue, if it is paused.
    pub paused_by: Option<String>,
    /// How many jobs are claimed before it.
    pub ahead: i64,
}

/// How full the queue is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueueCounts {
    /// Jobs by state, in the order of a job's life; states without jobs are left out.
    pub states: Vec<(State, i64)>,
    /// Queued jobs whose time has not come.
    pub delayed: i64,
    /// When the job that waits longest was queued, of those whose time has come.
    pub oldest_queued: Option<i64>,
    /// Companies that have jobs which wait or are on an agent, by name.
    pub companies: Vec<CompanyLoad>,
    /// Who paused the queue, if it is paused.
    pub paused_by: Option<String>,
}

/// What a company has in the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompanyLoad {
    /// The company.
    pub id: CompanyId,
    /// Its name.
    pub name: String,
    /// Jobs that wait, and whose time has come.
    pub waiting: i64,
    /// Jobs that are on an agent: offered to it, or running there.
    pub on_agents: i64,
}

/// How far some jobs are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Those that have not ended, by id.
    pub left: Vec<JobId>,
    /// How many have ended otherwise than well.
    pub failed: i64,
}

impl Store {
    /// How long until the next job that waits for its time is due; none if none waits.
    pub async fn next_due(&self) -> Result<Option<Duration>, StoreError> {
        let mut conn = self.readers.acquire().await?;
        let now: i64 = sqlx::query_scalar(self.dialect.now()).fetch_one(&mut *conn).await?;
        let next: Option<i64> = sqlx::query_scalar(AssertSqlSafe(format!(
            "SELECT MIN(due) FROM job WHERE state = 'queued' AND held = '{DUE}'"
        )))
        .fetch_one(&mut *conn)
        .await?;
        Ok(next.map(|next| Duration::from_micros(u64::try_from(next - now).unwrap_or(0))))
    }

    /// How far these jobs are.
    pub async fn progress_of(&self, jobs: &[JobId]) -> Result<Progress, StoreError> {
        let rows = self.dialect.rows("$1", &[("k_job", Kind::Int)]);
        let sql = format!(
            "SELECT id, CASE WHEN state IN {ended} THEN 1 ELSE 0 END FROM job \
             WHERE id IN (SELECT r.k_job FROM {rows}) AND state <> 'succeeded' ORDER BY id",
            ended = list(&State::ENDED)
        );
        let ids: Vec<[i64; 1]> = jobs.iter().map(|id| [id.0]).collect();
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(serde_json::json!(ids).to_string())
            .fetch_all(&self.readers)
            .await?;
        let mut progress = Progress::default();
        for row in &rows {
            match row.try_get::<i64, _>(1)? {
                0 => progress.left.push(JobId(row.try_get(0)?)),
                _ => progress.failed += 1,
            }
        }
        Ok(progress)
    }

    /// Why a queued job waits.
    pub async fn wait(&self, job: JobId) -> Result<Wait, StoreError> {
        let sql = format!(
            "SELECT j.held, j.due, j.priority, j.rank, {MOST}, c.max_running, \
             (SELECT value FROM setting WHERE name = 'queue_paused') \
             FROM job j JOIN runtemplate t ON t.id = j.runtemplate_id \
             JOIN company c ON c.id = j.company_id WHERE j.id = $1"
        );
        let row = sqlx::query(AssertSqlSafe(sql))
            .bind(job.0)
            .fetch_optional(&self.readers)
            .await?
            .ok_or(StoreError::NotFound { what: "job", id: job.0 })?;
        let held: Option<String> = row.try_get(0)?;
        let ahead = sqlx::query_scalar(
            "SELECT COUNT(*) FROM job WHERE state = 'queued' AND held IS NULL AND (priority > $1 \
             OR (priority = $1 AND (rank < $2 OR (rank = $2 AND id < $3))))",
        )
        .bind(row.try_get::<i64, _>(2)?)
        .bind(row.try_get::<i64, _>(3)?)
        .bind(job.0)
        .fetch_one(&self.readers)
        .await?;
        let limited = held.as_deref() == Some(LIMIT);
        Ok(Wait {
            due: row.try_get::<Option<i64>, _>(1)?.filter(|_| held.as_deref() == Some(DUE)),
            template_limit: row.try_get::<Option<i64>, _>(4)?.filter(|_| limited),
            company_limit: row.try_get::<Option<i64>, _>(5)?.filter(|_| limited),
            paused_by: row.try_get(6)?,
            ahead,
        })
    }

    /// Companies that have jobs which wait or are on an agent, by name.
    pub async fn company_loads(&self) -> Result<Vec<CompanyLoad>, StoreError> {
        let sql = format!(
            "SELECT c.id, c.name, CAST(SUM(n.waiting) AS BIGINT), CAST(SUM(n.on_agents) AS BIGINT) \
             FROM (\
             SELECT company_id, COUNT(*) AS waiting, 0 AS on_agents FROM job \
             WHERE state = 'queued' AND {DUE_NOW} GROUP BY company_id UNION ALL \
             SELECT company_id, 0, COUNT(*) FROM job \
             WHERE state IN {on_agent} \
             GROUP BY company_id) AS n JOIN company c ON c.id = n.company_id \
             GROUP BY c.id, c.name ORDER BY c.name",
            on_agent = list(&State::ON_AGENT)
        );
        let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(&self.readers).await?;
        let load = |row: &sqlx::any::AnyRow| {
            Ok::<_, sqlx::Error>(CompanyLoad {
                id: CompanyId(row.try_get(0)?),
                name: row.try_get(1)?,
                waiting: row.try_get(2)?,
                on_agents: row.try_get(3)?,
            })
        };
        Ok(rows.iter().map(load).collect::<Result<_, _>>()?)
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
        let waits = sqlx::query(AssertSqlSafe(format!(
            "SELECT MIN(CASE WHEN {DUE_NOW} THEN queued END), \
             COUNT(CASE WHEN NOT ({DUE_NOW}) THEN 1 END) FROM job WHERE state = 'queued'"
        )));
        let waits = waits.fetch_one(&self.readers).await?;
        let paused_by = sqlx::query_scalar("SELECT value FROM setting WHERE name = $1")
            .bind(QUEUE_PAUSED)
            .fetch_optional(&self.readers)
            .await?;
        Ok(QueueCounts {
            states,
            delayed: waits.try_get(1)?,
            oldest_queued: waits.try_get(0)?,
            companies: self.company_loads().await?,
            paused_by,
        })
    }
}
