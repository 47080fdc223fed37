//! Brings the output of all attempts to the scheduler, over one stream: from the
//! spool, in turn, in pieces of whole records. What the scheduler has made durable
//! is given back to the disk.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    path::PathBuf,
    time::Duration,
};

use multiflexi_proto::v1::{
    AppendLogRequest, AppendLogResponse, agent_service_client::AgentServiceClient,
};
use tokio::{sync::mpsc, time::MissedTickBehavior};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming, transport::Channel};

use super::{
    messages,
    outgoing_log::{News, OutgoingLog},
    telemetry,
};
use crate::{
    link::{AttemptKey, Request},
    spool,
};

/// Pieces that may wait for the network.
const OUTGOING: usize = 4;

/// News of spools that the session has not read yet; more wait with the pump.
pub(super) const NEWS: usize = 64;

/// How often a spool is tried that cannot be read now.
const AGAIN: Duration = Duration::from_secs(5);

/// Commands that may wait for the pump.
const COMMANDS: usize = 1024;

/// Bytes of all attempts that may be on the way and not durable. It bounds what the
/// scheduler holds in memory for this agent.
const WINDOW: u64 = 32 * 1024 * 1024;

/// The disk gets back what is durable in steps of so many bytes; and while it is full.
const GIVE_BACK: [u64; 2] = [8 * 1024 * 1024, 64 * 1024];

/// What the pump is told.
#[derive(Debug)]
pub(super) enum Command {
    /// An attempt's log goes on from `durable`; it is `length` long.
    Begin { key: AttemptKey, durable: u64, length: u64 },
    /// A log has grown to this length.
    Grew(AttemptKey, u64),
    /// An attempt waits for room on the disk, or no longer.
    Waits(AttemptKey, bool),
    /// A log is no longer of interest.
    Forget(AttemptKey),
}

/// The way to the pump. The pump ends when this is dropped.
#[derive(Clone, Debug)]
pub(super) struct Commands(mpsc::Sender<Command>);

impl Commands {
    pub(super) async fn send(&self, command: Command) {
        // A pump that has ended takes the connection with it.
        let _ = self.0.send(command).await;
    }
}

/// Makes a pump; the future that comes back runs it until the stream breaks.
pub(super) fn pump(
    client: AgentServiceClient<Channel>,
    folder: PathBuf,
    supervisor: mpsc::Sender<Request>,
    news: mpsc::Sender<News>,
) -> (Commands, impl Future<Output = String> + Send) {
    let (commands, arriving) = mpsc::channel(COMMANDS);
    let run = async move {
        match Pump::open(client, folder, (supervisor, news), arriving).await {
            Ok(pump) => pump.run().await,
            Err(status) => status.message().to_owned(),
        }
    };
    (Commands(commands), run)
}

struct Pump {
    folder: PathBuf,
    supervisor: mpsc::Sender<Request>,
    news: mpsc::Sender<News>,
    /// What the session has no room for: it and the pump never wait for each other.
    untold: VecDeque<News>,
    commands: mpsc::Receiver<Command>,
    pieces: mpsc::Sender<AppendLogRequest>,
    answers: Streaming<AppendLogResponse>,
    logs: HashMap<AttemptKey, OutgoingLog>,
    /// Those with something to send, in turn.
    ready: VecDeque<AttemptKey>,
    /// Those that wait for room on the disk.
    waiting: HashSet<AttemptKey>,
}

enum Input {
    Again,
    Tell(bool),
    Command(Option<Command>),
    Answer(Result<Option<AppendLogResponse>, Status>),
    Room(bool),
}

impl Pump {
    async fn open(
        mut client: AgentServiceClient<Channel>,
        folder: PathBuf,
        (supervisor, news): (mpsc::Sender<Request>, mpsc::Sender<News>),
        commands: mpsc::Receiver<Command>,
    ) -> Result<Self, Status> {
        let (pieces, outgoing) = mpsc::channel(OUTGOING);
        let answers = client.append_log(ReceiverStream::new(outgoing)).await?.into_inner();
        Ok(Self {
            folder,
            supervisor,
            news,
            untold: VecDeque::new(),
            commands,
            pieces,
            answers,
            logs: HashMap::new(),
            ready: VecDeque::new(),
            waiting: HashSet::new(),
        })
    }

    /// Runs until the stream breaks; says why.
    async fn run(mut self) -> String {
        let mut again = tokio::time::interval(AGAIN);
        again.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let sends = self.may_send();
            let troubled = self.logs.values().any(OutgoingLog::is_tried_again);
            let (pieces, news) = (self.pieces.clone(), self.news.clone());
            let input = tokio::select! {
                _ = again.tick(), if troubled => Input::Again,
                room = news.reserve(), if !self.untold.is_empty() => Input::Tell(room.is_ok()),
                command = self.commands.recv() => Input::Command(command),
                answer = self.answers.message() => Input::Answer(answer),
                room = pieces.reserve(), if sends => Input::Room(room.is_ok()),
            };
            match input {
                Input::Again => self.try_again(),
                Input::Tell(true) => self.tell(),
                Input::Command(Some(command)) => self.obey(&command),
                Input::Tell(false) | Input::Command(None) => {
                    return "the session is over".to_owned();
                }
                Input::Answer(Ok(Some(answer))) => self.answered(&answer).await,
                Input::Answer(Ok(None)) | Input::Room(false) => {
                    return "the scheduler has ended the stream of output".to_owned();
                }
                Input::Answer(Err(status)) => return status.message().to_owned(),
                Input::Room(true) => {
                    if let Err(broken) = self.send_piece().await {
                        return broken;
                    }
                }
            }
        }
    }

    /// Tries what could not be read.
    fn try_again(&mut self) {
        for (key, log) in &mut self.logs {
            if log.is_tried_again() && !log.queued {
                log.queued = true;
                self.ready.push_back(*key);
            }
        }
    }

    /// Tells the session the oldest news.
    fn tell(&mut self) {
        if let Some(news) = self.untold.pop_front()
            && let Err(full) = self.news.try_send(news)
        {
            self.untold.push_front(full.into_inner());
        }
    }

    /// Whether something can be sent: there is something, and the window is open.
    /// Logs whose own window is full wait for their acknowledgement.
    fn may_send(&mut self) -> bool {
        let (in_flight, waits) = self.logs.values().fold((0, 0), |(in_flight, waits), log| {
            let [sent, all] = log.undurable();
            (in_flight + sent, waits + all)
        });
        telemetry::output_waits(waits);
        if in_flight >= WINDOW {
            return false;
        }
        while let Some(key) = self.ready.front() {
            match self.logs.get_mut(key) {
                Some(log) if log.can_send() => return true,
                Some(log) => log.queued = false,
                None => {}
            }
            self.ready.pop_front();
        }
        false
    }

    fn queue(&mut self, key: AttemptKey) {
        if let Some(log) = self.logs.get_mut(&key)
            && !log.queued
            && log.can_send()
            && !log.is_tried_again()
        {
            log.queued = true;
            self.ready.push_back(key);
        }
    }

    fn obey(&mut self, command: &Command) {
        match *command {
            Command::Begin { key, durable, length } => {
                let path = spool::log(&spool::attempt(&self.folder, key));
                self.logs.insert(key, OutgoingLog::new(path, durable, length));
                self.queue(key);
            }
            Command::Grew(key, length) => {
                if let Some(log) = self.logs.get_mut(&key) {
                    log.grew(length);
                }
                self.queue(key);
            }
            Command::Waits(key, true) => {
                self.waiting.insert(key);
                self.logs.iter_mut().for_each(|(key, log)| log.give_back(*key, GIVE_BACK[1]));
            }
            Command::Waits(key, false) => _ = self.waiting.remove(&key),
            Command::Forget(key) => {
                self.waiting.remove(&key);
                self.logs.remove(&key);
            }
        }
    }

    async fn answered(&mut self, answer: &AppendLogResponse) {
        let Some(key) = messages::key(answer.key.as_ref()) else { return };
        let Some(log) = self.logs.get_mut(&key) else { return };
        let offset = |offset: i64| u64::try_from(offset).unwrap_or(0);
        log.answered(offset(answer.durable_offset), answer.resend_offset.map(offset));
        log.give_back(key, GIVE_BACK[usize::from(!self.waiting.is_empty())]);
        if let Some(durable) = log.tell_durable() {
            let _ = self.supervisor.send(Request::Durable(key, durable)).await;
        }
        self.queue(key);
    }

    /// Sends the next piece of the log whose turn it is.
    async fn send_piece(&mut self) -> Result<(), String> {
        let Some(key) = self.ready.pop_front() else { return Ok(()) };
        let Some(log) = self.logs.get_mut(&key) else { return Ok(()) };
        log.queued = false;
        let (offset, frames) = match log.next(key).await {
            Ok(piece) => piece,
            Err(news) => {
                // The other attempts go on.
                self.untold.extend(news);
                return Ok(());
            }
        };
        self.untold.extend(log.is_read(key));
        telemetry::output_sent(frames.len());
        if let Some(length) = log.all_sent() {
            let _ = self.supervisor.send(Request::Seen(key, length)).await;
        }
        let piece = AppendLogRequest {
            key: Some(messages::to_key(key)),
            offset: i64::try_from(offset).unwrap_or(i64::MAX),
            crc32: crc32fast::hash(&frames),
            frames,
        };
        self.queue(key);
        let sent = self.pieces.send(piece).await;
        sent.map_err(|_| "the scheduler takes no more output".to_owned())
    }
}
