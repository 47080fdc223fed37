//! Run templates, with their variables in table `configuration`.

mod change;
mod layers;

use std::{collections::HashMap, sync::Arc, time::Duration};

use sqlx::{AssertSqlSafe, Row as _, any::AnyRow};

use super::{
    Store, StoreError,
    connection::Connection,
    dialect::Kind,
    documents::{ById, Known},
    jobs,
    list::{self, Columns, Filter, ListPage, Listed, Sort},
    retention,
};
use crate::domain::{
    application::Definition,
    environment::Given,
    ids::{ApplicationId, CompanyId, RunTemplateId},
    job::Template,
    retry::{Cause, RetryPolicy},
};

pub use change::{CreateRunTemplate, DeleteRunTemplate, NewRunTemplate, UpdateRunTemplate};

/// How many of a run template's jobs ever ended for good, by how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Runs {
    /// With exit code 0.
    pub succeeded: i64,
    /// With another one, by a signal, or not even launched.
    pub failed: i64,
    /// Cancelled, waiting or running.
    pub cancelled: i64,
    /// Out of time.
    pub timed_out: i64,
    /// Lost with their agent.
    pub lost: i64,
    /// When the last of them ended.
    pub last_ended: Option<i64>,
}

/// A run template, with when it was created and what became of its jobs.
#[derive(Clone, Debug, PartialEq)]
pub struct RunTemplateRow {
    /// What it says.
    pub template: Template,
    /// When it was created.
    pub created: i64,
    /// What became of its jobs.
    pub runs: Runs,
    /// Whether jobs can be made of it.
    pub active: bool,
}

const COLUMNS: &str = "SELECT t.id, t.name, t.app_id, a.name, a.revision, c.slug, \
     t.company_id, c.name, t.timeout_ms, t.grace_ms, t.created, t.lost_after_ms, \
     t.max_attempts, t.retry_on, t.retry_backoff, t.retry_min_gap_ms, t.retry_max_gap_ms, \
     t.overflow, t.priority, t.max_running, t.keep_age_ms, t.keep_count, t.keep_bytes, \
     t.successfull_jobs_count, t.failed_jobs_count, t.cancelled_jobs_count, \
     t.timed_out_jobs_count, t.lost_jobs_count, t.last_ended, t.active \
     FROM runtemplate t JOIN apps a ON a.id = t.app_id JOIN company c ON c.id = t.company_id";

/// Causes of retries, from a JSON array of their names.
fn causes(json: &str) -> Result<Vec<Cause>, sqlx::Error> {
    let names: Vec<String> = serde_json::from_str(json).map_err(jobs::decode)?;
    names.iter().map(|name| name.parse().map_err(jobs::decode)).collect()
}

fn template(row: &AnyRow, definitions: &ById<Definition>) -> Result<RunTemplateRow, StoreError> {
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
        credentials: Vec::new(),
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
    let runs = Runs {
        succeeded: row.try_get(23)?,
        failed: row.try_get(24)?,
        cancelled: row.try_get(25)?,
        timed_out: row.try_get(26)?,
        lost: row.try_get(27)?,
        last_ended: row.try_get(28)?,
    };
    let active = row.try_get::<i64, _>(29)? != 0;
    Ok(RunTemplateRow { template, created: row.try_get(10)?, runs, active })
}

/// The run templates with these ids (a JSON array of one-element arrays), with
/// their variables.
pub(super) async fn by_ids(
    conn: &mut Connection<'_>,
    dialect: super::Dialect,
    known: &Known,
    ids: &[i64],
) -> Result<HashMap<RunTemplateId, RunTemplateRow>, StoreError> {
    let wanted = serde_json::json!(ids.iter().map(|id| [id]).collect::<Vec<_>>()).to_string();
    let chosen = dialect.rows("$1", &[("id", Kind::Int)]);
    let rows =
        sqlx::query(AssertSqlSafe(format!("{COLUMNS} WHERE t.id IN (SELECT r.id FROM {chosen})")))
            .bind(wanted)
            .fetch_all(&mut *conn)
            .await?;
    let mut revisions = HashMap::new();
    for row in &rows {
        revisions.insert(ApplicationId(row.try_get(2)?), row.try_get(4)?);
    }
    let definitions = known.applications.of(&mut *conn, dialect, &revisions).await?;
    let mut templates = HashMap::with_capacity(rows.len());
    for row in &rows {
        let row = template(row, &definitions)?;
        templates.insert(row.template.id, row);
    }
    layers::read(conn, dialect, known, &mut templates).await?;
    Ok(templates)
}

/// Which run templates a list has, and in which order.
#[derive(Clone, Debug, Default)]
pub struct RunTemplateFilter {
    /// Only this company's.
    pub company: Option<CompanyId>,
    /// Only this application's.
    pub application: Option<ApplicationId>,
    /// Only those whose name contains this.
    pub name: String,
    /// Only those with a schedule.
    pub scheduled: bool,
    /// How they are sorted.
    pub sort: Sort,
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
        by_ids(&mut conn, self.dialect, &self.known, &[id.0])
            .await?
            .remove(&id)
            .ok_or(StoreError::NotFound { what: "run template", id: id.0 })
    }

    /// A page of run templates.
    pub async fn run_templates(
        &self,
        filter: &RunTemplateFilter,
        page: &ListPage,
    ) -> Result<Listed<RunTemplateRow>, StoreError> {
        let mut condition = Filter::new(self.dialect);
        if let Some(company) = filter.company {
            condition.with("company_id = ?", company.0);
        }
        if let Some(application) = filter.application {
            condition.with("app_id = ?", application.0);
        }
        if filter.scheduled {
            condition.that("interv <> 'n'");
        }
        condition.contains("name", &filter.name);
        let columns = Columns { id: "id", name: "name", created: "created" };
        let sql = condition.sql(
            "SELECT id, name, created FROM runtemplate",
            columns,
            filter.sort,
            page,
        )?;
        let mut conn = self.readers.acquire().await?;
        let keys = list::fetch(&mut *conn, sql).await?;
        let key = |row: &AnyRow| Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?));
        let keys: Vec<(i64, String, i64)> =
            keys.iter().map(key).collect::<Result<_, sqlx::Error>>()?;
        let keys = page.listed(keys, filter.sort, |(id, name, created)| (*id, name, *created));
        let ids: Vec<i64> = keys.rows.iter().map(|(id, ..)| *id).collect();
        let mut found = by_ids(&mut conn, self.dialect, &self.known, &ids).await?;
        let rows = ids.iter().filter_map(|id| found.remove(&RunTemplateId(*id))).collect();
        Ok(Listed { rows, next: keys.next })
    }
}
