//! Agents that were ever connected.

use std::collections::BTreeMap;

use sqlx::{AssertSqlSafe, Row as _, any::AnyRow};

use super::{
    Change, Missing, Store, StoreError, Tx,
    dialect::Kind,
    jobs,
    list::{self, Columns, Filter, ListPage, Listed, Sort},
    schedulers,
};
use crate::domain::ids::AgentId;

/// An agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentRow {
    /// Its id.
    pub id: AgentId,
    /// Its name.
    pub name: String,
    /// How many jobs it runs at once.
    pub slots: i32,
    /// Version of its program.
    pub version: String,
    /// When it was last heard of.
    pub last_seen: i64,
    /// What sets it apart.
    pub labels: BTreeMap<String, String>,
}

/// Records that an agent has connected; gives a new one its id. One whose name another has
/// that is connected to another scheduler is refused.
#[derive(Clone, Debug)]
pub struct RegisterAgent {
    /// Its name.
    pub name: String,
    /// Tells it from another agent that was given the same name.
    pub instance: String,
    /// Tells the time since its host was booted from the time before.
    pub boot: String,
    /// How many jobs it runs at once.
    pub slots: i32,
    /// Version of its program.
    pub version: String,
    /// What sets it apart.
    pub labels: BTreeMap<String, String>,
}

/// An agent that was registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Registered {
    /// Its id.
    pub id: AgentId,
    /// What it means that it does not hold an attempt that it should.
    pub missing: Missing,
    /// It was connected to another scheduler last: what this one remembers of its attempts
    /// is old.
    pub moved: bool,
}

impl Change for RegisterAgent {
    type Output = Registered;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Registered, StoreError> {
        let sql = format!(
            "SELECT instance, boot, scheduler_id, connected FROM agent WHERE name = $1 {}",
            tx.dialect.lock_rows()
        );
        let before = sqlx::query(AssertSqlSafe(sql))
            .bind(self.name.clone())
            .fetch_optional(&mut *tx.conn)
            .await?;
        let me = tx.known.me.0;
        let moved = match &before {
            Some(row) => row.try_get::<i64, _>(2)? != me,
            None => false,
        };
        let another = match &before {
            Some(row) => row.try_get::<String, _>(0)? != self.instance,
            None => false,
        };
        if let Some(row) = before.as_ref().filter(|_| another && moved)
            && row.try_get::<i64, _>(3)? == 1
            && schedulers::is_alive(tx, row.try_get(2)?).await?
        {
            return Err(StoreError::AlreadyExists { what: "agent", name: self.name.clone() });
        }
        let missing = match before {
            Some(_) if another => Missing::Unknown,
            Some(row) if row.try_get::<String, _>(1)? != self.boot => Missing::Gone,
            _ => Missing::NeverLaunched,
        };
        let id = sqlx::query_scalar(
            "INSERT INTO agent (name, instance, boot, slots, version, labels, last_seen, \
             scheduler_id, connected) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 1) \
             ON CONFLICT (name) DO UPDATE SET instance = excluded.instance, \
             boot = excluded.boot, slots = excluded.slots, version = excluded.version, \
             labels = excluded.labels, last_seen = excluded.last_seen, \
             scheduler_id = excluded.scheduler_id, connected = 1 RETURNING id",
        )
        .bind(self.name.clone())
        .bind(self.instance.clone())
        .bind(self.boot.clone())
        .bind(i64::from(self.slots))
        .bind(self.version.clone())
        .bind(serde_json::json!(self.labels).to_string())
        .bind(tx.now)
        .bind(me)
        .fetch_one(&mut *tx.conn)
        .await?;
        Ok(Registered { id: AgentId(id), missing, moved })
    }
}

/// Which agents a list has, and in which order.
#[derive(Clone, Debug, Default)]
pub struct AgentFilter {
    /// Only these agents, or all but these.
    pub among: Option<(bool, Vec<AgentId>)>,
    /// Only those with all these labels, of these values if they are given.
    pub labels: Vec<(String, Option<String>)>,
    /// How they are sorted.
    pub sort: Sort,
}

const COLUMNS: &str = "SELECT id, name, slots, version, last_seen, labels FROM agent";

fn agent(row: &AnyRow) -> Result<AgentRow, sqlx::Error> {
    Ok(AgentRow {
        id: AgentId(row.try_get(0)?),
        name: row.try_get(1)?,
        slots: i32::try_from(row.try_get::<i64, _>(2)?).unwrap_or(i32::MAX),
        version: row.try_get(3)?,
        last_seen: row.try_get(4)?,
        labels: serde_json::from_str(&row.try_get::<String, _>(5)?).map_err(jobs::decode)?,
    })
}

impl Store {
    /// The agent of this name, if there was ever one.
    pub async fn agent_id(&self, name: &str) -> Result<Option<AgentId>, StoreError> {
        let id: Option<i64> = sqlx::query_scalar("SELECT id FROM agent WHERE name = $1")
            .bind(name.to_owned())
            .fetch_optional(&self.readers)
            .await?;
        Ok(id.map(AgentId))
    }

    /// A page of agents.
    pub async fn agents(
        &self,
        filter: &AgentFilter,
        page: &ListPage,
    ) -> Result<Listed<AgentRow>, StoreError> {
        let mut condition = Filter::new(self.dialect);
        if let Some((among, ids)) = &filter.among {
            let ids: Vec<[i64; 1]> = ids.iter().map(|id| [id.0]).collect();
            let chosen = self.dialect.rows("?", &[("id", Kind::Int)]);
            let is = if *among { "IN" } else { "NOT IN" };
            let is = format!("id {is} (SELECT r.id FROM {chosen})");
            condition.with(&is, serde_json::json!(ids).to_string().as_str());
        }
        for (name, value) in &filter.labels {
            match value {
                None => {
                    let label = self.dialect.label("labels", "?");
                    condition.with(&format!("{label} IS NOT NULL"), name.as_str());
                }
                Some(value) => {
                    let name = condition.parameter(name.as_str());
                    let label = self.dialect.label("labels", &name);
                    condition.with(&format!("{label} = ?"), value.as_str());
                }
            }
        }
        let columns = Columns { id: "id", name: "name", created: "last_seen" };
        let sql = condition.sql(COLUMNS, columns, filter.sort, page)?;
        let rows = list::fetch(&self.readers, sql).await?;
        let rows = rows.iter().map(agent).collect::<Result<_, _>>()?;
        Ok(page.listed(rows, filter.sort, |row: &AgentRow| (row.id.0, &row.name, row.last_seen)))
    }
}
