//! What the scheduler's program does besides running one, as it is asked for.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

/// What the program does besides running the scheduler.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// The object store's contents
    Objects {
        /// What to do with them.
        #[command(subcommand)]
        command: ObjectsCommand,
    },
    /// Brings what a PHP MultiFlexi has: its database is read and never changed
    ImportMultiflexi(ImportMultiflexi),
    /// Brings the schema of the database up to date, as a scheduler does when it starts
    Migrate(Migrate),
    /// Copies a whole database into an empty one, such as from SQLite to PostgreSQL,
    /// MariaDB or MySQL, and reads each row again. The schedulers of both must be stopped; agents and
    /// what runs on them need not be
    Transfer(Transfer),
    /// Copies an SQLite database, its objects and, if you want, its keys into a new folder,
    /// while the scheduler goes on
    Backup(Backup),
    /// Goes back to a backup; the scheduler must be stopped and its database moved away. What
    /// ran when the backup was made is lost
    Restore(Restore),
}

/// What can be done with an object store's contents.
#[derive(Clone, Debug, Subcommand)]
pub enum ObjectsCommand {
    /// Copies all logs and artifacts into another store; what is there already stays. Run it
    /// again when the scheduler has stopped, then start that with the new store
    Copy {
        /// The store that has them: a folder or a URL, as for --object-store
        #[arg(long, value_name = "URL")]
        from: String,
        /// The store that gets them
        #[arg(long, value_name = "URL")]
        to: String,
    },
}

/// `import-multiflexi`.
#[derive(Clone, Debug, Args)]
pub struct ImportMultiflexi {
    /// The database: mysql://user:password@host:port/database. Better given in the variable,
    /// as the arguments of a process can be read by everybody
    #[arg(long, env = "MULTIFLEXI_IMPORT_FROM", hide_env_values = true, value_name = "URL")]
    pub from: String,
    /// What names that database here, from import to import [default: its host, port and name]
    #[arg(long, value_name = "NAME")]
    pub source: Option<String>,
    /// The time zone that it means where its times name none, as +01:00 [default: its server's]
    #[arg(long, value_name = "ZONE", allow_hyphen_values = true)]
    pub time_zone: Option<String>,
    /// Brings schedules too, and they start jobs here from then on: switch them off there
    #[arg(long)]
    pub with_schedules: bool,
    /// Says what would be imported, and writes nothing
    #[arg(long)]
    pub dry_run: bool,
    /// How the report looks
    #[arg(short, long, default_value = "text", value_name = "FORMAT")]
    pub format: ReportFormat,
}

/// How a report looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ReportFormat {
    /// For people.
    #[default]
    Text,
    /// For machines.
    Json,
}

/// `migrate`.
#[derive(Clone, Debug, Args)]
pub struct Migrate {
    /// Says what would be done, and writes nothing
    #[arg(long)]
    pub dry_run: bool,
    /// How the report looks
    #[arg(short, long, default_value = "text", value_name = "FORMAT")]
    pub format: ReportFormat,
}

/// `transfer`.
#[derive(Clone, Debug, Args)]
pub struct Transfer {
    /// The database that has everything: sqlite:///path/of/file, postgres://user@host/name or
    /// mysql://user@host/name [default: the one that is configured]
    #[arg(long, value_name = "URL")]
    pub from: Option<String>,
    /// The empty database that gets it. Its password is better given in DB_PASSWORD, as the
    /// arguments of a process can be read by everybody
    #[arg(long, value_name = "URL")]
    pub to: String,
    /// How the report looks
    #[arg(short, long, default_value = "text", value_name = "FORMAT")]
    pub format: ReportFormat,
}

/// `backup`.
#[derive(Clone, Debug, Args)]
pub struct Backup {
    /// The folder, which is made: another for each backup
    #[arg(long, value_name = "DIR")]
    pub to: PathBuf,
    /// The keys that secrets are sealed with, too: whoever has the folder can then read them
    #[arg(long)]
    pub with_keys: bool,
    /// Not the objects, such as those in a bucket that has backups of its own
    #[arg(long)]
    pub without_objects: bool,
    /// How the report looks
    #[arg(short, long, default_value = "text", value_name = "FORMAT")]
    pub format: ReportFormat,
}

/// `restore`.
#[derive(Clone, Debug, Args)]
pub struct Restore {
    /// The folder of the backup
    #[arg(long, value_name = "DIR")]
    pub from: PathBuf,
    /// How the report looks
    #[arg(short, long, default_value = "text", value_name = "FORMAT")]
    pub format: ReportFormat,
}
