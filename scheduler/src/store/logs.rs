//! The index of stored logs, and small chunks themselves.

use sqlx::Row as _;

use super::{Change, Store, StoreError, Tx, schedulers};
use crate::domain::ids::{AttemptKey, JobId};

/// A piece of a log as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredChunk {
    /// Where it begins in the log, in bytes with framing.
    pub start: i64,
    /// Its length, in bytes with framing, before it was encoded.
    pub length: i64,
    /// Bytes of stdout and of stderr before it.
    pub streams_at: [i64; 2],
    /// Time of its last record.
    pub last_time: i64,
    /// How it is encoded: raw or zstd.
    pub encoding: String,
    /// Where its bytes are.
    pub content: ChunkContent,
}

/// Where a chunk's bytes are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChunkContent {
    /// In the row.
    Inline(Vec<u8>),
    /// In this object.
    Object(String),
}

/// Stores a chunk, or a longer version of one that begins at the same place (a
/// shorter one that comes late changes nothing). The attempt must exist under
/// this fence, and its agent have been connected to this scheduler last.
#[derive(Clone, Debug)]
pub struct PutChunk {
    /// The attempt.
    pub key: AttemptKey,
    /// The chunk.
    pub chunk: StoredChunk,
}

impl Change for PutChunk {
    type Output = ();

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        schedulers::held(tx, self.key).await?;
        self.put(tx).await
    }
}

impl PutChunk {
    /// Stores it, whoever the agent is connected to.
    pub(super) async fn put(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        let StoredChunk { start, length, streams_at, last_time, encoding, content } = &self.chunk;
        let (inline, object) = match content {
            ChunkContent::Inline(bytes) => (Some(bytes.clone()), None),
            ChunkContent::Object(name) => (None, Some(name.clone())),
        };
        let stored = sqlx::query(
            "INSERT INTO log_chunk (job_id, attempt, start, length, stdout_at, stderr_at, \
             last_time, encoding, content, object) \
             SELECT job_id, number, $1, $2, $3, $4, $5, $6, $7, $8 FROM attempt \
             WHERE job_id = $9 AND number = $10 AND fence = $11 \
             ON CONFLICT (job_id, attempt, start) DO UPDATE SET length = excluded.length, \
             last_time = excluded.last_time, encoding = excluded.encoding, \
             content = excluded.content, object = excluded.object \
             WHERE excluded.length >= log_chunk.length",
        )
        .bind(start)
        .bind(length)
        .bind(streams_at[0])
        .bind(streams_at[1])
        .bind(last_time)
        .bind(encoding.clone())
        .bind(inline)
        .bind(object)
        .bind(self.key.job.0)
        .bind(i64::from(self.key.number))
        .bind(self.key.fence.0)
        .execute(&mut *tx.conn)
        .await?;
        if stored.rows_affected() == 0 && !is_known(tx, self.key).await? {
            return Err(StoreError::Refused(format!("{} is not known here", self.key)));
        }
        Ok(())
    }
}

async fn is_known(tx: &mut Tx<'_>, key: AttemptKey) -> Result<bool, StoreError> {
    let found =
        sqlx::query("SELECT number FROM attempt WHERE job_id = $1 AND number = $2 AND fence = $3")
            .bind(key.job.0)
            .bind(i64::from(key.number))
            .bind(key.fence.0)
            .fetch_optional(&mut *tx.conn)
            .await?;
    Ok(found.is_some())
}

impl Store {
    /// The chunk of an attempt's log that holds the byte `offset`; if there is
    /// none, the last one before it.
    pub async fn chunk_at(
        &self,
        job: JobId,
        attempt: i32,
        offset: i64,
    ) -> Result<Option<StoredChunk>, StoreError> {
        let row = sqlx::query(
            "SELECT start, length, stdout_at, stderr_at, last_time, encoding, content, object \
             FROM log_chunk WHERE job_id = $1 AND attempt = $2 AND start <= $3 \
             ORDER BY start DESC LIMIT 1",
        )
        .bind(job.0)
        .bind(i64::from(attempt))
        .bind(offset)
        .fetch_optional(&self.readers)
        .await?;
        let Some(row) = row else { return Ok(None) };
        let object: Option<String> = row.try_get(7)?;
        let content = match object {
            Some(name) => ChunkContent::Object(name),
            None => ChunkContent::Inline(row.try_get::<Option<Vec<u8>>, _>(6)?.unwrap_or_default()),
        };
        Ok(Some(StoredChunk {
            start: row.try_get(0)?,
            length: row.try_get(1)?,
            streams_at: [row.try_get(2)?, row.try_get(3)?],
            last_time: row.try_get(4)?,
            encoding: row.try_get(5)?,
            content,
        }))
    }

    /// Where to begin to read a log of which only records of `time` and later
    /// matter: the beginning of the first chunk that can have one. None if no
    /// stored chunk has.
    pub async fn chunk_since(
        &self,
        job: JobId,
        attempt: i32,
        time: i64,
    ) -> Result<Option<i64>, StoreError> {
        let start = sqlx::query_scalar(
            "SELECT start FROM log_chunk WHERE job_id = $1 AND attempt = $2 AND last_time >= $3 \
             ORDER BY start LIMIT 1",
        )
        .bind(job.0)
        .bind(i64::from(attempt))
        .bind(time)
        .fetch_optional(&self.readers)
        .await?;
        Ok(start)
    }

    /// Where to begin to read a log of which only one stream (0 stdout, 1 stderr)
    /// matters, from that stream's byte `offset` on: the beginning of a chunk, and
    /// how many bytes of the stream are before it.
    pub async fn chunk_of_stream(
        &self,
        job: JobId,
        attempt: i32,
        stream: usize,
        offset: i64,
    ) -> Result<(i64, i64), StoreError> {
        let column = ["stdout_at", "stderr_at"][stream];
        let row = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT start, {column} FROM log_chunk WHERE job_id = $1 AND attempt = $2 \
             AND {column} <= $3 ORDER BY start DESC LIMIT 1"
        )))
        .bind(job.0)
        .bind(i64::from(attempt))
        .bind(offset)
        .fetch_optional(&self.readers)
        .await?;
        Ok(match row {
            Some(row) => (row.try_get(0)?, row.try_get(1)?),
            None => (0, 0),
        })
    }
}
