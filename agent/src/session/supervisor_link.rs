//! The session's end of the socket to the supervisor, which is started if none is
//! there. Two tasks carry messages, so that neither side waits for the other.

use std::{
    fs::OpenOptions,
    io::{self, Read as _},
    process::{Command, Stdio},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::mpsc,
};
use tokio_util::task::AbortOnDropHandle;

use super::{Config, Error, holdings::Holdings, telemetry};
use crate::{
    link::{self, Event, Request},
    spool,
};

/// Messages in either direction that may wait; beyond that the sender waits.
const WAITING: usize = 1024;

/// How often a supervisor is looked for or started before the session gives up, and
/// the pause between.
const TRIES: u32 = 10;
const PAUSE: Duration = Duration::from_millis(100);

/// How long the supervisor may take to read what it was asked at the end.
const CLOSE: Duration = Duration::from_secs(5);

/// A connection to the supervisor.
#[derive(Debug)]
pub(super) struct SupervisorLink {
    requests: mpsc::Sender<Request>,
    events: mpsc::Receiver<Event>,
    /// Version of the supervisor's program.
    version: String,
    /// What it said first.
    hello: Option<Event>,
    writing: AbortOnDropHandle<()>,
    _reading: AbortOnDropHandle<()>,
}

impl SupervisorLink {
    /// Connects, starting a supervisor if there is none. One that was killed a moment
    /// ago may still take a connection, or keep its folder locked: it is tried again.
    pub(super) async fn open(config: &Config) -> Result<Self, Error> {
        let mut tries = 0;
        loop {
            if let Ok(link) = Self::connect(config).await {
                return Ok(link);
            }
            let failed = match start(config).await {
                Ok(()) => match Self::connect(config).await {
                    Ok(link) => return Ok(link),
                    Err(error) => Error::Supervisor(error.to_string()),
                },
                Err(error) => error,
            };
            tries += 1;
            if tries >= TRIES {
                return Err(failed);
            }
            tracing::debug!(%failed, "the supervisor cannot be reached yet");
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Connects to the supervisor that is there.
    async fn connect(config: &Config) -> io::Result<Self> {
        let stream = link::connect(&config.directory)?;
        stream.set_nonblocking(true)?;
        let (reads, writes) = UnixStream::from_std(stream)?.into_split();
        let (requests, outgoing) = mpsc::channel(WAITING);
        let (incoming, mut events) = mpsc::channel(WAITING);
        let writing = AbortOnDropHandle::new(tokio::spawn(write(writes, outgoing)));
        let reading = AbortOnDropHandle::new(tokio::spawn(read(reads, incoming)));
        let hello = events.recv().await;
        let version = match &hello {
            Some(Event::Hello { version, .. }) => version.clone(),
            _ => return Err(io::Error::other("it does not say who it is")),
        };
        telemetry::supervisor();
        Ok(Self { requests, events, version, hello, writing, _reading: reading })
    }

    /// It is of another version than this program.
    pub(super) fn is_old(&self) -> bool {
        self.version != link::VERSION
    }

    /// Disconnects once everything that was asked has been written: what a session
    /// that ends has seen acknowledged must not stay with the supervisor.
    pub(super) async fn close(self) {
        drop(self.requests);
        // A supervisor that reads nothing is not waited for.
        let _ = tokio::time::timeout(CLOSE, self.writing).await;
    }

    /// What the supervisor says next; none if it is gone.
    pub(super) async fn next(&mut self) -> Option<Event> {
        match self.hello.take() {
            None => self.events.recv().await,
            hello => hello,
        }
    }

    /// What it has said already.
    pub(super) fn try_next(&mut self) -> Option<Event> {
        self.hello.take().or_else(|| self.events.try_recv().ok())
    }

    /// Asks it for something. If it is gone, [`next`](Self::next) says so.
    pub(super) async fn ask(&self, request: Request) {
        let _ = self.requests.send(request).await;
    }

    /// A way to ask it for others.
    pub(super) fn requests(&self) -> mpsc::Sender<Request> {
        self.requests.clone()
    }

    /// Notes what it says while there is no scheduler to tell. Returns only when
    /// it is gone.
    pub(super) async fn keep_up(&mut self, holdings: &mut Holdings) {
        while let Some(event) = self.next().await {
            holdings.note(&event);
        }
    }
}

async fn write(mut stream: OwnedWriteHalf, mut requests: mpsc::Receiver<Request>) {
    let mut buffer = Vec::new();
    while let Some(request) = requests.recv().await {
        buffer.clear();
        link::encode(&request, &mut buffer);
        while let Ok(request) = requests.try_recv() {
            link::encode(&request, &mut buffer);
        }
        if stream.write_all(&buffer).await.is_err() {
            return;
        }
    }
}

async fn read(mut stream: OwnedReadHalf, events: mpsc::Sender<Event>) {
    let mut buffer = Vec::with_capacity(64 * 1024);
    while stream.read_buf(&mut buffer).await.is_ok_and(|read| read > 0) {
        let mut at = 0;
        loop {
            match link::decode(&buffer[at..]) {
                Ok(Some((event, size))) => {
                    at += size;
                    if events.send(event).await.is_err() {
                        return;
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    tracing::error!(%error, "the supervisor says what is not understood");
                    return;
                }
            }
        }
        buffer.drain(..at);
    }
}

/// Starts a supervisor and waits until it listens.
async fn start(config: &Config) -> Result<(), Error> {
    let (program, arguments) = config
        .supervisor
        .split_first()
        .ok_or_else(|| Error::Supervisor("no command for it is configured".to_owned()))?;
    let log = spool::supervisor_log(&config.directory);
    let failed = |error: io::Error| Error::Supervisor(error.to_string());
    let errors = OpenOptions::new().create(true).append(true).open(&log).map_err(failed)?;
    let mut child = Command::new(program)
        .args(arguments)
        .arg("--directory")
        .arg(&config.directory)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(errors)
        .spawn()
        .map_err(failed)?;
    let mut ready = child.stdout.take();
    let listens = tokio::task::spawn_blocking(move || {
        let listens = ready.as_mut().is_some_and(|pipe| matches!(pipe.read(&mut [0]), Ok(1)));
        // It outlives this process; while both live, this thread takes its status.
        std::thread::Builder::new()
            .name("supervisor".into())
            .spawn(move || child.wait())
            .map(|_| listens)
    });
    match listens.await {
        Ok(Ok(true)) => Ok(()),
        Ok(Ok(false)) => {
            let said = std::fs::read_to_string(&log).unwrap_or_default();
            let last = said.lines().last().unwrap_or("it ended at once").to_owned();
            Err(Error::Supervisor(last))
        }
        Ok(Err(error)) => Err(failed(error)),
        Err(error) => Err(Error::Supervisor(error.to_string())),
    }
}
