//! One connection to the scheduler, from hello to its end. One loop deals with
//! everything that happens, one thing after the other; what takes long (uploads,
//! output) runs beside it.

mod orders;
mod progress;

use std::{sync::Arc, time::Duration};

use multiflexi_proto::{
    PROTOCOL, std_duration,
    v1::{
        self, ConnectRequest, ConnectResponse, FailedArtifact, Hello,
        agent_service_client::AgentServiceClient, connect_request, connect_response::Message,
    },
};
use tokio::{
    sync::{Semaphore, mpsc},
    task::JoinSet,
    time::{Interval, MissedTickBehavior},
};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::task::AbortOnDropHandle;
use tonic::{Status, Streaming, transport::Channel};

use super::{
    Config, create_job_artifacts,
    holdings::{Holdings, Phase},
    identity::Identity,
    is_refusal,
    log_pump::{self, Command, Commands},
    messages,
    outbox::Outbox,
    outgoing_log::News,
    stopping::Stopping,
    supervisor_link::SupervisorLink,
    telemetry,
};
use crate::link::{AttemptKey, Event, Request};

/// Messages that may wait for the network; more are gathered in the outbox.
const OUTGOING: usize = 8;

/// How often the agent shows that it lives if the scheduler does not say.
const BEAT: Duration = Duration::from_secs(5);

/// How a connection ended.
#[derive(Debug)]
pub(super) enum Over {
    /// The agent was told to stop, and has.
    Done,
    /// The scheduler will not take this agent.
    Refused(Status),
    /// The supervisor is gone.
    SupervisorGone,
    /// The supervisor is of another version than this program, and has nothing to do.
    SupervisorOld,
    /// There was no connection.
    Lost(String),
    /// There was one, and it broke.
    Dropped(String),
}

type Uploaded = (AttemptKey, Result<Vec<FailedArtifact>, Status>);

/// One connection that is yet to be opened.
pub(super) struct Connection<'a> {
    config: &'a Config,
    identity: &'a Identity,
    /// The scheduler's endpoint.
    server: &'a str,
    client: AgentServiceClient<Channel>,
}

/// One connection that is open.
struct Session<'a> {
    config: &'a Config,
    server: &'a str,
    client: AgentServiceClient<Channel>,
    supervisor: &'a mut SupervisorLink,
    holdings: &'a mut Holdings,
    pump: Commands,
    news: mpsc::Receiver<News>,
    outbox: Outbox,
    uploads: JoinSet<Uploaded>,
    at_once: Arc<Semaphore>,
    stopping: &'a mut Stopping,
}

/// What happened.
enum Input {
    Scheduler(Result<Option<ConnectResponse>, Status>),
    Supervisor(Option<Event>),
    Uploaded(Result<Uploaded, tokio::task::JoinError>),
    Spool(News),
    Room(bool),
    Pump(String),
    Begun,
    Beat,
    Stop,
}

impl<'a> Connection<'a> {
    pub(super) fn new(
        config: &'a Config,
        identity: &'a Identity,
        server: &'a str,
        client: AgentServiceClient<Channel>,
    ) -> Self {
        Self { config, identity, server, client }
    }

    /// Serves until the connection is over. Afterwards `holdings` is what the
    /// supervisor holds.
    pub(super) async fn serve(
        self,
        supervisor: &mut SupervisorLink,
        holdings: &mut Holdings,
        stopping: &mut Stopping,
    ) -> Over {
        while let Some(event) = supervisor.try_next() {
            holdings.note(&event);
        }
        let over = self.hello(supervisor, holdings, stopping).await;
        holdings.drop_unlaunched();
        over
    }

    async fn hello(
        mut self,
        supervisor: &mut SupervisorLink,
        holdings: &mut Holdings,
        stopping: &mut Stopping,
    ) -> Over {
        let (outgoing, messages) = mpsc::channel(OUTGOING);
        let hello = connect_request::Message::Hello(self.say_hello(holdings));
        // There is room: it is the first.
        let _ = outgoing.send(ConnectRequest { message: Some(hello) }).await;
        let refused = |status: Status| {
            if is_refusal(&status) {
                Over::Refused(status)
            } else {
                Over::Lost(status.message().to_owned())
            }
        };
        let mut incoming = match self.client.connect(ReceiverStream::new(messages)).await {
            Ok(answer) => answer.into_inner(),
            Err(status) => return refused(status),
        };
        let welcome = match incoming.message().await {
            Ok(Some(ConnectResponse { message: Some(Message::Welcome(welcome)) })) => welcome,
            Ok(_) => return Over::Lost("the scheduler did not say welcome".to_owned()),
            Err(status) => return refused(status),
        };
        let folder = self.config.directory.clone();
        let (told, news) = mpsc::channel(log_pump::NEWS);
        let (pump, run) = log_pump::pump(self.client.clone(), folder, supervisor.requests(), told);
        let mut session = Session {
            config: self.config,
            server: self.server,
            client: self.client,
            supervisor,
            holdings,
            pump,
            news,
            outbox: Outbox::default(),
            uploads: JoinSet::new(),
            at_once: Arc::new(Semaphore::new(create_job_artifacts::AT_ONCE)),
            stopping,
        };
        let beat = session.welcomed(&welcome, self.identity).await;
        let pump = AbortOnDropHandle::new(tokio::spawn(run));
        session.run(incoming, outgoing, pump, beat).await
    }

    fn say_hello(&self, holdings: &Holdings) -> Hello {
        let held = holdings.launched().map(|(key, holding)| v1::HeldAttempt {
            key: Some(messages::to_key(key)),
            ended: !matches!(holding.phase, Phase::Launched | Phase::Accepted(_)),
            log_length: i64::try_from(holding.log_length).unwrap_or(i64::MAX),
        });
        Hello {
            name: self.identity.name.clone(),
            instance: self.identity.instance.clone(),
            slots: i32::try_from(self.config.slots).unwrap_or(i32::MAX),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            protocol: PROTOCOL,
            boot: self.identity.boot.clone(),
            labels: self.config.labels.clone().into_iter().collect(),
            held: held.collect(),
        }
    }
}

impl Session<'_> {
    /// Takes up what goes on from an earlier connection.
    async fn welcomed(&mut self, welcome: &v1::Welcome, identity: &Identity) -> Interval {
        tracing::info!(
            agent = identity.name,
            server = self.server,
            slots = self.config.slots,
            resumed = welcome.resumed.len(),
            "connected to the scheduler"
        );
        if let Some(connected) = &self.config.connected {
            connected.send_replace(true);
        }
        telemetry::connected(true);
        for resumed in &welcome.resumed {
            let Some(key) = messages::key(resumed.key.as_ref()) else { continue };
            // Whether it is lost is found out again: the scheduler may have what was sent last.
            self.holdings.set_lost(key, None);
            let Some(holding) = self.holdings.get(key) else { continue };
            let holding = holding.clone();
            let durable = u64::try_from(resumed.durable_offset).unwrap_or(0);
            let length = holding.log_length;
            self.pump.send(Command::Begin { key, durable, length }).await;
            if let Some(started) = holding.started {
                self.outbox.started.push(messages::started(key, started));
            }
            if !holding.waits.is_empty() {
                self.pump.send(Command::Waits(key, true)).await;
                self.outbox.waiting.push_back(messages::waiting(key, &holding.waits));
            }
            if resumed.cancel {
                self.supervisor.ask(Request::Cancel(key)).await;
            }
            match holding.phase {
                Phase::Ended(completion) => self.end(key, &completion),
                Phase::Completed(completion) => self.outbox.complete(*completion),
                Phase::Accepted(_) | Phase::Launched => {}
            }
        }
        self.stop().await;
        let period = welcome.heartbeat_interval.as_ref().and_then(std_duration);
        let period = period.unwrap_or(BEAT).max(Duration::from_millis(100));
        let mut beat = tokio::time::interval(period);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        beat
    }

    async fn run(
        &mut self,
        mut incoming: Streaming<ConnectResponse>,
        outgoing: mpsc::Sender<ConnectRequest>,
        mut pump: AbortOnDropHandle<String>,
        mut beat: Interval,
    ) -> Over {
        loop {
            let input = tokio::select! {
                message = incoming.message() => Input::Scheduler(message),
                event = self.supervisor.next() => Input::Supervisor(event),
                Some(uploaded) = self.uploads.join_next() => Input::Uploaded(uploaded),
                Some(news) = self.news.recv() => Input::Spool(news),
                room = outgoing.reserve(), if !self.outbox.is_empty() => Input::Room(room.is_ok()),
                why = &mut pump => Input::Pump(why.unwrap_or_else(|error| error.to_string())),
                () = self.outbox.begun_long_enough() => Input::Begun,
                _ = beat.tick() => Input::Beat,
                () = self.stopping.next() => Input::Stop,
            };
            match input {
                Input::Scheduler(Ok(Some(message))) => self.told(message).await,
                Input::Scheduler(Ok(None)) => {
                    return Over::Dropped("the scheduler has ended it".to_owned());
                }
                Input::Scheduler(Err(status)) => return Over::Dropped(status.message().to_owned()),
                Input::Supervisor(None) => return Over::SupervisorGone,
                Input::Supervisor(Some(event)) => self.happened(event).await,
                Input::Uploaded(Ok((key, result))) => {
                    if let Err(status) = self.uploaded(key, result) {
                        return Over::Dropped(status.message().to_owned());
                    }
                }
                Input::Uploaded(Err(error)) => return Over::Dropped(error.to_string()),
                Input::Spool(news) => self.spool(news),
                Input::Pump(why) => return Over::Dropped(why),
                Input::Room(true) => {}
                Input::Room(false) => return Over::Dropped("it takes no more messages".to_owned()),
                Input::Begun => self.outbox.tell_begun(),
                Input::Beat => self.outbox.heartbeat = true,
                Input::Stop => {
                    if !self.stopping.step(self.holdings.longest_grace()) {
                        return Over::Done;
                    }
                    self.stop().await;
                }
            }
            self.accept_offers();
            telemetry::holds(self.holdings.load());
            if !self.flush(&outgoing) {
                return Over::Dropped("it takes no more messages".to_owned());
            }
            if self.outbox.is_empty() && self.stopping.may_go(self.holdings) {
                return Over::Done;
            }
            if self.supervisor.is_old() && self.holdings.is_empty() && self.outbox.is_empty() {
                return Over::SupervisorOld;
            }
        }
    }

    /// Sends what there is to say, as far as there is room; false if nobody listens.
    fn flush(&mut self, outgoing: &mpsc::Sender<ConnectRequest>) -> bool {
        while !self.outbox.is_empty() {
            match outgoing.try_reserve() {
                Ok(room) => {
                    if let Some(message) = self.outbox.next() {
                        room.send(message);
                    }
                }
                Err(mpsc::error::TrySendError::Full(())) => return true,
                Err(mpsc::error::TrySendError::Closed(())) => return false,
            }
        }
        true
    }
}
