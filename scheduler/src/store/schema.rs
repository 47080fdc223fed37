//! Brings a database's schema up to date, and refuses one that it does not know.

use std::collections::BTreeSet;

use sqlx::{
    AnyConnection, Connection as _, SqlSafeStr as _,
    migrate::{AppliedMigration, Migrate as _, MigrateError, Migration, MigrationType, Migrator},
};

use super::{
    Dialect, Exclusive, Location, StoreError, connection::Connection, dialect, transfer::TABLES,
};

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

impl Upgrade {
    /// Refuses a database that lacks anything.
    pub fn refuse(&self, location: &Location) -> Result<(), StoreError> {
        let Self { from, steps } = self;
        let reason = match from {
            _ if steps.is_empty() => return Ok(()),
            0 => "it is no database of this program".to_owned(),
            from => format!(
                "its schema has version {from} and this program's is {}: bring it up to date with \
                 the command `migrate` first",
                from + steps.len()
            ),
        };
        Err(StoreError::Open { name: location.name.clone(), reason })
    }
}

/// Says what the schema of a database lacks. Writes nothing, and makes no SQLite file.
pub async fn lacks(location: &Location) -> Result<Upgrade, StoreError> {
    let dialect = Dialect::of(&location.url)?;
    if dialect == Dialect::Sqlite && !std::path::Path::new(&location.name).exists() {
        return Ok(upgrade(dialect, 0));
    }
    let explain = |error| StoreError::open(location, &error);
    let mut connection = dialect::reach(&dialect::options(location)?).await.map_err(explain)?;
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
    let options = dialect::options(location)?;
    dialect::make_private(location, dialect);
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
    compare(connection, dialect, location).await?.refuse(location)
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
    // Nothing is written before it is known that the database is ours, or empty.
    compare(connection, dialect, location).await?;
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

/// A table that nobody but a MultiFlexi has, and that a database without our history has from
/// the PHP one.
const PHP: &str = "runtemplate";

/// Refuses a database because of the tables of others in it.
fn foreign(location: &Location, tables: &BTreeSet<String>, history: &str) -> StoreError {
    let others = || tables.iter().map(String::as_str).filter(|table| *table != history);
    let whose = match others().next() {
        _ if others().any(|table| table == PHP) => {
            "it is the database of a PHP MultiFlexi, which stays as it is: name an empty one with \
             DB_DATABASE, and bring what the other has with the command `import-multiflexi`"
                .to_owned()
        }
        table => format!(
            "it is no database of this program, as it has the table {}: name an empty one with \
             DB_DATABASE",
            table.unwrap_or_default()
        ),
    };
    let left = match tables.contains(history) {
        true => format!("; drop the table {history}, which this program has left in it"),
        false => String::new(),
    };
    StoreError::Open { name: location.name.clone(), reason: whose + &left }
}

async fn compare(
    connection: &mut AnyConnection,
    dialect: Dialect,
    location: &Location,
) -> Result<Upgrade, StoreError> {
    let migrator = migrator(dialect);
    let history = &*migrator.table_name;
    let tables: Vec<String> = sqlx::query_scalar(dialect.tables())
        .fetch_all(&mut Connection::new(connection, dialect))
        .await
        .map_err(|error| StoreError::open(location, &error))?;
    let tables: BTreeSet<String> = tables.into_iter().collect();
    // Its history is the first table of a database of ours.
    if !tables.contains(history) {
        return match tables.is_empty() {
            true => Ok(upgrade(dialect, 0)),
            false => Err(foreign(location, &tables, history)),
        };
    }
    let refuse = |error| explain(&error, location, dialect.migrations().len());
    if let Some(version) = connection.dirty_version(history).await.map_err(refuse)? {
        let ours = |table: &String| {
            table == history || table == "scheduler" || TABLES.contains(&table.as_str())
        };
        return Err(match version == 1 && !tables.iter().all(ours) {
            true => foreign(location, &tables, history),
            false => refuse(MigrateError::Dirty(version)),
        });
    }
    let applied = connection.list_applied_migrations(history).await.map_err(refuse)?;
    if applied.is_empty() && tables.len() > 1 {
        return Err(foreign(location, &tables, history));
    }
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
