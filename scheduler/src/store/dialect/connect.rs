//! Connections: told their settings, and refused where the server is too old.

use std::{fs::OpenOptions, io, os::unix::fs::OpenOptionsExt as _, time::Duration};

use sqlx::{AnyConnection, ConnectOptions as _, Executor as _, any::AnyConnectOptions};

use super::Dialect;
use crate::store::{Location, StoreError};

/// How long a server may take to let somebody in: beyond it, it is away.
pub(in crate::store) const PATIENCE: Duration = Duration::from_secs(10);

/// The oldest PostgreSQL that this program is tested with.
const OLDEST_POSTGRES: i64 = 15;

/// The oldest MariaDB that this program is tested with.
const OLDEST_MARIADB: (i64, i64) = (10, 11);

/// The first MySQL that knows all that our statements say.
const OLDEST_MYSQL: (i64, i64) = (8, 0);

/// Refuses a server that is too old.
pub(in crate::store) async fn require_version(
    connection: &mut AnyConnection,
    dialect: Dialect,
    location: &Location,
) -> Result<(), StoreError> {
    let too_old = match dialect {
        Dialect::Sqlite => return Ok(()),
        Dialect::Postgres => {
            let version = "SELECT CAST(current_setting('server_version_num') AS BIGINT) / 10000";
            postgres_too_old(sqlx::query_scalar(version).fetch_one(connection).await?)
        }
        Dialect::Mysql => {
            let version: String =
                sqlx::query_scalar("SELECT VERSION()").fetch_one(connection).await?;
            mysql_too_old(&version)
        }
    };
    match too_old {
        None => Ok(()),
        Some(reason) => Err(StoreError::Open { name: location.name.clone(), reason }),
    }
}

fn postgres_too_old(version: i64) -> Option<String> {
    (version < OLDEST_POSTGRES).then(|| {
        format!("its server is PostgreSQL {version}: {OLDEST_POSTGRES} or newer is needed")
    })
}

/// `version` is the server's own word, such as 10.11.6-MariaDB-1 or 8.0.36.
fn mysql_too_old(version: &str) -> Option<String> {
    let (name, oldest) = match version.contains("MariaDB") {
        true => ("MariaDB", OLDEST_MARIADB),
        false => ("MySQL", OLDEST_MYSQL),
    };
    let mut numbers = version.split(['.', '-']).map(|number| number.parse().unwrap_or(0));
    let is_old = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) < oldest;
    let (major, minor) = oldest;
    is_old.then(|| format!("its server is {name} {version}: {major}.{minor} or newer is needed"))
}

/// How a database is connected to. Its statements are not logged: those of a migration are
/// long, and take long.
pub(in crate::store) fn options(location: &Location) -> Result<AnyConnectOptions, StoreError> {
    sqlx::any::install_default_drivers();
    let options = location.url.parse::<AnyConnectOptions>();
    let options = options.map_err(|error| StoreError::open(location, &error))?;
    Ok(options.disable_statement_logging())
}

/// Makes the file of a new database for its own user alone; SQLite gives what lies beside it
/// the same permissions. What keeps it from being made, SQLite says when it opens it.
pub(in crate::store) fn make_private(location: &Location, dialect: Dialect) {
    if dialect == Dialect::Sqlite {
        let mut new = OpenOptions::new();
        let _ = new.write(true).create_new(true).mode(0o600).open(&location.name);
    }
}

/// What a server is asked first, for as long as it may take to let somebody in: one that
/// takes connections and says nothing would be waited for for ever.
pub(crate) async fn in_time<T>(
    asked: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    let silent = |_| {
        let said = format!("it says nothing for {} s", PATIENCE.as_secs());
        sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, said))
    };
    tokio::time::timeout(PATIENCE, asked).await.map_err(silent)?
}

/// A connection that was told nothing.
pub(in crate::store) async fn reach(
    options: &AnyConnectOptions,
) -> Result<AnyConnection, sqlx::Error> {
    in_time(options.connect()).await
}

/// A connection with its settings.
pub(in crate::store) async fn connect(
    options: &AnyConnectOptions,
    dialect: Dialect,
) -> Result<AnyConnection, sqlx::Error> {
    let mut connection = reach(options).await?;
    prepare(&mut connection, dialect).await?;
    Ok(connection)
}

/// A connection with its settings, on which changes are made.
pub(in crate::store) async fn connect_writer(
    options: &AnyConnectOptions,
    dialect: Dialect,
) -> Result<AnyConnection, sqlx::Error> {
    let mut connection = connect(options, dialect).await?;
    prepare_writer(&mut connection, dialect).await?;
    Ok(connection)
}

/// Tells a connection what it needs besides to make changes.
pub(in crate::store) async fn prepare_writer(
    connection: &mut AnyConnection,
    dialect: Dialect,
) -> Result<(), sqlx::Error> {
    if let Some(settings) = dialect.settings_of_writer() {
        connection.execute(settings).await?;
    }
    Ok(())
}

/// Tells a new connection its settings.
pub(in crate::store) async fn prepare(
    connection: &mut AnyConnection,
    dialect: Dialect,
) -> Result<(), sqlx::Error> {
    connection.execute(dialect.settings()).await.map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_not_logged_however_long_they_take() {
        let location = Location { url: "sqlite::memory:".to_owned(), name: String::new() };
        let logged = options(&location).unwrap().log_settings;
        let levels = [logged.statements_level, logged.slow_statements_level];
        assert_eq!(levels.map(|level| level.to_string()), ["OFF", "OFF"]);
    }

    #[test]
    fn a_server_that_is_too_old_is_said() {
        assert_eq!(
            [14, 15, 18].map(postgres_too_old),
            [Some("its server is PostgreSQL 14: 15 or newer is needed".to_owned()), None, None]
        );
        let old = ["10.6.3-MariaDB-log", "5.7.44-log"];
        assert!(old.into_iter().all(|version| mysql_too_old(version).is_some()));
        let new = ["10.11.6-MariaDB-1", "11.4.2-MariaDB", "8.0.36", "9.7.4-2"];
        assert!(new.into_iter().all(|version| mysql_too_old(version).is_none()));
        let mysql = mysql_too_old("5.7.44-log").unwrap();
        assert_eq!(mysql, "its server is MySQL 5.7.44-log: 8.0 or newer is needed");
    }
}
