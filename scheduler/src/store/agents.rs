//! Agents that were ever connected.

use std::collections::BTreeMap;

use sqlx::Row as _;

use super::{Change, Page, Store, StoreError, Tx};
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
}

/// Records that an agent has connected; gives a new one its id.
#[derive(Clone, Debug)]
pub struct RegisterAgent {
    /// Its name.
    pub name: String,
    /// How many jobs it runs at once.
    pub slots: i32,
    /// Version of its program.
    pub version: String,
    /// What sets it apart.
    pub labels: BTreeMap<String, String>,
}

impl Change for RegisterAgent {
    type Output = AgentId;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<AgentId, StoreError> {
        let id = sqlx::query_scalar(
            "INSERT INTO agent (name, slots, version, labels, last_seen) \
             VALUES ($1, $2, $3, $4, $5) \
             ON CONFLICT (name) DO UPDATE SET slots = excluded.slots, \
             version = excluded.version, labels = excluded.labels, \
             last_seen = excluded.last_seen RETURNING id",
        )
        .bind(self.name.clone())
        .bind(i64::from(self.slots))
        .bind(self.version.clone())
        .bind(serde_json::json!(self.labels).to_string())
        .bind(tx.now)
        .fetch_one(&mut *tx.conn)
        .await?;
        Ok(AgentId(id))
    }
}

impl Store {
    /// Agents by id.
    pub async fn agents(&self, page: Page) -> Result<Vec<AgentRow>, StoreError> {
        let rows = sqlx::query(
            "SELECT id, name, slots, version, last_seen FROM agent \
             WHERE id > $1 ORDER BY id LIMIT $2",
        )
        .bind(page.after.unwrap_or(0))
        .bind(page.size)
        .fetch_all(&self.readers)
        .await?;
        let agent = |row: &sqlx::any::AnyRow| {
            Ok::<_, sqlx::Error>(AgentRow {
                id: AgentId(row.try_get(0)?),
                name: row.try_get(1)?,
                slots: i32::try_from(row.try_get::<i64, _>(2)?).unwrap_or(i32::MAX),
                version: row.try_get(3)?,
                last_seen: row.try_get(4)?,
            })
        };
        Ok(rows.iter().map(agent).collect::<Result<_, _>>()?)
    }
}
