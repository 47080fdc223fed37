//! The log of an attempt that is not over. It takes in what the agent sends, in
//! order and each byte once; holds in memory what is in no sealed chunk yet; and
//! counts and hashes each stream on the way.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use multiflexi_proto::frame::{self, FrameError};
use sha2::{Digest as _, Sha256};
use tokio::sync::watch;

use crate::{
    domain::{
        ids::AttemptKey,
        job::{LostOutput, StreamSummary},
    },
    store::StoredChunk,
};

/// What became of a piece that an agent sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Appended {
    /// It was taken in, or had been before. `unflushed` bytes are not durable yet;
    /// `first` of them since the last flush.
    Taken {
        /// Bytes that are in no sealed chunk.
        unsealed: i64,
        /// Everything before this piece was durable.
        first: bool,
    },
    /// Something before it is missing: the agent sends again from here.
    Gap(i64),
}

/// How far a log is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Bytes taken in, with framing.
    pub received: i64,
    /// No more is taken in: what comes is no log.
    pub lost: bool,
    /// The attempt has ended and its log is stored whole.
    pub ended: bool,
}

/// What has to be stored next.
#[derive(Clone, Debug)]
pub(super) struct Unsealed {
    pub(super) start: i64,
    pub(super) length: i64,
    pub(super) streams_at: [i64; 2],
    pub(super) last_time: i64,
    pub(super) segments: Vec<Bytes>,
    /// Stream positions at its end.
    streams_end: [i64; 2],
}

/// One stream as it is counted.
#[derive(Clone, Debug, Default)]
struct Counted {
    bytes: i64,
    hash: Sha256,
}

#[derive(Debug, Default)]
struct State {
    /// What is in no sealed chunk: whole records, the first at `sealed`.
    segments: VecDeque<(i64, Bytes)>,
    sealed: i64,
    durable: i64,
    received: i64,
    streams: [Counted; 2],
    /// Stream positions at `sealed`.
    streams_at: [i64; 2],
    last_time: i64,
    flushing: bool,
    /// What was stored and cannot be had any more.
    holes: Vec<LostOutput>,
    /// Why no more is taken in, if so.
    broken: Option<String>,
    trouble: Option<String>,
    /// What the attempt waits for on its agent's host; empty if it does not.
    waits: String,
}

impl State {
    /// Takes in records; nothing of them if they are none.
    fn take_in(&mut self, new: Bytes) -> Result<Appended, FrameError> {
        let first = self.durable == self.received;
        let mut streams = self.streams.clone();
        let mut last_time = self.last_time;
        for record in frame::records(new.clone()) {
            let record = record?;
            let stream = &mut streams[record.stream.index()];
            stream.bytes += record.data.len() as i64;
            stream.hash.update(&record.data);
            last_time = record.time;
        }
        self.streams = streams;
        self.last_time = last_time;
        let start = self.received;
        self.received += new.len() as i64;
        self.segments.push_back((start, new));
        Ok(Appended::Taken { unsealed: self.received - self.sealed, first })
    }

    /// All of it is in sealed chunks, and leaves the memory.
    fn seal(&mut self) {
        self.segments.clear();
        self.sealed = self.received;
        self.streams_at = self.streams.each_ref().map(|stream| stream.bytes);
    }
}

/// The log of an attempt that is not over.
#[derive(Debug)]
pub struct LiveLog {
    key: AttemptKey,
    state: Mutex<State>,
    turn: tokio::sync::Mutex<()>,
    progress: watch::Sender<Progress>,
}

impl LiveLog {
    /// An empty log.
    pub(super) fn new(key: AttemptKey) -> Self {
        let progress = watch::channel(Progress::default()).0;
        Self { key, state: Mutex::default(), turn: tokio::sync::Mutex::default(), progress }
    }

    /// The attempt.
    pub fn key(&self) -> AttemptKey {
        self.key
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in the records `frames`, which begin at `offset`. If they are no records, this and
    /// what is behind it is lost: the agent has nothing else.
    pub fn append(&self, offset: i64, frames: &Bytes) -> Appended {
        let mut state = self.lock();
        if offset > state.received {
            return Appended::Gap(state.received);
        }
        let known = usize::try_from(state.received - offset).unwrap_or(usize::MAX);
        let nothing = Appended::Taken { unsealed: state.received - state.sealed, first: false };
        if known >= frames.len() || state.broken.is_some() {
            return nothing;
        }
        match state.take_in(frames.slice(known..)) {
            Ok(taken) => {
                let received = state.received;
                drop(state);
                self.progress.send_modify(|progress| progress.received = received);
                taken
            }
            Err(error) => {
                let at = state.received;
                state.broken = Some(format!("what its agent sends of it is no log: {error}"));
                drop(state);
                tracing::error!(attempt = %self.key, from = at, %error, "output of an attempt is lost");
                self.progress.send_modify(|progress| progress.lost = true);
                nothing
            }
        }
    }

    /// Puts back what was stored before this process began: called in order, for
    /// each stored chunk. A `sealed` one does not stay in memory.
    pub(super) fn restore(
        &self,
        chunk: &StoredChunk,
        frames: &Bytes,
        sealed: bool,
    ) -> Result<(), FrameError> {
        let mut state = self.lock();
        if !state.holes.is_empty() {
            // Only the chunk knows what was before it.
            for (stream, at) in state.streams.iter_mut().zip(chunk.streams_at) {
                stream.bytes = at;
            }
        }
        state.take_in(frames.clone())?;
        state.durable = state.received;
        if sealed {
            state.seal();
        }
        let received = state.received;
        drop(state);
        self.progress.send_modify(|progress| progress.received = received);
        Ok(())
    }

    /// Goes on behind a stored chunk that cannot be had any more.
    pub(super) fn leave_out(&self, chunk: &StoredChunk, reason: String) {
        let mut state = self.lock();
        let (from, to) = (chunk.start, chunk.start + chunk.length);
        state.holes.push(LostOutput { from, to, reason });
        state.received = to;
        state.durable = to;
        state.last_time = chunk.last_time;
        state.seal();
        drop(state);
        self.progress.send_modify(|progress| progress.received = to);
    }

    /// What is lost of it here, if it is `length` long.
    pub fn lost(&self, length: i64) -> Vec<LostOutput> {
        let state = self.lock();
        let mut lost = state.holes.clone();
        if let Some(reason) = state.broken.clone()
            && state.received < length
        {
            lost.push(LostOutput { from: state.received, to: length, reason });
        }
        lost
    }

    /// Whether all that can come of a log is here, of which the agent has this much.
    pub fn is_whole(&self, comes: i64) -> bool {
        let state = self.lock();
        state.received >= comes || state.broken.is_some()
    }

    /// What is in memory from `cursor` on, about `limit` bytes: none if the cursor
    /// is in a sealed chunk.
    pub(super) fn read(&self, cursor: i64, limit: usize) -> Option<Vec<Bytes>> {
        let state = self.lock();
        if cursor < state.sealed {
            return None;
        }
        let first = state.segments.partition_point(|(start, _)| *start <= cursor).saturating_sub(1);
        let mut pieces = Vec::new();
        let mut size = 0;
        for (start, segment) in state.segments.range(first..) {
            let skip = usize::try_from(cursor - start).unwrap_or(0);
            if skip >= segment.len() {
                continue;
            }
            let piece = segment.slice(skip..);
            if size > 0 && size + piece.len() > limit {
                break;
            }
            size += piece.len();
            pieces.push(piece);
        }
        Some(pieces)
    }

    /// How far the log is, and a way to wait for more.
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    /// Bytes that are durable, with framing.
    pub fn durable(&self) -> i64 {
        self.lock().durable
    }

    /// Bytes taken in, with framing.
    pub fn received(&self) -> i64 {
        self.lock().received
    }

    /// Waits for the right to store: one flush at a time.
    pub(super) async fn turn(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    /// Becomes the one that stores what is unsealed; false if somebody is at it.
    pub(super) fn begin_flush(&self) -> bool {
        !std::mem::replace(&mut self.lock().flushing, true)
    }

    /// Lets others store again.
    pub(super) fn end_flush(&self) {
        self.lock().flushing = false;
    }

    /// What is in no sealed chunk; none if all of it is durable.
    pub(super) fn unsealed(&self) -> Option<Unsealed> {
        let state = self.lock();
        (state.durable < state.received).then(|| Unsealed {
            start: state.sealed,
            length: state.received - state.sealed,
            streams_at: state.streams_at,
            last_time: state.last_time,
            segments: state.segments.iter().map(|(_, segment)| segment.clone()).collect(),
            streams_end: state.streams.each_ref().map(|stream| stream.bytes),
        })
    }

    /// Notes that `stored` is durable, and if it is `sealed` forgets it.
    pub(super) fn stored(&self, stored: &Unsealed, sealed: bool) {
        let mut state = self.lock();
        let end = stored.start + stored.length;
        state.durable = state.durable.max(end);
        state.trouble = None;
        if sealed {
            state.sealed = end;
            state.streams_at = stored.streams_end;
            state.segments.retain(|(start, _)| *start >= end);
        }
    }

    /// Why it cannot be stored at the moment, or what its attempt waits for.
    pub fn trouble(&self) -> Option<String> {
        let state = self.lock();
        state
            .trouble
            .clone()
            .or_else(|| Some(state.waits.clone()).filter(|waits| !waits.is_empty()))
    }

    pub(super) fn set_waits(&self, reason: &str) {
        reason.clone_into(&mut self.lock().waits);
    }

    pub(crate) fn set_trouble(&self, trouble: String) {
        self.lock().trouble = Some(trouble);
    }

    pub(crate) fn clear_trouble(&self) {
        self.lock().trouble = None;
    }

    /// Size and hash of both streams as they were taken in.
    pub fn summary(&self) -> [StreamSummary; 2] {
        self.lock().streams.each_ref().map(|stream| StreamSummary {
            bytes: stream.bytes,
            sha256: stream.hash.clone().finalize().into(),
        })
    }

    /// Tells followers that nothing more comes.
    pub(super) fn end(&self) {
        self.progress.send_modify(|progress| progress.ended = true);
    }
}

#[cfg(test)]
mod tests;
