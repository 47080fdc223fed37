//! One agent's connection, from its hello until it is gone.

use std::sync::Arc;

use multiflexi_proto::{
    PROTOCOL,
    v1::{ConnectRequest, Hello, connect_request::Message},
};
use tokio::{sync::mpsc, task::JoinSet};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use super::{
    Dispatch,
    agents::{Connected, ToAgent, name_taken},
    convert,
};
use crate::{
    domain::ids::AttemptKey,
    store::{LoseContact, Lost, RegisterAgent, Registered, Started, StartedRow, StoreError, Waits},
};

/// Messages that may wait for an agent to read them; beyond that its session
/// waits, and no other.
const OUTGOING: usize = 256;

/// Messages of one agent that are worked on at once.
const AT_ONCE: usize = 32;

/// Most slots that an agent may have.
const MAX_SLOTS: i32 = 10_000;

impl Dispatch {
    /// Serves an agent. Its answers come out of the stream that is returned.
    pub async fn connect(
        &self,
        mut requests: Streaming<ConnectRequest>,
    ) -> Result<ReceiverStream<ToAgent>, Status> {
        let first = requests.message().await?.and_then(|request| request.message);
        let Some(Message::Hello(hello)) = first else {
            return Err(Status::invalid_argument("an agent says hello first"));
        };
        let slots = check(&hello)?;
        self.shared.agents.check_name(&hello.name, &hello.instance)?;
        let (sender, answers) = mpsc::channel(OUTGOING);
        // A connection that breaks here ends this request, and must not leave behind an agent
        // that nobody serves: a task of its own sees to that.
        let begun = self.clone().begin(hello, slots, sender, requests);
        let begun = self.shared.tasks.spawn(begun).await;
        begun.map_err(|error| Status::unavailable(error.to_string()))??;
        Ok(ReceiverStream::new(answers))
    }

    /// Begins the session of an agent.
    async fn begin(
        self,
        hello: Hello,
        slots: usize,
        sender: mpsc::Sender<ToAgent>,
        requests: Streaming<ConnectRequest>,
    ) -> Result<(), Status> {
        let turn = self.shared.agents.turn(&hello.name).await;
        let registered = self.register(&hello).await?;
        let stop = self.shared.stop.child_token();
        let agent = Arc::new(Connected::new(registered.id, &hello, slots, sender, stop));
        if let Some(replaced) = self.shared.agents.add(Arc::clone(&agent)) {
            replaced.end(Status::aborted("the agent has connected again"));
        }
        if let Err(error) = self.reconcile(&agent, &hello.held, registered, turn).await {
            self.gone(&agent, "its attempts could not be reconciled").await;
            return Err(Status::unavailable(error.to_string()));
        }
        tracing::info!(
            agent = agent.name,
            slots = agent.slots,
            held = hello.held.len(),
            "agent connected"
        );
        self.shared.tasks.spawn(self.clone().serve(agent, requests));
        self.look_at_queue();
        Ok(())
    }

    async fn register(&self, hello: &Hello) -> Result<Registered, Status> {
        let register = RegisterAgent {
            name: hello.name.clone(),
            instance: hello.instance.clone(),
            boot: hello.boot.clone(),
            slots: hello.slots,
            version: hello.version.clone(),
            labels: hello.labels.clone().into_iter().collect(),
        };
        self.shared.store.change(register).await.map_err(|error| match error {
            StoreError::AlreadyExists { name, .. } => name_taken(&name),
            error => Status::unavailable(error.to_string()),
        })
    }

    async fn serve(self, agent: Arc<Connected>, mut requests: Streaming<ConnectRequest>) {
        let silence = self.shared.settings.heartbeat * 3;
        let mut work = JoinSet::new();
        let why = loop {
            let message = tokio::select! {
                message = tokio::time::timeout(silence, requests.message()) => message,
                () = agent.stop.cancelled() => break "its session was ended",
            };
            match message {
                Err(_) => break "it fell silent",
                Ok(Err(_)) => break "its connection broke",
                Ok(Ok(None)) => break "it closed its connection",
                Ok(Ok(Some(request))) => {
                    if let Some(message) = request.message {
                        self.handle(&agent, message, &mut work).await;
                    }
                }
            }
        };
        tracing::info!(agent = agent.name, why, "agent gone");
        self.gone(&agent, why).await;
        agent.stop.cancel();
        // What it began is finished: the database knows best.
        while work.join_next().await.is_some() {}
    }

    /// Deals with one message. What waits for the database goes on beside the
    /// next messages: the guards in the store keep their order from mattering.
    async fn handle(&self, agent: &Arc<Connected>, message: Message, work: &mut JoinSet<()>) {
        while work.len() >= AT_ONCE {
            work.join_next().await;
        }
        while work.try_join_next().is_some() {}
        let (dispatch, agent) = (self.clone(), Arc::clone(agent));
        match message {
            Message::Accept(accept) => {
                let keys = convert::keys(&accept.keys);
                work.spawn(async move { dispatch.accept(&agent, keys).await });
            }
            Message::Refuse(refuse) => {
                let Some(key) = convert::key(refuse.key.as_ref()) else { return };
                tracing::info!(
                    agent = agent.name,
                    job = key.job.0,
                    reason = refuse.reason,
                    "offer refused"
                );
                let why = format!("agent {} refused it: {}", agent.name, refuse.reason);
                work.spawn(async move { dispatch.take_back(&agent, &[key], &why).await });
            }
            Message::Started(started) => {
                let rows = started.attempts.iter().filter_map(|started| {
                    let key = convert::key(started.key.as_ref())?;
                    Some(StartedRow { key, pid: started.pid })
                });
                let rows: Vec<StartedRow> = rows.collect();
                work.spawn(async move { dispatch.record_started(rows).await });
            }
            Message::Finishing(finishing) => {
                let keys = convert::keys(&finishing.keys);
                work.spawn(async move { dispatch.finishing(&keys).await });
            }
            Message::Completed(completed) => {
                let completions =
                    completed.completions.into_iter().filter_map(convert::completion).collect();
                work.spawn(async move { dispatch.complete(&agent, completions).await });
            }
            Message::Waiting(waiting) => {
                let Some(key) = convert::key(waiting.key.as_ref()) else { return };
                self.shared.logs.set_waits(key, &waiting.reason);
                self.notify(&[key]);
                work.spawn(async move { dispatch.record_waits(key, waiting.reason).await });
            }
            Message::GoingAway(_) => agent.leave(),
            Message::Heartbeat(_) | Message::Hello(_) => {}
        }
    }

    async fn record_started(&self, rows: Vec<StartedRow>) {
        if let Err(error) = self.shared.store.change(Started(rows)).await {
            tracing::warn!(%error, "process ids cannot be recorded");
        }
    }

    async fn record_waits(&self, key: AttemptKey, reason: String) {
        if let Err(error) = self.shared.store.change(Waits { key, reason }).await {
            tracing::warn!(attempt = %key, %error, "what it waits for cannot be recorded");
        }
    }

    /// The agent's connection is gone, unless it has another already.
    async fn gone(&self, agent: &Arc<Connected>, why: &str) {
        if !self.shared.agents.remove(agent) || self.shared.stop.is_cancelled() {
            return;
        }
        let why = format!("agent {} is away: {why}", agent.name);
        let lose = LoseContact { lost: Lost::Agent(agent.id), why };
        if let Err(error) = self.lose_contact(&lose).await {
            tracing::error!(agent = agent.name, %error, "its attempts cannot be marked unreachable; trying on");
            let (dispatch, agent) = (self.clone(), agent.id);
            self.try_on(move || {
                let (dispatch, lose) = (dispatch.clone(), lose.clone());
                async move {
                    // One that is back has agreed with us on what it has.
                    dispatch.shared.agents.get(agent).is_some()
                        || dispatch.lose_contact(&lose).await.is_ok()
                }
            });
        }
    }

    async fn lose_contact(&self, lose: &LoseContact) -> Result<(), StoreError> {
        let unreachable = self.shared.store.change(lose.clone()).await?;
        self.notify(&unreachable);
        self.shared.unreachable.notify_one();
        self.job_queued();
        Ok(())
    }
}

/// Checks who an agent says that it is; returns its slots.
fn check(hello: &Hello) -> Result<usize, Status> {
    if hello.protocol != PROTOCOL {
        return Err(Status::failed_precondition(format!(
            "the agent speaks protocol {} and this scheduler {PROTOCOL}: install the same version \
             of both",
            hello.protocol
        )));
    }
    if hello.name.is_empty() || hello.name.chars().count() > 128 {
        return Err(Status::invalid_argument("an agent's name has 1 to 128 characters"));
    }
    for (what, value) in [("instance", &hello.instance), ("boot", &hello.boot)] {
        if value.is_empty() || value.len() > 64 {
            return Err(Status::invalid_argument(format!("an agent's {what} has 1 to 64 bytes")));
        }
    }
    if !(1..=MAX_SLOTS).contains(&hello.slots) {
        return Err(Status::invalid_argument(format!(
            "the agent has {} slots: it must have 1 to {MAX_SLOTS}",
            hello.slots
        )));
    }
    usize::try_from(hello.slots).map_err(|error| Status::invalid_argument(error.to_string()))
}
