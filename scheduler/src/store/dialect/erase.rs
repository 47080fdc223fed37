//! What was deleted or overwritten leaves the database's files.

use sqlx::Executor as _;

use super::Dialect;
use crate::store::connection::Connection;

/// The largest SQLite file, in bytes, that is written anew while others wait: it takes about
/// a second.
const SMALL: i64 = 128 * 1024 * 1024;

/// How much of what was deleted or overwritten has left the database's files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Erased {
    /// All of it.
    Whole,
    /// Some may still be there, until the database's own upkeep or somebody's.
    Partly,
    /// Somebody reads what was there before: it has to be tried again.
    Busy,
}

/// Takes what was deleted or overwritten out of the database's files.
pub(in crate::store) async fn erase(
    connection: &mut Connection<'_>,
    dialect: Dialect,
) -> Result<Erased, sqlx::Error> {
    match dialect {
        Dialect::Sqlite => {
            // What moved from one page to another leaves traces that only a new file is
            // without.
            let size = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size";
            let small =
                sqlx::query_scalar::<_, i64>(size).fetch_one(&mut *connection).await? <= SMALL;
            if small {
                // In a file, not in our memory.
                let vacuum = "PRAGMA temp_store = FILE; VACUUM; PRAGMA temp_store = MEMORY;";
                connection.execute(vacuum).await?;
            }
            // Its log of changes has the pages of before until it is begun anew.
            let truncate = "PRAGMA wal_checkpoint(TRUNCATE)";
            let busy: i64 = sqlx::query_scalar(truncate).fetch_one(connection).await?;
            Ok(match (busy, small) {
                (0, true) => Erased::Whole,
                (0, false) => Erased::Partly,
                _ => Erased::Busy,
            })
        }
        // Its own upkeep does.
        Dialect::Postgres | Dialect::Mysql => Ok(Erased::Partly),
    }
}
