//! The live logs of all attempts on agents.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{Appended, LiveLog, LogError, chunk, flusher};
use crate::{
    domain::ids::{AttemptKey, JobId},
    objects::{self, Objects},
    store::{ChunkContent, Store, StoredChunk},
    telemetry,
};

/// A rest of up to this many bytes stays in the database.
pub(super) const INLINE: i64 = 64 * 1024;

/// Logs that wait for their age; more are flushed at once.
const WAITING: usize = 16 * 1024;

/// How long a flush may take that is under way when the scheduler stops.
const STOP: Duration = Duration::from_secs(10);

/// When logs are made durable while their attempts go on.
#[derive(Clone, Copy, Debug)]
pub struct LogSettings {
    /// A chunk is sealed at this size, in bytes.
    pub chunk: i64,
    /// Output is durable at this age at the latest.
    pub age: Duration,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self { chunk: 2 * 1024 * 1024, age: Duration::from_secs(2) }
    }
}

/// How far a log is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DurableTo {
    /// The attempt.
    pub key: AttemptKey,
    /// Bytes, with framing.
    pub offset: i64,
}

#[derive(Debug)]
struct Entry {
    log: Arc<LiveLog>,
    /// Where the agent listens for what is durable.
    durable: Option<mpsc::Sender<DurableTo>>,
}

/// A handle on all logs.
#[derive(Clone, Debug)]
pub struct Logs {
    pub(super) store: Store,
    pub(super) objects: Objects,
    pub(super) tasks: TaskTracker,
    pub(super) stop: CancellationToken,
    settings: LogSettings,
    live: Arc<Mutex<HashMap<AttemptKey, Entry>>>,
    aging: mpsc::Sender<Weak<LiveLog>>,
}

impl Logs {
    /// Starts the task that makes logs durable by age.
    pub fn start(store: Store, objects: Objects, settings: LogSettings) -> Self {
        let (aging, arrived) = mpsc::channel(WAITING);
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let live = Arc::default();
        let logs = Self { store, objects, tasks, stop, settings, live, aging };
        logs.tasks.spawn(flusher::run(logs.clone(), settings.age, arrived, logs.stop.clone()));
        logs
    }

    /// Waits for flushes that are under way; not for long, as agents keep what is not
    /// acknowledged.
    pub async fn stop(&self) {
        self.stop.cancel();
        self.tasks.close();
        if tokio::time::timeout(STOP, self.tasks.wait()).await.is_err() {
            tracing::warn!("some output could not be stored in time: its agents send it again");
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<AttemptKey, Entry>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins the log of an attempt that is about to be launched.
    pub fn open(&self, key: AttemptKey) {
        let log = Arc::new(LiveLog::new(key));
        self.lock().entry(key).or_insert(Entry { log, durable: None });
    }

    /// The log of an attempt that goes on after a break: what was stored is
    /// counted and hashed again. A chunk that is gone for good is left out, and said in the
    /// end; one that cannot be read now is an error.
    pub async fn resume(&self, key: AttemptKey) -> Result<Arc<LiveLog>, LogError> {
        if let Some(log) = self.get(key) {
            return Ok(log);
        }
        let log = LiveLog::new(key);
        while let Some(chunk) = self.store.chunk_at(key.job, key.number, log.received()).await? {
            if chunk.start < log.received() || chunk.length == 0 {
                break;
            }
            let sealed = matches!(chunk.content, ChunkContent::Object(_));
            let restored = match self.load(key.job, key.number, &chunk).await {
                Ok(frames) => log
                    .restore(&chunk, &frames, sealed)
                    .map_err(|error| damaged(key.job, key.number, &chunk, error)),
                Err(error) => Err(error),
            };
            match restored {
                Err(error) if error.is_loss() => {
                    tracing::error!(attempt = %key, from = chunk.start, %error, "stored output is lost");
                    log.leave_out(&chunk, error.to_string());
                }
                restored => restored?,
            }
        }
        let mut live = self.lock();
        let entry = live.entry(key).or_insert_with(|| Entry { log: Arc::new(log), durable: None });
        Ok(Arc::clone(&entry.log))
    }

    /// As [`resume`](Self::resume), for as long as the database or the object store is away: output that
    /// cannot be read now is not lost.
    pub async fn resume_patiently(&self, key: AttemptKey) -> Result<Arc<LiveLog>, LogError> {
        let resume = || self.resume(key);
        objects::patiently(resume, LogError::may_pass, |error| {
            tracing::error!(attempt = %key, %error, "stored output cannot be read; trying on");
        })
        .await
    }

    /// A live log.
    pub fn get(&self, key: AttemptKey) -> Option<Arc<LiveLog>> {
        self.lock().get(&key).map(|entry| Arc::clone(&entry.log))
    }

    /// The live log of an attempt whose fence is not known.
    pub fn find(&self, job: JobId, number: i32) -> Option<Arc<LiveLog>> {
        let live = self.lock();
        let found = live.iter().find(|(key, _)| key.job == job && key.number == number);
        found.map(|(_, entry)| Arc::clone(&entry.log))
    }

    pub(super) fn is_live(&self, key: AttemptKey) -> bool {
        self.lock().contains_key(&key)
    }

    /// Takes in a piece of a log from an agent that listens at `durable`. None if
    /// the attempt has no live log: it is over, or not this scheduler's.
    pub fn append(
        &self,
        key: AttemptKey,
        offset: i64,
        frames: &Bytes,
        durable: &mpsc::Sender<DurableTo>,
    ) -> Option<Appended> {
        let log = {
            let mut live = self.lock();
            let entry = live.get_mut(&key)?;
            if !entry.durable.as_ref().is_some_and(|known| known.same_channel(durable)) {
                entry.durable = Some(durable.clone());
            }
            Arc::clone(&entry.log)
        };
        let appended = log.append(offset, frames);
        telemetry::output_received(frames.len());
        if let Appended::Taken { unsealed, first } = appended {
            if unsealed >= self.settings.chunk {
                self.flush_soon(&log);
            } else if first && self.aging.try_send(Arc::downgrade(&log)).is_err() {
                // No place to wait: it is stored now instead of later.
                self.flush_soon(&log);
            }
        }
        Some(appended)
    }

    /// Tells the agent how far its log is durable.
    pub(super) async fn tell_durable(&self, log: &LiveLog) {
        let listener = self.lock().get(&log.key()).and_then(|entry| entry.durable.clone());
        if let Some(listener) = listener {
            // An agent that is gone asks again when it is back.
            let _ = listener.send(DurableTo { key: log.key(), offset: log.durable() }).await;
        }
    }

    /// Notes what an attempt waits for on its agent's host; empty: it goes on.
    pub fn set_waits(&self, key: AttemptKey, reason: &str) {
        if let Some(log) = self.get(key) {
            log.set_waits(reason);
        }
    }

    /// Ends logs whose attempts are over.
    pub fn close(&self, keys: &[AttemptKey]) {
        let ended: Vec<_> = {
            let mut live = self.lock();
            keys.iter().filter_map(|key| live.remove(key)).collect()
        };
        ended.iter().for_each(|entry| entry.log.end());
    }

    /// Ends this log, unless the attempt has another one by now.
    pub fn close_this(&self, log: &Arc<LiveLog>) {
        {
            let mut live = self.lock();
            match live.get(&log.key()) {
                Some(entry) if Arc::ptr_eq(&entry.log, log) => live.remove(&log.key()),
                _ => return,
            };
        }
        log.end();
    }

    /// The decoded bytes of a stored chunk.
    pub(super) async fn load(
        &self,
        job: JobId,
        attempt: i32,
        chunk: &StoredChunk,
    ) -> Result<Bytes, LogError> {
        let content = match &chunk.content {
            ChunkContent::Inline(content) => Bytes::from(content.clone()),
            ChunkContent::Object(name) => self.objects.get_surely(name).await?,
        };
        let (encoding, length) = (chunk.encoding.clone(), chunk.length);
        let decode = move || chunk::decode(&encoding, content, length);
        let decoded = if length > INLINE {
            tokio::task::spawn_blocking(decode).await.unwrap_or_else(|error| Err(error.to_string()))
        } else {
            decode()
        };
        decoded.map_err(|reason| damaged(job, attempt, chunk, reason))
    }
}

pub(super) fn damaged(
    job: JobId,
    attempt: i32,
    chunk: &StoredChunk,
    reason: impl std::fmt::Display,
) -> LogError {
    let what = format!("job {job} attempt {attempt} from byte {}", chunk.start);
    LogError::Damaged { what, reason: reason.to_string() }
}
