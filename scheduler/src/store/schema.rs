//! Brings a database's schema up to date, and refuses one that it does not know.

use sqlx::{
    AnyConnection, ConnectOptions as _, Connection as _, SqlSafeStr as _,
    any::AnyConnectOptions,
    migrate::{AppliedMigration, Migrate as _, MigrateError, Migration, MigrationType, Migrator},
};

use super::{Dialect, Exclusive, Location, StoreError, connection::Connection, dialect};

/// Name and SQL of each step, the first being version 1.
pub(super) type Migrations = &'static [(&'static str, &'static str)];

/// What a database's schema lacks, or lacked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upgrade {
    /// The version that it has; 0 if there is no schema yet.
    pub from: usize,
    /// The names of the steps that follow, each of one version.
    pub steps: Vec<&'static str>,
}

/// Says what the schema of a database lacks. Writes nothing, and makes no SQLite file.
pub async fn lacks(location: &Location) -> Result<Upgrade, StoreError> {
    sqlx::any::install_default_drivers();
    let dialect = Dialect::of(&location.url)?;
    if dialect == Dialect::Sqlite && !std::path::Path::new(&location.name).exists() {
        return Ok(upgrade(dialect, 0));
    }
    let explain = |error| StoreError::open(location, &error);
    let options = location.url.parse::<AnyConnectOptions>().map_err(explain)?;
    let mut connection = options.connect().await.map_err(explain)?;
    let upgrade = compare(&mut connection, dialect, location).await?;
    connection.close().await?;
    Ok(upgrade)
}

/// Brings the schema of a database up to date; what it lacked.
pub async fn upgrade_database(location: &Location) -> Result<Upgrade, StoreError> {
    let upgrade = lacks(location).await?;
    if upgrade.steps.is_empty() {
        return Ok(upgrade);
    }
    let dialect = Dialect::of(&location.url)?;
    let _exclusive = Exclusive::take(location)?;
    let explain = |error| StoreError::open(location, &error);
    let options = location.url.parse::<AnyConnectOptions>().map_err(explain)?;
    let mut connection = dialect::connect(&options, dialect).await.map_err(explain)?;
    migrate(&mut connection, dialect, location).await?;
    connection.close().await?;
    Ok(upgrade)
}

/// Refuses a database whose schema is not this program's own.
pub(super) async fn require_current(
    connection: &mut AnyConnection,
    dialect: Dialect,
    location: &Location,
) -> Result<(), StoreError> {
    let reason = match compare(connection, dialect, location).await? {
        Upgrade { steps, .. } if steps.is_empty() => return Ok(()),
        Upgrade { from: 0, .. } => "it is no database of this program".to_owned(),
        Upgrade { from, steps } => format!(
            "its schema has version {from} and this program's is {}: bring it up to date with \
             the command `migrate` first",
            from + steps.len()
        ),
    };
    Err(StoreError::Open { name: location.name.clone(), reason })
}

/// Applies the steps that the database does not have yet.
pub(super) async fn migrate(
    connection: &mut AnyConnection,
    dialect: Dialect,
    location: &Location,
) -> Result<(), StoreError> {
    dialect::require_version(connection, dialect, location).await?;
    let Some([take, leave]) = dialect.schema_lock() else {
        return run(connection, dialect, location).await;
    };
    sqlx::query(take).fetch_one(&mut Connection::new(connection, dialect)).await?;
    let done = run(connection, dialect, location).await;
    // Whoever has gone has left it.
    let _ = sqlx::query(leave).fetch_one(&mut Connection::new(connection, dialect)).await;
    done
}

async fn run(
    connection: &mut AnyConnection,
    dialect: Dialect,
    location: &Location,
) -> Result<(), StoreError> {
    migrator(dialect)
        .run_direct(None, connection, false)
        .await
        .map_err(|error| explain(&error, location, dialect.migrations().len()))
}

fn migrator(dialect: Dialect) -> Migrator {
    let steps = (1..).zip(dialect.migrations());
    let steps = steps.map(|(version, (name, sql))| {
        let kind = MigrationType::Simple;
        Migration::new(version, (*name).into(), kind, sql.into_sql_str(), false)
    });
    Migrator::with_migrations(steps.collect())
}

fn upgrade(dialect: Dialect, from: usize) -> Upgrade {
    let steps = dialect.migrations().iter().skip(from).map(|(name, _)| *name).collect();
    Upgrade { from, steps }
}

async fn compare(
    connection: &mut AnyConnection,
    dialect: Dialect,
    location: &Location,
) -> Result<Upgrade, StoreError> {
    let migrator = migrator(dialect);
    let columns = sqlx::query(dialect.columns()).bind(&*migrator.table_name);
    let mut asking = Connection::new(connection, dialect);
    if columns.fetch_optional(&mut asking).await?.is_none() {
        return Ok(upgrade(dialect, 0));
    }
    let refuse = |error| explain(&error, location, dialect.migrations().len());
    if let Some(version) = connection.dirty_version(&migrator.table_name).await.map_err(refuse)? {
        return Err(refuse(MigrateError::Dirty(version)));
    }
    let applied = connection.list_applied_migrations(&migrator.table_name).await.map_err(refuse)?;
    for AppliedMigration { version, checksum } in &applied {
        match migrator.iter().find(|step| step.version == *version) {
            None => return Err(refuse(MigrateError::VersionMissing(*version))),
            Some(step) if step.checksum != *checksum => {
                return Err(refuse(MigrateError::VersionMismatch(*version)));
            }
            Some(_) => {}
        }
    }
    Ok(upgrade(dialect, applied.len()))
}

fn explain(error: &MigrateError, location: &Location, known: usize) -> StoreError {
    let reason = match error {
        MigrateError::VersionMissing(version) => format!(
            "its schema has version {version} and this program knows only {known}: use the newer \
             program that made it, or restore a backup"
        ),
        MigrateError::VersionMismatch(version) => format!(
            "its schema version {version} is not the one that this program knows: it was made by \
             another program or a development version"
        ),
        // SQLite and PostgreSQL take back a step that fails.
        MigrateError::Dirty(version) => format!(
            "the step to its schema version {version} was begun and not completed, and MySQL \
             keeps what was done of it: {}",
            match version {
                1 => "drop the database and create it again",
                _ => "restore the backup that was made before the upgrade",
            }
        ),
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => {
            return StoreError::open(location, error);
        }
        other => other.to_string(),
    };
    StoreError::Open { name: location.name.clone(), reason }
}
