//! Ids that a table gives out: the last, and the next.

use sqlx::{AssertSqlSafe, Executor as _};

use super::Dialect;
use crate::store::connection::Connection;

/// The highest id that was ever given out in a table; 0 if none was.
pub(in crate::store) async fn last_id(
    connection: &mut Connection<'_>,
    dialect: Dialect,
    table: &'static str,
) -> Result<i64, sqlx::Error> {
    let query = match dialect {
        Dialect::Sqlite => {
            sqlx::query_scalar("SELECT COALESCE(MAX(seq), 0) FROM sqlite_sequence WHERE name = $1")
                .bind(table)
        }
        Dialect::Postgres => sqlx::query_scalar(AssertSqlSafe(format!(
            "SELECT CASE WHEN is_called THEN last_value ELSE last_value - 1 END FROM {table}_id_seq"
        ))),
        Dialect::Mysql => sqlx::query_scalar(
            "SELECT CAST(COALESCE(auto_increment, 1) - 1 AS BIGINT) \
             FROM information_schema.tables \
             WHERE table_schema = DATABASE() AND table_name = $1",
        )
        .bind(table),
    };
    query.fetch_one(connection).await
}

/// Makes the next row of a table get this id, if all that were given out are lower.
pub(in crate::store) async fn prefer_id(
    connection: &mut Connection<'_>,
    dialect: Dialect,
    table: &'static str,
    id: i64,
) -> Result<(), sqlx::Error> {
    if last_id(connection, dialect, table).await? < id {
        set_last_id(connection, dialect, table, id - 1).await?;
    }
    Ok(())
}

/// Gives out an id of a table for a row to come: this one if all that were given out are
/// lower, else the next.
pub(in crate::store) async fn take_id(
    connection: &mut Connection<'_>,
    dialect: Dialect,
    table: &'static str,
    wanted: i64,
) -> Result<i64, sqlx::Error> {
    match dialect {
        Dialect::Sqlite => {
            let id = wanted.max(last_id(connection, dialect, table).await? + 1);
            set_last_id(connection, dialect, table, id).await?;
            Ok(id)
        }
        Dialect::Postgres => {
            prefer_id(connection, dialect, table, wanted).await?;
            let next = format!("SELECT nextval('{table}_id_seq')");
            sqlx::query_scalar(AssertSqlSafe(next)).fetch_one(connection).await
        }
        Dialect::Mysql => {
            let id = wanted.max(last_id(connection, dialect, table).await? + 1);
            set_last_id(connection, dialect, table, id).await?;
            Ok(id)
        }
    }
}

/// Makes the next row of a table get the id after this one.
pub(in crate::store) async fn set_last_id(
    connection: &mut Connection<'_>,
    dialect: Dialect,
    table: &'static str,
    last: i64,
) -> Result<(), sqlx::Error> {
    match dialect {
        Dialect::Sqlite => {
            let update = "UPDATE sqlite_sequence SET seq = $2 WHERE name = $1";
            let update = sqlx::query(update).bind(table).bind(last);
            if update.execute(&mut *connection).await?.rows_affected() == 0 {
                let insert = "INSERT INTO sqlite_sequence (name, seq) VALUES ($1, $2)";
                sqlx::query(insert).bind(table).bind(last).execute(connection).await?;
            }
        }
        Dialect::Postgres => {
            let set = format!("SELECT setval('{table}_id_seq', $1, false)");
            sqlx::query(AssertSqlSafe(set)).bind(last + 1).execute(connection).await?;
        }
        // It can be told by ALTER TABLE, which commits, or by a row that has the id for a
        // moment; what a row must have is not asked of that one.
        Dialect::Mysql if last > last_id(connection, dialect, table).await? => {
            let insert = format!(
                "/*M! SET STATEMENT foreign_key_checks = 0 FOR */ \
                 INSERT /*+ SET_VAR(foreign_key_checks = OFF) */ IGNORE \
                 INTO {table} (id) VALUES ({last})"
            );
            connection.execute(AssertSqlSafe(insert)).await?;
            let delete = format!("DELETE FROM {table} WHERE id = {last}");
            connection.execute(AssertSqlSafe(delete)).await?;
        }
        Dialect::Mysql => {}
    }
    Ok(())
}
