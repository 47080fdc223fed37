//! Jobs and their attempts, as they are asked for. How their states change is in
//! [`super::transitions`].

mod adopt;
mod create;
mod delete;
mod list;

use std::{collections::HashMap, sync::Arc, time::Duration};

use sqlx::{AssertSqlSafe, Row as _, any::AnyRow};

use super::{Store, StoreError, documents::ById, variables};
use crate::domain::{
    application::Definition,
    environment::Given,
    ids::{ApplicationId, CompanyId, Fence, JobId, RunTemplateId},
    job::{Leftover, State},
};
use crate::vault::Vault;

pub use adopt::{AdoptJob, AdoptedFile, TakeJobIds};
pub(super) use create::lock_parents;
pub use create::{CreateJobs, NewJobs, Start};
pub use delete::{DeleteJob, DeleteJobs, Deleted};
pub use list::{JobFilter, JobOrder, JobPage};

/// A job with what its newest attempt says.
#[derive(Clone, Debug, PartialEq)]
pub struct JobRow {
    /// Its id.
    pub id: JobId,
    /// The run template and its name.
    pub run_template: (RunTemplateId, String),
    /// The application and its name.
    pub application: (ApplicationId, String),
    /// What the application says of itself now.
    pub definition: Arc<Definition>,
    /// The company and its name.
    pub company: (CompanyId, String),
    /// Where it is in its life.
    pub state: State,
    /// Number of the newest attempt; 0 before the first.
    pub attempt: i32,
    /// Variables given with the job.
    pub environment: Given,
    /// When it was created.
    pub created: i64,
    /// When it last entered the queue.
    pub queued: Option<i64>,
    /// When the attempt started.
    pub started: Option<i64>,
    /// When it ended.
    pub ended: Option<i64>,
    /// How long the attempt ran by its agent's clock, if that has said.
    pub ran: Option<Duration>,
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
    /// The slot of its run template's schedule that it was made for.
    pub slot: Option<i64>,
}

const COLUMNS: &str = "SELECT j.id, j.runtemplate_id, t.name, j.app_id, a.name, j.company_id, \
     c.name, j.state, j.attempt, j.env, j.created, j.queued, j.ended, n.started, n.exit_code, \
     n.signal, g.name, n.trouble, j.created_by, j.priority, j.due, a.revision, j.schedule, n.ran_us";

/// What a job's row is joined with, its newest attempt as `n`.
const JOINED: &str = "JOIN runtemplate t ON t.id = j.runtemplate_id JOIN apps a ON a.id = j.app_id \
     JOIN company c ON c.id = j.company_id \
     LEFT JOIN agent g ON g.id = n.agent_id";

/// Joins a job `j` to its newest attempt, if it has one.
const NEWEST: &str = "LEFT JOIN attempt n ON n.job_id = j.id AND n.number = j.attempt";

pub(super) fn decode(error: impl Into<sqlx::error::BoxDynError>) -> sqlx::Error {
    sqlx::Error::Decode(error.into())
}

pub(super) fn small(row: &AnyRow, column: usize) -> Result<Option<i32>, sqlx::Error> {
    row.try_get::<Option<i64>, _>(column)?.map(i32::try_from).transpose().map_err(decode)
}

pub(super) fn micros(row: &AnyRow, column: usize) -> Result<Option<Duration>, sqlx::Error> {
    let micros: Option<i64> = row.try_get(column)?;
    Ok(micros.map(|micros| Duration::from_micros(u64::try_from(micros).unwrap_or(0))))
}

pub(super) fn state(row: &AnyRow, column: usize) -> Result<State, sqlx::Error> {
    row.try_get::<String, _>(column)?.parse().map_err(|error: String| decode(error))
}

/// The definition of the application that a row names.
fn of(
    definitions: &ById<Definition>,
    row: &AnyRow,
    id: usize,
) -> Result<Arc<Definition>, StoreError> {
    let id = ApplicationId(row.try_get(id)?);
    let found = definitions.get(&id).map(Arc::clone);
    found.ok_or(StoreError::NotFound { what: "application", id: id.0 })
}

fn job(row: &AnyRow, definition: Arc<Definition>, vault: &Vault) -> Result<JobRow, StoreError> {
    let state = state(row, 7)?;
    // While it waits, what the attempt before says is not about now.
    let waits = matches!(state, State::Loaded | State::Queued);
    Ok(JobRow {
        id: JobId(row.try_get(0)?),
        run_template: (RunTemplateId(row.try_get(1)?), row.try_get(2)?),
        application: (ApplicationId(row.try_get(3)?), row.try_get(4)?),
        definition,
        company: (CompanyId(row.try_get(5)?), row.try_get(6)?),
        state,
        attempt: small(row, 8)?.unwrap_or_default(),
        environment: variables::from_json(&row.try_get::<String, _>(9)?, vault)?,
        created: row.try_get(10)?,
        queued: row.try_get(11)?,
        ended: row.try_get(12)?,
        started: row.try_get::<Option<i64>, _>(13)?.filter(|_| !waits),
        ran: micros(row, 23)?.filter(|_| !waits),
        exit_code: small(row, 14)?.filter(|_| !waits),
        signal: small(row, 15)?.filter(|_| !waits),
        agent: row.try_get::<Option<String>, _>(16)?.filter(|_| !waits),
        trouble: row.try_get::<Option<String>, _>(17)?.filter(|_| !waits),
        by: row.try_get(18)?,
        priority: small(row, 19)?.unwrap_or_default(),
        due: row.try_get(20)?,
        slot: row.try_get(22)?,
    })
}

/// One try at running a job.
#[derive(Clone, Debug, PartialEq)]
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
    /// When its job entered the queue for it.
    pub queued: i64,
    /// When it was offered.
    pub offered: i64,
    /// When it started.
    pub started: Option<i64>,
    /// When it ended.
    pub ended: Option<i64>,
    /// How long it ran by its agent's clock, if that has said.
    pub ran: Option<Duration>,
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
    /// What the application says of itself now.
    pub definition: Arc<Definition>,
}

const ATTEMPT_COLUMNS: &str = "SELECT n.number, n.fence, n.state, g.name, n.command, n.offered, \
     n.started, n.ended, n.exit_code, n.signal, n.pid, n.user_cpu_us, n.system_cpu_us, \
     n.peak_memory_bytes, n.stdout_bytes, n.stdout_sha256, n.stderr_bytes, n.stderr_sha256, \
     n.leftovers, n.trouble, n.choice, n.retry_due, n.unreachable, a.id, a.revision, n.queued, \
     n.ran_us \
     FROM attempt n JOIN agent g ON g.id = n.agent_id JOIN job j ON j.id = n.job_id \
     JOIN apps a ON a.id = j.app_id";

fn attempt(row: &AnyRow, definition: Arc<Definition>) -> Result<AttemptRow, sqlx::Error> {
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
        queued: row.try_get(25)?,
        offered: row.try_get(5)?,
        started: row.try_get(6)?,
        ended: row.try_get(7)?,
        ran: micros(row, 26)?,
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
        definition,
    })
}

impl Store {
    /// One job.
    pub async fn job(&self, id: JobId) -> Result<JobRow, StoreError> {
        let row = sqlx::query(AssertSqlSafe(format!(
            "{COLUMNS} FROM job j {NEWEST} {JOINED} WHERE j.id = $1"
        )))
        .bind(id.0)
        .fetch_optional(&self.readers)
        .await?
        .ok_or(StoreError::NotFound { what: "job", id: id.0 })?;
        Ok(self.jobs_of_rows(&[row]).await?.remove(0))
    }

    /// Reads jobs; the definitions are nearly always known.
    async fn jobs_of_rows(&self, rows: &[AnyRow]) -> Result<Vec<JobRow>, StoreError> {
        let definitions = self.definitions_of(rows, [3, 21]).await?;
        let job = |row: &AnyRow| job(row, of(&definitions, row, 3)?, &self.known.vault);
        rows.iter().map(job).collect()
    }

    async fn attempts_of_rows(&self, rows: &[AnyRow]) -> Result<Vec<AttemptRow>, StoreError> {
        let definitions = self.definitions_of(rows, [23, 24]).await?;
        let attempt = |row: &AnyRow| Ok(attempt(row, of(&definitions, row, 23)?)?);
        rows.iter().map(attempt).collect()
    }

    /// The definitions of the applications that rows name, by the columns of id and
    /// revision.
    pub(super) async fn definitions_of(
        &self,
        rows: &[AnyRow],
        [id, revision]: [usize; 2],
    ) -> Result<ById<Definition>, StoreError> {
        let mut revisions = HashMap::new();
        for row in rows {
            revisions.insert(ApplicationId(row.try_get(id)?), row.try_get(revision)?);
        }
        self.known.applications.of(&self.readers, self.dialect, &revisions).await
    }

    /// What the application of a job says of itself.
    pub async fn definition_of(&self, id: JobId) -> Result<Arc<Definition>, StoreError> {
        let sql = "SELECT a.id, a.revision FROM job j JOIN apps a ON a.id = j.app_id \
                   WHERE j.id = $1";
        let row = sqlx::query(sql).bind(id.0).fetch_optional(&self.readers).await?;
        let row = row.ok_or(StoreError::NotFound { what: "job", id: id.0 })?;
        let definitions = self.definitions_of(std::slice::from_ref(&row), [0, 1]).await?;
        of(&definitions, &row, 0)
    }

    /// The attempts of a job, oldest first.
    pub async fn attempts(&self, id: JobId) -> Result<Vec<AttemptRow>, StoreError> {
        let sql = format!("{ATTEMPT_COLUMNS} WHERE n.job_id = $1 ORDER BY n.number");
        let rows = sqlx::query(AssertSqlSafe(sql)).bind(id.0).fetch_all(&self.readers).await?;
        self.attempts_of_rows(&rows).await
    }

    /// One attempt of a job; none if it was not offered yet.
    pub async fn attempt(&self, id: JobId, number: i32) -> Result<Option<AttemptRow>, StoreError> {
        let sql = format!("{ATTEMPT_COLUMNS} WHERE n.job_id = $1 AND n.number = $2");
        let row = sqlx::query(AssertSqlSafe(sql))
            .bind(id.0)
            .bind(i64::from(number))
            .fetch_optional(&self.readers)
            .await?;
        Ok(self.attempts_of_rows(row.as_slice()).await?.pop())
    }
}
