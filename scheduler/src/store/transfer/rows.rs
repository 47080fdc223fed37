//! The rows of one table: copied, and summed up so that two tables can be told apart.

use sha2::{Digest as _, Sha256};
use sqlx::{
    AssertSqlSafe, Row as _,
    any::{AnyArguments, AnyRow},
    query::Query,
};
use tokio_stream::StreamExt as _;

use crate::store::{Dialect, StoreError, connection::Connection};

/// Most parameters of a statement: SQLite takes 32,766 and PostgreSQL 65,535.
const PARAMETERS: usize = 10_000;

/// Most bytes of the rows of a statement, but for a single row.
const BYTES: usize = 4 * 1024 * 1024;

/// What rows are in sum, in whatever order they come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sum {
    /// How many there are.
    pub rows: u64,
    /// The sum of their hashes.
    pub sum: u128,
}

impl Sum {
    fn add(&mut self, row: &[Value]) {
        let mut hash = Sha256::new();
        for value in row {
            value.hash(&mut hash);
        }
        let hash: [u8; 32] = hash.finalize().into();
        let (high, low) = hash.split_at(16);
        let half = |bytes: &[u8]| bytes.iter().fold(0, |sum, byte| sum << 8 | u128::from(*byte));
        self.rows += 1;
        self.sum = self.sum.wrapping_add(half(high) ^ half(low));
    }
}

/// The type of a column.
#[derive(Clone, Copy, Debug)]
pub(super) enum Type {
    Int,
    Text,
    Bytes,
}

type Columns = [(String, Type)];

/// Names and types of a table's columns.
pub(super) async fn columns(
    conn: &mut Connection<'_>,
    dialect: Dialect,
    table: &str,
) -> Result<Vec<(String, Type)>, StoreError> {
    let rows = sqlx::query(dialect.columns()).bind(table).fetch_all(conn).await?;
    let column = |row: &AnyRow| {
        let (name, said): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        let kind = match said.to_ascii_lowercase().as_str() {
            "integer" | "bigint" => Type::Int,
            "text" | "varchar" | "longtext" => Type::Text,
            "blob" | "bytea" | "longblob" => Type::Bytes,
            _ => {
                let reason = format!("the column {name} of {table} has the unknown type {said}");
                return Err(StoreError::Invalid(reason));
            }
        };
        Ok((name, kind))
    };
    rows.iter().map(column).collect()
}

enum Value {
    Int(Option<i64>),
    Text(Option<String>),
    Bytes(Option<Vec<u8>>),
}

impl Value {
    fn of(row: &AnyRow, index: usize, kind: Type) -> Result<Self, sqlx::Error> {
        Ok(match kind {
            Type::Int => Self::Int(row.try_get(index)?),
            Type::Text => Self::Text(row.try_get(index)?),
            Type::Bytes => Self::Bytes(row.try_get(index)?),
        })
    }

    fn size(&self) -> usize {
        match self {
            Self::Int(_) => size_of::<i64>(),
            Self::Text(text) => text.as_ref().map_or(0, String::len),
            Self::Bytes(bytes) => bytes.as_ref().map_or(0, Vec::len),
        }
    }

    /// Length and content, so that no two rows look alike.
    fn hash(&self, hash: &mut Sha256) {
        let mut put = |bytes: Option<&[u8]>| {
            let length = bytes.map_or(u64::MAX, |bytes| bytes.len() as u64);
            hash.update(length.to_be_bytes());
            hash.update(bytes.unwrap_or_default());
        };
        match self {
            Self::Int(number) => put(number.map(i64::to_be_bytes).as_ref().map(|b| b.as_slice())),
            Self::Text(text) => put(text.as_deref().map(str::as_bytes)),
            Self::Bytes(bytes) => put(bytes.as_deref()),
        }
    }

    fn bind<'q>(
        self,
        query: Query<'q, sqlx::Any, AnyArguments>,
    ) -> Query<'q, sqlx::Any, AnyArguments> {
        match self {
            Self::Int(number) => query.bind(number),
            Self::Text(text) => query.bind(text),
            Self::Bytes(bytes) => query.bind(bytes),
        }
    }
}

fn select(table: &str, columns: &Columns) -> String {
    format!("SELECT {} FROM {table}", names(columns))
}

fn names(columns: &Columns) -> String {
    let names: Vec<&str> = columns.iter().map(|(name, _)| name.as_str()).collect();
    names.join(", ")
}

fn values(row: &AnyRow, columns: &Columns) -> Result<Vec<Value>, sqlx::Error> {
    let columns = columns.iter().enumerate();
    columns.map(|(index, (_, kind))| Value::of(row, index, *kind)).collect()
}

/// Reads a table.
pub(super) async fn read(
    conn: &mut Connection<'_>,
    table: &str,
    columns: &Columns,
) -> Result<Sum, sqlx::Error> {
    let mut sum = Sum::default();
    let mut rows = sqlx::query(AssertSqlSafe(select(table, columns))).fetch(conn);
    while let Some(row) = rows.next().await {
        sum.add(&values(&row?, columns)?);
    }
    Ok(sum)
}

/// Copies a table; what was read.
pub(super) async fn copy(
    from: &mut Connection<'_>,
    to: &mut Connection<'_>,
    table: &str,
    columns: &Columns,
) -> Result<Sum, sqlx::Error> {
    let most = PARAMETERS / columns.len().max(1);
    let mut sum = Sum::default();
    let mut rows = sqlx::query(AssertSqlSafe(select(table, columns))).fetch(from);
    let (mut batch, mut bytes) = (Vec::new(), 0);
    while let Some(row) = rows.next().await {
        let row = values(&row?, columns)?;
        sum.add(&row);
        bytes += row.iter().map(Value::size).sum::<usize>();
        batch.push(row);
        if batch.len() >= most || bytes >= BYTES {
            insert(to, table, columns, std::mem::take(&mut batch)).await?;
            bytes = 0;
        }
    }
    if !batch.is_empty() {
        insert(to, table, columns, batch).await?;
    }
    Ok(sum)
}

async fn insert(
    to: &mut Connection<'_>,
    table: &str,
    columns: &Columns,
    rows: Vec<Vec<Value>>,
) -> Result<(), sqlx::Error> {
    let mut parameter = 0;
    let mut next = || {
        parameter += 1;
        format!("${parameter}")
    };
    let places: Vec<String> = rows
        .iter()
        .map(|row| row.iter().map(|_| next()).collect::<Vec<_>>().join(", "))
        .map(|places| format!("({places})"))
        .collect();
    let sql = format!("INSERT INTO {table} ({}) VALUES {}", names(columns), places.join(", "));
    // Each size of a batch is another statement: they are not kept.
    let query = sqlx::query(AssertSqlSafe(sql)).persistent(false);
    let query = rows.into_iter().flatten().fold(query, |query, value| value.bind(query));
    query.execute(to).await.map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_tells_rows_apart_and_not_their_order() {
        let row =
            |text: &str, number: i64| [Value::Text(Some(text.into())), Value::Int(Some(number))];
        let sum = |rows: &[[Value; 2]]| {
            let mut sum = Sum::default();
            rows.iter().for_each(|row| sum.add(row));
            sum
        };
        let here = sum(&[row("a", 1), row("b", 2)]);
        assert_eq!(here, sum(&[row("b", 2), row("a", 1)]));
        assert_ne!(here, sum(&[row("a", 2), row("b", 1)]));
        let (empty, null) = (Value::Text(Some(String::new())), Value::Text(None));
        assert_ne!(sum(&[[empty, Value::Int(None)]]), sum(&[[null, Value::Int(None)]]));
    }
}
