//! From the queue to agents and back. Everything here is driven by events: a job
//! that is queued, a slot that is free, an agent that comes or goes, a deadline.
//! Decisions are the domain's, and each is a compare-and-set in the store before
//! a message says so.

mod agents;
pub(crate) mod convert;
mod delays;
mod offers;
mod peers;
mod perform_job;
mod reconcile;
mod repeated;
mod run_end;
mod schedules;
mod session;
mod unreachable;

use std::{
    ops::ControlFlow,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::sync::{Notify, mpsc};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    domain::ids::{AgentId, AttemptKey},
    events::Events,
    logs::Logs,
    peers::{News, Peers},
    store::{KeepAlive, LoseContact, Lost, Store, StoreError},
};

pub use agents::{Agents, Load};

/// When the database fails where a deadline is looked for, it is asked again after
/// this time.
const DATABASE_RETRY: Duration = Duration::from_secs(5);

/// How agents are treated.
#[derive(Clone, Debug)]
pub struct DispatchSettings {
    /// How long an agent may leave an offer unanswered.
    pub offer_deadline: Duration,
    /// How often an agent shows that it lives; it is gone after three times that.
    pub heartbeat: Duration,
    /// Where the other schedulers of a shared database reach this one: a URL.
    pub address: String,
}

impl Default for DispatchSettings {
    fn default() -> Self {
        Self {
            offer_deadline: Duration::from_secs(10),
            heartbeat: Duration::from_secs(5),
            address: String::new(),
        }
    }
}

/// A handle on the dispatcher.
#[derive(Clone, Debug)]
pub struct Dispatch {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    store: Store,
    logs: Logs,
    events: Events,
    peers: Peers,
    settings: DispatchSettings,
    agents: Agents,
    offers: offers::Offers,
    /// Rung when a claim may find something.
    wake: Notify,
    /// Rung when attempts became unreachable.
    unreachable: Notify,
    /// Rung when a job waits for its time.
    delayed: Notify,
    /// Rung when a schedule has changed.
    scheduled: Notify,
    /// Rung when another scheduler may have come.
    look_around: Notify,
    /// Grows whenever something is queued.
    queued: AtomicU64,
    /// The value of `queued` at which the queue was last found empty.
    drained: AtomicU64,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Dispatch {
    /// Takes over from schedulers that may have been killed: what was on offer by them is
    /// queued again, and what was running is unreachable until its agent comes back. Then
    /// starts to dispatch, and to act on what other schedulers tell, if there can be any.
    pub async fn start(
        store: Store,
        logs: Logs,
        events: Events,
        (peers, heard): (Peers, Option<mpsc::Receiver<News>>),
        settings: DispatchSettings,
    ) -> Result<Self, StoreError> {
        store.change(KeepAlive { address: settings.address.clone() }).await?;
        let why = "the scheduler was started again".to_owned();
        let lost = Lost::Schedulers;
        let unreachable = store.change(LoseContact { lost, why }).await?;
        if !unreachable.is_empty() {
            tracing::warn!(
                attempts = unreachable.len(),
                "attempts wait for their agents to return"
            );
        }
        let shared = Arc::new(Shared {
            store,
            logs,
            events,
            peers,
            settings,
            agents: Agents::default(),
            offers: offers::Offers::default(),
            wake: Notify::new(),
            unreachable: Notify::new(),
            delayed: Notify::new(),
            scheduled: Notify::new(),
            look_around: Notify::new(),
            queued: AtomicU64::new(1),
            drained: AtomicU64::new(0),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        });
        let dispatch = Self { shared };
        let tasks = &dispatch.shared.tasks;
        tasks.spawn(dispatch.clone().perform_jobs());
        tasks.spawn(dispatch.clone().expire_offers());
        tasks.spawn(dispatch.clone().give_up_unreachable());
        tasks.spawn(dispatch.clone().release_due());
        tasks.spawn(dispatch.clone().fire_schedules());
        if let Some(heard) = heard {
            tasks.spawn(dispatch.clone().keep_alive());
            tasks.spawn(dispatch.clone().hear(heard));
        }
        Ok(dispatch)
    }

    /// Ends every session and waits until what they began is done.
    pub async fn stop(&self) {
        self.shared.stop.cancel();
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
    }

    /// How much the agents of this scheduler have to do.
    pub fn load(&self) -> Load {
        self.shared.agents.load()
    }

    /// The other schedulers of this database.
    pub fn peers(&self) -> &Peers {
        &self.shared.peers
    }

    /// Says that a job was queued.
    pub fn job_queued(&self) {
        self.look_at_queue();
        self.shared.peers.queued();
    }

    /// Waits for a change that queues a job, and that the store already has. A claim here
    /// shares its transaction; the others cannot see the job before the commit, so they are
    /// told after it.
    pub async fn job_being_queued<T>(
        &self,
        change: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        self.look_at_queue();
        let changed = change.await?;
        self.shared.peers.queued();
        Ok(changed)
    }

    /// Tries something that has failed again and again until it is done, or this scheduler
    /// stops: the next one looks after it then.
    fn try_on<F>(&self, done: impl Fn() -> F + Send + 'static)
    where
        F: Future<Output = bool> + Send,
    {
        let stop = self.shared.stop.clone();
        self.shared.tasks.spawn(stop.run_until_cancelled_owned(async move {
            loop {
                tokio::time::sleep(DATABASE_RETRY).await;
                if done().await {
                    return;
                }
            }
        }));
    }

    /// Looks whether something can be claimed here.
    fn look_at_queue(&self) {
        self.shared.queued.fetch_add(1, Ordering::SeqCst);
        self.shared.wake.notify_one();
    }

    /// Says that a job waits for its time.
    pub fn job_delayed(&self) {
        self.shared.delayed.notify_one();
        self.shared.peers.delayed();
    }

    /// Says that agents which are away may be waited for longer or shorter.
    pub fn patience_changed(&self) {
        self.shared.unreachable.notify_one();
        self.shared.peers.patience();
    }

    /// Says that an agent can take more.
    fn slot_freed(&self) {
        if self.shared.drained.load(Ordering::SeqCst) != self.shared.queued.load(Ordering::SeqCst) {
            self.shared.wake.notify_one();
        }
    }

    /// Tells an agent to end an attempt. An agent that is away learns of it when
    /// it is back.
    pub async fn cancel(&self, agent: AgentId, key: AttemptKey) {
        match self.shared.agents.get(agent) {
            Some(agent) => agent.send(convert::cancel(&[key])).await,
            None => self.shared.peers.cancel(agent, key),
        }
    }

    /// Tells an agent that what it was offered is no longer there.
    pub async fn withdraw(&self, key: AttemptKey, reason: &str) {
        if !self.withdraw_here(key, reason).await {
            self.shared.peers.withdraw(key, reason);
        }
    }

    /// The same, if the agent is connected here; false if it is not.
    async fn withdraw_here(&self, key: AttemptKey, reason: &str) -> bool {
        let Some(agent) = self.shared.agents.holder(key) else { return false };
        agent.release(key);
        agent.send(convert::withdraw(&[key], reason)).await;
        self.slot_freed();
        true
    }

    /// Waits until a deadline comes or it may have changed; breaks when the dispatcher
    /// stops.
    async fn wait(&self, next: Option<Duration>, changed: &Notify) -> ControlFlow<()> {
        let due = async {
            match next {
                Some(wait) => tokio::time::sleep(wait).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = due => ControlFlow::Continue(()),
            () = changed.notified() => ControlFlow::Continue(()),
            () = self.shared.stop.cancelled() => ControlFlow::Break(()),
        }
    }

    fn notify(&self, keys: &[AttemptKey]) {
        keys.iter().for_each(|key| self.shared.events.notify(key.job));
    }
}
