//! One row of a source: every value as text or bytes, whatever type its column has.

use std::collections::BTreeMap;

use sqlx::{Row as _, mysql::MySqlRow};

use super::{
    MAX_BLOB, MAX_TEXT,
    tables::{Kind, Table},
};

/// Most remarks about values: a list that someone reads.
const MAX_REMARKS: usize = 200;

/// A row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row {
    id: i64,
    cells: BTreeMap<&'static str, Vec<u8>>,
}

impl Row {
    /// One with these values, for tests.
    #[cfg(test)]
    pub fn of(id: i64, cells: &[(&'static str, &str)]) -> Self {
        let cells = cells.iter().map(|(name, value)| (*name, value.as_bytes().to_vec()));
        Self { id, cells: cells.collect() }
    }

    /// Its id.
    pub fn id(&self) -> i64 {
        self.id
    }

    /// A value's bytes; none if it is NULL or not there.
    pub fn bytes(&self, name: &str) -> Option<&[u8]> {
        self.cells.get(name).map(Vec::as_slice)
    }

    /// A text, as it is.
    pub fn raw(&self, name: &str) -> Option<String> {
        self.bytes(name).map(|bytes| String::from_utf8_lossy(bytes).into_owned())
    }

    /// A text without zero bytes; none if it is empty.
    pub fn text(&self, name: &str) -> Option<String> {
        self.raw(name).map(|text| text.replace('\0', "")).filter(|text| !text.is_empty())
    }

    /// A whole number.
    pub fn int(&self, name: &str) -> Option<i64> {
        self.raw(name)?.trim().parse().ok()
    }

    /// Whether a number is not 0.
    pub fn flag(&self, name: &str) -> bool {
        self.int(name).is_some_and(|number| number != 0)
    }

    /// A time, in microseconds since the Unix epoch; the zero date is none.
    pub fn time(&self, name: &str) -> Option<i64> {
        self.int(name).filter(|time| *time > 0)
    }
}

/// Reads a row, and says what is lost of its values.
pub(super) fn read(
    table: &'static Table,
    row: &MySqlRow,
    remarks: &mut Vec<String>,
) -> Result<Row, sqlx::Error> {
    let id: Option<Vec<u8>> = row.try_get(0)?;
    let id = id.and_then(|id| String::from_utf8(id).ok()).and_then(|id| id.parse().ok());
    let id = id.unwrap_or_default();
    let mut cells = BTreeMap::new();
    for (index, (name, kind)) in (1..).zip(table.columns) {
        let value: Option<Vec<u8>> = row.try_get(index)?;
        let Some(mut value) = value else { continue };
        let most = if *kind == Kind::Blob { MAX_BLOB + 1 } else { MAX_TEXT };
        let mut remark = |what: &str| {
            if remarks.len() < MAX_REMARKS {
                remarks.push(format!("{} {id}: {name} {what}", table.name));
            }
        };
        if value.len() > most {
            value.truncate(most);
            // A character that was cut is no loss of another kind.
            while *kind == Kind::Text
                && std::str::from_utf8(&value).is_err_and(|error| error.error_len().is_none())
            {
                value.pop();
            }
            remark("is longer than 1 MiB: the rest is left out");
        }
        if *kind == Kind::Text {
            if std::str::from_utf8(&value).is_err() {
                value = String::from_utf8_lossy(&value).into_owned().into_bytes();
                remark("has bytes that are no UTF-8: \u{fffd} stands for them");
            }
            if value.contains(&0) {
                remark("has zero bytes, which no text here can have");
            }
        }
        cells.insert(*name, value);
    }
    Ok(Row { id, cells })
}
