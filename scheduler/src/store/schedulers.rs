//! The schedulers that use this database now: table `scheduler`. Each renews its row while
//! it lives; one that has not for a while is gone, and so are its connections to agents.

use std::collections::BTreeSet;

use sqlx::{AssertSqlSafe, Row as _};

use super::{
    Change, Dialect, Store, StoreError, Tx,
    connection::Connection,
    dialect::Kind,
    transitions::{KEY, keys_json},
};
use crate::domain::ids::{AgentId, AttemptKey, SchedulerId};

/// A scheduler that does not renew its row for so long is gone, in microseconds.
pub(super) const LEASE: i64 = 10_000_000;

/// A scheduler.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchedulerRow {
    /// Its id: another each time that it is started.
    pub id: SchedulerId,
    /// Where the others reach it: a URL.
    pub address: String,
}

/// Makes this scheduler known in the database; on SQLite, which has one, in place of those
/// before.
pub(super) async fn enter(
    conn: &mut Connection<'_>,
    dialect: Dialect,
) -> Result<SchedulerId, sqlx::Error> {
    if !dialect.is_shared() {
        sqlx::query("DELETE FROM scheduler").execute(&mut *conn).await?;
    }
    let now: i64 = sqlx::query_scalar(dialect.now()).fetch_one(&mut *conn).await?;
    let id: i64 =
        sqlx::query_scalar("INSERT INTO scheduler (address, seen) VALUES ('', $1) RETURNING id")
            .bind(now)
            .fetch_one(&mut *conn)
            .await?;
    Ok(SchedulerId(id))
}

/// Renews this scheduler's row.
#[derive(Clone, Debug)]
pub struct KeepAlive {
    /// Where the others reach it. One that was here before is gone: two cannot listen at
    /// one address.
    pub address: String,
}

/// Who else there is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Alive {
    /// The other schedulers.
    pub others: Vec<SchedulerRow>,
    /// Some have gone.
    pub some_gone: bool,
    /// This one was taken for gone: it was away for too long.
    pub was_gone: bool,
}

impl Change for KeepAlive {
    type Output = Alive;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Alive, StoreError> {
        let me = tx.known.me.0;
        let gone =
            sqlx::query("DELETE FROM scheduler WHERE id <> $1 AND (seen < $2 OR address = $3)")
                .bind(me)
                .bind(tx.now.saturating_sub(LEASE))
                .bind(self.address.clone())
                .execute(&mut *tx.conn)
                .await?;
        let renewed = sqlx::query("UPDATE scheduler SET seen = $1, address = $2 WHERE id = $3")
            .bind(tx.now)
            .bind(self.address.clone())
            .bind(me)
            .execute(&mut *tx.conn)
            .await?;
        let was_gone = renewed.rows_affected() == 0;
        if was_gone {
            sqlx::query("INSERT INTO scheduler (id, address, seen) VALUES ($1, $2, $3)")
                .bind(me)
                .bind(self.address.clone())
                .bind(tx.now)
                .execute(&mut *tx.conn)
                .await?;
        }
        let rows = sqlx::query(
            "SELECT id, address FROM scheduler WHERE id <> $1 AND address <> '' ORDER BY id",
        )
        .bind(me)
        .fetch_all(&mut *tx.conn)
        .await?;
        let other = |row: &sqlx::any::AnyRow| {
            Ok::<_, sqlx::Error>(SchedulerRow {
                id: SchedulerId(row.try_get(0)?),
                address: row.try_get(1)?,
            })
        };
        let others = rows.iter().map(other).collect::<Result<_, _>>()?;
        Ok(Alive { others, some_gone: gone.rows_affected() > 0, was_gone })
    }
}

/// This scheduler goes: its row is removed.
#[derive(Clone, Copy, Debug)]
pub struct Leave;

impl Change for Leave {
    type Output = ();

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        let leave = sqlx::query("DELETE FROM scheduler WHERE id = $1").bind(tx.known.me.0);
        leave.execute(&mut *tx.conn).await?;
        Ok(())
    }
}

/// Whether an agent was connected to this scheduler last. It stays so while the transaction
/// lasts: what a scheduler has of an attempt is worth nothing once its agent has connected to
/// another.
pub(super) async fn is_here(tx: &mut Tx<'_>, agent: AgentId) -> Result<bool, StoreError> {
    Ok(are_here(tx, &[agent]).await? == [true])
}

/// The same of several agents. A database of one scheduler is not even asked, nor is one
/// asked twice in a transaction.
pub(super) async fn are_here(tx: &mut Tx<'_>, agents: &[AgentId]) -> Result<Vec<bool>, StoreError> {
    if !tx.dialect.is_shared() {
        return Ok(vec![true; agents.len()]);
    }
    let unknown: BTreeSet<[i64; 1]> =
        agents.iter().filter(|agent| !tx.here.contains(agent)).map(|agent| [agent.0]).collect();
    if !unknown.is_empty() {
        let sql = format!(
            "SELECT a.id FROM {} JOIN agent a ON a.id = r.k_agent WHERE a.scheduler_id = $2 \
             ORDER BY a.id {}",
            tx.dialect.rows("$1", &[("k_agent", Kind::Int)]),
            tx.dialect.share("a")
        );
        let here: Vec<i64> = sqlx::query_scalar(AssertSqlSafe(sql))
            .bind(serde_json::json!(unknown).to_string())
            .bind(tx.known.me.0)
            .fetch_all(&mut *tx.conn)
            .await?;
        tx.here.extend(here.into_iter().map(AgentId));
    }
    Ok(agents.iter().map(|agent| tx.here.contains(agent)).collect())
}

/// Whether a scheduler is there.
pub(super) async fn is_alive(tx: &mut Tx<'_>, scheduler: i64) -> Result<bool, StoreError> {
    let row = sqlx::query("SELECT id FROM scheduler WHERE id = $1").bind(scheduler);
    Ok(row.fetch_optional(&mut *tx.conn).await?.is_some())
}

/// Refuses an attempt whose agent was connected to another scheduler last.
pub(super) async fn held(tx: &mut Tx<'_>, key: AttemptKey) -> Result<(), StoreError> {
    if !tx.dialect.is_shared() {
        return Ok(());
    }
    let agent = sqlx::query_scalar(
        "SELECT agent_id FROM attempt WHERE job_id = $1 AND number = $2 AND fence = $3",
    )
    .bind(key.job.0)
    .bind(i64::from(key.number))
    .bind(key.fence.0)
    .fetch_optional(&mut *tx.conn)
    .await?;
    match agent {
        Some(agent) if is_here(tx, AgentId(agent)).await? => Ok(()),
        _ => Err(StoreError::Refused(format!("{key} is not known here"))),
    }
}

/// How much an agent has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentLoad {
    /// The agent.
    pub id: AgentId,
    /// Its name.
    pub name: String,
    /// How many jobs it runs at once.
    pub slots: i64,
    /// How many it has.
    pub busy: i64,
}

/// An agent that is connected to a scheduler which is there.
const CONNECTED: &str = "a.connected = 1 AND a.scheduler_id IN (SELECT s.id FROM scheduler s)";

impl Store {
    /// This scheduler.
    pub fn me(&self) -> SchedulerId {
        self.known.me
    }

    /// The agents that are connected to any scheduler, by name, each with what it has.
    pub async fn connected_agents(&self) -> Result<Vec<AgentLoad>, StoreError> {
        let sql = format!(
            "SELECT a.id, a.name, a.slots, (SELECT COUNT(*) FROM attempt n \
             WHERE n.agent_id = a.id AND n.state IN {}) FROM agent a WHERE {CONNECTED} \
             ORDER BY a.name",
            super::transitions::list(&crate::domain::job::State::ON_AGENT)
        );
        let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(&self.readers).await?;
        let load = |row: &sqlx::any::AnyRow| {
            let (slots, has): (i64, i64) = (row.try_get(2)?, row.try_get(3)?);
            Ok::<_, sqlx::Error>(AgentLoad {
                id: AgentId(row.try_get(0)?),
                name: row.try_get(1)?,
                slots,
                // What it is offered ahead waits.
                busy: has.min(slots),
            })
        };
        Ok(rows.iter().map(load).collect::<Result<_, _>>()?)
    }

    /// Those attempts whose agent was connected to another scheduler last.
    pub async fn held_elsewhere(&self, keys: &[AttemptKey]) -> Result<Vec<AttemptKey>, StoreError> {
        let sql = format!(
            "SELECT r.k_job, r.k_attempt, r.k_fence FROM {} \
             JOIN attempt n ON n.job_id = r.k_job AND n.number = r.k_attempt \
             AND n.fence = r.k_fence JOIN agent a ON a.id = n.agent_id WHERE a.scheduler_id <> $2",
            self.dialect.rows("$1", &KEY)
        );
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(keys_json(keys))
            .bind(self.known.me.0)
            .fetch_all(&self.readers)
            .await?;
        Ok(rows.iter().map(super::transitions::key).collect::<Result<_, _>>()?)
    }

    /// Where the scheduler is to which an attempt's agent is connected, if that is another
    /// than this one.
    pub async fn elsewhere(&self, key: AttemptKey) -> Result<Option<String>, StoreError> {
        if !self.dialect.is_shared() {
            return Ok(None);
        }
        let address = sqlx::query_scalar(
            "SELECT s.address FROM attempt n JOIN agent a ON a.id = n.agent_id \
             JOIN scheduler s ON s.id = a.scheduler_id WHERE n.job_id = $1 AND n.number = $2 \
             AND n.fence = $3 AND a.connected = 1 AND s.id <> $4 AND s.address <> ''",
        )
        .bind(key.job.0)
        .bind(i64::from(key.number))
        .bind(key.fence.0)
        .bind(self.known.me.0)
        .fetch_optional(&self.readers)
        .await?;
        Ok(address)
    }
}
