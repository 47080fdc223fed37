//! The other schedulers of a shared database. What one of them does may concern what another
//! waits for: a job that is queued there can be claimed here, a job that ends there is
//! followed here. This is how they tell each other; what it means is the dispatcher's
//! business. Nothing depends on it that must not be lost: who may have missed something
//! looks at everything, and the database knows best.

mod exchange;
mod news;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use multiflexi_proto::{MAX_MESSAGE, v1::job_service_client::JobServiceClient};

use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint};

use crate::{
    domain::ids::{AgentId, AttemptKey, JobId},
    store::{Location, Store},
};

pub use news::News;

/// News of others that wait to be acted on; beyond that the database keeps them.
const RECEIVED: usize = 64;

/// How long connecting to another may take.
const CONNECT: Duration = Duration::from_secs(3);

/// How often a silent connection to another is asked whether it lives.
const KEEPALIVE: Duration = Duration::from_secs(5);

/// A handle on what the others are told. A scheduler that is alone tells nobody and pays
/// nothing.
#[derive(Clone, Debug, Default)]
pub struct Peers {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// There are others.
    others: AtomicBool,
    /// What they are to be told.
    news: Mutex<News>,
    /// Rung when there is something to tell.
    bell: Notify,
    /// Connections to others, by address.
    channels: Mutex<HashMap<String, Channel>>,
}

impl Peers {
    /// Starts to tell the others, and to hear what they tell. None if the database can have
    /// no others.
    pub fn start(
        &self,
        location: &Location,
        store: &Store,
        stop: &CancellationToken,
    ) -> Option<mpsc::Receiver<News>> {
        if !store.is_shared() {
            return None;
        }
        let (heard, received) = mpsc::channel(RECEIVED);
        let (me, at) = (store.me(), location.clone());
        tokio::spawn(exchange::tell(at.clone(), me, self.clone(), stop.clone()));
        tokio::spawn(exchange::hear(at, me, self.clone(), heard, stop.clone()));
        Some(received)
    }

    /// Says whether there are others.
    pub fn set_others(&self, others: bool) {
        self.shared.others.store(others, Ordering::Relaxed);
    }

    /// Whether there are no others.
    fn are_none(&self) -> bool {
        !self.shared.others.load(Ordering::Relaxed)
    }

    /// What another scheduler can be asked, as anybody can; none if its address is no URL.
    pub fn jobs(&self, address: &str) -> Option<JobServiceClient<Channel>> {
        let mut channels = self.shared.channels.lock().unwrap_or_else(PoisonError::into_inner);
        let channel = match channels.get(address) {
            Some(channel) => channel.clone(),
            None => {
                let endpoint = Endpoint::from_shared(address.to_owned()).ok()?;
                let endpoint = endpoint.connect_timeout(CONNECT).tcp_nodelay(true);
                let endpoint = endpoint.http2_keep_alive_interval(KEEPALIVE);
                let channel = endpoint.keep_alive_while_idle(false).connect_lazy();
                channels.insert(address.to_owned(), channel.clone());
                channel
            }
        };
        Some(JobServiceClient::new(channel).max_decoding_message_size(MAX_MESSAGE))
    }

    fn lock(&self) -> MutexGuard<'_, News> {
        self.shared.news.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, add: impl FnOnce(&mut News)) {
        if self.shared.others.load(Ordering::Relaxed) {
            add(&mut self.lock());
            self.shared.bell.notify_one();
        }
    }

    /// Something can be claimed.
    pub fn queued(&self) {
        self.tell(|news| news.queued = true);
    }

    /// A job waits for its time, or a schedule has changed.
    pub fn delayed(&self) {
        self.tell(|news| news.delayed = true);
    }

    /// Agents that are away may be waited for longer or shorter.
    pub fn patience(&self) {
        self.tell(|news| news.patience = true);
    }

    /// Something about a job has changed.
    pub fn changed(&self, job: JobId) {
        self.tell(|news| news.change(job));
    }

    /// An agent that had these attempts is connected here now.
    pub fn taken(&self, keys: &[AttemptKey]) {
        self.tell(|news| news.taken.extend_from_slice(keys));
    }

    /// An agent that is connected elsewhere is to end an attempt.
    pub fn cancel(&self, agent: AgentId, key: AttemptKey) {
        self.tell(|news| news.cancels.push((agent, key)));
    }

    /// An agent that is connected elsewhere no longer has an offer.
    pub fn withdraw(&self, key: AttemptKey, reason: &str) {
        self.tell(|news| news.withdrawn.push((key, reason.to_owned())));
    }

    /// Others may have missed something.
    pub fn everything(&self) {
        self.tell(|news| news.everything = true);
    }

    /// This scheduler hears the others from now on, and may have missed what they told
    /// before. It is said whether there are others or not: they know better.
    fn joined(&self) {
        self.lock().joined = true;
        self.shared.bell.notify_one();
    }
}
