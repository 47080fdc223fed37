//! Everything in which the databases differ. A new one is a new arm of each
//! `match` here, a folder under `migrations/`, and a green conformance suite.

mod connect;
mod erase;
mod history;
mod ids;
mod rows;
mod settings;

use std::time::{SystemTime, UNIX_EPOCH};

use super::{StoreError, schema::Migrations};

pub(crate) use connect::in_time;
pub(super) use connect::{
    PATIENCE, connect, connect_writer, make_private, options, prepare, prepare_writer, reach,
    require_version,
};
pub use erase::Erased;
pub(super) use erase::erase;
pub(super) use ids::{last_id, prefer_id, set_last_id, take_id};
pub(super) use rows::Kind;

/// Which database it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// SQLite, in the scheduler's own process.
    Sqlite,
    /// PostgreSQL 15 or newer.
    Postgres,
    /// MySQL 8 or newer, or MariaDB 10.11 or newer.
    Mysql,
}

impl Dialect {
    /// The dialect that a URL speaks of.
    pub fn of(url: &str) -> Result<Self, StoreError> {
        match url.split_once(':').map(|(scheme, _)| scheme) {
            Some("sqlite") => Ok(Self::Sqlite),
            Some("postgres" | "postgresql") => Ok(Self::Postgres),
            Some("mysql" | "mariadb") => Ok(Self::Mysql),
            scheme => Err(StoreError::Invalid(format!(
                "{:?} is no database that this version can use: take sqlite, postgres or mysql",
                scheme.unwrap_or(url)
            ))),
        }
    }

    /// The schema's history.
    pub(super) fn migrations(self) -> Migrations {
        match self {
            Self::Sqlite => history::SQLITE,
            Self::Postgres => history::POSTGRES,
            Self::Mysql => history::MYSQL,
        }
    }

    /// Takes what is committed over into the database's file and holds up nobody; answers how
    /// many pages the log of changes has as its second column. None where the database does
    /// it by itself.
    pub(super) fn checkpoint(self) -> Option<&'static str> {
        match self {
            Self::Sqlite => Some("PRAGMA wal_checkpoint(PASSIVE)"),
            Self::Postgres | Self::Mysql => None,
        }
    }

    /// Begins a transaction that reads and sees one moment.
    pub(super) fn begin_snapshot(self) -> &'static str {
        match self {
            Self::Sqlite => "BEGIN",
            Self::Postgres => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
            Self::Mysql => {
                "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; \
                 START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY"
            }
        }
    }

    /// Names of the tables, whoever has made them.
    pub(super) fn tables(self) -> &'static str {
        match self {
            Self::Sqlite => {
                "SELECT name FROM sqlite_master \
                 WHERE type = 'table' AND substr(name, 1, 7) <> 'sqlite_'"
            }
            Self::Postgres => {
                "SELECT CAST(tablename AS TEXT) FROM pg_tables WHERE schemaname = current_schema()"
            }
            Self::Mysql => {
                "SELECT CAST(table_name AS CHAR) FROM information_schema.tables \
                 WHERE table_schema = DATABASE() AND table_type = 'BASE TABLE'"
            }
        }
    }

    /// Names and types of the columns of the table `$1`, in order.
    pub(super) fn columns(self) -> &'static str {
        match self {
            Self::Sqlite => "SELECT name, type FROM pragma_table_info($1) ORDER BY cid",
            Self::Postgres => {
                "SELECT CAST(column_name AS TEXT), CAST(data_type AS TEXT) \
                 FROM information_schema.columns \
                 WHERE table_schema = current_schema() AND table_name = $1 \
                 ORDER BY ordinal_position"
            }
            // Those that are made of others are not written.
            Self::Mysql => {
                "SELECT CAST(column_name AS CHAR), CAST(data_type AS CHAR) \
                 FROM information_schema.columns \
                 WHERE table_schema = DATABASE() AND table_name = $1 \
                 AND COALESCE(generation_expression, '') = '' ORDER BY ordinal_position"
            }
        }
    }

    /// How many connections read.
    pub(super) fn readers(self) -> u32 {
        match self {
            Self::Sqlite => 4,
            Self::Postgres | Self::Mysql => 8,
        }
    }

    /// Begins a transaction that writes. SQLite takes its write lock at once, so
    /// that no transaction fails half-way for want of it.
    pub(super) fn begin(self) -> &'static str {
        match self {
            Self::Sqlite => "BEGIN IMMEDIATE",
            Self::Postgres | Self::Mysql => "BEGIN",
        }
    }

    /// Makes a connection wait until no other one changes the schema, and lets go again. The
    /// others see to that by themselves: only MariaDB does not know the lock that sqlx takes
    /// on MySQL.
    pub(super) fn schema_lock(self) -> Option<[&'static str; 2]> {
        match self {
            Self::Sqlite | Self::Postgres => None,
            Self::Mysql => Some([
                "SELECT CAST(GET_LOCK(CONCAT('multiflexi ', \
                 LEFT(SHA2(DATABASE(), 256), 40)), 3600) AS SIGNED)",
                "SELECT CAST(RELEASE_LOCK(CONCAT('multiflexi ', \
                 LEFT(SHA2(DATABASE(), 256), 40))) AS SIGNED)",
            ]),
        }
    }

    /// The time, in microseconds since the Unix epoch.
    pub(super) fn now(self) -> &'static str {
        match self {
            Self::Sqlite => "SELECT CAST(unixepoch('subsec') * 1000000 AS INTEGER)",
            Self::Postgres => {
                "SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT)"
            }
            Self::Mysql => "SELECT CAST(UNIX_TIMESTAMP(NOW(6)) * 1000000 AS BIGINT)",
        }
    }

    /// The same where the database's clock is this process's own, which need not be asked
    /// for: SQLite says whole milliseconds.
    pub(super) fn own_clock(self) -> Option<i64> {
        match self {
            Self::Sqlite => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                i64::try_from(since.as_millis() * 1000).ok()
            }
            Self::Postgres | Self::Mysql => None,
        }
    }

    /// Ends a SELECT of rows that are about to be changed: rows that another
    /// scheduler is changing are passed over.
    pub(super) fn skip_locked(self) -> &'static str {
        match self {
            Self::Sqlite => "",
            Self::Postgres | Self::Mysql => "FOR UPDATE SKIP LOCKED",
        }
    }

    /// Whether an `INSERT` of many rows can return them. Of one row each can.
    pub(super) fn returns_many(self) -> bool {
        match self {
            Self::Sqlite | Self::Postgres => true,
            Self::Mysql => false,
        }
    }

    /// Whether several schedulers can use one database.
    pub(super) fn is_shared(self) -> bool {
        match self {
            Self::Sqlite => false,
            Self::Postgres | Self::Mysql => true,
        }
    }

    /// The oldest transaction that has not ended, by its number or by the time when it began;
    /// 0 where nobody else writes.
    pub(super) fn oldest_transaction(self) -> &'static str {
        match self {
            Self::Sqlite => "0",
            Self::Postgres => {
                "CAST(CAST(pg_snapshot_xmin(pg_current_snapshot()) AS TEXT) AS BIGINT)"
            }
            // Nobody may ask who writes: ours are over by then, as they wait for no lock so long.
            Self::Mysql => "CAST(UNIX_TIMESTAMP(NOW(6)) * 1000000 AS BIGINT) - 15000000",
        }
    }

    /// The transaction that is next to begin, told in the same way.
    pub(super) fn next_transaction(self) -> &'static str {
        match self {
            Self::Sqlite => "0",
            Self::Postgres => {
                "CAST(CAST(pg_snapshot_xmax(pg_current_snapshot()) AS TEXT) AS BIGINT)"
            }
            Self::Mysql => "CAST(UNIX_TIMESTAMP(NOW(6)) * 1000000 AS BIGINT)",
        }
    }

    /// Ends a SELECT of rows of a table that nobody may change until the transaction ends.
    pub(super) fn share(self, table: &str) -> String {
        match self {
            Self::Sqlite => String::new(),
            Self::Postgres => format!("FOR SHARE OF {table}"),
            // MariaDB cannot be told of which.
            Self::Mysql => "LOCK IN SHARE MODE".to_owned(),
        }
    }

    /// Ends a SELECT of rows that are about to be changed: they are locked in the order of
    /// the SELECT. Keys that refer to them can still be written.
    pub(super) fn lock_rows(self) -> &'static str {
        match self {
            Self::Sqlite => "",
            Self::Postgres => "FOR NO KEY UPDATE",
            Self::Mysql => "FOR UPDATE",
        }
    }

    /// Locks the company of the run template `$1` and then this before jobs of it are made,
    /// where the new rows would lock them only against changes: two that do so and then
    /// change them would wait for each other.
    pub(super) fn lock_parents(self) -> &'static [&'static str] {
        match self {
            Self::Sqlite | Self::Postgres => &[],
            Self::Mysql => &[
                "SELECT id FROM company \
                 WHERE id = (SELECT company_id FROM runtemplate WHERE id = $1) FOR UPDATE",
                "SELECT id FROM runtemplate WHERE id = $1 FOR UPDATE",
            ],
        }
    }

    /// A column of text as it stands in a guard, where it must not choose the index: who
    /// counts no rows, or counted them long ago, would walk all jobs of a state to find the
    /// one whose id it is given.
    pub(super) fn unindexed(self, column: &str) -> String {
        match self {
            Self::Sqlite => format!("+{column}"),
            Self::Postgres => format!("({column} || '')"),
            Self::Mysql => column.to_owned(),
        }
    }

    /// A parameter that must not choose the plan: SQLite would make it anew for each value.
    pub(super) fn unplanned(self, parameter: &str) -> String {
        match self {
            Self::Sqlite => format!("+{parameter}"),
            Self::Postgres | Self::Mysql => parameter.to_owned(),
        }
    }

    /// The same of the column `id`.
    pub(super) fn unindexed_id(self) -> &'static str {
        match self {
            Self::Sqlite => "+id",
            Self::Postgres | Self::Mysql => "id",
        }
    }

    /// A column of numbers that must choose neither the index nor the order of a join.
    pub(super) fn unindexed_number(self, column: &str) -> String {
        match self {
            Self::Sqlite => format!("+{column}"),
            Self::Postgres | Self::Mysql => column.to_owned(),
        }
    }

    /// Whether a column holds the text of a parameter, in large or small letters. Each
    /// database knows more or less of the letters beyond ASCII.
    pub(super) fn contains(self, column: &str, parameter: &str) -> String {
        let function = match self {
            Self::Sqlite | Self::Mysql => "instr",
            Self::Postgres => "strpos",
        };
        format!("{function}(lower({column}), lower({parameter})) > 0")
    }

    /// The value of the label that a parameter names, in a column that holds a JSON object
    /// of texts; NULL if it has none.
    pub(super) fn label(self, column: &str, parameter: &str) -> String {
        match self {
            Self::Sqlite => {
                format!("(SELECT e.value FROM json_each({column}) e WHERE e.key = {parameter})")
            }
            Self::Postgres => format!("(CAST({column} AS JSONB) ->> CAST({parameter} AS TEXT))"),
            Self::Mysql => format!(
                "JSON_UNQUOTE(JSON_EXTRACT({column}, CONCAT('$.', JSON_QUOTE({parameter}))))"
            ),
        }
    }

    /// Stands after a table in a SELECT: the index that has to be used.
    pub(super) fn by_index(self, index: &str) -> String {
        match self {
            Self::Sqlite => format!("INDEXED BY {index}"),
            Self::Postgres => String::new(),
            Self::Mysql => format!("FORCE INDEX ({index})"),
        }
    }

    /// The same of an index of some rows only; `whole` is the one in its place where there are
    /// none such.
    pub(super) fn by_partial_index(self, index: &str, whole: &str) -> String {
        self.by_index(if self == Self::Mysql { whole } else { index })
    }

    /// Whether a row comes after another (`>`) or before it (`<`) by these columns.
    pub(super) fn beyond(self, columns: &[&str], sign: &str, values: &[&str]) -> String {
        match (self, columns, values) {
            // It would look at all rows from the beginning.
            (Self::Mysql, [column, columns @ ..], [value, values @ ..]) if !columns.is_empty() => {
                let rest = self.beyond(columns, sign, values);
                format!(
                    "({column} {sign}= {value} AND ({column} {sign} {value} \
                     OR ({column} = {value} AND {rest})))"
                )
            }
            _ => format!("({}) {sign} ({})", columns.join(", "), values.join(", ")),
        }
    }

    /// A SELECT whose first table is gone through in the order of a list, and to which the
    /// others are joined: MariaDB would begin with the smallest and sort.
    pub(super) fn first_table_first(self, select: String) -> String {
        match self {
            Self::Sqlite | Self::Postgres => select,
            Self::Mysql => select.replacen("SELECT", "SELECT STRAIGHT_JOIN", 1),
        }
    }

    /// The larger of two numbers.
    pub(super) fn larger(self, one: &str, other: &str) -> String {
        match self {
            Self::Sqlite => format!("MAX({one}, {other})"),
            Self::Postgres | Self::Mysql => format!("GREATEST({one}, {other})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tables with their columns, as the steps of a schema make them.
    fn tables(dialect: Dialect) -> Vec<(String, Vec<String>)> {
        let mut tables = Vec::<(String, Vec<String>)>::new();
        for line in dialect.migrations().iter().flat_map(|(_, sql)| sql.lines()) {
            if let Some(table) = line.strip_prefix("CREATE TABLE ") {
                tables.push((table.trim_end_matches(" (").to_owned(), Vec::new()));
            } else if let (Some(line), Some((_, columns))) =
                (line.strip_prefix("    "), tables.last_mut())
            {
                let name = line.trim_start_matches('`').split([' ', '`']).next();
                let is_name = |name: &&str| name.starts_with(|c: char| c.is_ascii_lowercase());
                columns.extend(name.filter(is_name).map(str::to_owned));
            }
        }
        // SQLite changes a column by making the whole table anew.
        tables.retain(|(table, _)| !table.ends_with("_new"));
        tables
    }

    #[test]
    fn all_databases_have_the_same_tables_and_columns_by_the_same_steps() {
        let steps = |dialect: Dialect| {
            dialect.migrations().iter().map(|(name, _)| *name).collect::<Vec<_>>()
        };
        assert_eq!(steps(Dialect::Sqlite), steps(Dialect::Postgres));
        assert_eq!(steps(Dialect::Sqlite), steps(Dialect::Mysql));
        assert_eq!(tables(Dialect::Sqlite), tables(Dialect::Postgres));
        // What stands in for LISTEN and NOTIFY, and in for a key of long texts.
        let mut mysql = tables(Dialect::Mysql);
        mysql.retain(|(table, _)| table != "announcement");
        for (_, columns) in &mut mysql {
            columns.retain(|column| column != "filename_hash");
        }
        assert_eq!(tables(Dialect::Sqlite), mysql);
    }
}
