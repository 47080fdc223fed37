//! `dev`: a scheduler and an agent in this process, on SQLite and this host alone.
//! They are the same code as the two services.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Args;
use multiflexi_agent as agent;
use multiflexi_program::{
    log,
    shutdown::{self, Stop},
};
use multiflexi_scheduler::{Scheduler, config::Config};
use tokio::{sync::watch, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::{arguments, exit_code::Exit, failure::Failure, output};

/// `dev`.
#[derive(Debug, Args)]
pub struct Dev {
    /// Folder for everything: database, logs, artifacts, spools
    #[arg(long, value_name = "DIR")]
    data_dir: PathBuf,
    /// Address and port of the scheduler; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:7780", value_name = "ADDRESS:PORT")]
    listen: SocketAddr,
    /// How many jobs run at once [default: four for each processor]
    #[arg(long, value_name = "N", value_parser = arguments::number::<u32>(1..=10_000))]
    slots: Option<u32>,
}

impl Dev {
    /// Runs until SIGTERM or Ctrl-C.
    pub fn run(self) -> Result<ExitCode, Failure> {
        log::start(log::Format::Text, "warn");
        runtime()?.block_on(async {
            let asked = shutdown::on_signal().map_err(|error| internal(&error))?;
            let mut pair = Pair::start(&self.data_dir, self.listen, self.slots).await?;
            output::print(&format!("multiflexi is ready at {}\n", pair.url))?;
            tokio::select! {
                () = asked.cancelled() => {}
                failure = pair.failed() => return Err(failure),
            }
            pair.stop().await?;
            Ok(ExitCode::SUCCESS)
        })
    }
}

/// A runtime for a scheduler and an agent.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| internal(&error))
}

pub(super) fn internal(error: &dyn std::fmt::Display) -> Failure {
    Failure::new(Exit::Internal, error.to_string())
}

/// A scheduler and an agent that run.
pub(super) struct Pair {
    /// The scheduler's endpoint.
    pub(super) url: String,
    stop_scheduler: CancellationToken,
    scheduler: JoinHandle<Result<(), multiflexi_scheduler::Error>>,
    stop_agent: watch::Sender<Stop>,
    agent: JoinHandle<Result<(), agent::Error>>,
}

impl Pair {
    /// Starts both; when this returns, the agent is connected.
    pub(super) async fn start(
        folder: &Path,
        listen: SocketAddr,
        slots: Option<u32>,
    ) -> Result<Self, Failure> {
        let config = Config::embedded(folder, listen);
        let scheduler = Scheduler::start(config).await.map_err(|error| internal(&error))?;
        let url = format!("http://{}", scheduler.address());
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let (connected, mut is_connected) = watch::channel(false);
        let program = std::env::current_exe().map_err(|error| internal(&error))?;
        let config = agent::Config {
            servers: vec![url.clone()],
            name: None,
            slots: slots.unwrap_or(u32::try_from(4 * processors).unwrap_or(4)),
            labels: BTreeMap::new(),
            directory: folder.join("agent"),
            supervisor: vec![program.into(), OsString::from("supervisor")],
            spool: agent::SpoolLimits::default(),
            drain: None,
            metrics: None,
            connected: Some(connected),
        };
        let (stop_agent, asked) = watch::channel(Stop::No);
        let stop_scheduler = CancellationToken::new();
        let mut pair = Self {
            url,
            scheduler: tokio::spawn(scheduler.run(stop_scheduler.clone())),
            stop_scheduler,
            agent: tokio::spawn(agent::run(config, asked)),
            stop_agent,
        };
        tokio::select! {
            _ = is_connected.wait_for(|connected| *connected) => {}
            failure = pair.failed() => return Err(failure),
        }
        Ok(pair)
    }

    /// Resolves when one of the two ends by itself, which it should not.
    pub(super) async fn failed(&mut self) -> Failure {
        tokio::select! {
            ended = &mut self.scheduler => why(ended, "the scheduler"),
            ended = &mut self.agent => why(ended, "the agent"),
        }
    }

    /// Cancels what runs, and ends the agent and then the scheduler.
    pub(super) async fn stop(self) -> Result<(), Failure> {
        self.stop_agent.send_replace(Stop::Cancel);
        let agent = self.agent.await;
        self.stop_scheduler.cancel();
        let scheduler = self.scheduler.await;
        agent.map_err(|error| internal(&error))?.map_err(|error| internal(&error))?;
        scheduler.map_err(|error| internal(&error))?.map_err(|error| internal(&error))
    }
}

fn why<E: std::error::Error>(
    ended: Result<Result<(), E>, tokio::task::JoinError>,
    who: &str,
) -> Failure {
    match ended {
        Ok(Ok(())) => internal(&format!("{who} has ended by itself")),
        Ok(Err(error)) => internal(&error),
        Err(error) => internal(&format!("{who} has failed: {error}")),
    }
}
