//! The scheduler: the only process that touches the database. Services (`api`)
//! ask the rules (`domain`) and the `store`; `dispatch` turns what they decide
//! into messages to agents; `logs` and `artifacts` keep what jobs leave.

pub mod actions;
pub mod adoption;
mod api;
pub mod artifacts;
pub mod backup;
pub mod config;
pub mod dispatch;
pub mod domain;
pub mod events;
pub mod folders;
pub mod logs;
pub mod mail;
mod monitor;
pub mod objects;
pub mod peers;
pub mod removal;
pub mod requests;
pub mod sealing;
pub mod store;
pub mod telemetry;
pub mod vault;
pub mod zabbix;

use std::{io, net::SocketAddr, path::PathBuf, time::Duration};

use multiflexi_telemetry::endpoint::{Endpoint, EndpointError};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::transport::server::{Router, TcpIncoming};

use crate::{
    actions::{Actions, Means, Registry},
    adoption::source::SourceError,
    api::{Services, Watched},
    artifacts::{ArtifactError, Artifacts},
    config::{Config, ConfigError},
    dispatch::{Dispatch, DispatchSettings},
    domain::ids::RunTemplateId,
    events::Events,
    logs::{LogError, LogSettings, Logs},
    monitor::Monitor,
    objects::{IdentityError, ObjectError, Objects},
    peers::Peers,
    removal::Removal,
    requests::Requests,
    sealing::Sealing,
    store::{Exclusive, Leave, Store, StoreError, TrimEvents, TrimSlots},
    vault::{Vault, VaultError},
    zabbix::Zabbix,
};

/// How long requests may take to end after the scheduler was told to stop.
const DRAIN: Duration = Duration::from_secs(5);

/// How often what need not be kept any longer is removed.
const TIDY: Duration = Duration::from_secs(3600);

/// What keeps a scheduler from running: one sentence for its user.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A setting.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The keys of secrets.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The object store.
    #[error(transparent)]
    Objects(#[from] ObjectError),
    /// The object store and the database do not belong together.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// A folder.
    #[error("the folder {folder} cannot be made: {reason}")]
    Folder {
        /// The folder.
        folder: String,
        /// Why.
        reason: io::Error,
    },
    /// The address.
    #[error(
        "the scheduler cannot listen on {address}: {reason}; name another address with --listen"
    )]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        reason: io::Error,
    },
    /// The address for metrics.
    #[error(transparent)]
    Metrics(#[from] EndpointError),
    /// The services.
    #[error("the services cannot be built: {0}")]
    Services(String),
    /// What is imported.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// A log of what is imported.
    #[error(transparent)]
    Log(#[from] LogError),
    /// A file of what is imported.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// The server.
    #[error("the server failed: {0}")]
    Serve(#[from] tonic::transport::Error),
}

/// A scheduler that listens; [`run`](Self::run) serves.
#[derive(Debug)]
pub struct Scheduler {
    services: Services,
    router: Router<Watched>,
    listener: TcpListener,
    address: SocketAddr,
    /// Where metrics are served, if they are.
    metrics: Option<Endpoint>,
    data: PathBuf,
    /// Ends what it tells other schedulers, and hears of them.
    deaf: CancellationToken,
    /// Held until it has stopped.
    _exclusive: Option<Exclusive>,
}

impl Scheduler {
    /// Opens everything that a scheduler needs. When this returns, its address
    /// takes connections.
    pub async fn start(config: Config) -> Result<Self, Error> {
        let listen = |reason| Error::Listen { address: config.listen, reason };
        // The address comes first: a second scheduler by mistake touches nothing.
        let listener = TcpListener::bind(config.listen).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        if !address.ip().is_loopback() {
            tracing::warn!(
                %address,
                "listening beyond this host, and nobody has to log in yet: whoever can \
                 connect can run programs on the agents"
            );
        }
        let metrics = match config.metrics {
            Some(address) => Some(Endpoint::open(address).await?),
            None => None,
        };
        for folder in &config.folders {
            folders::make(folder)
                .map_err(|reason| Error::Folder { folder: folder.display().to_string(), reason })?;
        }
        let exclusive = Exclusive::take(&config.database)?;
        let objects = Objects::open(&config.objects)?;
        objects.attempt().await?;
        let store = Store::open(&config.database, Vault::open(&config.keys)?).await?;
        objects::settle(&objects, &store).await?;
        if let Some(row) = store.object_store().await? {
            telemetry::belongs_to(&row.id);
        }
        let logs = Logs::start(store.clone(), objects.clone(), LogSettings::default());
        let advertised = config.advertise.unwrap_or_else(|| config::url_of(address));
        let peers = Peers::default();
        let events = Events::new(peers.clone());
        let deaf = CancellationToken::new();
        let heard = peers.start(&config.database, &store, &deaf);
        let dispatch = Dispatch::start(
            store.clone(),
            logs.clone(),
            events.clone(),
            (peers, heard),
            DispatchSettings { address: advertised, ..DispatchSettings::default() },
        )
        .await?;
        let artifacts = Artifacts::new(store.clone(), objects.clone(), logs.clone());
        let removal = Removal::new(store.clone(), objects, events.clone(), dispatch.clone());
        let queue = dispatch.clone();
        let launched = Box::new(move |_| {
            queue.job_queued();
            queue.job_delayed();
        });
        let zabbix = Zabbix::start(config.zabbix, &store, &events).await?;
        let registry = Registry::new(Means {
            requests: Requests::new(config.private_requests, config.authorities),
            mailer: config.mail,
            jobs: Some((store.clone(), artifacts.clone())),
            zabbix: Some(zabbix.clone()),
        });
        let sealing = Sealing::start(store.clone(), registry.secret_settings());
        let actions = Actions::start(store.clone(), registry, launched).await?;
        let (keep, zone) = (config.keep, config.zone);
        let services = Services {
            store,
            logs,
            artifacts,
            events,
            dispatch,
            removal,
            sealing,
            actions,
            zabbix,
            keep,
            zone,
        };
        let router = api::router(services.clone())
            .await
            .map_err(|error| Error::Services(error.to_string()))?;
        let at = metrics.as_ref().map(|endpoint| endpoint.address().to_string());
        tracing::info!(
            %address,
            metrics = at.as_deref().unwrap_or("off"),
            database = config.database.name,
            objects = %config.objects,
            "the scheduler is ready"
        );
        let data = config.folders.first().cloned().unwrap_or_default();
        Ok(Self { services, router, listener, address, metrics, data, deaf, _exclusive: exclusive })
    }

    /// The address that it listens on, with the port that it was given.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `shutdown` is cancelled; then ends the sessions of agents, lets
    /// requests end, and makes everything durable that it has taken in.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), Error> {
        let services = self.services;
        // Small answers go at once: without this they may wait 40 ms for the peer.
        let incoming = TcpIncoming::from(self.listener).with_nodelay(Some(true));
        let asked = shutdown.clone();
        let serve = self
            .router
            .serve_with_incoming_shutdown(incoming, async move { asked.cancelled().await });
        let drain = async {
            shutdown.cancelled().await;
            services.dispatch.stop().await;
            // Followers may stay for ever: they resume from their cursor elsewhere.
            tokio::time::sleep(DRAIN).await;
        };
        tokio::spawn(tidy(services.clone(), shutdown.clone()));
        if let Some(endpoint) = self.metrics {
            let monitor =
                Monitor::new(services.store.clone(), services.dispatch.clone(), self.data);
            tokio::spawn(monitor.serve(endpoint, shutdown.clone()));
        }
        let result = tokio::select! {
            result = serve => result,
            () = drain => Ok(()),
        };
        services.dispatch.stop().await;
        services.actions.stop().await;
        services.sealing.stop().await;
        services.zabbix.stop().await;
        services.logs.stop().await;
        self.deaf.cancel();
        if let Err(error) = services.store.change(Leave).await {
            tracing::warn!(%error, "the other schedulers will notice that this one is gone");
        }
        services.store.close().await;
        tracing::info!("the scheduler has stopped");
        Ok(result?)
    }
}

/// Removes events that are too old or too many.
async fn trim_events(store: &Store, shutdown: &CancellationToken) {
    loop {
        match shutdown.run_until_cancelled(store.change(TrimEvents::default())).await {
            Some(Ok(true)) => {}
            Some(Err(error)) => {
                tracing::error!(%error, "old events cannot be removed");
                return;
            }
            Some(Ok(false)) | None => return,
        }
    }
}

/// Forgets the oldest slots of schedules.
async fn trim_slots(store: &Store, shutdown: &CancellationToken) {
    let mut after = RunTemplateId(0);
    loop {
        match shutdown.run_until_cancelled(store.change(TrimSlots(after))).await {
            Some(Ok(Some(next))) => after = next,
            Some(Err(error)) => {
                tracing::error!(%error, "old slots of schedules cannot be removed");
                return;
            }
            Some(Ok(None)) | None => return,
        }
    }
}

/// Every hour: removes what need not be kept any longer.
async fn tidy(services: Services, shutdown: CancellationToken) {
    let mut hourly = tokio::time::interval_at(tokio::time::Instant::now() + TIDY, TIDY);
    while shutdown.run_until_cancelled(hourly.tick()).await.is_some() {
        trim_events(&services.store, &shutdown).await;
        trim_slots(&services.store, &shutdown).await;
        let mut progress = services.removal.apply_retention(services.keep, false);
        while let Some(Some(next)) = shutdown.run_until_cancelled(progress.recv()).await {
            match next {
                Ok(done) => tracing::debug!(?done, "removing what is not kept"),
                Err(error) => tracing::error!(%error, "what is not kept cannot be removed"),
            }
        }
    }
}
