//! Run templates that are created, changed and removed.

use std::time::Duration;

use sqlx::{Any, Row as _, any::AnyArguments, query::Query};

use super::by_ids;
use crate::{
    domain::{
        environment::{Given, VariableChange},
        ids::{ApplicationId, CompanyId, RunTemplateId},
        job::Overflow,
        retention::Keep,
        retry::{Cause, RetryPolicy},
    },
    store::{
        Change, StoreError, Tx, declared, rows, schedules,
        transitions::admission,
        variables::{self, RUN_TEMPLATE},
    },
};

/// What a new run template says.
#[derive(Clone, Debug)]
pub struct NewRunTemplate {
    /// Its name.
    pub name: String,
    /// The application.
    pub application: ApplicationId,
    /// The company.
    pub company: CompanyId,
    /// Its variables.
    pub environment: Given,
    /// How long a job may run; none for no limit.
    pub timeout: Option<Duration>,
    /// Time between SIGTERM and SIGKILL.
    pub grace: Duration,
    /// How long an unreachable job is waited for.
    pub lost_after: Duration,
    /// When a job that ended is run again by itself.
    pub retry: RetryPolicy,
    /// What happens when output does not fit into the agent's spool.
    pub overflow: Overflow,
    /// What is claimed first: the higher.
    pub priority: i32,
    /// Most jobs of it at once; none for no limit.
    pub max_running: Option<u32>,
    /// How much of its ended jobs is kept.
    pub keep: Keep,
}

fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// Causes of retries as the database holds them: a JSON array of their names.
fn causes_json(causes: &[Cause]) -> String {
    let names: Vec<String> = causes.iter().map(Cause::to_string).collect();
    serde_json::json!(names).to_string()
}

/// Binds what run templates can be told, from the name on.
fn bind<'q>(
    query: Query<'q, Any, AnyArguments>,
    settings: &NewRunTemplate,
) -> Query<'q, Any, AnyArguments> {
    query
        .bind(settings.name.clone())
        .bind(settings.timeout.map(milliseconds))
        .bind(milliseconds(settings.grace))
        .bind(milliseconds(settings.lost_after))
        .bind(i64::from(settings.retry.max_attempts))
        .bind(causes_json(&settings.retry.on))
        .bind(settings.retry.backoff.to_string())
        .bind(milliseconds(settings.retry.min_gap))
        .bind(milliseconds(settings.retry.max_gap))
        .bind(settings.overflow.to_string())
        .bind(i64::from(settings.priority))
        .bind(settings.max_running.map(i64::from))
        .bind(settings.keep.age.map(milliseconds))
        .bind(settings.keep.count.map(number))
        .bind(settings.keep.bytes.map(number))
}

/// Creates a run template.
#[derive(Clone, Debug)]
pub struct CreateRunTemplate(pub NewRunTemplate);

impl Change for CreateRunTemplate {
    type Output = RunTemplateId;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<RunTemplateId, StoreError> {
        let new = &self.0;
        let (application, company) = (new.application.0, new.company.0);
        rows::found(tx, "SELECT id FROM apps WHERE id = $1", "application", application).await?;
        rows::found(tx, "SELECT id FROM company WHERE id = $1", "company", company).await?;
        let query = sqlx::query(
            "INSERT INTO runtemplate (name, timeout_ms, grace_ms, lost_after_ms, max_attempts, \
             retry_on, retry_backoff, retry_min_gap_ms, retry_max_gap_ms, overflow, priority, \
             max_running, keep_age_ms, keep_count, keep_bytes, app_id, company_id, created) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, \
             $18) RETURNING id",
        );
        let query = bind(query, new).bind(application).bind(company).bind(tx.now);
        let id = query.fetch_one(&mut *tx.conn).await?.try_get(0)?;
        let revisions = [(new.application, 0)].into();
        let definitions = tx.known.applications.of(&mut *tx.conn, tx.dialect, &revisions).await?;
        let mut set = new.environment.clone();
        if let Some(definition) = definitions.get(&new.application) {
            set = variables::declare(&set, definition);
            declared::begin_for_company(tx, new.application, definition).await?;
        }
        let environment = VariableChange { set, unset: Vec::new() };
        variables::change(tx, &RUN_TEMPLATE, id, &environment).await?;
        Ok(RunTemplateId(id))
    }
}

/// Changes a run template; what is absent stays as it is.
#[derive(Clone, Debug)]
pub struct UpdateRunTemplate {
    /// The run template.
    pub id: RunTemplateId,
    /// Its name.
    pub name: Option<String>,
    /// Its variables.
    pub environment: VariableChange,
    /// How long a job may run; `Some(None)` for no limit.
    pub timeout: Option<Option<Duration>>,
    /// Time between SIGTERM and SIGKILL.
    pub grace: Option<Duration>,
    /// How long an unreachable job is waited for.
    pub lost_after: Option<Duration>,
    /// When a job that ended is run again by itself.
    pub retry: Option<RetryPolicy>,
    /// What happens when output does not fit into the agent's spool.
    pub overflow: Option<Overflow>,
    /// What is claimed first: the higher. Jobs that are there keep theirs.
    pub priority: Option<i32>,
    /// Most jobs of it at once; `Some(None)` for no limit.
    pub max_running: Option<Option<u32>>,
    /// How much of its ended jobs is kept.
    pub keep: Option<Keep>,
    /// Whether jobs can be made of it. Those that are there stay.
    pub active: Option<bool>,
}

impl UpdateRunTemplate {
    /// Changes nothing yet.
    pub fn of(id: RunTemplateId) -> Self {
        Self {
            id,
            name: None,
            environment: VariableChange::default(),
            timeout: None,
            grace: None,
            lost_after: None,
            retry: None,
            overflow: None,
            priority: None,
            max_running: None,
            keep: None,
            active: None,
        }
    }
}

impl Change for UpdateRunTemplate {
    type Output = ();

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        let id = self.id;
        let before = by_ids(&mut *tx.conn, tx.dialect, tx.known, &[id.0])
            .await?
            .remove(&id)
            .ok_or(StoreError::NotFound { what: "run template", id: id.0 })?;
        variables::refuse_unknown(tx, &RUN_TEMPLATE, id.0, &self.environment.unset).await?;
        let was_active = before.active;
        let before = before.template;
        let settings = NewRunTemplate {
            name: self.name.clone().unwrap_or(before.name),
            application: before.application,
            company: before.company,
            environment: Given::default(),
            timeout: self.timeout.unwrap_or(before.timeout),
            grace: self.grace.unwrap_or(before.grace),
            lost_after: self.lost_after.unwrap_or(before.lost_after),
            retry: self.retry.clone().unwrap_or(before.retry),
            overflow: self.overflow.unwrap_or(before.overflow),
            priority: self.priority.unwrap_or(before.priority),
            max_running: self.max_running.unwrap_or(before.max_running),
            keep: self.keep.unwrap_or(before.keep),
        };
        let query = sqlx::query(
            "UPDATE runtemplate SET name = $1, timeout_ms = $2, grace_ms = $3, \
             lost_after_ms = $4, max_attempts = $5, retry_on = $6, retry_backoff = $7, \
             retry_min_gap_ms = $8, retry_max_gap_ms = $9, overflow = $10, priority = $11, \
             max_running = $12, keep_age_ms = $13, keep_count = $14, keep_bytes = $15 \
             WHERE id = $16",
        );
        bind(query, &settings).bind(id.0).execute(&mut *tx.conn).await?;
        if let Some(active) = self.active {
            sqlx::query("UPDATE runtemplate SET active = $1 WHERE id = $2")
                .bind(i64::from(active))
                .bind(id.0)
                .execute(&mut *tx.conn)
                .await?;
            if active != was_active {
                schedules::reset_next(tx, id).await?;
            }
        }
        let VariableChange { set, unset } = &self.environment;
        let (set, unset) = (variables::declare(set, &before.definition), unset.clone());
        variables::change(tx, &RUN_TEMPLATE, id.0, &VariableChange { set, unset }).await?;
        if settings.max_running != before.max_running {
            admission::limits_changed(tx, before.company.0).await?;
        }
        Ok(())
    }
}

/// Removes a run template that has no jobs.
#[derive(Clone, Copy, Debug)]
pub struct DeleteRunTemplate {
    /// The run template.
    pub id: RunTemplateId,
    /// With the actions of others that make jobs of it; else there must be none.
    pub cascade: bool,
}

impl Change for DeleteRunTemplate {
    type Output = ();

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        let id = self.id.0;
        let count = "SELECT COUNT(*) FROM job WHERE runtemplate_id = $1";
        let refusal = |jobs| {
            format!(
                "run template {id} has {}: delete them first, or all of it with --cascade",
                rows::counted(jobs, "job")
            )
        };
        rows::refuse_dependents(tx, count, id, refusal).await?;
        if self.cascade {
            let leading = sqlx::query("DELETE FROM actionconfig WHERE leads_to = $1").bind(id);
            leading.execute(&mut *tx.conn).await?;
        } else {
            refuse_if_led_to(tx, id).await?;
        }
        rows::delete(tx, "DELETE FROM runtemplate WHERE id = $1", "run template", id).await
    }
}

/// Refuses if an action of another run template or a company makes jobs of this one: each
/// would fail.
async fn refuse_if_led_to(tx: &mut Tx<'_>, id: i64) -> Result<(), StoreError> {
    let action = sqlx::query(
        "SELECT id, module, runtemplate_id, company_id FROM actionconfig WHERE leads_to = $1 \
         AND (runtemplate_id IS NULL OR runtemplate_id <> $1) ORDER BY id LIMIT 1",
    );
    let Some(row) = action.bind(id).fetch_optional(&mut *tx.conn).await? else { return Ok(()) };
    let (action, kind): (i64, String) = (row.try_get(0)?, row.try_get(1)?);
    let owner = match row.try_get::<Option<i64>, _>(2)? {
        Some(other) => format!("run template {other}"),
        None => format!("company {}", row.try_get::<i64, _>(3)?),
    };
    Err(StoreError::Refused(format!(
        "action {action} ({kind}) of {owner} makes jobs of run template {id}: change \
         or delete it first, or let it go too with --cascade"
    )))
}
