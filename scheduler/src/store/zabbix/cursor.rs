//! How far Zabbix has been told, and which scheduler tells it.

use std::{fmt, str::FromStr};

use sqlx::AssertSqlSafe;

use crate::{
    domain::ids::SchedulerId,
    store::{Change, Store, StoreError, Tx, jobs, schedulers},
};

/// The setting whose value is how far Zabbix has been told.
const CURSOR: &str = "zabbix_cursor";

/// The setting whose value is the scheduler that tells it.
const SENDER: &str = "zabbix_sender";

/// How far Zabbix has been told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ZabbixCursor {
    /// The last event that it knows.
    pub event: i64,
    /// The time that event was given there, in nanoseconds since the Unix epoch: no two have
    /// the same, and one that is sent again has the time of before.
    pub stamp: i64,
}

impl fmt::Display for ZabbixCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.event, self.stamp)
    }
}

impl FromStr for ZabbixCursor {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let read =
            text.split_once(' ').and_then(|(event, stamp)| Some((event.parse().ok()?, stamp)));
        let read = read.and_then(|(event, stamp)| Some(Self { event, stamp: stamp.parse().ok()? }));
        read.ok_or_else(|| format!("{text:?} is no place among the events"))
    }
}

/// Makes this scheduler the one that tells Zabbix, unless another one does that lives. Where
/// nothing was ever told, it begins with now.
#[derive(Clone, Copy, Debug)]
pub struct TakeZabbix;

impl Change for TakeZabbix {
    /// How far it was told; none if another scheduler tells it.
    type Output = Option<ZabbixCursor>;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Option<ZabbixCursor>, StoreError> {
        let me = tx.known.me.0;
        match sender(tx).await? {
            Some(other) if other != me && schedulers::is_alive(tx, other).await? => {
                return Ok(None);
            }
            Some(_) => {
                let update = "UPDATE setting SET value = $2, changed = $3 WHERE name = $1";
                put(tx, update, SENDER, me.to_string()).await?;
            }
            None => {
                let insert = "INSERT INTO setting (name, value, changed) VALUES ($1, $2, $3) \
                              ON CONFLICT (name) DO NOTHING";
                if put(tx, insert, SENDER, me.to_string()).await? == 0 {
                    return Ok(None);
                }
            }
        }
        if let Some(cursor) = told(tx).await? {
            return Ok(Some(cursor));
        }
        let newest: Option<i64> =
            sqlx::query_scalar("SELECT MAX(id) FROM event").fetch_one(&mut *tx.conn).await?;
        let cursor = ZabbixCursor { event: newest.unwrap_or(0), stamp: 0 };
        let insert = "INSERT INTO setting (name, value, changed) VALUES ($1, $2, $3)";
        put(tx, insert, CURSOR, cursor.to_string()).await?;
        Ok(Some(cursor))
    }
}

/// Records how far Zabbix has been told; false if another scheduler tells it now.
#[derive(Clone, Copy, Debug)]
pub struct AdvanceZabbix(pub ZabbixCursor);

impl Change for AdvanceZabbix {
    type Output = bool;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<bool, StoreError> {
        if sender(tx).await? != Some(tx.known.me.0) {
            return Ok(false);
        }
        let update = "UPDATE setting SET value = $2, changed = $3 WHERE name = $1";
        put(tx, update, CURSOR, self.0.to_string()).await?;
        Ok(true)
    }
}

/// Zabbix is not told any more: how far it was is forgotten, unless another scheduler tells it.
#[derive(Clone, Copy, Debug)]
pub struct ForgetZabbix;

impl Change for ForgetZabbix {
    type Output = ();

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        let me = tx.known.me.0;
        match sender(tx).await? {
            Some(other) if other != me && schedulers::is_alive(tx, other).await? => {}
            _ => {
                sqlx::query("DELETE FROM setting WHERE name IN ($1, $2)")
                    .bind(CURSOR)
                    .bind(SENDER)
                    .execute(&mut *tx.conn)
                    .await?;
            }
        }
        Ok(())
    }
}

/// The scheduler that tells Zabbix; its row is locked.
async fn sender(tx: &mut Tx<'_>) -> Result<Option<i64>, StoreError> {
    let sql = format!("SELECT value FROM setting WHERE name = $1 {}", tx.dialect.lock_rows());
    let value: Option<String> =
        sqlx::query_scalar(AssertSqlSafe(sql)).bind(SENDER).fetch_optional(&mut *tx.conn).await?;
    Ok(value.and_then(|id| id.parse().ok()))
}

/// How far Zabbix has been told; none if it is told nothing.
pub(in crate::store) async fn told(tx: &mut Tx<'_>) -> Result<Option<ZabbixCursor>, StoreError> {
    let value: Option<String> = sqlx::query_scalar("SELECT value FROM setting WHERE name = $1")
        .bind(CURSOR)
        .fetch_optional(&mut *tx.conn)
        .await?;
    Ok(value.map(|value| value.parse().map_err(|error: String| jobs::decode(error))).transpose()?)
}

async fn put(
    tx: &mut Tx<'_>,
    sql: &'static str,
    name: &'static str,
    value: String,
) -> Result<u64, StoreError> {
    let put = sqlx::query(sql).bind(name).bind(value).bind(tx.now);
    Ok(put.execute(&mut *tx.conn).await?.rows_affected())
}

/// How far Zabbix has been told, for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ZabbixProgress {
    /// The last event that it knows; none if it is told nothing.
    pub cursor: Option<i64>,
    /// The newest event.
    pub newest: i64,
    /// When the first event happened that it does not know.
    pub oldest: Option<i64>,
    /// The scheduler that tells it, and where the others reach that.
    pub sender: Option<(SchedulerId, String)>,
}

impl Store {
    /// How far Zabbix has been told.
    pub async fn zabbix_progress(&self) -> Result<ZabbixProgress, StoreError> {
        let value = "SELECT value FROM setting WHERE name = $1";
        let cursor: Option<String> =
            sqlx::query_scalar(value).bind(CURSOR).fetch_optional(&self.readers).await?;
        let cursor = cursor.and_then(|cursor| cursor.parse().ok());
        let cursor = cursor.map(|cursor: ZabbixCursor| cursor.event);
        let oldest = sqlx::query_scalar("SELECT at FROM event WHERE id > $1 ORDER BY id LIMIT 1")
            .bind(cursor.unwrap_or(i64::MAX))
            .fetch_optional(&self.readers)
            .await?;
        let sender: Option<String> =
            sqlx::query_scalar(value).bind(SENDER).fetch_optional(&self.readers).await?;
        let sender = match sender.and_then(|id| id.parse::<i64>().ok()) {
            None => None,
            Some(id) => {
                let address: Option<String> =
                    sqlx::query_scalar("SELECT address FROM scheduler WHERE id = $1")
                        .bind(id)
                        .fetch_optional(&self.readers)
                        .await?;
                address.map(|address| (SchedulerId(id), address))
            }
        };
        Ok(ZabbixProgress { cursor, newest: self.last_event().await?, oldest, sender })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_as_it_was_written() {
        let cursor = ZabbixCursor { event: 7, stamp: 1_700_000_000_123_456_789 };
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
        assert!("7".parse::<ZabbixCursor>().unwrap_err().contains("\"7\""));
    }
}
