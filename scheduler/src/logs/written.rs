//! A log that is written whole, of an attempt that is over: what is imported. It has the
//! same chunks as one that was live.

use bytes::{BufMut as _, Bytes, BytesMut};
use multiflexi_proto::frame::{self, MAX_DATA, Stream};
use sha2::{Digest as _, Sha256};

use super::{LogError, LogSettings, chunk, registry::INLINE};
use crate::{
    domain::{ids::JobId, job::StreamSummary},
    objects::Objects,
    store::{ChunkContent, StoredChunk},
};

/// Takes in the records of the log of a job's first attempt.
#[derive(Debug)]
pub struct LogWriter {
    objects: Objects,
    job: JobId,
    /// What is in no chunk yet, and where it begins.
    rest: BytesMut,
    start: i64,
    streams_at: [i64; 2],
    last_time: i64,
    bytes: [i64; 2],
    hashes: [Sha256; 2],
    chunks: Vec<StoredChunk>,
}

/// A log that was written.
#[derive(Clone, Debug)]
pub struct Written {
    /// Its chunks.
    pub chunks: Vec<StoredChunk>,
    /// Its length, in bytes with framing.
    pub length: i64,
    /// What is in it of stdout and of stderr.
    pub streams: [StreamSummary; 2],
}

impl LogWriter {
    /// The log of a job whose large chunks go to `objects`.
    pub fn new(objects: Objects, job: JobId) -> Self {
        Self {
            objects,
            job,
            rest: BytesMut::new(),
            start: 0,
            streams_at: [0; 2],
            last_time: 0,
            bytes: [0; 2],
            hashes: [Sha256::new(), Sha256::new()],
            chunks: Vec::new(),
        }
    }

    /// Adds what was written at a time.
    pub async fn push(&mut self, stream: Stream, time: i64, data: &[u8]) -> Result<(), LogError> {
        self.last_time = self.last_time.max(time);
        for data in data.chunks(MAX_DATA) {
            self.rest.put_slice(&frame::header(stream, time, data.len()));
            self.rest.put_slice(data);
            self.bytes[stream.index()] += data.len() as i64;
            self.hashes[stream.index()].update(data);
            if self.rest.len() as i64 >= LogSettings::default().chunk {
                self.store().await?;
            }
        }
        Ok(())
    }

    /// The whole log.
    pub async fn finish(mut self) -> Result<Written, LogError> {
        self.store().await?;
        let [out, err] = self.hashes.map(|hash| hash.finalize().into());
        let streams = [(self.bytes[0], out), (self.bytes[1], err)]
            .map(|(bytes, sha256)| StreamSummary { bytes, sha256 });
        Ok(Written { chunks: self.chunks, length: self.start, streams })
    }

    /// Makes a chunk of what is in none yet.
    async fn store(&mut self) -> Result<(), LogError> {
        if self.rest.is_empty() {
            return Ok(());
        }
        let bytes = self.rest.split().freeze();
        let (start, length) = (self.start, bytes.len() as i64);
        let damaged = |error: &dyn std::fmt::Display| LogError::Damaged {
            what: format!("job {} at byte {start}", self.job),
            reason: error.to_string(),
        };
        let (encoding, encoded) = tokio::task::spawn_blocking(move || chunk::encode(&[bytes]))
            .await
            .map_err(|error| damaged(&error))?
            .map_err(|error| damaged(&error))?;
        let content = if length > INLINE {
            let name = chunk::object_name((self.job, 1), start, length);
            self.objects.put(&name, vec![Bytes::from(encoded)]).await?;
            ChunkContent::Object(name)
        } else {
            ChunkContent::Inline(encoded)
        };
        self.chunks.push(StoredChunk {
            start,
            length,
            streams_at: self.streams_at,
            last_time: self.last_time,
            encoding: encoding.to_owned(),
            content,
        });
        self.start += length;
        self.streams_at = self.bytes;
        Ok(())
    }
}
