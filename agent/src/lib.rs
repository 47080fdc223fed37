//! The agent (being written): the interface that the command line may use.
use std::path::{Path, PathBuf};
use tokio_util::sync::CancellationToken;

/// How an agent is configured.
#[derive(Clone, Debug)]
pub struct Config {
    /// The scheduler's endpoint: `http://127.0.0.1:7780`.
    pub server: String,
    /// The agent's name; the host's if absent.
    pub name: Option<String>,
    /// How many jobs it runs at once.
    pub slots: u32,
    /// Its own folder: socket, spools and working directories.
    pub directory: PathBuf,
    /// The command that starts the supervisor process; `--directory DIR` is appended.
    pub supervisor: Vec<std::ffi::OsString>,
}

/// What keeps an agent from running: one sentence.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Error(String);

/// Runs the session until `shutdown` is cancelled.
pub async fn run(_config: Config, shutdown: CancellationToken) -> Result<(), Error> {
    shutdown.cancelled().await;
    Ok(())
}

/// Runs the supervisor process in `directory` until nothing needs it any more.
pub fn supervise(_directory: &Path) -> Result<(), Error> {
    Ok(())
}
