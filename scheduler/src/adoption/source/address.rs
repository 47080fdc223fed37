//! Where a source is.

use sqlx::{ConnectOptions as _, mysql::MySqlConnectOptions};

use super::SourceError;

/// The URL of a source, with what names it.
#[derive(Clone, Debug)]
pub struct Address {
    pub(super) options: MySqlConnectOptions,
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
}
