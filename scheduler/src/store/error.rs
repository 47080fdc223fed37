//! What can go wrong with the database, as sentences for its user.

use std::sync::Arc;

use sqlx::{error::DatabaseError, mysql::MySqlDatabaseError};

use super::Location;
use crate::vault::VaultError;

/// Why a question has no answer or a change was not made.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// A secret that cannot be sealed or opened.
    #[error("{0}")]
    Vault(String),
    /// There is no such thing.
    #[error("there is no {what} {id}")]
    NotFound {
        /// What kind of thing: `job`.
        what: &'static str,
        /// Its id.
        id: i64,
    },
    /// A name is taken.
    #[error("there is already {} {what} named {name:?}", article(what))]
    AlreadyExists {
        /// What kind of thing: `company`.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// The value does not fit what is stored.
    #[error("{0}")]
    Invalid(String),
    /// The state of things does not allow it.
    #[error("{0}")]
    Refused(String),
    /// No room is left.
    #[error("the database has no room left: free some space, then try again")]
    Full,
    /// The database cannot be opened.
    #[error("the database {name} cannot be opened: {reason}")]
    Open {
        /// The database.
        name: String,
        /// Why.
        reason: String,
    },
    /// The scheduler is stopping.
    #[error("the scheduler is stopping: try again when it is up")]
    Closed,
    /// The database cannot be reached.
    #[error("the database is away ({0}): what runs goes on; try again when it is back")]
    Away(String),
    /// Anything else that the database says.
    #[error("the database failed: {0}")]
    Database(Arc<sqlx::Error>),
}

/// What stands before the name of a thing: `an application`.
fn article(what: &str) -> &'static str {
    if what.starts_with(['a', 'e', 'i', 'o']) { "an" } else { "a" }
}

impl From<VaultError> for StoreError {
    fn from(error: VaultError) -> Self {
        Self::Vault(error.to_string())
    }
}

impl StoreError {
    /// Whether this is an answer (no such thing, not now) and not a failure.
    pub fn is_answer(&self) -> bool {
        matches!(
            self,
            Self::NotFound { .. }
                | Self::AlreadyExists { .. }
                | Self::Invalid(_)
                | Self::Refused(_)
        )
    }

    /// Whether another transaction was in the way: the same may work when it is tried again.
    pub(super) fn is_collision(&self) -> bool {
        let Self::Database(error) = self else { return false };
        let Some(said) = error.as_database_error() else { return false };
        // Serialization failures and deadlocks; and what MariaDB says when another
        // transaction takes too long.
        matches!(said.code().as_deref(), Some("40001" | "40P01")) || number(said) == Some(1205)
    }

    /// The error of opening `location`: what is wrong, and what to do about it.
    pub(super) fn open(location: &Location, error: &sqlx::Error) -> Self {
        let reason = match error {
            sqlx::Error::Database(said) => match number(&**said) {
                Some(number) => with_mysql_advice(said.message(), number),
                None => with_advice(said.message(), said.code().as_deref().unwrap_or_default()),
            },
            sqlx::Error::Io(reason) => format!(
                "its server does not answer ({reason}): check DB_HOST and DB_PORT, and whether it runs"
            ),
            other => other.to_string(),
        };
        Self::Open { name: location.name.clone(), reason }
    }
}

/// What a database says with this code when it is opened, and what helps.
fn with_advice(said: &str, code: &str) -> String {
    let advice = match code {
        // SQLITE_CORRUPT.
        "11" => "it is damaged: take a backup of before",
        "26" => "name another with DB_DATABASE, or move it away",
        // SQLITE_READONLY and its kinds, SQLITE_CANTOPEN.
        "8" | "264" | "520" | "776" | "1032" | "1288" | "1544" | "14" => {
            "the scheduler's user has to be able to write the file and its folder"
        }
        "28P01" | "28000" => "check DB_USERNAME and DB_PASSWORD",
        "3D000" => "create it with createdb, or name another with DB_DATABASE",
        "42501" => "make DB_USERNAME the owner of the database, or let its owner grant that",
        "25006" => "DB_HOST has to be the server that takes changes",
        "53300" => "raise its max_connections, or end some of them",
        "57P03" => "it is starting or stopping: try again when it is up",
        _ => return said.to_owned(),
    };
    format!("{said}: {advice}")
}

/// The same of MariaDB and MySQL, by their error numbers.
fn with_mysql_advice(said: &str, number: u16) -> String {
    let advice = match number {
        1045 | 1698 => "check DB_USERNAME and DB_PASSWORD",
        1049 => "create it with CREATE DATABASE, or name another with DB_DATABASE",
        1044 | 1142 => "grant DB_USERNAME all rights on the database",
        1130 => "let DB_USERNAME connect from this host",
        1290 | 1836 => "DB_HOST has to be the server that takes changes",
        1040 | 1203 => "raise its max_connections, or end some of them",
        1053 => "it is stopping: try again when it is up",
        _ => return said.to_owned(),
    };
    format!("{said}: {advice}")
}

/// The number of an error of MariaDB or MySQL.
fn number(said: &dyn DatabaseError) -> Option<u16> {
    said.try_downcast_ref::<MySqlDatabaseError>().map(MySqlDatabaseError::number)
}

/// Whether MariaDB or MySQL says that there is such a row already.
pub(super) fn is_duplicate(said: &dyn DatabaseError) -> bool {
    matches!(number(said), Some(1062 | 1586))
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Io(reason) => return Self::Away(reason.to_string()),
            sqlx::Error::PoolTimedOut => return Self::Away("it does not answer".to_owned()),
            sqlx::Error::Database(said) => match (number(&**said), said.code().as_deref()) {
                (Some(1021 | 1026 | 1114), _) => return Self::Full,
                // The server is another one's copy, the user has no connection left, or the
                // connection was ended.
                (Some(1203 | 1290 | 1836 | 1927 | 3169 | 4031), _) => {
                    return Self::Away(said.message().to_owned());
                }
                // SQLITE_FULL, and PostgreSQL's disk_full.
                (None, Some("13" | "53100")) => return Self::Full,
                (_, Some(code)) if is_away(code) => return Self::Away(said.message().to_owned()),
                _ => {}
            },
            _ => {}
        }
        Self::Database(Arc::new(error))
    }
}

/// Whether a server says with this SQLSTATE that the connection is gone: class 08; that the
/// server stops, has crashed or is only starting; that it has no connection left; or that it
/// is only another one's copy, as in a failover.
fn is_away(code: &str) -> bool {
    let says = ["57P01", "57P02", "57P03", "53300", "25006"];
    code.len() == 5 && (code.starts_with("08") || says.contains(&code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_keeps_a_database_from_being_opened_is_said_with_what_helps() {
        let location = Location { url: String::new(), name: "postgres://db/jobs".to_owned() };
        let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        let error = StoreError::open(&location, &sqlx::Error::Io(refused)).to_string();
        assert!(error.contains("(connection refused): check DB_HOST"), "{error}");
        assert_eq!(with_advice("no", "28P01"), "no: check DB_USERNAME and DB_PASSWORD");
        assert_eq!(with_advice("odd", "99999"), "odd");
        let unknown = with_mysql_advice("Unknown database 'x'", 1049);
        assert!(unknown.contains("CREATE DATABASE"), "{unknown}");
        assert_eq!(with_mysql_advice("odd", 1), "odd");
    }

    #[test]
    fn a_name_that_is_taken_is_said_in_english() {
        let taken = |what| StoreError::AlreadyExists { what, name: "x".to_owned() }.to_string();
        assert_eq!(taken("application"), "there is already an application named \"x\"");
        assert_eq!(taken("company"), "there is already a company named \"x\"");
    }

    #[test]
    fn a_connection_that_fails_is_the_database_away() {
        let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        let error = StoreError::from(sqlx::Error::Io(refused));
        assert!(matches!(&error, StoreError::Away(_)), "{error}");
        assert!(error.to_string().contains("connection refused"), "{error}");
        assert!(matches!(StoreError::from(sqlx::Error::PoolTimedOut), StoreError::Away(_)));
        let other = sqlx::Error::Protocol("nonsense".to_owned());
        assert!(matches!(StoreError::from(other), StoreError::Database(_)));
        let away = ["08006", "57P01", "57P02", "57P03", "53300", "25006"].map(is_away);
        assert_eq!((away, ["0", "8", "57014", "40P01"].map(is_away)), ([true; 6], [false; 4]));
    }
}
