//! How columns are read, whatever they are in this version of the source.

use super::{MAX_BLOB, MAX_TEXT, tables::Kind};

/// What a column holds there.
#[derive(Clone, Debug)]
pub(super) struct Column {
    pub(super) kind: String,
    pub(super) charset: Option<String>,
}

/// A name as SQL takes it.
pub(super) fn identifier(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// Whether texts in this character set are UTF-8 already.
pub(super) fn is_utf8(charset: &str) -> bool {
    charset.starts_with("utf8") || charset.eq_ignore_ascii_case("ascii")
}

/// The bytes of a text as UTF-8, or as they are if nobody says what they are.
pub(super) fn bytes_of(name: &str, column: &Column) -> String {
    let name = identifier(name);
    match &column.charset {
        Some(charset) if !is_utf8(charset) => {
            format!("CAST(CONVERT({name} USING utf8mb4) AS BINARY)")
        }
        _ => format!("CAST({name} AS BINARY)"),
    }
}

/// Everything arrives as bytes: what a column is differs from version to version.
pub(super) fn expression(name: &str, kind: Kind, column: &Column) -> String {
    match kind {
        Kind::Time if matches!(column.kind.as_str(), "timestamp" | "datetime" | "date") => {
            // In the session's time zone, as PHP has written it.
            let name = identifier(name);
            format!("CAST(CAST(UNIX_TIMESTAMP({name}) * 1000000 AS SIGNED) AS BINARY)")
        }
        Kind::Time => "NULL".to_owned(),
        // A text of any size has one, though the server may not hand it out whole.
        Kind::Size if column.charset.as_deref().is_none_or(is_utf8) => {
            format!("CAST(OCTET_LENGTH({}) AS BINARY)", identifier(name))
        }
        Kind::Size => format!("CAST(OCTET_LENGTH({}) AS BINARY)", bytes_of(name, column)),
        Kind::Number | Kind::Text | Kind::Bytes => {
            format!("SUBSTRING({}, 1, {})", bytes_of(name, column), MAX_TEXT + 1)
        }
        Kind::Blob => format!("SUBSTRING({}, 1, {})", bytes_of(name, column), MAX_BLOB + 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
