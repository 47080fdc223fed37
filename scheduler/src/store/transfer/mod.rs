//! Copies a whole database into an empty one of any dialect, and proves that it is the same.

mod rows;

use std::path::Path;

use serde::Serialize;
use sqlx::{AnyConnection, AssertSqlSafe, Connection as _};

use super::{
    Dialect, Exclusive, Location, StoreError, connection::Connection, dialect, schedulers::LEASE,
    schema,
};

/// All tables but `scheduler`, which says who is there now; each after those it refers to.
pub(super) const TABLES: [&str; 22] = [
    "company",
    "companyenv",
    "apps",
    "runtemplate",
    "configuration",
    "credential_type",
    "credentials",
    "credata",
    "runtplcreds",
    "agent",
    "job",
    "setting",
    "attempt",
    "decision",
    "actionconfig",
    "action",
    "log_chunk",
    "artifacts",
    "artifact_part",
    "adopted",
    "schedule_slot",
    "event",
];

/// A table that was transferred.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Transferred {
    /// Its name.
    pub table: &'static str,
    /// How many rows it has, there as here.
    pub rows: u64,
    /// What its rows are in sum, hexadecimal: the same there as here.
    pub fingerprint: String,
}

/// Copies `from` into `to`, which must be empty; `told` hears of each table that is done.
/// All is written or nothing: it is committed when each row was read again and is the same.
///
/// Nobody may use either meanwhile. An SQLite file that a scheduler uses is refused, and so
/// is a database in which a scheduler has written anything.
pub async fn transfer(
    from: &Location,
    to: &Location,
    mut told: impl FnMut(&Transferred),
) -> Result<Vec<Transferred>, StoreError> {
    if from.url == to.url {
        return Err(StoreError::Invalid("a database is not transferred into itself".to_owned()));
    }
    // To open it would make it.
    if Dialect::of(&from.url)? == Dialect::Sqlite && !Path::new(&from.name).is_file() {
        let reason = "there is no such file".to_owned();
        return Err(StoreError::Open { name: from.name.clone(), reason });
    }
    let _exclusive = (Exclusive::take(from)?, Exclusive::take(to)?);
    let mut source = Side::open(from).await?;
    let mut target = Side::open(to).await?;
    schema::require_current(&mut source.connection, source.dialect, from).await?;
    schema::migrate(&mut target.connection, target.dialect, to).await?;

    let mut reading = source.connection.begin_with(source.dialect.begin_snapshot()).await?;
    let mut writing = target.connection.begin_with(target.dialect.begin()).await?;
    let mut here = Connection::new(&mut reading, source.dialect);
    let mut there = Connection::new(&mut writing, target.dialect);
    refuse_schedulers(&mut here, source.dialect, from).await?;
    refuse_schedulers(&mut there, target.dialect, to).await?;
    refuse_rows(&mut there, to).await?;

    let mut done = Vec::new();
    for table in TABLES {
        let columns = rows::columns(&mut here, source.dialect, table).await?;
        if table == "event" {
            // The jobs that were just written have left some.
            sqlx::query("DELETE FROM event").execute(&mut there).await?;
        }
        let copied = rows::copy(&mut here, &mut there, table, &columns)
            .await
            .map_err(|error| failed(table, to, &error))?;
        if columns.iter().any(|(name, _)| name == "id") {
            ids_go_on((&mut here, source.dialect), (&mut there, target.dialect), table).await?;
        }
        let read = rows::read(&mut there, table, &columns).await?;
        if copied != read {
            return Err(StoreError::Refused(format!(
                "the table {table} is not the same in {}: {} rows were written and {} are read; \
                 nothing was kept",
                to.name, copied.rows, read.rows
            )));
        }
        let fingerprint = format!("{:032x}", copied.sum);
        let transferred = Transferred { table, rows: copied.rows, fingerprint };
        told(&transferred);
        done.push(transferred);
    }
    // Agents name the scheduler that they were connected to: no new one may have its id.
    ids_go_on((&mut here, source.dialect), (&mut there, target.dialect), "scheduler").await?;
    writing.commit().await?;
    reading.rollback().await?;
    source.connection.close().await?;
    target.connection.close().await?;
    Ok(done)
}

/// One of the two databases.
struct Side {
    connection: AnyConnection,
    dialect: Dialect,
}

impl Side {
    async fn open(location: &Location) -> Result<Self, StoreError> {
        let dialect = Dialect::of(&location.url)?;
        let connection = dialect::connect(&dialect::options(location)?, dialect).await;
        let connection = connection.map_err(|error| StoreError::open(location, &error))?;
        Ok(Self { connection, dialect })
    }
}

fn failed(table: &str, to: &Location, error: &sqlx::Error) -> StoreError {
    StoreError::Refused(format!(
        "the table {table} cannot be copied into {}: {error}; nothing was kept",
        to.name
    ))
}

/// Who still says that it is there would go on writing.
async fn refuse_schedulers(
    conn: &mut Connection<'_>,
    dialect: Dialect,
    location: &Location,
) -> Result<(), StoreError> {
    // An SQLite file's is known by its lock.
    if !dialect.is_shared() {
        return Ok(());
    }
    let now: i64 = sqlx::query_scalar(dialect.now()).fetch_one(&mut *conn).await?;
    let sql = "SELECT address FROM scheduler WHERE seen >= $1 ORDER BY id LIMIT 1";
    let alive = sqlx::query_scalar::<_, String>(sql).bind(now.saturating_sub(LEASE));
    match alive.fetch_optional(conn).await? {
        None => Ok(()),
        Some(address) => Err(StoreError::Refused(format!(
            "the scheduler at {address} uses {}: stop all its schedulers first",
            location.name
        ))),
    }
}

async fn refuse_rows(conn: &mut Connection<'_>, location: &Location) -> Result<(), StoreError> {
    for table in TABLES {
        let count = AssertSqlSafe(format!("SELECT COUNT(*) FROM {table}"));
        let count: i64 = sqlx::query_scalar(count).fetch_one(&mut *conn).await?;
        if count > 0 {
            return Err(StoreError::Refused(format!(
                "{} is not empty: its table {table} has {count} rows; name an empty database",
                location.name
            )));
        }
    }
    Ok(())
}

/// Makes the ids of a table go on where they are there.
async fn ids_go_on(
    (from, theirs): (&mut Connection<'_>, Dialect),
    (to, ours): (&mut Connection<'_>, Dialect),
    table: &'static str,
) -> Result<(), sqlx::Error> {
    let last = dialect::last_id(from, theirs, table).await?;
    dialect::set_last_id(to, ours, table, last).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::transitions::tests::empty;

    #[tokio::test]
    async fn every_table_is_transferred_after_those_that_it_refers_to() {
        let mut connection = empty().await;
        let sql = "SELECT name FROM sqlite_master WHERE type = 'table' \
                   AND name NOT LIKE '\\_%' ESCAPE '\\' AND name NOT LIKE 'sqlite%' \
                   AND name <> 'scheduler' ORDER BY name";
        let mut names: Vec<String> =
            sqlx::query_scalar(sql).fetch_all(&mut connection).await.unwrap();
        let mut known: Vec<String> = TABLES.map(str::to_owned).into();
        known.sort();
        names.sort();
        assert_eq!(known, names);
        for (index, table) in TABLES.iter().enumerate() {
            let sql = "SELECT \"table\" FROM pragma_foreign_key_list($1)";
            let refers: Vec<String> =
                sqlx::query_scalar(sql).bind(*table).fetch_all(&mut connection).await.unwrap();
            for other in refers {
                assert!(TABLES[..index].contains(&other.as_str()), "{table} refers to {other}");
            }
        }
    }
}
