//! The arguments of the agent's program.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::{Parser, Subcommand};
use multiflexi_program::log;

/// The agent: takes jobs from a scheduler and runs them on this host.
#[derive(Debug, Parser)]
#[command(name = "multiflexi-agent", version, about, after_help = SIGNALS)]
pub struct Arguments {
    /// The scheduler; several that share one database with commas between
    #[arg(
        long,
        env = "MULTIFLEXI_SERVER",
        default_value = "http://127.0.0.1:7780",
        value_name = "URL,…",
        value_delimiter = ',',
        num_args = 1
    )]
    pub server: Vec<String>,
    /// The agent's name, unique among agents [default: the host's]
    #[arg(long, env = "MULTIFLEXI_AGENT_NAME", value_name = "NAME")]
    pub name: Option<String>,
    /// How many jobs it runs at once [default: four for each processor]
    #[arg(
        long,
        env = "MULTIFLEXI_SLOTS",
        value_name = "N",
        value_parser = clap::value_parser!(u32).range(1..=10_000)
    )]
    pub slots: Option<u32>,
    /// What sets it apart, for agent:list --label; may be given again
    #[arg(
        long,
        env = "MULTIFLEXI_AGENT_LABELS",
        value_delimiter = ',',
        value_parser = label,
        value_name = "NAME=VALUE"
    )]
    pub label: Vec<(String, String)>,
    /// The agent's own folder: spools and working directories
    #[arg(
        long,
        env = "MULTIFLEXI_AGENT_DIR",
        default_value = "/var/lib/multiflexi/agent",
        value_name = "DIR"
    )]
    pub directory: PathBuf,
    /// Output of one job that may wait here for the scheduler, in MiB; beyond that its run
    /// template says whether it waits, goes on with the beginning and end kept, or fails
    #[arg(
        long,
        env = "MULTIFLEXI_JOB_SPOOL_MIB",
        default_value_t = 1024,
        value_name = "MIB",
        value_parser = clap::value_parser!(u64).range(1..=1_048_576)
    )]
    pub job_spool_mib: u64,
    /// Output of all jobs that may wait here for the scheduler, in MiB
    #[arg(
        long,
        env = "MULTIFLEXI_SPOOL_MIB",
        default_value_t = 8192,
        value_name = "MIB",
        value_parser = clap::value_parser!(u64).range(1..=1_048_576)
    )]
    pub spool_mib: u64,
    /// How long SIGTERM waits for jobs that run before it cancels them, such as 30s or
    /// 2h [default: as long as they take]
    #[arg(
        long,
        env = "MULTIFLEXI_DRAIN",
        value_parser = humantime::parse_duration,
        value_name = "DURATION"
    )]
    pub drain: Option<Duration>,
    /// Address and port on which Prometheus can scrape /metrics, such as 127.0.0.1:9465
    /// [default: none]
    #[arg(long, env = "MULTIFLEXI_AGENT_METRICS", value_name = "ADDRESS:PORT")]
    pub metrics: Option<SocketAddr>,
    /// Reads variables from this file, besides /etc/multiflexi/.env
    #[arg(long, value_name = "FILE")]
    pub environment: Option<PathBuf>,
    /// How the log on stderr looks
    #[arg(long, env = "MULTIFLEXI_LOG_FORMAT", default_value = "text", value_name = "FORMAT")]
    pub log_format: log::Format,
    /// What it does instead.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What the program does besides.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Keeps the processes of jobs; the agent starts it
    #[command(hide = true)]
    Supervisor {
        /// The agent's folder
        #[arg(long)]
        directory: PathBuf,
    },
}

const SIGNALS: &str = "\
Signals:
  SIGTERM, SIGINT  take no more jobs, stop when those that run are done; again: cancel them
  SIGHUP           stop at once; jobs go on, and the next agent in this folder takes them over";

/// Reads a label.
fn label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("a label looks like NAME=VALUE".to_owned()),
    }
}
