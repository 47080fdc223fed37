//! Brings a database's schema up to date, and refuses one that it does not know.

use sqlx::{
    AnyConnection, SqlSafeStr as _,
    migrate::{MigrateError, Migration, MigrationType, Migrator},
};

use super::{Dialect, Location, StoreError};

/// Name and SQL of each step, the first being version 1.
pub(super) type Migrations = &'static [(&'static str, &'static str)];

/// Applies the steps that the database does not have yet.
pub(super) async fn migrate(
    connection: &mut AnyConnection,
    dialect: Dialect,
    location: &Location,
) -> Result<(), StoreError> {
    let migrations = dialect.migrations();
    let steps = (1..)
        .zip(migrations)
        .map(|(version, (name, sql))| {
            let kind = MigrationType::Simple;
            Migration::new(version, (*name).into(), kind, sql.into_sql_str(), false)
        })
        .collect();
    Migrator::with_migrations(steps)
        .run_direct(None, connection, false)
        .await
        .map_err(|error| explain(&error, location, migrations.len()))
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
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => {
            return StoreError::open(location, error);
        }
        other => other.to_string(),
    };
    StoreError::Open { name: location.name.clone(), reason }
}
