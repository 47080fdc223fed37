//! What can go wrong with the database, as sentences for its user.

use std::sync::Arc;

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
    #[error("there is already a {what} named {name:?}")]
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
    /// Anything else that the database says.
    #[error("the database failed: {0}")]
    Database(Arc<sqlx::Error>),
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

    /// The error of opening `location`.
    pub(super) fn open(location: &Location, error: &sqlx::Error) -> Self {
        let text = match error {
            sqlx::Error::Database(error) => error.message().to_owned(),
            other => other.to_string(),
        };
        let reason = if text.contains("not a database") {
            "the file is not a database; name another with DB_DATABASE, or move it away".to_owned()
        } else {
            text
        };
        Self::Open { name: location.name.clone(), reason }
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        // SQLITE_FULL is 13; PostgreSQL's disk_full is 53100.
        let full = error
            .as_database_error()
            .and_then(|error| error.code())
            .is_some_and(|code| matches!(code.as_ref(), "13" | "53100"));
        if full { Self::Full } else { Self::Database(Arc::new(error)) }
    }
}
