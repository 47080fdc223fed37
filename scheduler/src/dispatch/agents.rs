//! The agents that are connected to this scheduler, and what each has.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use multiflexi_proto::v1::{ConnectResponse, Hello, Welcome, connect_response::Message};
use tokio::sync::{SetOnce, mpsc};
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::domain::ids::{AgentId, AttemptKey};

/// An agent whose attempts are shorter than this is offered more than it has
/// slots, so that a slot need not wait for a round trip.
const SHORT: Duration = Duration::from_millis(100);

/// How many times its slots an agent is offered ahead then. The more it has, the more
/// ends share a commit.
const AHEAD: usize = 3;

/// Agents that can connect at once, if chance spreads them well.
const TURNS: usize = 32;

/// A message to an agent, or the status that ends its stream.
pub(super) type ToAgent = Result<ConnectResponse, Status>;

/// How far an attempt that an agent has is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Offered,
    Accepted,
}

/// One session of an agent.
#[derive(Debug)]
pub(super) struct Connected {
    pub(super) id: AgentId,
    pub(super) name: String,
    /// Tells it from another agent that was given the same name.
    instance: String,
    pub(super) slots: usize,
    sender: mpsc::Sender<ToAgent>,
    /// Set once it is welcomed: until then it is told nothing else.
    welcomed: SetOnce<()>,
    has: Mutex<HashMap<AttemptKey, Phase>>,
    /// It has been welcomed, and has not said that it goes.
    takes_offers: AtomicBool,
    /// Moving average of how long its attempts run, in microseconds.
    typical: AtomicU64,
    /// Ends the session.
    pub(super) stop: CancellationToken,
}

impl Connected {
    pub(super) fn new(
        id: AgentId,
        hello: &Hello,
        slots: usize,
        sender: mpsc::Sender<ToAgent>,
        stop: CancellationToken,
    ) -> Self {
        let typical = AtomicU64::new(u64::MAX);
        let (has, takes_offers) = (Mutex::default(), AtomicBool::new(false));
        let (name, instance) = (hello.name.clone(), hello.instance.clone());
        let welcomed = SetOnce::new();
        Self { id, name, instance, slots, sender, welcomed, has, takes_offers, typical, stop }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<AttemptKey, Phase>> {
        self.has.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Welcomes it: the first message, which the others wait for. From now on it takes
    /// offers.
    pub(super) async fn welcome(&self, welcome: Welcome) {
        self.send_now(Message::Welcome(welcome)).await;
        self.takes_offers.store(true, Ordering::Relaxed);
        let _ = self.welcomed.set(());
    }

    /// Sends a message, after the welcome; waits while the agent is slow to read.
    pub(super) async fn send(&self, message: Message) {
        tokio::select! {
            biased;
            _ = self.welcomed.wait() => self.send_now(message).await,
            // It never will be.
            () = self.stop.cancelled() => {}
        }
    }

    async fn send_now(&self, message: Message) {
        // An agent that is gone learns what it missed when it reconciles.
        let _ = self.sender.send(Ok(ConnectResponse { message: Some(message) })).await;
    }

    /// Nobody reads its messages any more.
    fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Ends the session, and its stream with a status. One that reads nothing is not waited
    /// for: its stream just ends.
    pub(super) fn end(&self, status: Status) {
        self.stop.cancel();
        let _ = self.sender.try_send(Err(status));
    }

    pub(super) fn hold(&self, keys: impl IntoIterator<Item = AttemptKey>, phase: Phase) {
        self.lock().extend(keys.into_iter().map(|key| (key, phase)));
    }

    /// Whether it had the attempt.
    pub(super) fn release(&self, key: AttemptKey) -> bool {
        self.lock().remove(&key).is_some()
    }

    pub(super) fn phase(&self, key: AttemptKey) -> Option<Phase> {
        self.lock().get(&key).copied()
    }

    pub(super) fn leave(&self) {
        self.takes_offers.store(false, Ordering::Relaxed);
    }

    pub(super) fn ran_for(&self, elapsed: Duration) {
        let elapsed = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
        let before = self.typical.load(Ordering::Relaxed);
        let next = if before == u64::MAX { elapsed } else { before / 8 * 7 + elapsed / 8 };
        self.typical.store(next, Ordering::Relaxed);
    }

    /// Why it is the one that is offered something next.
    pub(super) fn why_it(&self) -> String {
        match self.room() {
            (0, _) => "all slots are busy with short jobs: it is offered ahead".to_owned(),
            (free, _) => format!("free slots: {free} of its {}", self.slots),
        }
    }

    /// Free slots, and how many attempts more it may be offered ahead.
    fn room(&self) -> (usize, usize) {
        if !self.takes_offers.load(Ordering::Relaxed) {
            return (0, 0);
        }
        let short = u128::from(self.typical.load(Ordering::Relaxed)) < SHORT.as_micros();
        let ahead = if short { AHEAD * self.slots } else { 0 };
        let has = self.lock().len();
        let free = self.slots.saturating_sub(has);
        (free, (self.slots + ahead).saturating_sub(has) - free)
    }
}

/// Refuses an agent whose name another one has that is connected, here or elsewhere.
pub(super) fn name_taken(name: &str) -> Status {
    Status::already_exists(format!(
        "another agent named {name:?} is connected: give each a name of its own with --name"
    ))
}

/// The agents that are connected to this scheduler.
#[derive(Debug, Default)]
pub struct Agents {
    connected: Mutex<HashMap<AgentId, Arc<Connected>>>,
    /// Whose turn it is to connect, by a hash of the name.
    turns: [tokio::sync::Mutex<()>; TURNS],
}

/// How much the connected agents have to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// How many agents there are.
    pub agents: usize,
    /// All their slots.
    pub slots: usize,
    /// Slots that an attempt takes.
    pub busy: usize,
    /// Attempts that they run, or are about to.
    pub running: usize,
}

impl Agents {
    /// How much they have to do.
    pub(super) fn load(&self) -> Load {
        self.lock().values().fold(Load::default(), |sum, agent| {
            let has = agent.lock();
            let running = has.values().filter(|phase| **phase == Phase::Accepted).count();
            Load {
                agents: sum.agents + 1,
                slots: sum.slots + agent.slots,
                // What it is offered ahead waits.
                busy: sum.busy + has.len().min(agent.slots),
                running: sum.running + running,
            }
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<AgentId, Arc<Connected>>> {
        self.connected.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn get(&self, id: AgentId) -> Option<Arc<Connected>> {
        self.lock().get(&id).cloned()
    }

    /// The agent that was offered an attempt or has it.
    pub(super) fn holder(&self, key: AttemptKey) -> Option<Arc<Connected>> {
        self.lock().values().find(|agent| agent.phase(key).is_some()).cloned()
    }

    /// Refuses an agent whose name another one has that is connected.
    pub(super) fn check_name(&self, name: &str, instance: &str) -> Result<(), Status> {
        let connected = self.lock();
        let taken = connected
            .values()
            .any(|agent| agent.name == name && agent.instance != instance && !agent.is_closed());
        if taken { Err(name_taken(name)) } else { Ok(()) }
    }

    /// Waits until nobody else of this name connects. Two sessions of one agent are so added
    /// and reconciled in the order in which they were registered.
    pub(super) async fn turn(&self, name: &str) -> tokio::sync::MutexGuard<'_, ()> {
        let mut hasher = DefaultHasher::new();
        name.hash(&mut hasher);
        let turn = usize::try_from(hasher.finish() % TURNS as u64).unwrap_or_default();
        self.turns[turn].lock().await
    }

    /// Adds a session; returns the one of the same agent that it replaces.
    pub(super) fn add(&self, agent: Arc<Connected>) -> Option<Arc<Connected>> {
        self.lock().insert(agent.id, agent)
    }

    /// Removes a session, unless another has replaced it.
    pub(super) fn remove(&self, agent: &Arc<Connected>) -> bool {
        let mut connected = self.lock();
        let is_current =
            connected.get(&agent.id).is_some_and(|current| Arc::ptr_eq(current, agent));
        if is_current {
            connected.remove(&agent.id);
        }
        is_current
    }

    /// All sessions.
    pub(super) fn all(&self) -> Vec<Arc<Connected>> {
        self.lock().values().map(Arc::clone).collect()
    }

    /// Agents that can be offered something, and how much, in the order in which it is
    /// offered: free slots first, where most are free; and only then ahead.
    pub(super) fn with_room(&self) -> Vec<(Arc<Connected>, usize)> {
        let mut agents: Vec<_> =
            self.lock().values().map(|agent| (Arc::clone(agent), agent.room())).collect();
        agents.sort_by_key(|(agent, (free, _))| (std::cmp::Reverse(*free), agent.id));
        let free = agents.iter().map(|(agent, (free, _))| (Arc::clone(agent), *free));
        let ahead = agents.iter().map(|(agent, (_, ahead))| (Arc::clone(agent), *ahead));
        free.chain(ahead).filter(|(_, room)| *room > 0).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::{Fence, JobId};

    fn agent(id: i64, slots: usize) -> Arc<Connected> {
        let sender = mpsc::channel(1).0;
        let stop = CancellationToken::new();
        let hello = Hello { name: format!("agent-{id}"), ..Hello::default() };
        let agent = Connected::new(AgentId(id), &hello, slots, sender, stop);
        agent.takes_offers.store(true, Ordering::Relaxed);
        Arc::new(agent)
    }

    #[tokio::test]
    async fn the_welcome_comes_first() {
        let (sender, mut answers) = mpsc::channel(8);
        let stop = CancellationToken::new();
        let agent = Connected::new(AgentId(1), &Hello::default(), 2, sender, stop.clone());
        assert_eq!(agent.room(), (0, 0), "it takes no offers yet");
        let cancel = || Message::Cancel(multiflexi_proto::v1::Cancel::default());
        tokio::join!(agent.send(cancel()), agent.welcome(Welcome::default()));
        assert_eq!(agent.room(), (2, 0));
        let mut next = async || answers.recv().await.unwrap().unwrap().message.unwrap();
        assert!(matches!(next().await, Message::Welcome(_)));
        assert!(matches!(next().await, Message::Cancel(_)));

        let agent = Connected::new(AgentId(1), &Hello::default(), 2, mpsc::channel(8).0, stop);
        agent.end(Status::aborted("no"));
        agent.send(cancel()).await;
    }

    fn key(job: i64) -> AttemptKey {
        AttemptKey { job: JobId(job), number: 1, fence: Fence(1) }
    }

    #[test]
    fn the_agent_with_most_free_slots_comes_first() {
        let agents = Agents::default();
        agents.add(agent(1, 2));
        agents.add(agent(2, 4));
        agents.get(AgentId(2)).unwrap().hold((1..=3).map(key), Phase::Accepted);
        let order: Vec<_> =
            agents.with_room().iter().map(|(agent, room)| (agent.id.0, *room)).collect();
        assert_eq!(order, [(1, 2), (2, 1)]);
    }

    #[test]
    fn free_slots_anywhere_come_before_what_is_ahead() {
        let agents = Agents::default();
        for id in [1, 2] {
            agents.add(agent(id, 2));
            agents.get(AgentId(id)).unwrap().ran_for(Duration::from_millis(1));
        }
        agents.get(AgentId(1)).unwrap().hold([key(1)], Phase::Accepted);
        let order: Vec<_> =
            agents.with_room().iter().map(|(agent, room)| (agent.id.0, *room)).collect();
        assert_eq!(order, [(2, 2), (1, 1), (2, 2 * AHEAD), (1, 2 * AHEAD)]);
    }

    #[test]
    fn only_agents_with_short_attempts_are_offered_ahead() {
        let agent = agent(1, 2);
        agent.hold([key(1), key(2)], Phase::Accepted);
        assert_eq!(agent.room(), (0, 0));
        agent.ran_for(Duration::from_millis(1));
        assert_eq!(agent.room(), (0, 2 * AHEAD));
        agent.release(key(2));
        assert_eq!(agent.room(), (1, 2 * AHEAD), "a free slot comes before what is ahead");
        agent.hold([key(2)], Phase::Accepted);
        for _ in 0..20 {
            agent.ran_for(Duration::from_secs(60));
        }
        assert_eq!(agent.room(), (0, 0));
        agent.leave();
        agent.release(key(1));
        assert_eq!(agent.room(), (0, 0));
    }

    #[test]
    fn a_replaced_session_does_not_remove_its_successor() {
        let agents = Agents::default();
        let (old, new) = (agent(1, 1), agent(1, 1));
        agents.add(Arc::clone(&old));
        assert!(agents.add(Arc::clone(&new)).is_some());
        assert!(!agents.remove(&old));
        assert!(agents.remove(&new));
    }
}
