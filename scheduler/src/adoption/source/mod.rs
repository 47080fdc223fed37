//! The database of a PHP MultiFlexi, as it was at one moment. It is only read, in one
//! transaction that can do nothing else and locks nobody out.

mod error;
mod row;
mod tables;

use std::collections::BTreeMap;

use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _, MySqlConnection, Row as _,
    mysql::{MySqlConnectOptions, MySqlRow},
};
use tokio_stream::StreamExt as _;

pub use error::SourceError;
pub use row::Row;
pub use tables::*;

use error::explain;

/// Rows that are read at once.
const PAGE: usize = 50;

/// Longest text that is taken, in bytes.
const MAX_TEXT: usize = 1024 * 1024;

/// Bytes of an artifact that are read at once.
const PIECE: i64 = 1024 * 1024;

/// What a column holds there.
#[derive(Clone, Debug)]
struct Column {
    kind: String,
    charset: Option<String>,
}

/// A database that is being read.
#[derive(Debug)]
pub struct Source {
    conn: MySqlConnection,
    /// What is said of errors: server and database, without the password.
    name: String,
    tables: BTreeMap<String, BTreeMap<String, Column>>,
    /// The server's program and version.
    pub server: String,
    /// The time zone that its times are read in.
    pub zone: String,
    /// What of tables and columns is not there, and what was converted.
    pub remarks: Vec<String>,
}

/// The URL of a source, with what names it.
#[derive(Clone, Debug)]
pub struct Address {
    options: MySqlConnectOptions,
    /// Host, port and database.
    pub name: String,
}

impl Address {
    /// Reads `mysql://user:password@host:port/database`.
    pub fn parse(text: &str) -> Result<Self, SourceError> {
        // The text may hold a password: no error repeats it.
        let wrong = |what: &'static str| SourceError::Url(what);
        let url = url::Url::parse(text).map_err(|_| wrong("it cannot be read as a URL"))?;
        if !matches!(url.scheme(), "mysql" | "mariadb") {
            return Err(wrong("it does not begin with mysql:// or mariadb://"));
        }
        let host = url.host_str().ok_or_else(|| wrong("it names no host"))?;
        let database = url.path().trim_start_matches('/');
        if database.is_empty() || database.contains('/') {
            return Err(wrong("it names no database after the host"));
        }
        let name = format!("{host}:{}/{database}", url.port().unwrap_or(3306));
        let options = MySqlConnectOptions::from_url(&url)
            .map_err(|_| wrong("its user, password or options cannot be read"))?;
        let options = options.disable_statement_logging().statement_cache_capacity(0);
        Ok(Self { options, name })
    }
}

fn identifier(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

impl Source {
    /// Opens a database and takes its snapshot. `zone` is the time zone that times are read
    /// in; the server's own if none is given.
    pub async fn open(address: &Address, zone: Option<&str>) -> Result<Self, SourceError> {
        let name = address.name.clone();
        let options = address.options.clone().timezone(zone.map(str::to_owned));
        let failed = |error: sqlx::Error| explain(&name, &error);
        let mut conn = options.connect().await.map_err(failed)?;
        for statement in [
            "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
            "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY",
        ] {
            conn.execute(statement).await.map_err(failed)?;
        }
        let server = "SELECT CAST(VERSION() AS BINARY), CAST(CASE @@session.time_zone \
             WHEN 'SYSTEM' THEN @@system_time_zone ELSE @@session.time_zone END AS BINARY)";
        let row = conn.fetch_one(server).await.map_err(failed)?;
        let text = |index| -> Result<String, SourceError> {
            let bytes: Option<Vec<u8>> = row.try_get(index).map_err(failed)?;
            Ok(String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned())
        };
        let (server, zone) = (text(0)?, text(1)?);
        let mut source = Self {
            conn,
            name: name.clone(),
            tables: BTreeMap::new(),
            server,
            zone,
            remarks: Vec::new(),
        };
        source.read_schema().await?;
        Ok(source)
    }

    async fn read_schema(&mut self) -> Result<(), SourceError> {
        let rows = self
            .fetch(
                "SELECT CAST(c.TABLE_NAME AS BINARY), CAST(c.COLUMN_NAME AS BINARY), \
                 CAST(c.DATA_TYPE AS BINARY), CAST(c.CHARACTER_SET_NAME AS BINARY), \
                 CAST(t.ENGINE AS BINARY) FROM information_schema.COLUMNS c \
                 JOIN information_schema.TABLES t ON t.TABLE_SCHEMA = c.TABLE_SCHEMA \
                 AND t.TABLE_NAME = c.TABLE_NAME WHERE c.TABLE_SCHEMA = DATABASE()"
                    .to_owned(),
            )
            .await?;
        let mut unsafe_tables = BTreeMap::new();
        for row in &rows {
            let [table, column, kind, charset, engine] = self.cells(row)?;
            let known = ALL.iter().any(|known| Some(known.name) == table.as_deref());
            let (Some(table), Some(column), true) = (table, column, known) else { continue };
            if let Some(engine) = engine.filter(|engine| !engine.eq_ignore_ascii_case("InnoDB")) {
                unsafe_tables.insert(table.clone(), engine);
            }
            let kind = kind.unwrap_or_default().to_ascii_lowercase();
            let columns = self.tables.entry(table).or_default();
            columns.insert(column, Column { kind, charset });
        }
        self.check_schema()?;
        for (table, engine) in unsafe_tables {
            self.remarks.push(format!(
                "table {table} is of the engine {engine}, which has no snapshots: what is written \
                 to it during the import may be missing"
            ));
        }
        Ok(())
    }

    /// Refuses what is no MultiFlexi, and says what is not there of one.
    fn check_schema(&mut self) -> Result<(), SourceError> {
        let has = |table: &Table, column: &str| {
            self.tables.get(table.name).is_some_and(|columns| columns.contains_key(column))
        };
        let missing: Vec<&str> =
            ALL.iter().filter(|t| t.needed && !has(t, "id")).map(|table| table.name).collect();
        if !missing.is_empty() {
            return Err(SourceError::Foreign {
                name: self.name.clone(),
                missing: missing.join(", "),
            });
        }
        for table in ALL {
            let Some(columns) = self.tables.get(table.name) else {
                self.remarks.push(format!(
                    "there is no table {}, or this user may not read it: nothing of it is imported",
                    table.name
                ));
                continue;
            };
            let missing: Vec<&str> = table
                .columns
                .iter()
                .map(|(name, _)| *name)
                .filter(|name| !columns.contains_key(*name))
                .collect();
            let converted: Vec<String> = table
                .columns
                .iter()
                .filter_map(|(name, _)| {
                    let charset = columns.get(*name)?.charset.as_deref()?;
                    (!is_utf8(charset)).then(|| format!("{name} ({charset})"))
                })
                .collect();
            if !missing.is_empty() {
                let missing = missing.join(", ");
                self.remarks.push(format!("table {} has no column {missing}", table.name));
            }
            if !converted.is_empty() {
                let converted = converted.join(", ");
                self.remarks.push(format!("table {}: {converted} is converted", table.name));
            }
        }
        Ok(())
    }

    /// Whether a table is there.
    pub fn has(&self, table: &Table) -> bool {
        self.tables.contains_key(table.name)
    }

    /// How many rows a table has.
    pub async fn count(&mut self, table: &'static str) -> Result<i64, SourceError> {
        let sql = format!("SELECT CAST(COUNT(*) AS BINARY) FROM {}", identifier(table));
        match self.fetch(sql).await {
            Ok(rows) => {
                let [count] = self.cells(rows.first().ok_or(SourceError::Empty)?)?;
                Ok(count.and_then(|count| count.parse().ok()).unwrap_or_default())
            }
            // It is counted for the report only.
            Err(SourceError::NoSuchTable | SourceError::Denied { .. }) => Ok(0),
            Err(error) => Err(error),
        }
    }

    /// All rows of a table, by id: of those that hold how things are set up.
    pub async fn all(&mut self, table: &'static Table) -> Result<Vec<Row>, SourceError> {
        let mut rows = Vec::new();
        loop {
            let after = rows.last().map_or(i64::MIN, Row::id);
            let page = self.page(table, after).await?;
            let last = page.len() < PAGE;
            rows.extend(page);
            if last {
                return Ok(rows);
            }
        }
    }

    /// The next rows of a table, by id.
    pub async fn page(
        &mut self,
        table: &'static Table,
        after: i64,
    ) -> Result<Vec<Row>, SourceError> {
        if !self.has(table) {
            return Ok(Vec::new());
        }
        let sql = format!(
            "SELECT {} FROM {} WHERE id > {after} ORDER BY id LIMIT {PAGE}",
            self.columns(table),
            identifier(table.name)
        );
        let rows = self.fetch(sql).await?;
        rows.iter().map(|row| self.row(table, row)).collect()
    }

    /// The rows of a table that belong to one of another, given to `take` one after the other.
    pub async fn each(
        &mut self,
        table: &'static Table,
        owner: &'static str,
        id: i64,
        order: &str,
    ) -> Result<Rows<'_>, SourceError> {
        let there = self.tables.get(table.name).is_some_and(|columns| columns.contains_key(owner));
        let sql = format!(
            "SELECT {} FROM {} WHERE {} = {id} ORDER BY {order}",
            self.columns(table),
            identifier(table.name),
            identifier(owner)
        );
        let Self { conn, name, remarks, .. } = self;
        let rows: std::pin::Pin<Box<dyn tokio_stream::Stream<Item = _> + Send + '_>> = match there {
            true => conn.fetch(AssertSqlSafe(sql)),
            false => Box::pin(tokio_stream::empty()),
        };
        Ok(Rows { rows, table, name, remarks })
    }

    /// The bytes of an artifact from `offset` on, up to a piece; empty at its end.
    pub async fn artifact_piece(&mut self, id: i64, offset: i64) -> Result<Vec<u8>, SourceError> {
        let Some(column) = self.tables.get(ARTIFACTS.name).and_then(|c| c.get("artifact")) else {
            return Ok(Vec::new());
        };
        let sql = format!(
            "SELECT SUBSTRING({}, {}, {PIECE}) FROM artifacts WHERE id = {id}",
            bytes_of("artifact", column),
            offset + 1
        );
        let rows = self.fetch(sql).await?;
        let Some(row) = rows.first() else { return Ok(Vec::new()) };
        let piece: Option<Vec<u8>> = row.try_get(0).map_err(|error| explain(&self.name, &error))?;
        Ok(piece.unwrap_or_default())
    }

    /// Ends the transaction and closes the connection.
    pub async fn close(self) {
        // Nothing was written: there is nothing to lose.
        let _ = self.conn.close().await;
    }

    fn columns(&self, table: &Table) -> String {
        let there = self.tables.get(table.name);
        let columns = table.columns.iter().map(|(name, kind)| {
            match there.and_then(|columns| columns.get(*name)) {
                Some(column) => expression(name, *kind, column),
                None => "NULL".to_owned(),
            }
        });
        let mut all = vec!["CAST(id AS BINARY)".to_owned()];
        all.extend(columns);
        all.join(", ")
    }

    fn row(&mut self, table: &'static Table, row: &MySqlRow) -> Result<Row, SourceError> {
        row::read(table, row, &mut self.remarks).map_err(|error| explain(&self.name, &error))
    }

    fn cells<const N: usize>(&self, row: &MySqlRow) -> Result<[Option<String>; N], SourceError> {
        let mut cells = [const { None }; N];
        for (index, cell) in cells.iter_mut().enumerate() {
            let bytes: Option<Vec<u8>> =
                row.try_get(index).map_err(|error| explain(&self.name, &error))?;
            *cell = bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        }
        Ok(cells)
    }

    async fn fetch(&mut self, sql: String) -> Result<Vec<MySqlRow>, SourceError> {
        self.conn.fetch_all(AssertSqlSafe(sql)).await.map_err(|error| explain(&self.name, &error))
    }
}

/// Rows that come one after the other.
pub struct Rows<'s> {
    rows: std::pin::Pin<
        Box<dyn tokio_stream::Stream<Item = Result<MySqlRow, sqlx::Error>> + Send + 's>,
    >,
    table: &'static Table,
    name: &'s str,
    remarks: &'s mut Vec<String>,
}

impl Rows<'_> {
    /// The next one.
    pub async fn next(&mut self) -> Result<Option<Row>, SourceError> {
        let Some(row) = self.rows.next().await else { return Ok(None) };
        let read = row.and_then(|row| row::read(self.table, &row, self.remarks));
        read.map(Some).map_err(|error| explain(self.name, &error))
    }
}

fn is_utf8(charset: &str) -> bool {
    charset.starts_with("utf8") || charset.eq_ignore_ascii_case("ascii")
}

/// The bytes of a text as UTF-8, or as they are if nobody says what they are.
fn bytes_of(name: &str, column: &Column) -> String {
    let name = identifier(name);
    match &column.charset {
        Some(charset) if !is_utf8(charset) => {
            format!("CAST(CONVERT({name} USING utf8mb4) AS BINARY)")
        }
        _ => format!("CAST({name} AS BINARY)"),
    }
}

/// Everything arrives as bytes: what a column is differs from version to version.
fn expression(name: &str, kind: Kind, column: &Column) -> String {
    match kind {
        Kind::Time if matches!(column.kind.as_str(), "timestamp" | "datetime" | "date") => {
            // In the session's time zone, as PHP has written it.
            let name = identifier(name);
            format!("CAST(CAST(UNIX_TIMESTAMP({name}) * 1000000 AS SIGNED) AS BINARY)")
        }
        Kind::Time => "NULL".to_owned(),
        Kind::Size => format!("CAST(OCTET_LENGTH({}) AS BINARY)", bytes_of(name, column)),
        Kind::Number | Kind::Text | Kind::Bytes => {
            format!("SUBSTRING({}, 1, {})", bytes_of(name, column), MAX_TEXT + 1)
        }
        Kind::Blob => format!("SUBSTRING({}, 1, {})", bytes_of(name, column), MAX_BLOB + 1),
    }
}

/// Longest file that is taken, in bytes: what a job can be given, and a byte more.
const MAX_BLOB: usize = crate::domain::environment::MAX_FILES;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_bad_ones_refused_without_their_password() {
        let address = Address::parse("mysql://me:s3cret@db.example:3307/flexi").unwrap();
        assert_eq!(address.name, "db.example:3307/flexi");
        assert_eq!(Address::parse("mariadb://db/flexi").unwrap().name, "db:3306/flexi");
        for bad in
            ["postgres://u:s3cret@h/d", "mysql://u:s3cret@h", "mysql://u:s3cret@h/", "s3cret"]
        {
            let error = Address::parse(bad).unwrap_err().to_string();
            assert!(!error.contains("s3cret") && error.contains("mysql://"), "{error}");
        }
    }

    #[test]
    fn columns_are_converted_where_they_are_not_utf8() {
        let latin = Column { kind: "varchar".into(), charset: Some("latin1".into()) };
        let expected = "SUBSTRING(CAST(CONVERT(`a``b` USING utf8mb4) AS BINARY), 1, 1048577)";
        assert_eq!(expression("a`b", Kind::Text, &latin), expected);
        let blob = Column { kind: "longblob".into(), charset: None };
        assert_eq!(bytes_of("c", &blob), "CAST(`c` AS BINARY)");
        assert_eq!(expression("t", Kind::Time, &blob), "NULL");
    }
}
