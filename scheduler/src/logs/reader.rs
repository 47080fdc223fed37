//! Reads one attempt's log from a cursor on: from memory while the attempt lives
//! and the reader keeps up, else from the stored chunks.

use bytes::Bytes;
use multiflexi_proto::frame;

use super::{LiveLog, LogError, Logs, registry::damaged};
use crate::domain::ids::JobId;

/// About how much one read returns, in bytes.
const PIECE: usize = 256 * 1024;

/// A reader of one attempt's log.
#[derive(Debug)]
pub struct LogReader {
    logs: Logs,
    job: JobId,
    attempt: i32,
    /// The stored chunk that was read last: where it begins, and its bytes.
    chunk: Option<(i64, Bytes)>,
}

impl LogReader {
    /// A reader of a log that may be live or stored.
    pub fn new(logs: Logs, job: JobId, attempt: i32) -> Self {
        Self { logs, job, attempt, chunk: None }
    }

    /// Whole records from `cursor` on; empty if nothing is there (yet). A cursor
    /// must be 0 or where another read ended.
    pub async fn read(
        &mut self,
        live: Option<&LiveLog>,
        cursor: i64,
    ) -> Result<Vec<Bytes>, LogError> {
        if let Some(pieces) = live.and_then(|log| log.read(cursor, PIECE)) {
            self.chunk = None;
            return Ok(pieces);
        }
        if !self.holds(cursor) && !self.fetch(cursor).await? {
            return Ok(Vec::new());
        }
        let Some((start, bytes)) = &self.chunk else { return Ok(Vec::new()) };
        let rest = bytes.slice(usize::try_from(cursor - start).unwrap_or(usize::MAX)..);
        let head = &rest[..rest.len().min(PIECE)];
        let whole = frame::whole_records(head).map_err(|error| self.unreadable(cursor, &error))?;
        // A record that is larger than a piece comes alone.
        let whole = if whole == 0 { self.first_record(&rest, cursor)? } else { whole };
        Ok(vec![rest.slice(..whole)])
    }

    fn first_record(&self, rest: &Bytes, cursor: i64) -> Result<usize, LogError> {
        let first = frame::records(rest.clone()).next();
        match first {
            Some(Ok(record)) => Ok(frame::HEADER + record.data.len()),
            Some(Err(error)) => Err(self.unreadable(cursor, &error)),
            None => Ok(0),
        }
    }

    fn unreadable(&self, cursor: i64, error: &frame::FrameError) -> LogError {
        LogError::Damaged {
            what: format!("job {} attempt {} at cursor {cursor}", self.job, self.attempt),
            reason: error.to_string(),
        }
    }

    fn holds(&self, cursor: i64) -> bool {
        self.chunk
            .as_ref()
            .is_some_and(|(start, bytes)| (*start..start + bytes.len() as i64).contains(&cursor))
    }

    /// Loads the chunk that holds `cursor`; false if there is none.
    async fn fetch(&mut self, cursor: i64) -> Result<bool, LogError> {
        let chunk = self.logs.store.chunk_at(self.job, self.attempt, cursor).await?;
        let Some(chunk) = chunk.filter(|chunk| cursor < chunk.start + chunk.length) else {
            return Ok(false);
        };
        let bytes = self.logs.load(self.job, self.attempt, &chunk).await?;
        if bytes.is_empty() {
            return Err(damaged(self.job, self.attempt, &chunk, "it is empty"));
        }
        self.chunk = Some((chunk.start, bytes));
        Ok(true)
    }
}
