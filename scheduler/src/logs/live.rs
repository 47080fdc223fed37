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

use crate::domain::{ids::AttemptKey, job::StreamSummary};

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
    trouble: Option<String>,
    /// What the attempt waits for on its agent's host; empty if it does not.
    waits: String,
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

    /// Takes in the records `frames`, which begin at `offset`.
    pub fn append(&self, offset: i64, frames: &Bytes) -> Result<Appended, FrameError> {
        let mut state = self.lock();
        if offset > state.received {
            return Ok(Appended::Gap(state.received));
        }
        let first = state.durable == state.received;
        let known = usize::try_from(state.received - offset).unwrap_or(usize::MAX);
        if known < frames.len() {
            let new = frames.slice(known..);
            let mut streams = state.streams.clone();
            let mut last_time = state.last_time;
            for record in frame::records(new.clone()) {
                let record = record?;
                let stream = &mut streams[record.stream.index()];
                stream.bytes += record.data.len() as i64;
                stream.hash.update(&record.data);
                last_time = record.time;
            }
            state.streams = streams;
            state.last_time = last_time;
            let start = state.received;
            state.received += new.len() as i64;
            state.segments.push_back((start, new));
            let received = state.received;
            let unsealed = received - state.sealed;
            drop(state);
            self.progress.send_modify(|progress| progress.received = received);
            return Ok(Appended::Taken { unsealed, first });
        }
        Ok(Appended::Taken { unsealed: state.received - state.sealed, first: false })
    }

    /// Puts back what was stored before this process began: called in order, for
    /// each stored chunk. A `sealed` one does not stay in memory.
    pub(super) fn restore(&self, frames: &Bytes, sealed: bool) -> Result<(), FrameError> {
        let at = self.lock().received;
        self.append(at, frames)?;
        let mut state = self.lock();
        state.durable = state.received;
        if sealed {
            state.segments.clear();
            state.sealed = state.received;
            state.streams_at = state.streams.each_ref().map(|stream| stream.bytes);
        }
        Ok(())
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
mod tests {
    use super::*;
    use crate::domain::ids::{Fence, JobId};
    use multiflexi_proto::frame::Stream;

    fn record(data: &str) -> Vec<u8> {
        let mut bytes = frame::header(Stream::Stdout, 1, data.len()).to_vec();
        bytes.extend_from_slice(data.as_bytes());
        bytes
    }

    fn log() -> LiveLog {
        LiveLog::new(AttemptKey { job: JobId(1), number: 1, fence: Fence(1) })
    }

    #[test]
    fn each_byte_is_taken_once_and_in_order() {
        let log = log();
        let (one, two) = (record("one"), record("two"));
        let at = one.len() as i64;
        assert_eq!(log.append(at, &two.clone().into()), Ok(Appended::Gap(0)));
        log.append(0, &one.clone().into()).unwrap();
        log.append(0, &one.clone().into()).unwrap();
        log.append(0, &[one.clone(), two.clone()].concat().into()).unwrap();
        assert_eq!(log.read(0, 1000).unwrap().concat(), [one, two.clone()].concat());
        assert_eq!(log.read(at, 1000).unwrap().concat(), two);
        assert_eq!(log.received(), 2 * at);
        assert_eq!(log.lock().streams[0].bytes, 6);
    }

    #[test]
    fn damaged_frames_change_nothing() {
        let log = log();
        let mut frames = record("good");
        frames.extend_from_slice(&[9; 20]);
        assert!(log.append(0, &frames.into()).is_err());
        assert_eq!(log.received(), 0);
        assert_eq!(log.lock().streams[0].bytes, 0);
    }

    #[test]
    fn sealed_bytes_leave_memory_and_open_ones_stay() {
        let log = log();
        log.append(0, &record("one").into()).unwrap();
        let stored = log.unsealed().unwrap();
        log.append(19, &record("two").into()).unwrap();
        log.stored(&stored, true);
        assert_eq!(log.read(0, 1000), None);
        assert_eq!(log.read(19, 1000).unwrap().concat(), record("two"));
        let next = log.unsealed().unwrap();
        assert_eq!((next.start, next.length, next.streams_at), (19, 19, [3, 0]));
        log.stored(&next, false);
        assert_eq!(log.unsealed().map(|rest| rest.start), None);
        assert_eq!(log.read(19, 1000).unwrap().concat(), record("two"));
    }
}
