//! What the scheduler's program can be told.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::{Parser, ValueEnum};
use multiflexi_program::log;

use super::Command;
use crate::requests::Networks;

/// The address of a scheduler that was told nothing else.
pub const LISTEN: &str = "127.0.0.1:7780";

/// How a connection to a database's server is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Encryption {
    /// Not at all
    Disable,
    /// If the server offers it
    Prefer,
    /// Always; the certificate is not checked
    Require,
    /// Always, and a trusted authority has signed the certificate
    VerifyCa,
    /// Always, and a trusted authority has signed the certificate for this very host
    VerifyFull,
}

/// The scheduler: owns database and queue, and dispatches jobs to agents.
#[derive(Clone, Debug, Parser)]
#[command(name = "multiflexi-scheduler", version, about)]
pub struct Arguments {
    /// What to do instead of running
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Address and port to listen on. Nobody has to log in yet: whoever can
    /// connect can run programs on the agents
    #[arg(long, env = "MULTIFLEXI_LISTEN", default_value = LISTEN, value_name = "ADDRESS:PORT")]
    pub listen: SocketAddr,
    /// Folder for the SQLite database, logs and artifacts
    #[arg(
        long,
        global = true,
        env = "MULTIFLEXI_DATA_DIR",
        default_value = "/var/lib/multiflexi/scheduler",
        value_name = "DIR"
    )]
    pub data_dir: PathBuf,
    /// Database: sqlite, pgsql or mysql
    #[arg(
        long,
        global = true,
        env = "DB_CONNECTION",
        default_value = "sqlite",
        value_name = "TYPE"
    )]
    pub db_connection: String,
    /// Name of the database; for SQLite its file [default: multiflexi.db in the data folder]
    #[arg(long, global = true, env = "DB_DATABASE", value_name = "NAME")]
    pub db_database: Option<String>,
    /// Host of the database
    #[arg(long, global = true, env = "DB_HOST", default_value = "localhost", value_name = "HOST")]
    pub db_host: String,
    /// Port of the database [default: the database's own]
    #[arg(long, global = true, env = "DB_PORT", value_name = "PORT")]
    pub db_port: Option<u16>,
    /// User of the database. The password comes from DB_PASSWORD alone, as the
    /// arguments of a process can be read by everybody
    #[arg(long, global = true, env = "DB_USERNAME", value_name = "NAME")]
    pub db_username: Option<String>,
    /// How the connection to the database's server is encrypted, if it is one over TCP
    /// [default: verify-full with --db-sslrootcert, else prefer]
    #[arg(long, global = true, env = "DB_SSLMODE", value_name = "MODE")]
    pub db_sslmode: Option<Encryption>,
    /// Authorities, in PEM, of which one has to have signed the server's certificate
    /// [default: those that this host trusts]
    #[arg(long, global = true, env = "DB_SSLROOTCERT", value_name = "FILE")]
    pub db_sslrootcert: Option<PathBuf>,
    /// Where logs and artifacts are that are too large for the database: a folder,
    /// s3://BUCKET/PREFIX, az://CONTAINER/PREFIX or gs://BUCKET/PREFIX. Credentials and the
    /// address of a server of your own come from AWS_…, AZURE_… and GOOGLE_… variables
    /// [default: objects in the data folder]
    #[arg(long, global = true, env = "MULTIFLEXI_OBJECT_STORE", value_name = "URL")]
    pub object_store: Option<String>,
    /// File of the keys that secrets are sealed with in the database; all schedulers of one
    /// database need the same [default: secrets.keys in the data folder]
    #[arg(long, global = true, env = "MULTIFLEXI_KEY_FILE", value_name = "FILE")]
    pub key_file: Option<PathBuf>,
    /// How long ended jobs are kept where their run template does not say, such as 90d
    /// [default: for ever]
    #[arg(long, env = "MULTIFLEXI_KEEP_AGE", value_name = "DURATION",
        value_parser = humantime::parse_duration)]
    pub keep_age: Option<Duration>,
    /// How many ended jobs of each run template are kept [default: all]
    #[arg(long, env = "MULTIFLEXI_KEEP_COUNT", value_name = "N")]
    pub keep_count: Option<u64>,
    /// How many bytes of output and artifacts of each run template are kept [default: all]
    #[arg(long, env = "MULTIFLEXI_KEEP_BYTES", value_name = "BYTES")]
    pub keep_bytes: Option<u64>,
    /// Where the days and hours of schedules are that do not say, such as Europe/Prague
    #[arg(long, env = "MULTIFLEXI_TIMEZONE", default_value = "UTC", value_name = "ZONE")]
    pub timezone: String,
    /// Where the other schedulers of the same database reach this one [default: the address
    /// that it listens on]
    #[arg(long, env = "MULTIFLEXI_ADVERTISE", value_name = "URL")]
    pub advertise: Option<String>,
    /// Address and port on which Prometheus can scrape /metrics, such as 127.0.0.1:9464
    /// [default: none]
    #[arg(long, env = "MULTIFLEXI_METRICS", value_name = "ADDRESS:PORT")]
    pub metrics: Option<SocketAddr>,
    /// Networks that actions may send requests to although they are not public, such as
    /// 10.0.0.0/8,fd00::/8; all for every address. Without it none of this host and of its
    /// own network
    #[arg(long, env = "MULTIFLEXI_ALLOW_PRIVATE_REQUESTS", value_name = "NETWORKS")]
    pub allow_private_requests: Option<Networks>,
    /// File of certificates, in PEM, of authorities that actions trust besides those of this host
    #[arg(long, env = "MULTIFLEXI_REQUEST_CA", value_name = "FILE")]
    pub request_ca: Option<PathBuf>,
    /// The mail server that actions send through, such as
    /// smtp://user@mail.example.org:587?tls=required. With a password in it, give it in the
    /// variable, as the arguments of a process can be read by everybody
    #[arg(long, env = "MULTIFLEXI_SMTP", value_name = "URL", hide_env_values = true)]
    pub smtp: Option<String>,
    /// The address that mail is from [default: multiflexi at this host]
    #[arg(long, env = "MULTIFLEXI_MAIL_FROM", value_name = "ADDRESS")]
    pub mail_from: Option<String>,
    /// Zabbix server that is told what happens, as HOST or HOST:PORT [default: none]
    #[arg(long, env = "ZABBIX_SERVER", value_name = "HOST:PORT")]
    pub zabbix_server: Option<String>,
    /// Host in Zabbix that has the items, but for companies that have one of their own
    /// [default: the name of this host]
    #[arg(long, env = "ZABBIX_HOST", value_name = "HOST")]
    pub zabbix_host: Option<String>,
    /// How often Zabbix is told how the queue and the agents are
    #[arg(long, env = "ZABBIX_INTERVAL", default_value = "1m", value_name = "DURATION",
        value_parser = humantime::parse_duration)]
    pub zabbix_interval: Duration,
    /// Name of the pre-shared key that the connection to Zabbix is encrypted with
    #[arg(long, env = "ZABBIX_TLS_PSK_IDENTITY", value_name = "NAME")]
    pub zabbix_psk_identity: Option<String>,
    /// File with that key, in hexadecimal
    #[arg(long, env = "ZABBIX_TLS_PSK_FILE", value_name = "FILE")]
    pub zabbix_psk_file: Option<PathBuf>,
    /// Zabbix's own program, which sends where there is a pre-shared key
    #[arg(long, env = "ZABBIX_SENDER", default_value = "zabbix_sender", value_name = "PROGRAM")]
    pub zabbix_sender: PathBuf,
    /// Reads variables from this file, besides /etc/multiflexi/.env
    #[arg(long, global = true, value_name = "FILE")]
    pub environment: Option<PathBuf>,
    /// How the log on stderr looks
    #[arg(
        long,
        global = true,
        env = "MULTIFLEXI_LOG_FORMAT",
        default_value = "text",
        value_name = "FORMAT"
    )]
    pub log_format: log::Format,
}
