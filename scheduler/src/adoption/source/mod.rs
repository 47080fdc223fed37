//! The database of a PHP MultiFlexi, as it was at one moment. It is only read, in one
//! transaction that can do nothing else and locks nobody out.

mod address;
mod columns;
mod error;
mod row;
mod schema;
mod tables;

use std::collections::BTreeMap;

use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _, MySqlConnection, Row as _,
    mysql::MySqlRow,
};
use tokio_stream::StreamExt as _;

pub use address::Address;
pub use error::SourceError;
pub use row::Row;
pub use tables::*;

use crate::store::in_time;

use columns::{Column, bytes_of, expression, identifier};
use error::explain;

/// Rows that are read at once.
const PAGE: usize = 50;

/// Longest text that is taken, in bytes.
const MAX_TEXT: usize = 1024 * 1024;

/// Longest file that is taken, in bytes: what a job can be given, and a byte more.
const MAX_BLOB: usize = crate::domain::environment::MAX_FILES;

/// Bytes of an artifact that are read at once.
const PIECE: i64 = 1024 * 1024;

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

impl Source {
    /// Opens a database and takes its snapshot. `zone` is the time zone that times are read
    /// in; the server's own if none is given.
    pub async fn open(address: &Address, zone: Option<&str>) -> Result<Self, SourceError> {
        let name = address.name.clone();
        let options = address.options.clone().timezone(zone.map(str::to_owned));
        let failed = |error: sqlx::Error| explain(&name, &error);
        let mut conn = in_time(options.connect()).await.map_err(failed)?;
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

    /// The rows of a table that belong to one of another, one after the other.
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
