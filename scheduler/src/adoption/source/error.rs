//! What keeps a source from being read, as sentences for its user.

/// Why a source cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The URL.
    #[error("--from cannot be used: {0}; it is mysql://user:password@host:port/database")]
    Url(&'static str),
    /// Nobody answers.
    #[error(
        "the server of {name} cannot be reached: {reason}; check host and port, and that it runs"
    )]
    Unreachable {
        /// The source.
        name: String,
        /// Why.
        reason: String,
    },
    /// The user or the password.
    #[error("the server of {name} refuses this user with this password: {reason}")]
    Login {
        /// The source.
        name: String,
        /// What it says.
        reason: String,
    },
    /// The user may not.
    #[error("the user may not read {name}: {reason}; grant SELECT on all its tables")]
    Denied {
        /// The source.
        name: String,
        /// What it says.
        reason: String,
    },
    /// There is no such database.
    #[error("there is no database {0}: check its name")]
    NoDatabase(String),
    /// It is another program's.
    #[error(
        "{name} is no database of a MultiFlexi that this user may read: it has no table {missing}"
    )]
    Foreign {
        /// The source.
        name: String,
        /// The tables that every MultiFlexi has.
        missing: String,
    },
    /// The time zone.
    #[error("the server of {name} knows no such time zone: {reason}; +01:00 is always known")]
    Zone {
        /// The source.
        name: String,
        /// What it says.
        reason: String,
    },
    /// There is no such table.
    #[error("a table is gone that was there a moment ago: try again")]
    NoSuchTable,
    /// It answered nothing.
    #[error("the server of the source has answered nothing where it had to: try again")]
    Empty,
    /// Anything else.
    #[error("{name} cannot be read: {reason}")]
    Failed {
        /// The source.
        name: String,
        /// Why.
        reason: String,
    },
}

/// What an error of the database means.
pub(super) fn explain(name: &str, error: &sqlx::Error) -> SourceError {
    let name = name.to_owned();
    let reason = match error {
        sqlx::Error::Database(error) => error.message().to_owned(),
        sqlx::Error::Io(error) => error.to_string(),
        other => other.to_string(),
    };
    let number = match error {
        sqlx::Error::Database(error) => error
            .try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>()
            .map(sqlx::mysql::MySqlDatabaseError::number),
        _ => None,
    };
    match (number, error) {
        (Some(1045 | 1698 | 1251 | 1275), _) => SourceError::Login { name, reason },
        (Some(1044 | 1142 | 1143 | 1227), _) => SourceError::Denied { name, reason },
        (Some(1049), _) => SourceError::NoDatabase(name),
        (Some(1146), _) => SourceError::NoSuchTable,
        (Some(1298), _) => SourceError::Zone { name, reason },
        (_, sqlx::Error::Io(_)) => SourceError::Unreachable { name, reason },
        _ => SourceError::Failed { name, reason },
    }
}
