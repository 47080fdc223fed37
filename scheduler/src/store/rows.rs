//! What is asked of the rows of every table: is it there, is its name taken, one by its
//! id, and remove it if nothing depends on it.

pub(super) use multiflexi_program::counted;
use sqlx::{Any, AssertSqlSafe, Executor, any::AnyRow};

use super::{StoreError, Tx};

/// Whether another row than `own` has this name: `sql` looks for `$2` beside the id `$1`.
pub(super) async fn is_taken(
    tx: &mut Tx<'_>,
    sql: &'static str,
    own: i64,
    name: &str,
) -> Result<bool, StoreError> {
    let query = sqlx::query(sql).bind(own).bind(name.to_owned());
    Ok(query.fetch_optional(&mut *tx.conn).await?.is_some())
}

/// The number that `sql` finds for the id `$1` of a `what`.
pub(super) async fn found(
    tx: &mut Tx<'_>,
    sql: &'static str,
    what: &'static str,
    id: i64,
) -> Result<i64, StoreError> {
    let found = sqlx::query_scalar(sql).bind(id).fetch_optional(&mut *tx.conn).await?;
    found.ok_or(StoreError::NotFound { what, id })
}

/// The row of a `what`; `columns` is the statement up to its condition.
pub(super) async fn one<'c>(
    conn: impl Executor<'c, Database = Any>,
    columns: &str,
    what: &'static str,
    id: i64,
) -> Result<AnyRow, StoreError> {
    sqlx::query(AssertSqlSafe(format!("{columns} WHERE id = $1")))
        .bind(id)
        .fetch_optional(conn)
        .await?
        .ok_or(StoreError::NotFound { what, id })
}

/// Refuses, in the words of `refusal`, if `sql` counts anything that depends on the id `$1`.
pub(super) async fn refuse_dependents(
    tx: &mut Tx<'_>,
    sql: &'static str,
    id: i64,
    refusal: impl FnOnce(i64) -> String,
) -> Result<(), StoreError> {
    let dependents: i64 = sqlx::query_scalar(sql).bind(id).fetch_one(&mut *tx.conn).await?;
    if dependents == 0 { Ok(()) } else { Err(StoreError::Refused(refusal(dependents))) }
}

/// Removes the row of a `what` by `sql`, which has its id as `$1`.
pub(super) async fn delete(
    tx: &mut Tx<'_>,
    sql: &'static str,
    what: &'static str,
    id: i64,
) -> Result<(), StoreError> {
    match sqlx::query(sql).bind(id).execute(&mut *tx.conn).await?.rows_affected() {
        0 => Err(StoreError::NotFound { what, id }),
        _ => Ok(()),
    }
}
