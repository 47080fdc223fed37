//! Run templates, with their variables in table `configuration`.

use std::{collections::HashMap, sync::Arc, time::Duration};

use sqlx::{AssertSqlSafe, Row as _};

use super::{
    Change, Page, Store, StoreError, Tx,
    applications::Definitions,
    dialect::Kind,
    jobs, retention, rows,
    transitions::admission,
    variables::{self, RUN_TEMPLATE},
};
use crate::domain::{
    application::Definition,
    environment::{Given, VariableChange},
    ids::{ApplicationId, CompanyId, RunTemplateId},
    job::{Overflow, Template},
    retention::Keep,
    retry::{Cause, RetryPolicy},
};
use crate::vault::Vault;

/// A run template, with when it was created.
#[derive(Clone, Debug, PartialEq)]
pub struct RunTemplateRow {
    /// What it says.
    pub template: Template,
    /// When it was created.
    pub created: i64,
}

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

/// Creates a run template.
#[derive(Clone, Debug)]
pub struct CreateRunTemplate(pub NewRunTemplate);

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
        }
    }
}

impl Change for UpdateRunTemplate {
    type Output = ();

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        let id = self.id;
        let before = by_ids(&mut *tx.conn, tx.dialect, (tx.definitions, tx.vault), &[id.0])
            .await?
            .remove(&id)
            .ok_or(StoreError::NotFound { what: "run template", id: id.0 })?
            .template;
        let retry = self.retry.as_ref().unwrap_or(&before.retry);
        let max_running = self.max_running.unwrap_or(before.max_running);
        let keep = self.keep.unwrap_or(before.keep);
        sqlx::query(
            "UPDATE runtemplate SET name = $2, timeout_ms = $3, grace_ms = $4, \
             lost_after_ms = $5, max_attempts = $6, retry_on = $7, retry_backoff = $8, \
             retry_min_gap_ms = $9, retry_max_gap_ms = $10, overflow = $11, priority = $12, \
             max_running = $13, keep_age_ms = $14, keep_count = $15, keep_bytes = $16 \
             WHERE id = $1",
        )
        .bind(id.0)
        .bind(self.name.clone().unwrap_or(before.name))
        .bind(self.timeout.unwrap_or(before.timeout).map(milliseconds))
        .bind(milliseconds(self.grace.unwrap_or(before.grace)))
        .bind(milliseconds(self.lost_after.unwrap_or(before.lost_after)))
        .bind(i64::from(retry.max_attempts))
        .bind(causes_json(&retry.on))
        .bind(retry.backoff.to_string())
        .bind(milliseconds(retry.min_gap))
        .bind(milliseconds(retry.max_gap))
        .bind(self.overflow.unwrap_or(before.overflow).to_string())
        .bind(i64::from(self.priority.unwrap_or(before.priority)))
        .bind(max_running.map(i64::from))
        .bind(keep.age.map(milliseconds))
        .bind(keep.count.map(number))
        .bind(keep.bytes.map(number))
        .execute(&mut *tx.conn)
        .await?;
        let VariableChange { set, unset } = &self.environment;
        let (set, unset) = (variables::declare(set, &before.definition), unset.clone());
        variables::change(tx, &RUN_TEMPLATE, id.0, &VariableChange { set, unset }).await?;
        if max_running != before.max_running {
            admission::limits_changed(tx, before.company.0).await?;
        }
        Ok(())
    }
}

/// Removes a run template that has no jobs.
#[derive(Clone, Copy, Debug)]
pub struct DeleteRunTemplate(pub RunTemplateId);

impl Change for DeleteRunTemplate {
    type Output = ();

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        let id = self.0.0;
        let count = "SELECT COUNT(*) FROM job WHERE runtemplate_id = $1";
        let refusal = |jobs| {
            format!(
                "run template {id} has {jobs} jobs: delete them first, or all of it with --cascade"
            )
        };
        rows::refuse_dependents(tx, count, id, refusal).await?;
        rows::delete(tx, "DELETE FROM runtemplate WHERE id = $1", "run template", id).await
    }
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

fn causes(json: &str) -> Result<Vec<Cause>, sqlx::Error> {
    let names: Vec<String> = serde_json::from_str(json).map_err(jobs::decode)?;
    names.iter().map(|name| name.parse().map_err(jobs::decode)).collect()
}

impl Change for CreateRunTemplate {
    type Output = RunTemplateId;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<RunTemplateId, StoreError> {
        let new = &self.0;
        let (application, company) = (new.application.0, new.company.0);
        rows::found(tx, "SELECT id FROM apps WHERE id = $1", "application", application).await?;
        rows::found(tx, "SELECT id FROM company WHERE id = $1", "company", company).await?;
        let id: i64 = sqlx::query_scalar(
            "INSERT INTO runtemplate \
             (app_id, company_id, name, timeout_ms, grace_ms, lost_after_ms, max_attempts, \
             retry_on, retry_backoff, retry_min_gap_ms, retry_max_gap_ms, overflow, created, \
             priority, max_running, keep_age_ms, keep_count, keep_bytes) VALUES ($1, $2, $3, \
             $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18) \
             RETURNING id",
        )
        .bind(new.application.0)
        .bind(new.company.0)
        .bind(new.name.clone())
        .bind(new.timeout.map(milliseconds))
        .bind(milliseconds(new.grace))
        .bind(milliseconds(new.lost_after))
        .bind(i64::from(new.retry.max_attempts))
        .bind(causes_json(&new.retry.on))
        .bind(new.retry.backoff.to_string())
        .bind(milliseconds(new.retry.min_gap))
        .bind(milliseconds(new.retry.max_gap))
        .bind(new.overflow.to_string())
        .bind(tx.now)
        .bind(i64::from(new.priority))
        .bind(new.max_running.map(i64::from))
        .bind(new.keep.age.map(milliseconds))
        .bind(new.keep.count.map(number))
        .bind(new.keep.bytes.map(number))
        .fetch_one(&mut *tx.conn)
        .await?;
        let revisions = [(new.application, 0)].into();
        let definitions = tx.definitions.of(&mut *tx.conn, tx.dialect, &revisions).await?;
        let set = match definitions.get(&new.application) {
            Some(definition) => variables::declare(&new.environment, definition),
            None => new.environment.clone(),
        };
        let environment = VariableChange { set, unset: Vec::new() };
        variables::change(tx, &RUN_TEMPLATE, id, &environment).await?;
        Ok(RunTemplateId(id))
    }
}

const COLUMNS: &str = "SELECT t.id, t.name, t.app_id, a.name, a.revision, c.slug, \
     t.company_id, c.name, t.timeout_ms, t.grace_ms, t.created, t.lost_after_ms, \
     t.max_attempts, t.retry_on, t.retry_backoff, t.retry_min_gap_ms, t.retry_max_gap_ms, \
     t.overflow, t.priority, t.max_running, t.keep_age_ms, t.keep_count, t.keep_bytes \
     FROM runtemplate t JOIN apps a ON a.id = t.app_id JOIN company c ON c.id = t.company_id";

fn template(
    row: &sqlx::any::AnyRow,
    definitions: &HashMap<ApplicationId, Arc<Definition>>,
) -> Result<RunTemplateRow, StoreError> {
    let application = ApplicationId(row.try_get(2)?);
    let definition = definitions
        .get(&application)
        .ok_or(StoreError::NotFound { what: "application", id: application.0 })?;
    let milliseconds = |ms: i64| Duration::from_millis(ms.unsigned_abs());
    let template = Template {
        id: RunTemplateId(row.try_get(0)?),
        name: row.try_get(1)?,
        application,
        application_name: row.try_get(3)?,
        definition: Arc::clone(definition),
        company: CompanyId(row.try_get(6)?),
        company_name: row.try_get(7)?,
        company_code: row.try_get::<Option<String>, _>(5)?.unwrap_or_default(),
        company_environment: Given::default(),
        credentials: Given::default(),
        environment: Given::default(),
        timeout: row.try_get::<Option<i64>, _>(8)?.map(milliseconds),
        grace: milliseconds(row.try_get(9)?),
        lost_after: milliseconds(row.try_get(11)?),
        retry: RetryPolicy {
            max_attempts: u32::try_from(row.try_get::<i64, _>(12)?).unwrap_or(1),
            on: causes(&row.try_get::<String, _>(13)?)?,
            backoff: row.try_get::<String, _>(14)?.parse().map_err(jobs::decode)?,
            min_gap: milliseconds(row.try_get(15)?),
            max_gap: milliseconds(row.try_get(16)?),
        },
        overflow: row
            .try_get::<String, _>(17)?
            .parse()
            .map_err(|error: String| jobs::decode(error))?,
        priority: jobs::small(row, 18)?.unwrap_or_default(),
        max_running: jobs::small(row, 19)?.map(i32::unsigned_abs),
        keep: retention::keep(row, 20)?,
    };
    Ok(RunTemplateRow { template, created: row.try_get(10)? })
}

/// What the variables of a run template are read with: whose they are. Of several
/// credentials the one that was created last wins.
const COMPANY_LAYER: i64 = 0;
const CREDENTIAL_LAYER: i64 = 1;
const RUN_TEMPLATE_LAYER: i64 = 2;

/// The run templates with these ids (a JSON array of one-element arrays), with
/// their variables.
pub(super) async fn by_ids(
    conn: &mut sqlx::AnyConnection,
    dialect: super::Dialect,
    (definitions, vault): (&Definitions, &Vault),
    ids: &[i64],
) -> Result<HashMap<RunTemplateId, RunTemplateRow>, StoreError> {
    let wanted = serde_json::json!(ids.iter().map(|id| [id]).collect::<Vec<_>>()).to_string();
    let chosen = dialect.rows("$1", &[("id", Kind::Int)]);
    let rows =
        sqlx::query(AssertSqlSafe(format!("{COLUMNS} WHERE t.id IN (SELECT r.id FROM {chosen})")))
            .bind(wanted.clone())
            .fetch_all(&mut *conn)
            .await?;
    let mut revisions = HashMap::new();
    for row in &rows {
        revisions.insert(ApplicationId(row.try_get(2)?), row.try_get(4)?);
    }
    let definitions = definitions.of(&mut *conn, dialect, &revisions).await?;
    let mut templates = HashMap::with_capacity(rows.len());
    for row in &rows {
        let row = template(row, &definitions)?;
        templates.insert(row.template.id, row);
    }
    let rows = sqlx::query(AssertSqlSafe(format!(
        "SELECT runtemplate_id, name, value, key_id, {RUN_TEMPLATE_LAYER}, 0 FROM configuration \
         WHERE runtemplate_id IN (SELECT r.id FROM {chosen}) UNION ALL \
         SELECT t.id, e.keyword, e.value, e.key_id, {COMPANY_LAYER}, 0 FROM runtemplate t \
         JOIN companyenv e ON e.company_id = t.company_id \
         WHERE t.id IN (SELECT r.id FROM {chosen}) UNION ALL \
         SELECT u.runtemplate_id, d.name, d.value, d.key_id, {CREDENTIAL_LAYER}, d.credential_id \
         FROM runtplcreds u JOIN credata d ON d.credential_id = u.credentials_id \
         WHERE u.runtemplate_id IN (SELECT r.id FROM {chosen}) ORDER BY 6"
    )))
    .bind(wanted)
    .fetch_all(&mut *conn)
    .await?;
    for row in &rows {
        if let Some(owner) = templates.get_mut(&RunTemplateId(row.try_get(0)?)) {
            let Template { environment, company_environment, credentials, .. } =
                &mut owner.template;
            let layer = match row.try_get::<i64, _>(4)? {
                COMPANY_LAYER => company_environment,
                CREDENTIAL_LAYER => credentials,
                _ => environment,
            };
            variables::read(row, 1, vault, layer)?;
        }
    }
    Ok(templates)
}

impl Store {
    /// The run templates of a company.
    pub async fn run_templates_of(
        &self,
        company: CompanyId,
    ) -> Result<Vec<RunTemplateId>, StoreError> {
        let sql = "SELECT id FROM runtemplate WHERE company_id = $1 ORDER BY id";
        self.run_template_ids(sql, company.0).await
    }

    /// The run templates of an application.
    pub async fn run_templates_with(
        &self,
        application: ApplicationId,
    ) -> Result<Vec<RunTemplateId>, StoreError> {
        let sql = "SELECT id FROM runtemplate WHERE app_id = $1 ORDER BY id";
        self.run_template_ids(sql, application.0).await
    }

    async fn run_template_ids(
        &self,
        sql: &'static str,
        of: i64,
    ) -> Result<Vec<RunTemplateId>, StoreError> {
        let ids: Vec<i64> = sqlx::query_scalar(sql).bind(of).fetch_all(&self.readers).await?;
        Ok(ids.into_iter().map(RunTemplateId).collect())
    }

    /// One run template.
    pub async fn run_template(&self, id: RunTemplateId) -> Result<RunTemplateRow, StoreError> {
        let mut conn = self.readers.acquire().await?;
        by_ids(&mut conn, self.dialect, (&self.definitions, &self.vault), &[id.0])
            .await?
            .remove(&id)
            .ok_or(StoreError::NotFound { what: "run template", id: id.0 })
    }

    /// Run templates by id.
    pub async fn run_templates(&self, page: Page) -> Result<Vec<RunTemplateRow>, StoreError> {
        let mut conn = self.readers.acquire().await?;
        let ids: Vec<i64> =
            sqlx::query_scalar("SELECT id FROM runtemplate WHERE id > $1 ORDER BY id LIMIT $2")
                .bind(page.after.unwrap_or(0))
                .bind(page.size)
                .fetch_all(&mut *conn)
                .await?;
        let mut rows: Vec<_> =
            by_ids(&mut conn, self.dialect, (&self.definitions, &self.vault), &ids)
                .await?
                .into_values()
                .collect();
        rows.sort_by_key(|row| row.template.id);
        Ok(rows)
    }
}
