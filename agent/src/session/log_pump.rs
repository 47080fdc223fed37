//! Brings the output of all attempts to the scheduler, over one stream: from the
//! spool, in turn, in pieces of whole records. What the scheduler has made durable
//! is given back to the disk.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    fs::{File, OpenOptions},
    io,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use multiflexi_proto::{
    frame,
    v1::{AppendLogRequest, AppendLogResponse, agent_service_client::AgentServiceClient},
};
use rustix::fs::{FallocateFlags, fallocate};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming, transport::Channel};

use super::{messages, telemetry};
use crate::{
    link::{AttemptKey, Request},
    spool,
};

/// Most bytes of one piece. A record fits: reads of a pipe are half of that at most.
const PIECE: u64 = 512 * 1024;

/// Pieces that may wait for the network.
const OUTGOING: usize = 4;

/// Attempts that cannot be read and that the session was not told of yet.
pub(super) const UNREADABLE: usize = 64;

/// Commands that may wait for the pump.
const COMMANDS: usize = 1024;

/// Bytes that may be on the way and not durable: of one attempt, and of all. It
/// bounds what the scheduler holds in memory for this agent.
const WINDOW: [u64; 2] = [8 * 1024 * 1024, 32 * 1024 * 1024];

/// The disk gets back what is durable in steps of so many bytes; and while it is full.
const GIVE_BACK: [u64; 2] = [8 * 1024 * 1024, 64 * 1024];

/// A log of this many bytes will have something to give back: the note of it is made
/// while there is room for it.
const NOTE: u64 = 512 * 1024;

/// The supervisor is told what is durable in steps of so many bytes.
const TELL: u64 = 512 * 1024;

/// A read of up to this many bytes is not worth another thread: they were written
/// a moment ago and are in memory.
const SMALL: u64 = 64 * 1024;

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

#[derive(Debug)]
struct Log {
    path: PathBuf,
    file: Option<Arc<File>>,
    length: u64,
    sent: u64,
    durable: u64,
    given_back: u64,
    /// Says how much was given back, once the log is long.
    note: Option<File>,
    /// What the supervisor knows of it.
    told: u64,
    /// It is in the queue of those with something to send.
    queued: bool,
    /// Its spool cannot be read: nothing more of it is sent on this connection.
    unreadable: bool,
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

/// An attempt whose spool cannot be read, and why: a sentence.
pub(super) type Unreadable = (AttemptKey, String);

/// Makes a pump; the future that comes back runs it until the stream breaks.
pub(super) fn pump(
    client: AgentServiceClient<Channel>,
    folder: PathBuf,
    supervisor: mpsc::Sender<Request>,
    unreadable: mpsc::Sender<Unreadable>,
) -> (Commands, impl Future<Output = String> + Send) {
    let (commands, arriving) = mpsc::channel(COMMANDS);
    let run = async move {
        match Pump::open(client, folder, (supervisor, unreadable), arriving).await {
            Ok(pump) => pump.run().await,
            Err(status) => status.message().to_owned(),
        }
    };
    (Commands(commands), run)
}

struct Pump {
    folder: PathBuf,
    supervisor: mpsc::Sender<Request>,
    unreadable: mpsc::Sender<Unreadable>,
    commands: mpsc::Receiver<Command>,
    pieces: mpsc::Sender<AppendLogRequest>,
    answers: Streaming<AppendLogResponse>,
    logs: HashMap<AttemptKey, Log>,
    /// Those with something to send, in turn.
    ready: VecDeque<AttemptKey>,
    /// Those that wait for room on the disk.
    waiting: HashSet<AttemptKey>,
}

enum Input {
    Command(Option<Command>),
    Answer(Result<Option<AppendLogResponse>, Status>),
    Room(bool),
}

impl Pump {
    async fn open(
        mut client: AgentServiceClient<Channel>,
        folder: PathBuf,
        (supervisor, unreadable): (mpsc::Sender<Request>, mpsc::Sender<Unreadable>),
        commands: mpsc::Receiver<Command>,
    ) -> Result<Self, Status> {
        let (pieces, outgoing) = mpsc::channel(OUTGOING);
        let answers = client.append_log(ReceiverStream::new(outgoing)).await?.into_inner();
        let (logs, ready, waiting) = (HashMap::new(), VecDeque::new(), HashSet::new());
        Ok(Self { folder, supervisor, unreadable, commands, pieces, answers, logs, ready, waiting })
    }

    /// Runs until the stream breaks; says why.
    async fn run(mut self) -> String {
        loop {
            let sends = self.may_send();
            let pieces = self.pieces.clone();
            let input = tokio::select! {
                command = self.commands.recv() => Input::Command(command),
                answer = self.answers.message() => Input::Answer(answer),
                room = pieces.reserve(), if sends => Input::Room(room.is_ok()),
            };
            match input {
                Input::Command(Some(command)) => self.obey(&command),
                Input::Command(None) => return "the session is over".to_owned(),
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

    /// Whether something can be sent: there is something, and the window is open.
    /// Logs whose own window is full wait for their acknowledgement.
    fn may_send(&mut self) -> bool {
        let (in_flight, waits) = self.logs.values().fold((0, 0), |(in_flight, waits), log| {
            (in_flight + log.sent - log.durable, waits + log.length - log.durable)
        });
        telemetry::output_waits(waits);
        if in_flight >= WINDOW[1] {
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
        {
            log.queued = true;
            self.ready.push_back(key);
        }
    }

    fn obey(&mut self, command: &Command) {
        match *command {
            Command::Begin { key, durable, length } => {
                let path = spool::log(&spool::attempt(&self.folder, key));
                self.logs.insert(
                    key,
                    Log {
                        path,
                        file: None,
                        length,
                        sent: durable,
                        durable,
                        given_back: durable,
                        note: None,
                        told: 0,
                        queued: false,
                        unreadable: false,
                    },
                );
                self.queue(key);
            }
            Command::Grew(key, length) => {
                if let Some(log) = self.logs.get_mut(&key) {
                    log.length = log.length.max(length);
                    log.make_note();
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
        log.durable = log.durable.max(offset(answer.durable_offset)).min(log.length);
        log.sent = log.sent.max(log.durable);
        if let Some(from) = answer.resend_offset {
            log.sent = offset(from).clamp(log.durable, log.length);
        }
        log.give_back(key, GIVE_BACK[usize::from(!self.waiting.is_empty())]);
        if log.durable - log.told >= TELL || (log.durable == log.length && log.told < log.durable) {
            // It makes room for a job that waits in its writes.
            log.told = log.durable;
            let _ = self.supervisor.send(Request::Durable(key, log.durable)).await;
        }
        self.queue(key);
    }

    /// Sends the next piece of the log whose turn it is.
    async fn send_piece(&mut self) -> Result<(), String> {
        let Some(key) = self.ready.pop_front() else { return Ok(()) };
        let Some(log) = self.logs.get_mut(&key) else { return Ok(()) };
        log.queued = false;
        let offset = log.sent;
        let frames = match log.read().await {
            Ok(frames) => frames,
            Err(error) => {
                // The other attempts go on.
                log.unreadable = true;
                let spool = log.path.display();
                tracing::error!(%key, %spool, %error, "the spool of an attempt cannot be read");
                let reason = format!(
                    "the output that its agent keeps cannot be read, so no more of it comes: \
                     {spool}: {error}"
                );
                // If many cannot be read, the log names them.
                let _ = self.unreadable.try_send((key, reason));
                return Ok(());
            }
        };
        log.sent += frames.len() as u64;
        telemetry::output_sent(frames.len());
        if log.sent == log.length {
            let _ = self.supervisor.send(Request::Seen(key, log.length)).await;
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

impl Log {
    fn can_send(&self) -> bool {
        !self.unreadable && self.sent < self.length && self.sent - self.durable < WINDOW[0]
    }

    /// Whole records from `sent` on.
    async fn read(&mut self) -> io::Result<Bytes> {
        let file = match &self.file {
            Some(file) => Arc::clone(file),
            None => {
                let file = Arc::new(open(&self.path)?);
                self.file = Some(Arc::clone(&file));
                file
            }
        };
        let size = (self.length - self.sent).min(PIECE);
        let offset = self.sent;
        let read = move || -> io::Result<Bytes> {
            let mut bytes = vec![0; usize::try_from(size).unwrap_or(usize::MAX)];
            file.read_exact_at(&mut bytes, offset)?;
            let whole = frame::whole_records(&bytes).map_err(io::Error::other)?;
            bytes.truncate(whole);
            Ok(Bytes::from(bytes))
        };
        let bytes = if size <= SMALL {
            read()?
        } else {
            tokio::task::spawn_blocking(read).await.map_err(io::Error::other)??
        };
        if bytes.is_empty() {
            return Err(io::Error::other(format!("no whole record at byte {offset}")));
        }
        Ok(bytes)
    }

    /// Makes the file that says how much was given back, before the disk is full.
    fn make_note(&mut self) {
        if self.note.is_some() || self.length < NOTE {
            return;
        }
        let made = self.path.parent().map(spool::durable).map(|path| {
            let note = OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
            note.write_all_at(format!("{:020}", self.given_back).as_bytes(), 0)?;
            Ok::<_, io::Error>(note)
        });
        match made {
            Some(Ok(note)) => self.note = Some(note),
            Some(Err(error)) => {
                tracing::debug!(spool = %self.path.display(), %error, "no note of what is durable");
            }
            None => {}
        }
    }

    /// Frees the disk of what is durable elsewhere, if it is a `step` at least.
    fn give_back(&mut self, key: AttemptKey, step: u64) {
        if self.durable - self.given_back < step {
            return;
        }
        self.make_note();
        let (Some(file), Some(note)) = (&self.file, &self.note) else { return };
        // First it is written down: who reads the spool later must not take the hole
        // for records. In place, as there may be no room for another file.
        if let Err(error) = note.write_all_at(format!("{:020}", self.durable).as_bytes(), 0) {
            tracing::debug!(%key, %error, "the spool stays whole until its end");
            return;
        }
        let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        if let Err(error) = fallocate(file, hole, self.given_back, self.durable - self.given_back) {
            tracing::debug!(%key, %error, "this filesystem keeps spools whole until their end");
        }
        self.given_back = self.durable;
    }
}

fn open(path: &Path) -> io::Result<File> {
    // For writing too: without it no space can be given back.
    OpenOptions::new().read(true).write(true).open(path)
}
