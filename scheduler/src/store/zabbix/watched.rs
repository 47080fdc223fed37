//! What there is to watch: run templates with their companies and actions, and agents.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use sqlx::{AssertSqlSafe, Row as _, any::AnyRow};

use crate::{
    domain::{
        action::Mode,
        application::Definition,
        ids::{ApplicationId, CompanyId, RunTemplateId},
        schedule::Interval,
    },
    store::{Store, StoreError, actions, dialect::Kind, jobs, variables},
};

/// A run template, as Zabbix knows it.
#[derive(Clone, Debug, PartialEq)]
pub struct Watched {
    /// Its id.
    pub id: RunTemplateId,
    /// Its name.
    pub name: String,
    /// Whether jobs can be made of it.
    pub active: bool,
    /// Its application and that one's name.
    pub application: (ApplicationId, String),
    /// What the application says of itself.
    pub definition: Arc<Definition>,
    /// Its company.
    pub company: WatchedCompany,
    /// How often its jobs start by themselves.
    pub interval: Interval,
    /// The expression of its schedule, if that has one.
    pub cron: String,
    /// Whether its schedule has a slot that is to come.
    pub scheduled: bool,
}

/// A company, as Zabbix knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchedCompany {
    /// Its id.
    pub id: CompanyId,
    /// Its name.
    pub name: String,
    /// Its short name; empty if it has none.
    pub code: String,
    /// The host in Zabbix that gets what is told of its jobs; none for the scheduler's.
    pub host: Option<String>,
}

/// An action of a run template, as Zabbix knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchedAction {
    /// The run template.
    pub run_template: RunTemplateId,
    /// What kind it is of.
    pub kind: String,
    /// Whether it follows some successes, and some failures.
    pub follows: [bool; 2],
    /// The key of the item that it is told to write, if it is told one.
    pub key: Option<String>,
}

const WATCHED: &str = "SELECT t.id, t.name, t.active, t.app_id, a.name, a.revision, c.id, c.name, \
     c.slug, c.zabbix_host, t.interv, t.cron, \
     CASE WHEN t.next_schedule IS NULL THEN 0 ELSE 1 END FROM runtemplate t JOIN apps a ON a.id = t.app_id \
     JOIN company c ON c.id = t.company_id";

impl Store {
    /// Those of these run templates that are there.
    pub async fn watched_of(
        &self,
        ids: &[i64],
    ) -> Result<HashMap<RunTemplateId, Arc<Watched>>, StoreError> {
        let ids: BTreeSet<i64> = ids.iter().copied().collect();
        let ids: Vec<[i64; 1]> = ids.into_iter().map(|id| [id]).collect();
        let chosen = self.dialect.rows("$1", &[("id", Kind::Int)]);
        let sql = format!("{WATCHED} WHERE t.id IN (SELECT r.id FROM {chosen})");
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(serde_json::json!(ids).to_string())
            .fetch_all(&self.readers)
            .await?;
        let watched = self.watched_rows(&rows).await?;
        Ok(watched.into_iter().map(|row| (row.id, Arc::new(row))).collect())
    }

    async fn watched_rows(&self, rows: &[AnyRow]) -> Result<Vec<Watched>, StoreError> {
        let definitions = self.definitions_of(rows, [3, 5]).await?;
        let watched = |row: &AnyRow| {
            let application = ApplicationId(row.try_get(3)?);
            let definition = definitions
                .get(&application)
                .ok_or(StoreError::NotFound { what: "application", id: application.0 })?;
            Ok(Watched {
                id: RunTemplateId(row.try_get(0)?),
                name: row.try_get(1)?,
                active: row.try_get::<i64, _>(2)? != 0,
                application: (application, row.try_get(4)?),
                definition: Arc::clone(definition),
                company: company(row, 6)?,
                interval: row.try_get::<String, _>(10)?.parse().map_err(jobs::decode)?,
                cron: row.try_get(11)?,
                scheduled: row.try_get::<i64, _>(12)? != 0,
            })
        };
        rows.iter().map(watched).collect()
    }

    /// All run templates, by id.
    pub async fn watched(&self) -> Result<Vec<Watched>, StoreError> {
        let sql = format!("{WATCHED} ORDER BY t.id");
        let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(&self.readers).await?;
        self.watched_rows(&rows).await
    }

    /// All companies, by id.
    pub async fn watched_companies(&self) -> Result<Vec<WatchedCompany>, StoreError> {
        let sql = "SELECT id, name, slug, zabbix_host FROM company ORDER BY id";
        let rows = sqlx::query(sql).fetch_all(&self.readers).await?;
        Ok(rows.iter().map(|row| company(row, 0)).collect::<Result<_, _>>()?)
    }

    /// The actions of all run templates, in their order.
    pub async fn watched_actions(&self) -> Result<Vec<WatchedAction>, StoreError> {
        let sql = format!(
            "SELECT t.id, c.module, c.mode, c.configuration FROM actionconfig c \
             JOIN runtemplate t ON t.id = c.runtemplate_id OR ({}) \
             ORDER BY t.id, c.position, c.id",
            actions::companys_follows()
        );
        let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(&self.readers).await?;
        let action = |row: &AnyRow| {
            let mode: String = row.try_get(2)?;
            let mut settings =
                variables::from_json(&row.try_get::<String, _>(3)?, &self.known.vault)?;
            Ok(WatchedAction {
                run_template: RunTemplateId(row.try_get(0)?),
                kind: row.try_get(1)?,
                follows: [Mode::Fail, Mode::Success].map(|other| mode != other.name()),
                key: settings.values.remove("key").filter(|key| !key.is_empty()),
            })
        };
        rows.iter().map(action).collect()
    }

    /// Ids and names of all agents that were ever connected, by id.
    pub async fn watched_agents(&self) -> Result<Vec<(i64, String)>, StoreError> {
        let rows =
            sqlx::query("SELECT id, name FROM agent ORDER BY id").fetch_all(&self.readers).await?;
        let agent = |row: &AnyRow| Ok::<_, sqlx::Error>((row.try_get(0)?, row.try_get(1)?));
        Ok(rows.iter().map(agent).collect::<Result<_, _>>()?)
    }
}

fn company(row: &AnyRow, first: usize) -> Result<WatchedCompany, sqlx::Error> {
    Ok(WatchedCompany {
        id: CompanyId(row.try_get(first)?),
        name: row.try_get(first + 1)?,
        code: row.try_get::<Option<String>, _>(first + 2)?.unwrap_or_default(),
        host: row.try_get(first + 3)?,
    })
}
