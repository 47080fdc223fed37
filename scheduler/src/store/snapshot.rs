//! Copies of an SQLite file: one that is made while it is used, and one that is gone back to.

use std::path::Path;

use sqlx::{AnyConnection, AssertSqlSafe, Connection as _};

use super::{Dialect, Location, StoreError, connection::Connection, dialect, schema, transitions};
use crate::domain::job::State;

/// How far the ids of jobs leap when a database goes back to a copy: jobs that were created
/// since may still be on agents, and no new one may be taken for one of them.
const LEAP: i64 = 1_000_000;

/// How far the fences of jobs that have not ended leap, and those of their attempts. No agent
/// has an attempt under such a fence: it ends what it runs, as it may have removed output that
/// the copy does not have, and the attempt is lost; what waited may have run since.
const FENCES: i64 = 1_000;

/// Writes all of the database of one moment into a new file; who uses it goes on.
pub async fn snapshot(location: &Location, to: &Path) -> Result<(), StoreError> {
    let mut connection = open(location).await?;
    schema::require_current(&mut connection, Dialect::Sqlite, location).await?;
    let file = to.to_str().ok_or_else(|| {
        StoreError::Invalid(format!("{}: SQLite needs a name that is text", to.display()))
    })?;
    sqlx::query("VACUUM INTO $1").bind(file).execute(&mut connection).await?;
    Ok(connection.close().await?)
}

/// Refuses a file that is damaged or whose schema this program does not know.
pub async fn check(location: &Location) -> Result<(), StoreError> {
    let damaged = |reason| StoreError::Open { name: location.name.clone(), reason };
    schema::lacks(location).await.and_then(|lacks| match lacks.from {
        0 => Err(damaged("it is no database of this program".to_owned())),
        _ => Ok(()),
    })?;
    let mut connection = open(location).await?;
    let said: Vec<String> = sqlx::query_scalar("PRAGMA integrity_check(1)")
        .fetch_all(&mut connection)
        .await
        .map_err(|error| StoreError::open(location, &error))?;
    connection.close().await?;
    match said.first().map(String::as_str) {
        Some("ok") => Ok(()),
        said => {
            let lines: Vec<&str> = said.unwrap_or("it says nothing").lines().collect();
            Err(damaged(format!("it is damaged: {}", lines.join(" "))))
        }
    }
}

/// Makes a copy fit to go on from: what agents did since it was made is never taken for what
/// they do from now on.
pub async fn go_on_from(location: &Location) -> Result<(), StoreError> {
    let mut connection = open(location).await?;
    let mut tx = connection.begin_with(Dialect::Sqlite.begin()).await?;
    let mut conn = Connection::new(&mut tx, Dialect::Sqlite);
    let last = dialect::last_id(&mut conn, Dialect::Sqlite, "job").await?;
    dialect::set_last_id(&mut conn, Dialect::Sqlite, "job", last + LEAP).await?;
    let open: Vec<State> = State::ALL.into_iter().filter(|state| !state.is_terminal()).collect();
    for table in ["job", "attempt"] {
        let states = transitions::list(&open);
        let sql = format!("UPDATE {table} SET fence = fence + $1 WHERE state IN {states}");
        sqlx::query(AssertSqlSafe(sql)).bind(FENCES).execute(&mut *tx).await?;
    }
    tx.commit().await?;
    Ok(connection.close().await?)
}

async fn open(location: &Location) -> Result<AnyConnection, StoreError> {
    let connected = dialect::connect(&dialect::options(location)?, Dialect::Sqlite).await;
    connected.map_err(|error| StoreError::open(location, &error))
}
