//! How a scheduler is configured: flags, then environment variables, whose names
//! for the database are the PHP MultiFlexi's.

mod arguments;
mod commands;
mod server;
#[cfg(test)]
mod tests;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

pub use arguments::{Arguments, Encryption, LISTEN};
pub use commands::{
    Backup, Command, ImportMultiflexi, Migrate, ObjectsCommand, ReportFormat, Restore, Transfer,
};

use crate::{
    domain::{retention::Keep, schedule},
    mail::Mailer,
    objects::Place,
    requests::{Authorities, Networks},
    store::Location,
    zabbix,
};

/// A scheduler's configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where it listens.
    pub listen: SocketAddr,
    /// The database.
    pub database: Location,
    /// Where large logs and artifacts are.
    pub objects: Place,
    /// The file of the keys that secrets are sealed with.
    pub keys: PathBuf,
    /// What is kept of ended jobs where their run template does not say.
    pub keep: Keep,
    /// Where days and hours are, for schedules that do not say.
    pub zone: chrono_tz::Tz,
    /// Where other schedulers reach it, if not at the address that it listens on.
    pub advertise: Option<String>,
    /// Where metrics are served; nowhere if absent.
    pub metrics: Option<SocketAddr>,
    /// Networks that requests may go to although they are not public.
    pub private_requests: Networks,
    /// Authorities whose certificates requests trust besides those of this host.
    pub authorities: Authorities,
    /// Sends mail; without it none is sent.
    pub mail: Option<Mailer>,
    /// How Zabbix is told what happens, if it is.
    pub zabbix: Option<zabbix::Settings>,
    /// Folders that must be there before anything is opened.
    pub folders: Vec<PathBuf>,
}

/// A setting that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(String);

impl Config {
    /// The embedded default: everything in one folder.
    pub fn embedded(data_dir: &Path, listen: SocketAddr) -> Self {
        Self {
            listen,
            database: sqlite(&data_dir.join("multiflexi.db")),
            objects: Place::folder(&data_dir.join("objects")),
            keys: data_dir.join("secrets.keys"),
            keep: Keep::default(),
            zone: chrono_tz::UTC,
            advertise: None,
            metrics: None,
            private_requests: Networks::default(),
            authorities: Authorities::default(),
            mail: None,
            zabbix: None,
            folders: vec![data_dir.to_owned()],
        }
    }

    /// What the arguments say; `password` is the database's.
    pub fn new(arguments: &Arguments, password: Option<&str>) -> Result<Self, ConfigError> {
        let mut config = Self::embedded(&arguments.data_dir, arguments.listen);
        match arguments.db_connection.as_str() {
            "sqlite" => {
                if let Some(file) = arguments.db_database.as_ref().filter(|file| !file.is_empty()) {
                    config.database = sqlite(Path::new(file));
                }
            }
            "pgsql" | "postgres" | "postgresql" => {
                config.database = server::POSTGRES.database(arguments, password)?;
            }
            "mysql" | "mariadb" => {
                config.database = server::MYSQL.database(arguments, password)?;
            }
            other => {
                return Err(ConfigError(format!(
                    "DB_CONNECTION is {other:?}: this version can use sqlite, pgsql and mysql"
                )));
            }
        }
        config.metrics = arguments.metrics;
        config.keep = Keep {
            age: arguments.keep_age,
            count: arguments.keep_count,
            bytes: arguments.keep_bytes,
        };
        config.zone = schedule::zone(&arguments.timezone)
            .map_err(|error| ConfigError(format!("MULTIFLEXI_TIMEZONE: {error}")))?;
        if let Some(url) = &arguments.advertise {
            let read = url::Url::parse(url).ok();
            if !read.is_some_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host()) {
                return Err(ConfigError(format!(
                    "--advertise is {url:?}: it must be a URL such as http://scheduler-1:7780"
                )));
            }
            config.advertise = Some(url.clone());
        }
        if let Some(url) = &arguments.smtp {
            let mailer = Mailer::new(url, arguments.mail_from.as_deref());
            config.mail = Some(mailer.map_err(ConfigError)?);
        }
        if let Some(networks) = &arguments.allow_private_requests {
            config.private_requests = networks.clone();
        }
        if let Some(file) = &arguments.request_ca {
            config.authorities = Authorities::read(file).map_err(ConfigError)?;
        }
        if let Some(url) = &arguments.object_store {
            config.objects = Place::parse(url).map_err(ConfigError)?;
        }
        if let Some(file) = &arguments.key_file {
            config.keys.clone_from(file);
        }
        if arguments.command.is_none() {
            config.zabbix = zabbix_of(arguments)?;
        }
        Ok(config)
    }
}

/// How Zabbix is told what happens; none unless a server is named.
fn zabbix_of(arguments: &Arguments) -> Result<Option<zabbix::Settings>, ConfigError> {
    let given = zabbix::Given {
        server: arguments.zabbix_server.clone().unwrap_or_default(),
        host: arguments.zabbix_host.clone(),
        interval: arguments.zabbix_interval,
        psk_identity: arguments.zabbix_psk_identity.clone(),
        psk_file: arguments.zabbix_psk_file.clone(),
        program: arguments.zabbix_sender.clone(),
    };
    let own = rustix::system::uname().nodename().to_string_lossy().into_owned();
    zabbix::Settings::read(given, &own).map_err(ConfigError)
}

/// The URL at which a scheduler is reached that listens on `address`: by the name of this
/// host, if it listens on all its addresses.
pub fn url_of(address: SocketAddr) -> String {
    if address.ip().is_unspecified() {
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        return format!("http://{host}:{}", address.port());
    }
    format!("http://{address}")
}

/// The database that a URL names: `sqlite:///path/of/file`, `postgres://user@host/name` or
/// `mysql://user@host/name`.
/// Without a password in it, this one is the server's.
pub fn database_of(url: &str, password: Option<&str>) -> Result<Location, ConfigError> {
    let unusable = |why: &str| {
        ConfigError(format!(
            "{why}: name a database as sqlite:///path/of/file, postgres://user@host/name or \
             mysql://user@host/name"
        ))
    };
    if let Some(rest) = url.strip_prefix("sqlite:") {
        return match rest.strip_prefix("//").unwrap_or(rest) {
            "" => Err(unusable(&format!("{url:?} names no file"))),
            file => Ok(sqlite(Path::new(file))),
        };
    }
    // Whatever is wrong with it, a password may be in it: it is not said again.
    let mut read = url::Url::parse(url).map_err(|_| unusable("the URL cannot be read"))?;
    if !matches!(read.scheme(), "postgres" | "postgresql" | "mysql" | "mariadb") {
        return Err(unusable(&format!("{:?} is not a database of ours", read.scheme())));
    }
    let own = read.password().is_some();
    let mut bare = read.clone();
    let cannot = |()| unusable("the URL names no host");
    bare.set_password(None).map_err(cannot)?;
    if !own && password.is_some() {
        read.set_password(password).map_err(cannot)?;
    }
    Ok(Location { url: read.into(), name: bare.into() })
}

/// The database in an SQLite file.
pub fn sqlite(file: &Path) -> Location {
    let name = file.display().to_string();
    // What means something in a URL is escaped.
    let path = name.replace('%', "%25").replace('?', "%3F").replace('#', "%23");
    Location { url: format!("sqlite://{path}?mode=rwc"), name }
}
