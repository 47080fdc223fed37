//! The network side of the agent: takes offers, tells the supervisor what to
//! launch, and brings output, artifacts and ends to the scheduler. It holds no
//! process and nothing that is not also with the supervisor or the scheduler: it
//! may be killed at any time.
//!
//! ```text
//! scheduler ══ Connect ══► connection ──► supervisor_link ══ socket ══► supervisor
//!     ▲                        │ holdings        ▲
//!     ╠══ AppendLog ════ log_pump ◄── spool ─────┘
//!     ╚══ UploadArtifact ═ create_job_artifacts ◄── working directory
//! ```

mod connection;
mod create_job_artifacts;
mod holdings;
mod identity;
mod log_pump;
mod messages;
mod outbox;
mod outgoing_log;
mod spool_reader;
mod stopping;
mod supervisor_link;
mod telemetry;

use std::{
    collections::BTreeMap, ffi::OsString, io, net::SocketAddr, path::PathBuf, time::Duration,
};

use multiflexi_program::shutdown::Stop;
use multiflexi_proto::{MAX_MESSAGE, v1::agent_service_client::AgentServiceClient};
use multiflexi_telemetry::endpoint::{Endpoint as Metrics, EndpointError};
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;
use tonic::{
    Code, Status,
    transport::{Channel, Endpoint},
};

use connection::{Connection, Over};
use holdings::Holdings;
use identity::Identity;
use stopping::Stopping;
use supervisor_link::SupervisorLink;

/// Pauses between tries to reach the scheduler: doubled up to the second, and each
/// of random length between half of it and the whole.
const BACKOFF: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(5)];

/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(5);

/// How often a silent connection is asked whether it lives, and how long it may
/// take to answer.
const KEEPALIVE: [Duration; 2] = [Duration::from_secs(10), Duration::from_secs(10)];

/// How much output may wait on an agent for the scheduler, in bytes with framing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpoolLimits {
    /// Of one attempt.
    pub attempt_bytes: u64,
    /// Of all attempts.
    pub agent_bytes: u64,
}

impl Default for SpoolLimits {
    fn default() -> Self {
        let crate::link::Quota { attempt_bytes, agent_bytes, .. } = Default::default();
        Self { attempt_bytes, agent_bytes }
    }
}

/// How an agent is configured.
#[derive(Clone, Debug)]
pub struct Config {
    /// The endpoints of schedulers that share one database, `http://127.0.0.1:7780`: it is
    /// connected to any one of them.
    pub servers: Vec<String>,
    /// The agent's name; the host's if absent.
    pub name: Option<String>,
    /// How many jobs it runs at once.
    pub slots: u32,
    /// What sets it apart.
    pub labels: BTreeMap<String, String>,
    /// Its own folder: socket, spools and working directories.
    pub directory: PathBuf,
    /// The command that starts the supervisor process; `--directory DIR` is appended.
    pub supervisor: Vec<OsString>,
    /// How much output may wait here for the scheduler.
    pub spool: SpoolLimits,
    /// How long jobs that go on may keep an agent that drains; then they are
    /// cancelled. None for as long as they take.
    pub drain: Option<Duration>,
    /// Where metrics are served; nowhere if absent.
    pub metrics: Option<SocketAddr>,
    /// Told whether the agent is connected.
    pub connected: Option<watch::Sender<bool>>,
}

/// What keeps an agent from running: one sentence for its user.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The endpoint is no URL.
    #[error("{0:?} is no URL of a scheduler: it looks like http://HOST:7780")]
    Endpoint(String),
    /// The folder.
    #[error("the agent's folder {folder} cannot be used: {reason}; name another with --directory")]
    Folder {
        /// The folder.
        folder: String,
        /// Why.
        reason: io::Error,
    },
    /// Two agents in one folder.
    #[error("another agent runs in {0} already: give each a folder of its own with --directory")]
    Taken(String),
    /// The address for metrics.
    #[error(transparent)]
    Metrics(#[from] EndpointError),
    /// The supervisor.
    #[error("the supervisor cannot be started: {0}")]
    Supervisor(String),
    /// The scheduler does not take this agent.
    #[error("the scheduler refuses this agent: {0}")]
    Refused(String),
}

/// Runs the session until it has stopped as `asked`. Losing the scheduler is no
/// error: it is looked for until it is back, and the jobs go on meanwhile.
pub async fn run(config: Config, asked: watch::Receiver<Stop>) -> Result<(), Error> {
    let endpoints: Vec<Endpoint> =
        config.servers.iter().map(|server| endpoint(server)).collect::<Result<_, _>>()?;
    let mut turn = Turn::new(endpoints.len());
    let identity = Identity::take(&config)?;
    let scraped = CancellationToken::new();
    let _ends_with_us = scraped.clone().drop_guard();
    if let Some(address) = config.metrics {
        let endpoint = Metrics::open(address).await?;
        tracing::info!(address = %endpoint.address(), "metrics are served");
        tokio::spawn(telemetry::serve(endpoint, config.clone(), scraped));
    }
    let mut supervisor = SupervisorLink::open(&config).await?;
    let mut holdings = Holdings::default();
    let mut stopping = Stopping::new(asked, config.drain);
    let mut backoff = BACKOFF[0];
    let mut said = false;
    loop {
        let server = config.servers.get(turn.at).map(String::as_str).unwrap_or_default();
        let over = match connect(&endpoints[turn.at]).await {
            Ok(client) => {
                let connection = Connection::new(&config, &identity, server, client);
                let begun = Instant::now();
                let over = connection.serve(&mut supervisor, &mut holdings, &mut stopping).await;
                if begun.elapsed() > BACKOFF[1] {
                    backoff = BACKOFF[0];
                }
                over
            }
            Err(reason) => Over::Lost(reason),
        };
        if let Some(connected) = &config.connected {
            connected.send_replace(false);
        }
        telemetry::connected(false);
        telemetry::holds(holdings.load());
        match over {
            Over::Done => {
                supervisor.close().await;
                return Ok(());
            }
            Over::Refused(status) => return Err(Error::Refused(status.message().to_owned())),
            Over::SupervisorGone => {
                tracing::error!("the supervisor is gone, and its jobs with it; starting another");
                supervisor = SupervisorLink::open(&config).await?;
                holdings = Holdings::default();
                continue;
            }
            Over::SupervisorOld => {
                tracing::info!("the supervisor is of an earlier version and idle; replacing it");
                supervisor.close().await;
                supervisor = SupervisorLink::open(&config).await?;
                holdings = Holdings::default();
                continue;
            }
            Over::Lost(reason) if said => tracing::debug!(reason, "still no scheduler"),
            Over::Lost(reason) => {
                tracing::warn!(server, reason, "no connection to the scheduler; trying on");
                said = true;
            }
            Over::Dropped(reason) => {
                tracing::warn!(
                    server,
                    reason,
                    "the connection to the scheduler is gone; connecting again"
                );
                said = false;
                backoff = BACKOFF[0];
                turn.begin();
            }
        }
        // The others are tried at once: one of them may be there.
        if !turn.next() {
            continue;
        }
        let pause = jittered(backoff);
        if !stopping.wait_without_scheduler(pause, &mut supervisor, &mut holdings).await {
            supervisor.close().await;
            return Ok(());
        }
        backoff = (backoff * 2).min(BACKOFF[1]);
    }
}

/// Which of the schedulers is tried next.
struct Turn {
    at: usize,
    /// How many have been tried in this round.
    tried: usize,
    all: usize,
}

impl Turn {
    /// Agents begin with different ones.
    fn new(all: usize) -> Self {
        let random = uuid::Uuid::new_v4().as_u128();
        let at = usize::try_from(random % all.max(1) as u128).unwrap_or_default();
        Self { at, tried: 0, all }
    }

    /// A round begins.
    fn begin(&mut self) {
        self.tried = 0;
    }

    /// Goes on with the next one; true if all have been tried.
    fn next(&mut self) -> bool {
        self.at = (self.at + 1) % self.all.max(1);
        self.tried += 1;
        let round = self.tried >= self.all;
        if round {
            self.tried = 0;
        }
        round
    }
}

/// A random duration between half of `pause` and the whole, so that a thousand
/// agents do not come back in one instant.
fn jittered(pause: Duration) -> Duration {
    let random = uuid::Uuid::new_v4().as_u64_pair().0;
    let share = 0.5 + (random >> 11) as f64 / (1_u64 << 53) as f64 / 2.0;
    pause.mul_f64(share)
}

fn endpoint(server: &str) -> Result<Endpoint, Error> {
    let endpoint =
        Endpoint::from_shared(server.to_owned()).map_err(|_| Error::Endpoint(server.to_owned()))?;
    let has_host = endpoint.uri().host().is_some_and(|host| !host.is_empty());
    if !has_host || endpoint.uri().scheme_str() != Some("http") {
        return Err(Error::Endpoint(server.to_owned()));
    }
    Ok(endpoint
        .connect_timeout(CONNECT)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(KEEPALIVE[0])
        .keep_alive_timeout(KEEPALIVE[1])
        .keep_alive_while_idle(true))
}

async fn connect(endpoint: &Endpoint) -> Result<AgentServiceClient<Channel>, String> {
    let channel = endpoint.connect().await.map_err(|error| root_cause(&error))?;
    Ok(AgentServiceClient::new(channel)
        .max_decoding_message_size(MAX_MESSAGE)
        .max_encoding_message_size(MAX_MESSAGE))
}

fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

/// Whether a status says that this agent will never be taken as it is.
fn is_refusal(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::FailedPrecondition
            | Code::InvalidArgument
            | Code::AlreadyExists
            | Code::Unimplemented
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_are_spread_and_bounded() {
        let pause = Duration::from_secs(1);
        let pauses: Vec<_> = (0..100).map(|_| jittered(pause)).collect();
        assert!(pauses.iter().all(|one| *one >= pause / 2 && *one <= pause));
        assert!(pauses.iter().any(|one| *one != pauses[0]));
    }

    #[test]
    fn all_schedulers_are_tried_before_it_pauses() {
        let mut turn = Turn::new(3);
        let mut tried = vec![turn.at];
        assert!(!turn.next());
        tried.push(turn.at);
        assert!(!turn.next());
        tried.push(turn.at);
        assert!(turn.next());
        tried.sort_unstable();
        assert_eq!(tried, [0, 1, 2]);
        assert!(Turn::new(1).next());
    }

    #[test]
    fn only_urls_of_schedulers_are_taken() {
        assert!(endpoint("http://127.0.0.1:7780").is_ok());
        for bad in ["", "127.0.0.1", "ftp://host", "http://", "https://host:1"] {
            assert!(endpoint(bad).is_err(), "{bad:?}");
        }
    }
}
