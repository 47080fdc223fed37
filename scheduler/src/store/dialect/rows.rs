//! Many rows in one parameter.

use super::Dialect;

/// The type of a column of [`Dialect::rows`].
#[derive(Clone, Copy, Debug)]
pub(in crate::store) enum Kind {
    /// A 64-bit number.
    Int,
    /// Text.
    Text,
}

impl Dialect {
    /// A table expression over the JSON array of arrays in `parameter`: many rows
    /// in one parameter, so that a batch of any size is one prepared statement.
    pub(in crate::store) fn rows(self, parameter: &str, columns: &[(&str, Kind)]) -> String {
        let (from, column): (String, fn(usize, Kind) -> String) = match self {
            Self::Sqlite => {
                (format!("json_each({parameter})"), |index, _| format!("value->>{index}"))
            }
            Self::Postgres => {
                let column = |index, kind| match kind {
                    Kind::Int => format!("CAST(value->>{index} AS BIGINT)"),
                    Kind::Text => format!("value->>{index}"),
                };
                // Each is an array, but PostgreSQL takes that for so rare that it expects one
                // row. For the hundred that it expects of any JSON it would read all of a table
                // that was empty when it made the plan, which stays until it counts the rows.
                let from = "AS e(value) WHERE jsonb_typeof(value) = 'array'";
                (format!("jsonb_array_elements(CAST({parameter} AS JSONB)) {from}"), column)
            }
            Self::Mysql => {
                let column = |(index, (name, kind)): (usize, &(&str, Kind))| {
                    let kind = match kind {
                        Kind::Int => "BIGINT",
                        Kind::Text => "LONGTEXT",
                    };
                    format!("{name} {kind} PATH '$[{index}]'")
                };
                let columns: Vec<String> = columns.iter().enumerate().map(column).collect();
                let columns = columns.join(", ");
                // Bare, it could not stand beside what is locked: MySQL would lock it, too.
                return format!(
                    "(SELECT * FROM JSON_TABLE({parameter}, '$[*]' COLUMNS ({columns})) AS j) AS r"
                );
            }
        };
        let columns: Vec<String> = columns
            .iter()
            .enumerate()
            .map(|(index, (name, kind))| format!("{} AS {name}", column(index, *kind)))
            .collect();
        format!("(SELECT {} FROM {from}) AS r", columns.join(", "))
    }
}
