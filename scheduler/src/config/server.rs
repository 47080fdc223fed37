//! The database of a server, as its URL says it.

use url::Url;

use super::{Arguments, ConfigError, Encryption};
use crate::store::Location;

/// What the URLs of a kind of database call things.
pub(super) struct Server {
    scheme: &'static str,
    /// The Unix socket; of PostgreSQL it is the folder.
    socket: &'static str,
    /// How connections are encrypted, and the words for that.
    encryption: (&'static str, fn(Encryption) -> &'static str),
    /// The file of the authorities that are trusted.
    authorities: &'static str,
}

/// PostgreSQL.
pub(super) const POSTGRES: Server = Server {
    scheme: "postgres",
    socket: "host",
    encryption: ("sslmode", |encryption| match encryption {
        Encryption::Disable => "disable",
        Encryption::Prefer => "prefer",
        Encryption::Require => "require",
        Encryption::VerifyCa => "verify-ca",
        Encryption::VerifyFull => "verify-full",
    }),
    authorities: "sslrootcert",
};

/// MariaDB and MySQL.
pub(super) const MYSQL: Server = Server {
    scheme: "mysql",
    socket: "socket",
    encryption: ("ssl-mode", |encryption| match encryption {
        Encryption::Disable => "DISABLED",
        Encryption::Prefer => "PREFERRED",
        Encryption::Require => "REQUIRED",
        Encryption::VerifyCa => "VERIFY_CA",
        Encryption::VerifyFull => "VERIFY_IDENTITY",
    }),
    authorities: "ssl-ca",
};

impl Server {
    /// The database that the arguments name.
    pub(super) fn database(
        &self,
        arguments: &Arguments,
        password: Option<&str>,
    ) -> Result<Location, ConfigError> {
        let database = arguments.db_database.as_deref().filter(|name| !name.is_empty());
        let database = database.unwrap_or("multiflexi");
        let unusable = |what: &str, value: &str| {
            ConfigError(format!("{what} is {value:?}, which no database URL can hold"))
        };
        let mut url = Url::parse(&format!("{}://localhost", self.scheme))
            .map_err(|error| ConfigError(error.to_string()))?;
        let host = match arguments.db_host.as_str() {
            "" => "localhost",
            host => host,
        };
        if host.starts_with('/') {
            url.query_pairs_mut().append_pair(self.socket, host);
        } else {
            url.set_host(Some(host)).map_err(|_| unusable("DB_HOST", host))?;
        }
        url.set_port(arguments.db_port).map_err(|()| unusable("DB_HOST", host))?;
        // Each client library would take another one.
        let user = arguments.db_username.as_deref().filter(|user| !user.is_empty());
        let user = user.ok_or_else(|| {
            let connection = &arguments.db_connection;
            ConfigError(format!("DB_USERNAME is missing: DB_CONNECTION={connection} needs a user"))
        })?;
        url.set_username(user).map_err(|()| unusable("DB_USERNAME", user))?;
        url.path_segments_mut()
            .map_err(|()| unusable("DB_DATABASE", database))?
            .clear()
            .push(database);
        let name = url.to_string();
        // What goes through a socket leaves no host.
        if !host.starts_with('/') {
            self.encrypt(&mut url, arguments)?;
        }
        url.set_password(password)
            .map_err(|()| ConfigError("DB_PASSWORD cannot be used".into()))?;
        Ok(Location { url: url.into(), name })
    }

    /// Says how the connection is encrypted. Who names an authority wants it to be asked.
    fn encrypt(&self, url: &mut Url, arguments: &Arguments) -> Result<(), ConfigError> {
        let file = arguments.db_sslrootcert.as_deref();
        let full = file.map(|_| Encryption::VerifyFull);
        let Some(encryption) = arguments.db_sslmode.or(full) else { return Ok(()) };
        let (key, word) = self.encryption;
        url.query_pairs_mut().append_pair(key, word(encryption));
        let Some(file) = file else { return Ok(()) };
        if !matches!(encryption, Encryption::VerifyCa | Encryption::VerifyFull) {
            return Err(ConfigError(
                "DB_SSLROOTCERT names authorities, and DB_SSLMODE says that no certificate is \
                 checked: take verify-full or verify-ca, or leave one of them out"
                    .to_owned(),
            ));
        }
        let unreadable = |reason: &dyn std::fmt::Display| {
            ConfigError(format!("DB_SSLROOTCERT {} cannot be used: {reason}", file.display()))
        };
        std::fs::File::open(file).map_err(|error| unreadable(&error))?;
        let path = file.to_str().ok_or_else(|| unreadable(&"its name is no UTF-8"))?;
        url.query_pairs_mut().append_pair(self.authorities, path);
        Ok(())
    }
}
