//! New jobs.

use std::time::Duration;

use sqlx::{AssertSqlSafe, Row as _};
use uuid::Uuid;

use crate::{
    domain::{
        environment::Given,
        ids::{ApplicationId, CompanyId, JobId, RunTemplateId},
        job::State,
    },
    store::{Change, StoreError, Tx, transitions::admission, variables},
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
    pub environment: Given,
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
    /// The slot of the schedule that they are made for, if they are.
    pub slot: Option<i64>,
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
        lock_parents(tx, new.run_template).await?;
        let environment = environment(tx, new).await?;
        let state = if new.queue { State::Queued } else { State::Loaded };
        let returns = tx.dialect.returns_many();
        let mut request = new.request_id.clone();
        if !returns {
            // The jobs are found by it.
            request.get_or_insert_with(|| Uuid::new_v4().to_string());
        }
        let sql = format!(
            "WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < $1), \
             turn (first) AS (SELECT {turn} FROM runtemplate o WHERE o.id = $7 LIMIT 1) \
             INSERT INTO job (runtemplate_id, app_id, company_id, env, state, request_id, \
             request_index, created, queued, created_by, priority, rank, due, limited, held, schedule) \
             SELECT t.id, t.app_id, t.company_id, $2, $3, $4, n.i, $5, $6, $9, \
             COALESCE($10, t.priority), turn.first + n.i, $11, {limited}, {held}, $12 \
             FROM runtemplate t JOIN company c ON c.id = t.company_id, n, turn \
             WHERE t.id = $7 AND t.active = 1 AND ($8 = 0 OR t.company_id = $8) {returning}",
            turn = admission::turn(tx.dialect, "o.company_id", "COALESCE($10, o.priority)"),
            limited = admission::limited("$6"),
            held = admission::held("$6", "$11", "$5"),
            returning = if returns { "RETURNING id, company_id, held" } else { "" },
        );
        let due = match new.start {
            Start::AtOnce => None,
            Start::At(time) => Some(time),
            Start::After(delay) => {
                Some(tx.now.saturating_add(i64::try_from(delay.as_micros()).unwrap_or(i64::MAX)))
            }
        };
        let due = due.filter(|time| *time > tx.now);
        let insert = sqlx::query(AssertSqlSafe(sql))
            .bind(i64::from(new.count))
            .bind(environment)
            .bind(state.name())
            .bind(request.clone())
            .bind(tx.now)
            .bind(new.queue.then_some(tx.now))
            .bind(new.run_template.0)
            .bind(new.company.map_or(0, |company| company.0))
            .bind(new.by.clone())
            .bind(new.priority.map(i64::from))
            .bind(due)
            .bind(new.slot);
        let mut rows = insert.fetch_all(&mut *tx.conn).await?;
        if !returns {
            let read = "SELECT id, company_id, held FROM job WHERE request_id = $1";
            rows = sqlx::query(read).bind(request).fetch_all(&mut *tx.conn).await?;
        }
        let Some(first) = rows.first() else { return Err(why_not_created(tx, new).await?) };
        if first.try_get::<Option<String>, _>(2)?.as_deref() == Some(admission::LIMIT) {
            admission::admit(tx, &[first.try_get(1)?].into()).await?;
        }
        let mut ids: Vec<i64> = rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
        ids.sort_unstable();
        Ok(ids.into_iter().map(JobId).collect())
    }
}

/// Locks what jobs of a run template refer to, where that has to be before they are made.
pub(in crate::store) async fn lock_parents(
    tx: &mut Tx<'_>,
    template: RunTemplateId,
) -> Result<(), StoreError> {
    for lock in tx.dialect.lock_parents() {
        sqlx::query(*lock).bind(template.0).fetch_optional(&mut *tx.conn).await?;
    }
    Ok(())
}

/// The jobs' variables as they are stored: what the application declares secret, sealed.
async fn environment(tx: &mut Tx<'_>, new: &NewJobs) -> Result<String, StoreError> {
    if new.environment.is_empty() {
        return Ok("{}".to_owned());
    }
    let row = sqlx::query(
        "SELECT a.id, a.revision FROM runtemplate t JOIN apps a ON a.id = t.app_id \
         WHERE t.id = $1",
    )
    .bind(new.run_template.0)
    .fetch_optional(&mut *tx.conn)
    .await?;
    let row = row.ok_or(StoreError::NotFound { what: "run template", id: new.run_template.0 })?;
    let revisions = [(ApplicationId(row.try_get(0)?), row.try_get(1)?)].into();
    let definitions = tx.known.applications.of(&mut *tx.conn, tx.dialect, &revisions).await?;
    let Some(definition) = definitions.values().next() else {
        return variables::to_json(&new.environment, tx.vault);
    };
    let faults = definition.faults(&new.environment);
    if !faults.is_empty() {
        return Err(StoreError::Invalid(faults.join("; ")));
    }
    let given = variables::declare(&new.environment, definition);
    variables::to_json(&given, tx.vault)
}

async fn why_not_created(tx: &mut Tx<'_>, new: &NewJobs) -> Result<StoreError, StoreError> {
    let row = sqlx::query("SELECT company_id, active FROM runtemplate WHERE id = $1")
        .bind(new.run_template.0)
        .fetch_optional(&mut *tx.conn)
        .await?;
    let Some(row) = row else {
        return Ok(StoreError::NotFound { what: "run template", id: new.run_template.0 });
    };
    let (owner, active): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
    Ok(match new.company {
        Some(company) if company.0 != owner => StoreError::Invalid(format!(
            "run template {} is for company {owner}, not for company {company}",
            new.run_template
        )),
        _ if active == 0 => StoreError::Refused(format!(
            "run template {0} is inactive, and no jobs are made of it: runtemplate:enable {0} \
             makes it active again",
            new.run_template
        )),
        _ => StoreError::NotFound { what: "run template", id: new.run_template.0 },
    })
}
