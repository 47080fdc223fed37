//! Makes live logs durable: a chunk when it is large enough, the rest when it is
//! old enough, and what is left when the attempt ends.

use std::{
    collections::VecDeque,
    sync::{Arc, Weak},
    time::Duration,
};

use bytes::Bytes;
use tokio::{sync::mpsc, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{
    LogError, Logs, chunk,
    live::{LiveLog, Unsealed},
    registry::INLINE,
};
use crate::{
    store::{ChunkContent, PutChunk, StoredChunk},
    telemetry,
};

/// How long a failed flush waits before it is tried again: doubled each time up
/// to the second.
const RETRY: [Duration; 2] = [Duration::from_millis(250), Duration::from_secs(5)];

/// What is left to store of a log.
#[derive(Debug)]
pub enum Rest {
    /// All of it is stored.
    Nothing,
    /// So little that it goes into the database with the attempt's end.
    Small(StoredChunk),
    /// Too much for that: [`Logs::last_chunk`] stores it first.
    Large,
}

/// A chunk's row.
fn row(unsealed: &Unsealed, encoding: &str, content: ChunkContent) -> StoredChunk {
    StoredChunk {
        start: unsealed.start,
        length: unsealed.length,
        streams_at: unsealed.streams_at,
        last_time: unsealed.last_time,
        encoding: encoding.to_owned(),
        content,
    }
}

impl Logs {
    /// Stores everything that `log` has taken in. A small rest goes into the
    /// database, where the next flush replaces it; more becomes a sealed chunk.
    pub(super) async fn flush(&self, log: &LiveLog) -> Result<(), LogError> {
        // Two that store the same bytes at once would overwrite each other's object.
        let _turn = log.turn().await;
        let Some(unsealed) = log.unsealed() else { return Ok(()) };
        let (sealed, begun) = (unsealed.length > INLINE, std::time::Instant::now());
        let chunk = self.chunk(log, &unsealed, sealed).await?;
        self.store.change(PutChunk { key: log.key(), chunk }).await?;
        log.stored(&unsealed, sealed);
        telemetry::output_stored(log.key(), unsealed.start, unsealed.length, begun);
        Ok(())
    }

    /// The chunk's row; a sealed chunk's object is stored.
    async fn chunk(
        &self,
        log: &LiveLog,
        unsealed: &Unsealed,
        sealed: bool,
    ) -> Result<StoredChunk, LogError> {
        let damaged = |reason: String| LogError::Damaged { what: log.key().to_string(), reason };
        let segments = unsealed.segments.clone();
        let (encoding, bytes) = if sealed {
            tokio::task::spawn_blocking(move || chunk::encode(&segments))
                .await
                .map_err(|error| damaged(error.to_string()))?
        } else {
            chunk::encode(&segments)
        }
        .map_err(|error| damaged(error.to_string()))?;
        let content = if sealed {
            let key = log.key();
            let name = chunk::object_name((key.job, key.number), unsealed.start, unsealed.length);
            self.objects.put(&name, vec![Bytes::from(bytes)]).await?;
            ChunkContent::Object(name)
        } else {
            ChunkContent::Inline(bytes)
        };
        Ok(row(unsealed, encoding, content))
    }

    /// What has to be stored with the attempt's final record: a small rest as a
    /// chunk for that transaction, anything larger is stored here.
    pub async fn last_chunk(&self, log: &LiveLog) -> Result<Option<StoredChunk>, LogError> {
        let Some(unsealed) = log.unsealed() else { return Ok(None) };
        if unsealed.length > INLINE {
            self.flush(log).await?;
            return Ok(None);
        }
        self.chunk(log, &unsealed, false).await.map(Some)
    }

    /// What is left to store of a log whose attempt ends.
    pub fn rest(&self, log: &LiveLog) -> Rest {
        let Some(unsealed) = log.unsealed() else { return Rest::Nothing };
        if unsealed.length > INLINE {
            return Rest::Large;
        }
        match chunk::encode(&unsealed.segments) {
            Ok((encoding, bytes)) => {
                Rest::Small(row(&unsealed, encoding, ChunkContent::Inline(bytes)))
            }
            Err(_) => Rest::Large,
        }
    }

    /// Flushes in the background, again and again until it works or the log is
    /// gone; then tells the agent.
    pub(super) fn flush_soon(&self, log: &Arc<LiveLog>) {
        if !log.begin_flush() {
            return;
        }
        let (logs, log) = (self.clone(), Arc::clone(log));
        self.tasks.spawn(async move {
            logs.flush_until_done(&log).await;
            log.end_flush();
            logs.tell_durable(&log).await;
        });
    }

    async fn flush_until_done(&self, log: &LiveLog) {
        let mut pause = RETRY[0];
        while let Err(error) = self.flush(log).await {
            let text = format!("its output cannot be stored: {error}");
            if log.trouble().as_ref() != Some(&text) {
                tracing::error!(attempt = %log.key(), %error, "output cannot be stored; trying on");
            }
            log.set_trouble(text);
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.stop.cancelled() => return,
            }
            if !self.is_live(log.key()) {
                return;
            }
            pause = (pause * 2).min(RETRY[1]);
        }
    }
}

/// Flushes each log that was handed in once it is `age` old.
pub(super) async fn run(
    logs: Logs,
    age: Duration,
    mut arrived: mpsc::Receiver<Weak<LiveLog>>,
    stop: CancellationToken,
) {
    let mut waiting: VecDeque<(Instant, Weak<LiveLog>)> = VecDeque::new();
    loop {
        let next = waiting.front().map(|(due, _)| *due);
        let due = async {
            match next {
                Some(due) => tokio::time::sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            log = arrived.recv() => match log {
                Some(log) => waiting.push_back((Instant::now() + age, log)),
                None => return,
            },
            () = due => flush_front(&logs, &mut waiting),
            () = stop.cancelled() => return,
        }
    }
}

fn flush_front(logs: &Logs, waiting: &mut VecDeque<(Instant, Weak<LiveLog>)>) {
    if let Some((_, log)) = waiting.pop_front()
        && let Some(log) = log.upgrade()
    {
        logs.flush_soon(&log);
    }
}
