//! Jobs and their attempts, as they are asked for. How their states change is in
//! [`super::transitions`].

use std::{collections::BTreeSet, time::Duration};

use sqlx::{AssertSqlSafe, Row as _, any::AnyRow};

use super::{Change, Page, Store, StoreError, Tx, dialect::Kind, transitions::admission};
use crate::domain::{
    environment::Variables,
    ids::{ApplicationId, CompanyId, Fence, JobId, RunTemplateId},
    job::{Leftover, State},
};

/// When a job that is queued may be claimed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// When it is its turn.
    #[default]
    AtOnce,
    /// Not before this time.
    At(i64),
    /// Not before this long from now, by the database's clock.
    After(Duration),
}

/// New jobs of one run template.
#[derive(Clone, Debug)]
pub struct NewJobs {
    /// The run template.
    pub run_template: RunTemplateId,
    /// The company that it is expected to be for.
    pub company: Option<CompanyId>,
    /// Variables for these jobs.
    pub environment: Variables,
    /// How many.
    pub count: u32,
    /// Into the queue at once.
    pub queue: bool,
    /// When they may be claimed, if they are queued.
    pub start: Start,
    /// Their priority; the run template's if absent.
    pub priority: Option<i32>,
    /// The client's name for this request.
    pub request_id: Option<String>,
    /// Who asks; empty if that is not known.
    pub by: String,
}

/// Creates jobs.
#[derive(Clone, Debug)]
pub struct CreateJobs(pub NewJobs);

impl Change for CreateJobs {
    type Output = Vec<JobId>;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Vec<JobId>, StoreError> {
        let new = &self.0;
        if let Some(request) = &new.request_id {
            let known: Vec<i64> = sqlx::query_scalar(
                "SELECT id FROM job WHERE request_id = $1 ORDER BY request_index",
            )
            .bind(request.clone())
            .fetch_all(&mut *tx.conn)
            .await?;
            if !known.is_empty() {
                return Ok(known.into_iter().map(JobId).collect());
            }
        }
        let state = if new.queue { State::Queued } else { State::Loaded };
        let sql = format!(
            "WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < $1), \
             turn (first) AS (SELECT {turn} FROM runtemplate o WHERE o.id = $7 LIMIT 1) \
             INSERT INTO job (runtemplate_id, app_id, company_id, env, state, request_id, \
             request_index, created, queued, created_by, priority, rank, due, limited, held) \
             SELECT t.id, t.app_id, t.company_id, $2, $3, $4, n.i, $5, $6, $9, \
             COALESCE($10, t.priority), turn.first + n.i, $11, {limited}, {held} \
             FROM runtemplate t JOIN company c ON c.id = t.company_id, n, turn \
             WHERE t.id = $7 AND ($8 = 0 OR t.company_id = $8) RETURNING id, company_id, held",
            turn = admission::turn("o.company_id", "COALESCE($10, o.priority)"),
            limited = admission::limited("$6"),
            held = admission::held("$6", "$11", "$5"),
        );
        let due = match new.start {
            Start::AtOnce => None,
            Start::At(time) => Some(time),
            Start::After(delay) => {
                Some(tx.now.saturating_add(i64::try_from(delay.as_micros()).unwrap_or(i64::MAX)))
            }
        };
        let due = due.filter(|time| *time > tx.now);
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(i64::from(new.count))
            .bind(serde_json::json!(new.environment).to_string())
            .bind(state.name())
            .bind(new.request_id.clone())
            .bind(tx.now)
            .bind(new.queue.then_some(tx.now))
            .bind(new.run_template.0)
            .bind(new.company.map_or(0, |company| company.0))
            .bind(new.by.clone())
            .bind(new.priority.map(i64::from))
            .bind(due)
            .fetch_all(&mut *tx.conn)
            .await?;
        let Some(first) = rows.first() else { return Err(why_not_created(tx, new).await?) };
        if first.try_get::<Option<String>, _>(2)?.as_deref() == Some(admission::LIMIT) {
            admission::admit(tx, &[first.try_get(1)?].into()).await?;
        }
        let mut ids: Vec<i64> = rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
        ids.sort_unstable();
        Ok(ids.into_iter().map(JobId).collect())
    }
}

async fn why_not_created(tx: &mut Tx<'_>, new: &NewJobs) -> Result<StoreError, StoreError> {
    let owner: Option<i64> = sqlx::query_scalar("SELECT company_id FROM runtemplate WHERE id = $1")
        .bind(new.run_template.0)
        .fetch_optional(&mut *tx.conn)
        .await?;
    Ok(match (owner, new.company) {
        (Some(owner), Some(company)) => StoreError::Invalid(format!(
            "run template {} is for company {owner}, not for company {company}",
            new.run_template
        )),
        _ => StoreError::NotFound { what: "run template", id: new.run_template.0 },
    })
}

/// A job with what its newest attempt says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobRow {
    /// Its id.
    pub id: JobId,
    /// The run template and its name.
    pub run_template: (RunTemplateId, String),
    /// The application and its name.
    pub application: (ApplicationId, String),
    /// The company and its name.
    pub company: (CompanyId, String),
    /// Where it is in its life.
    pub state: State,
    /// Number of the newest attempt; 0 before the first.
    pub attempt: i32,
    /// Variables given with the job.
    pub environment: Variables,
    /// When it was created.
    pub created: i64,
    /// When it last entered the queue.
    pub queued: Option<i64>,
    /// When the attempt started.
    pub started: Option<i64>,
    /// When it ended.
    pub ended: Option<i64>,
    /// The attempt's exit code.
    pub exit_code: Option<i32>,
    /// The signal that ended the attempt.
    pub signal: Option<i32>,
    /// The attempt's agent.
    pub agent: Option<String>,
    /// What went wrong with the attempt.
    pub trouble: Option<String>,
    /// Who asked for it; empty if that is not known.
    pub by: String,
    /// What is claimed first: the higher.
    pub priority: i32,
    /// The time before which it is not run.
    pub due: Option<i64>,
}

const COLUMNS: &str = "SELECT j.id, j.runtemplate_id, t.name, j.app_id, a.name, j.company_id, \
     c.name, j.state, j.attempt, j.env, j.created, j.queued, j.ended, n.started, n.exit_code, \
     n.signal, g.name, n.trouble, j.created_by, j.priority, j.due \
     FROM job j JOIN runtemplate t ON t.id = j.runtemplate_id JOIN apps a ON a.id = j.app_id \
     JOIN company c ON c.id = j.company_id \
     LEFT JOIN attempt n ON n.job_id = j.id AND n.number = j.attempt \
     LEFT JOIN agent g ON g.id = n.agent_id";

pub(super) fn decode(error: impl Into<sqlx::error::BoxDynError>) -> sqlx::Error {
    sqlx::Error::Decode(error.into())
}

pub(super) fn small(row: &AnyRow, column: usize) -> Result<Option<i32>, sqlx::Error> {
    row.try_get::<Option<i64>, _>(column)?.map(i32::try_from).transpose().map_err(decode)
}

pub(super) fn state(row: &AnyRow, column: usize) -> Result<State, sqlx::Error> {
    row.try_get::<String, _>(column)?.parse().map_err(|error: String| decode(error))
}

fn job(row: &AnyRow) -> Result<JobRow, sqlx::Error> {
    let state = state(row, 7)?;
    // While it waits, what the attempt before says is not about now.
    let waits = matches!(state, State::Loaded | State::Queued);
    Ok(JobRow {
        id: JobId(row.try_get(0)?),
        run_template: (RunTemplateId(row.try_get(1)?), row.try_get(2)?),
        application: (ApplicationId(row.try_get(3)?), row.try_get(4)?),
        company: (CompanyId(row.try_get(5)?), row.try_get(6)?),
        state,
        attempt: small(row, 8)?.unwrap_or_default(),
        environment: serde_json::from_str(&row.try_get::<String, _>(9)?).map_err(decode)?,
        created: row.try_get(10)?,
        queued: row.try_get(11)?,
        ended: row.try_get(12)?,
        started: row.try_get::<Option<i64>, _>(13)?.filter(|_| !waits),
        exit_code: small(row, 14)?.filter(|_| !waits),
        signal: small(row, 15)?.filter(|_| !waits),
        agent: row.try_get::<Option<String>, _>(16)?.filter(|_| !waits),
        trouble: row.try_get::<Option<String>, _>(17)?.filter(|_| !waits),
        by: row.try_get(18)?,
        priority: small(row, 19)?.unwrap_or_default(),
        due: row.try_get(20)?,
    })
}

/// Which jobs a list has.
#[derive(Clone, Debug, Default)]
pub struct JobFilter {
    /// Only these states; empty for all.
    pub states: Vec<State>,
    /// Only this run template's.
    pub run_template: Option<RunTemplateId>,
    /// Only this company's.
    pub company: Option<CompanyId>,
}

/// One try at running a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptRow {
    /// Its number.
    pub number: i32,
    /// Its fence.
    pub fence: Fence,
    /// Where it is in its life.
    pub state: State,
    /// Its agent's name.
    pub agent: String,
    /// The program and its arguments.
    pub command: Vec<String>,
    /// When it was offered.
    pub offered: i64,
    /// When it started.
    pub started: Option<i64>,
    /// When it ended.
    pub ended: Option<i64>,
    /// Its exit code.
    pub exit_code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// Its process id.
    pub pid: Option<i64>,
    /// CPU time in user mode and in the kernel, in microseconds.
    pub cpu_us: [i64; 2],
    /// Largest resident set, in bytes.
    pub peak_memory_bytes: i64,
    /// Bytes and SHA-256 (hexadecimal) of stdout and stderr, once it has ended.
    pub streams: [Option<(i64, String)>; 2],
    /// Processes that were killed after the main one had ended.
    pub leftovers: Vec<Leftover>,
    /// What went wrong.
    pub trouble: Option<String>,
    /// Why it was offered to this agent.
    pub choice: Option<String>,
    /// When its retry is due, if it has one.
    pub retry_due: Option<i64>,
    /// When its agent was lost, if it is away.
    pub unreachable: Option<i64>,
}

const ATTEMPT_COLUMNS: &str = "SELECT n.number, n.fence, n.state, g.name, n.command, n.offered, \
     n.started, n.ended, n.exit_code, n.signal, n.pid, n.user_cpu_us, n.system_cpu_us, \
     n.peak_memory_bytes, n.stdout_bytes, n.stdout_sha256, n.stderr_bytes, n.stderr_sha256, \
     n.leftovers, n.trouble, n.choice, n.retry_due, n.unreachable FROM attempt n JOIN agent g ON g.id = n.agent_id";

fn attempt(row: &AnyRow) -> Result<AttemptRow, sqlx::Error> {
    let stream = |column: usize| -> Result<Option<(i64, String)>, sqlx::Error> {
        let bytes: Option<i64> = row.try_get(column)?;
        Ok(bytes.zip(row.try_get::<Option<String>, _>(column + 1)?))
    };
    let or_zero = |column: usize| -> Result<i64, sqlx::Error> {
        Ok(row.try_get::<Option<i64>, _>(column)?.unwrap_or_default())
    };
    let leftovers: Option<String> = row.try_get(18)?;
    Ok(AttemptRow {
        number: small(row, 0)?.unwrap_or_default(),
        fence: Fence(row.try_get(1)?),
        state: state(row, 2)?,
        agent: row.try_get(3)?,
        command: serde_json::from_str(&row.try_get::<String, _>(4)?).map_err(decode)?,
        offered: row.try_get(5)?,
        started: row.try_get(6)?,
        ended: row.try_get(7)?,
        exit_code: small(row, 8)?,
        signal: small(row, 9)?,
        pid: row.try_get(10)?,
        cpu_us: [or_zero(11)?, or_zero(12)?],
        peak_memory_bytes: or_zero(13)?,
        streams: [stream(14)?, stream(16)?],
        leftovers: match leftovers {
            Some(json) => serde_json::from_str(&json).map_err(decode)?,
            None => Vec::new(),
        },
        trouble: row.try_get(19)?,
        choice: row.try_get(20)?,
        retry_due: row.try_get(21)?,
        unreachable: row.try_get(22)?,
    })
}

impl Store {
    /// One job.
    pub async fn job(&self, id: JobId) -> Result<JobRow, StoreError> {
        let row = sqlx::query(AssertSqlSafe(format!("{COLUMNS} WHERE j.id = $1")))
            .bind(id.0)
            .fetch_optional(&self.readers)
            .await?
            .ok_or(StoreError::NotFound { what: "job", id: id.0 })?;
        Ok(job(&row)?)
    }

    /// Jobs, newest first.
    pub async fn jobs(&self, filter: &JobFilter, page: Page) -> Result<Vec<JobRow>, StoreError> {
        let mut conditions = vec!["j.id < $1".to_owned()];
        let mut values = vec![page.after.unwrap_or(i64::MAX), page.size];
        let mut equals = |column: &str, id: Option<i64>| {
            if let Some(id) = id {
                values.push(id);
                conditions.push(format!("{column} = ${}", values.len()));
            }
        };
        equals("j.runtemplate_id", filter.run_template.map(|id| id.0));
        equals("j.company_id", filter.company.map(|id| id.0));
        if !filter.states.is_empty() {
            conditions.push(format!("j.state IN {}", super::transitions::list(&filter.states)));
        }
        let sql =
            format!("{COLUMNS} WHERE {} ORDER BY j.id DESC LIMIT $2", conditions.join(" AND "));
        let query =
            values.into_iter().fold(sqlx::query(AssertSqlSafe(sql)), sqlx::query::Query::bind);
        let rows = query.fetch_all(&self.readers).await?;
        Ok(rows.iter().map(job).collect::<Result<_, _>>()?)
    }

    /// The attempts of a job, oldest first.
    pub async fn attempts(&self, id: JobId) -> Result<Vec<AttemptRow>, StoreError> {
        let sql = format!("{ATTEMPT_COLUMNS} WHERE n.job_id = $1 ORDER BY n.number");
        let rows = sqlx::query(AssertSqlSafe(sql)).bind(id.0).fetch_all(&self.readers).await?;
        Ok(rows.iter().map(attempt).collect::<Result<_, _>>()?)
    }

    /// One attempt of a job; none if it was not offered yet.
    pub async fn attempt(&self, id: JobId, number: i32) -> Result<Option<AttemptRow>, StoreError> {
        let sql = format!("{ATTEMPT_COLUMNS} WHERE n.job_id = $1 AND n.number = $2");
        let row = sqlx::query(AssertSqlSafe(sql))
            .bind(id.0)
            .bind(i64::from(number))
            .fetch_optional(&self.readers)
            .await?;
        Ok(row.as_ref().map(attempt).transpose()?)
    }
}

/// Removes a job and everything in the database that belongs to it.
#[derive(Clone, Copy, Debug)]
pub struct DeleteJob(pub JobId);

impl Change for DeleteJob {
    /// The objects that held its logs and artifacts: nothing refers to them now.
    type Output = Vec<String>;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Vec<String>, StoreError> {
        let id = self.0;
        let deleted =
            DeleteJobs { ids: vec![id], states: State::REMOVABLE.into() }.apply(tx).await?;
        if deleted.jobs.is_empty() {
            let state: Option<String> = sqlx::query_scalar("SELECT state FROM job WHERE id = $1")
                .bind(id.0)
                .fetch_optional(&mut *tx.conn)
                .await?;
            let state = state.ok_or(StoreError::NotFound { what: "job", id: id.0 })?;
            return Err(StoreError::Refused(format!(
                "job {id} is {state}: cancel it before you delete it"
            )));
        }
        Ok(deleted.objects)
    }
}

/// Removes jobs that are in one of these states, and everything in the database that
/// belongs to them. Whoever has many removes a few at a time, so that nobody waits long
/// for the write lock.
#[derive(Clone, Debug)]
pub struct DeleteJobs {
    /// The jobs.
    pub ids: Vec<JobId>,
    /// The states.
    pub states: Vec<State>,
}

/// What was removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deleted {
    /// The jobs.
    pub jobs: Vec<JobId>,
    /// The objects that held their logs and artifacts: nothing refers to them now.
    pub objects: Vec<String>,
}

impl Change for DeleteJobs {
    type Output = Deleted;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Deleted, StoreError> {
        let rows = tx.dialect.rows("$1", &[("k_job", Kind::Int)]);
        let sql = format!(
            "SELECT id, company_id, state FROM job WHERE id IN (SELECT r.k_job FROM {rows}) \
             AND {} IN {} {}",
            tx.dialect.unindexed("state"),
            super::transitions::list(&self.states),
            tx.dialect.skip_locked()
        );
        let ids: Vec<[i64; 1]> = self.ids.iter().map(|id| [id.0]).collect();
        let found = sqlx::query(AssertSqlSafe(sql))
            .bind(serde_json::json!(ids).to_string())
            .fetch_all(&mut *tx.conn)
            .await?;
        let (mut jobs, mut companies) = (Vec::with_capacity(found.len()), BTreeSet::new());
        for row in &found {
            jobs.push(JobId(row.try_get(0)?));
            if state(row, 2)? == State::Queued {
                // It may have had a place under a limit.
                companies.insert(row.try_get(1)?);
            }
        }
        if jobs.is_empty() {
            return Ok(Deleted::default());
        }
        let ids = serde_json::json!(jobs.iter().map(|id| [id.0]).collect::<Vec<_>>()).to_string();
        let chosen = format!("IN (SELECT r.k_job FROM {rows})");
        let sql = format!(
            "SELECT object FROM log_chunk WHERE job_id {chosen} AND object IS NOT NULL \
             UNION ALL SELECT p.object FROM artifact_part p \
             JOIN artifacts a ON a.id = p.artifact_id WHERE a.job_id {chosen}"
        );
        let objects = sqlx::query_scalar(AssertSqlSafe(sql))
            .bind(ids.clone())
            .fetch_all(&mut *tx.conn)
            .await?;
        let sql = format!("DELETE FROM job WHERE id {chosen}");
        sqlx::query(AssertSqlSafe(sql)).bind(ids).execute(&mut *tx.conn).await?;
        admission::admit(tx, &companies).await?;
        Ok(Deleted { jobs, objects })
    }
}

impl Store {
    /// Jobs in one of these states that ended at least so long ago, with an id above
    /// `after`: the first `limit` by id.
    pub async fn ended_jobs(
        &self,
        states: &[State],
        age: Duration,
        after: JobId,
        limit: i64,
    ) -> Result<Vec<JobId>, StoreError> {
        let mut conn = self.readers.acquire().await?;
        let now: i64 = sqlx::query_scalar(self.dialect.now()).fetch_one(&mut *conn).await?;
        let before = now.saturating_sub(i64::try_from(age.as_micros()).unwrap_or(i64::MAX));
        let mut ids = Vec::new();
        // One state after the other: each is a range of the index.
        for state in states {
            let found: Vec<i64> = sqlx::query_scalar(
                "SELECT id FROM job WHERE state = $1 AND id > $2 AND ended <= $3 \
                 ORDER BY id LIMIT $4",
            )
            .bind(state.name())
            .bind(after.0)
            .bind(before)
            .bind(limit)
            .fetch_all(&mut *conn)
            .await?;
            ids.extend(found.into_iter().map(JobId));
        }
        ids.sort_unstable();
        ids.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        Ok(ids)
    }
}
