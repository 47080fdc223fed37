//! An attempt's log on its way to the scheduler: how far it is, what of it can be read, and
//! what was given back to the disk.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::FileExt as _,
    path::PathBuf,
    time::Duration,
};

use bytes::Bytes;
use rustix::fs::{FallocateFlags, fallocate};
use tokio::time::Instant;

use super::spool_reader::{SpoolError, SpoolReader};
use crate::{link::AttemptKey, spool};

/// Most bytes of one piece. A record fits: reads of a pipe are half of that at most.
const PIECE: u64 = 512 * 1024;

/// Bytes of one attempt that may be on the way and not durable.
const WINDOW: u64 = 8 * 1024 * 1024;

/// The supervisor is told what is durable in steps of so many bytes.
const TELL: u64 = 512 * 1024;

/// How long it is tried: what cannot be read for so long counts as lost.
const PATIENCE: Duration = Duration::from_secs(600);

/// A log of this many bytes will have something to give back: the note of it is made
/// while there is room for it.
const NOTE: u64 = 512 * 1024;

/// What the session has to know of an attempt's spool.
#[derive(Debug)]
pub(super) struct News {
    pub(super) key: AttemptKey,
    pub(super) spool: Spool,
}

/// How a spool is.
#[derive(Debug)]
pub(super) enum Spool {
    /// It can be read again.
    Readable,
    /// It cannot be read now, and why: a sentence.
    Waits(String),
    /// From this byte on it is lost, and why: a sentence.
    Lost { from: u64, reason: String },
}

/// The log of one attempt.
#[derive(Debug)]
pub(super) struct OutgoingLog {
    spool: SpoolReader,
    length: u64,
    sent: u64,
    durable: u64,
    given_back: u64,
    /// Says how much was given back, once the log is long.
    note: Option<File>,
    /// What the supervisor knows of it.
    told: u64,
    /// It is in the queue of those with something to send.
    pub(super) queued: bool,
    readable: Readable,
}

/// Whether a spool can be read.
#[derive(Clone, Copy, Debug)]
enum Readable {
    /// As far as is known.
    Yes,
    /// Not now, since then: it is tried again.
    NotSince(Instant),
    /// What comes next is gone: no more of it is sent on this connection, unless the
    /// scheduler wants something again that was before.
    No,
}

impl OutgoingLog {
    /// A log of `length` bytes, of which the scheduler has the first `durable`.
    pub(super) fn new(spool: PathBuf, durable: u64, length: u64) -> Self {
        Self {
            spool: SpoolReader::new(spool),
            length,
            sent: durable,
            durable,
            given_back: durable,
            note: None,
            told: 0,
            queued: false,
            readable: Readable::Yes,
        }
    }

    /// Bytes that are on the way, and those that the scheduler does not have.
    pub(super) fn undurable(&self) -> [u64; 2] {
        [self.sent - self.durable, self.length - self.durable]
    }

    /// Whether there is something to send, as far as is known, and its window is open.
    pub(super) fn can_send(&self) -> bool {
        !matches!(self.readable, Readable::No)
            && self.sent < self.length
            && self.sent - self.durable < WINDOW
    }

    /// Whether it could not be read, and is tried again from time to time.
    pub(super) fn is_tried_again(&self) -> bool {
        matches!(self.readable, Readable::NotSince(_))
    }

    /// It has grown to this length.
    pub(super) fn grew(&mut self, length: u64) {
        self.length = self.length.max(length);
        self.make_note();
    }

    /// The next piece, whole records, and where it begins; it is sent now. An error comes
    /// with what the session is to be told of it.
    pub(super) async fn next(&mut self, key: AttemptKey) -> Result<(u64, Bytes), Option<News>> {
        let offset = self.sent;
        let size = (self.length - offset).min(PIECE);
        let piece = self.spool.read(offset, size).await;
        let piece = piece.map_err(|error| self.cannot_be_read(key, &error))?;
        self.sent += piece.len() as u64;
        Ok((offset, piece))
    }

    /// It can be read; news if it could not before.
    pub(super) fn is_read(&mut self, key: AttemptKey) -> Option<News> {
        let before = std::mem::replace(&mut self.readable, Readable::Yes);
        matches!(before, Readable::NotSince(_)).then(|| {
            tracing::info!(%key, "the spool of an attempt can be read again");
            News { key, spool: Spool::Readable }
        })
    }

    /// Whether all of it is sent; its length.
    pub(super) fn all_sent(&self) -> Option<u64> {
        (self.sent == self.length).then_some(self.length)
    }

    /// The scheduler has it up to `durable`, and wants it `again` from there on, if it does.
    pub(super) fn answered(&mut self, durable: u64, again: Option<u64>) {
        self.durable = self.durable.max(durable).min(self.length);
        self.sent = self.sent.max(self.durable);
        if let Some(from) = again {
            self.sent = from.clamp(self.durable, self.length);
            if let Readable::No = self.readable {
                // Whether that is lost too is found out.
                self.readable = Readable::Yes;
            }
        }
    }

    /// What is durable, if the supervisor is to be told: it makes room for a job that waits in
    /// its writes.
    pub(super) fn tell_durable(&mut self) -> Option<u64> {
        let due = self.durable - self.told >= TELL
            || (self.durable == self.length && self.told < self.durable);
        due.then(|| {
            self.told = self.durable;
            self.durable
        })
    }

    /// Notes that its next bytes cannot be read; what the session is to be told of that, if
    /// it is news.
    fn cannot_be_read(&mut self, key: AttemptKey, error: &SpoolError) -> Option<News> {
        let spool = self.spool.path().display();
        let now = Instant::now();
        let (since, is_new) = match self.readable {
            Readable::NotSince(since) => (since, false),
            Readable::Yes | Readable::No => (now, true),
        };
        let lost = matches!(error, SpoolError::Gone(_)) || now - since >= PATIENCE;
        let spool = if lost {
            self.readable = Readable::No;
            tracing::error!(%key, from = self.sent, %spool, %error, "output of an attempt is lost");
            let reason = format!("the spool of its agent, {spool}, cannot be read: {error}");
            Spool::Lost { from: self.sent, reason }
        } else {
            self.readable = Readable::NotSince(since);
            if !is_new {
                return None;
            }
            tracing::error!(%key, %spool, %error, "the spool of an attempt cannot be read; trying on");
            Spool::Waits(format!(
                "the output that its agent keeps in {spool} cannot be read now: {error}; it is \
                 tried again, and counts as lost after {} minutes",
                PATIENCE.as_secs() / 60
            ))
        };
        Some(News { key, spool })
    }

    /// Makes the file that says how much was given back, before the disk is full.
    fn make_note(&mut self) {
        if self.note.is_some() || self.length < NOTE {
            return;
        }
        let made = self.spool.path().parent().map(spool::durable).map(|path| {
            let note = OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
            note.write_all_at(format!("{:020}", self.given_back).as_bytes(), 0)?;
            Ok::<_, io::Error>(note)
        });
        match made {
            Some(Ok(note)) => self.note = Some(note),
            Some(Err(error)) => {
                tracing::debug!(spool = %self.spool.path().display(), %error, "no note of what is durable");
            }
            None => {}
        }
    }

    /// Frees the disk of what is durable elsewhere, if it is a `step` at least.
    pub(super) fn give_back(&mut self, key: AttemptKey, step: u64) {
        if self.durable - self.given_back < step {
            return;
        }
        self.make_note();
        let (Some(file), Some(note)) = (self.spool.file(), &self.note) else { return };
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
