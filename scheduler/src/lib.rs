//! The scheduler (being written): the interface that the command line may use.
use std::{net::SocketAddr, path::PathBuf};
use tokio_util::sync::CancellationToken;

/// How a scheduler is configured.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Where database, logs and artifacts are.
    pub data_dir: PathBuf,
}

impl Config {
    /// The embedded default: SQLite and a local store in `data_dir`.
    pub fn embedded(data_dir: PathBuf, listen: SocketAddr) -> Self {
        Self { listen, data_dir }
    }
}

/// A scheduler whose database is open and whose socket is bound.
pub struct Scheduler {
    listen: SocketAddr,
}

/// What keeps a scheduler from starting or running: one sentence.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Error(String);

impl Scheduler {
    /// Opens the database, binds the socket.
    pub async fn start(config: Config) -> Result<Self, Error> {
        Ok(Self { listen: config.listen })
    }

    /// The address that it listens on (the port chosen, if 0 was asked for).
    pub fn address(&self) -> SocketAddr {
        self.listen
    }

    /// Serves until `shutdown` is cancelled.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), Error> {
        shutdown.cancelled().await;
        Ok(())
    }
}
