//! Writes an attempt's spool: every read of a pipe becomes a record, counted and
//! hashed. A record that the disk has no room for is kept and tried again; until
//! then nothing more is taken in, and the job waits in its writes. A job that may not
//! wait keeps the end of its output in memory instead.

use std::{
    collections::VecDeque,
    fs::{File, OpenOptions},
    io::{self, IoSlice, Write as _},
    path::PathBuf,
    time::{SystemTime, UNIX_EPOCH},
};

use multiflexi_proto::frame::{self, Stream};
use sha2::{Digest as _, Sha256};

use crate::link;

/// The time, in microseconds since the Unix epoch.
pub(super) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

/// A spool that is being written.
pub(super) struct Recorder {
    path: PathBuf,
    file: Option<File>,
    /// Bytes of whole records.
    length: u64,
    streams: [(u64, Sha256); 2],
    /// A record that is not on disk, or not all of it.
    stuck: Option<Stuck>,
    /// Nothing more is kept.
    drops: bool,
    /// While the spool is full: the end of what was taken in.
    tail: Option<Tail>,
    dropped: u64,
}

/// A record that the disk has no room for.
struct Stuck {
    stream: Stream,
    /// With its header.
    record: Vec<u8>,
    written: usize,
}

/// Most bytes of an end that is kept.
const TAIL: usize = 512 * 1024;

/// The end of what was taken in.
#[derive(Debug, Default)]
struct Tail {
    records: VecDeque<(Stream, i64, Vec<u8>)>,
    bytes: usize,
    dropped: u64,
}

impl Tail {
    fn add(&mut self, stream: Stream, data: &[u8]) {
        self.records.push_back((stream, now(), data.to_vec()));
        self.bytes += data.len();
        while self.bytes > TAIL {
            let Some((_, _, oldest)) = self.records.pop_front() else { return };
            self.bytes -= oldest.len();
            self.dropped += oldest.len() as u64;
        }
    }
}

impl Recorder {
    pub(super) fn new(path: PathBuf) -> Self {
        Self {
            path,
            file: None,
            length: 0,
            streams: Default::default(),
            stuck: None,
            drops: false,
            tail: None,
            dropped: 0,
        }
    }

    /// Bytes of whole records that are written.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Takes in what a read returned. An error says why it is not on disk yet; it
    /// is kept, and [`retry`](Self::retry) writes it.
    pub(super) fn record(&mut self, stream: Stream, data: &[u8]) -> io::Result<()> {
        match &mut self.tail {
            _ if self.drops => self.dropped += data.len() as u64,
            Some(tail) => tail.add(stream, data),
            None => return self.write(stream, now(), data),
        }
        Ok(())
    }

    /// From now on only the end of what is taken in is kept, in memory.
    pub(super) fn keep_tail(&mut self) {
        self.tail.get_or_insert_default();
    }

    /// Whether only the end is kept.
    pub(super) fn keeps_tail(&self) -> bool {
        self.tail.is_some()
    }

    /// Writes the end that was kept, after a sentence about what is missing. After an
    /// error it goes on where it was.
    pub(super) fn write_tail(&mut self) -> io::Result<()> {
        let Some(mut tail) = self.tail.take() else { return Ok(()) };
        let dropped = std::mem::take(&mut tail.dropped);
        self.dropped += dropped;
        if dropped > 0 {
            let sentence = format!(
                "\nmultiflexi: {dropped} bytes of output were dropped here: the spool was full\n"
            );
            tail.records.push_front((Stream::Stderr, now(), sentence.into_bytes()));
        }
        while let Some((stream, time, data)) = tail.records.pop_front() {
            let written = self.write(stream, time, &data);
            if written.is_err() {
                self.tail = Some(tail);
                return written;
            }
        }
        Ok(())
    }

    /// Bytes of output that are in no record.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }

    fn write(&mut self, stream: Stream, time: i64, data: &[u8]) -> io::Result<()> {
        debug_assert!(self.stuck.is_none(), "nothing is taken in while a record is stuck");
        let header = frame::header(stream, time, data.len());
        let record = header.len() + data.len();
        let mut written = 0_usize;
        let result = self.open().and_then(|mut file| {
            while written < record {
                let from_data = written.saturating_sub(header.len());
                let slices = [
                    IoSlice::new(&header[written.min(header.len())..]),
                    IoSlice::new(&data[from_data..]),
                ];
                match file.write_vectored(&slices) {
                    Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                    Ok(count) => written += count,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(())
        });
        if result.is_ok() {
            self.count(stream, data);
        } else {
            let record = [header.as_slice(), data].concat();
            self.stuck = Some(Stuck { stream, record, written });
        }
        result
    }

    /// Counts what is written.
    fn count(&mut self, stream: Stream, data: &[u8]) {
        let (bytes, hash) = &mut self.streams[stream.index()];
        *bytes += data.len() as u64;
        hash.update(data);
        self.length += (frame::HEADER + data.len()) as u64;
    }

    /// Whether a record is not on disk.
    pub(super) fn is_stuck(&self) -> bool {
        self.stuck.is_some()
    }

    /// Tries to write what is stuck.
    pub(super) fn retry(&mut self) -> io::Result<()> {
        self.open()?;
        let Self { file: Some(file), stuck: Some(stuck), .. } = self else { return Ok(()) };
        while stuck.written < stuck.record.len() {
            match file.write(&stuck.record[stuck.written..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => stuck.written += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        if let Some(Stuck { stream, record, .. }) = self.stuck.take() {
            self.count(stream, &record[frame::HEADER..]);
        }
        Ok(())
    }

    /// Drops what is stuck, and all that comes: the job has failed for want of room.
    pub(super) fn drop_the_rest(&mut self) {
        self.drops = true;
        if let Some(stuck) = self.stuck.take() {
            self.dropped += (stuck.record.len() - frame::HEADER) as u64;
            // Nobody reads beyond the length; a part of a record there is harmless.
            if let Some(file) = &self.file {
                let _ = file.set_len(self.length);
            }
        }
    }

    fn open(&mut self) -> io::Result<&File> {
        if self.file.is_none() {
            let file = OpenOptions::new().create(true).append(true).open(&self.path)?;
            self.file = Some(file);
        }
        self.file.as_ref().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Size and hash of both streams.
    pub(super) fn summary(self) -> [link::Stream; 2] {
        self.streams.map(|(bytes, hash)| link::Stream { bytes, sha256: hash.finalize().into() })
    }
}
