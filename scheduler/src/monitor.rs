//! The endpoint for Prometheus, and what is looked up for it. A scrape asks the database
//! for what its indices hold, not more often than every few seconds whoever scrapes, and
//! not for long: while the database is away it is told without.

use std::{path::PathBuf, sync::Arc, time::Duration};

use multiflexi_telemetry::endpoint::{Endpoint, Look};
use tokio::{
    sync::Mutex,
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{
    dispatch::Dispatch,
    store::Store,
    telemetry::{DatabaseGauges, metrics},
};

/// What was read of the database holds so long.
const FRESH: Duration = Duration::from_secs(5);

/// The same of what changes seldom.
const CATALOGUE_FRESH: Duration = Duration::from_secs(60);

/// How long the database may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// What a scrape looks at.
#[derive(Debug)]
pub(crate) struct Monitor {
    store: Store,
    dispatch: Dispatch,
    data: PathBuf,
    database: Arc<DatabaseGauges>,
    /// When the database was read, and its catalogue.
    read: Mutex<[Option<Instant>; 2]>,
}

impl Monitor {
    /// `data` is a folder on the disk that the scheduler writes to.
    pub(crate) fn new(store: Store, dispatch: Dispatch, data: PathBuf) -> Self {
        Self { store, dispatch, data, database: Arc::default(), read: Mutex::default() }
    }

    /// Serves scrapes until `stop`.
    pub(crate) async fn serve(self, endpoint: Endpoint, stop: CancellationToken) {
        let registry = metrics().registry(Arc::clone(&self.database));
        let monitor = Arc::new(self);
        let look: Look = Arc::new(move || {
            let monitor = Arc::clone(&monitor);
            Box::pin(async move { monitor.look().await })
        });
        endpoint.serve(registry, look, stop).await;
    }

    async fn look(&self) {
        let metrics = metrics();
        let load = self.dispatch.load();
        let small = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        metrics.agents.set(small(load.agents));
        metrics.slots.set(small(load.slots));
        metrics.slots_busy.set(small(load.busy));
        metrics.running.set(small(load.running));
        let pool = self.store.pool();
        metrics.pool_open.set(pool.open.into());
        metrics.pool_idle.set(pool.idle.into());
        metrics.pool_max.set(pool.most.into());
        if let Ok(disk) = rustix::fs::statvfs(&self.data) {
            let bytes = |blocks: u64| i64::try_from(blocks.saturating_mul(disk.f_frsize));
            metrics.disk_free.set(bytes(disk.f_bavail).unwrap_or(i64::MAX));
            metrics.disk_size.set(bytes(disk.f_blocks).unwrap_or(i64::MAX));
        }
        self.read().await;
    }

    /// Reads the database, unless somebody just has.
    async fn read(&self) {
        let mut read = self.read.lock().await;
        let old = |at: Option<Instant>, fresh| at.is_none_or(|at: Instant| at.elapsed() >= fresh);
        if old(read[0], FRESH) {
            let vitals = timeout(PATIENCE, self.store.vitals()).await;
            if let Ok(Err(error)) = &vitals {
                tracing::debug!(%error, "a scrape is told without the database");
            }
            self.database.set(vitals.ok().and_then(Result::ok));
            read[0] = Some(Instant::now());
        }
        if old(read[1], CATALOGUE_FRESH) {
            let catalogue = timeout(PATIENCE, self.store.catalogue()).await;
            let catalogue = catalogue.ok().and_then(Result::ok);
            read[1] = catalogue.map(|_| Instant::now());
            self.database.set_catalogue(catalogue);
        }
    }
}
