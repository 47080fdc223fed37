//! Artifacts: table `artifacts`, and the parts of large ones.

mod list;

use sqlx::{AssertSqlSafe, Row as _, any::AnyRow};

use super::{Change, Store, StoreError, Tx, dialect::Kind, jobs, schedulers};
use crate::domain::ids::{ArtifactId, AttemptKey, JobId};

pub use list::ArtifactFilter;

/// What an artifact's content is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A file of the job's working directory.
    File,
    /// The attempt's stdout, as its log has it.
    Stdout,
    /// The attempt's stderr, as its log has it.
    Stderr,
}

impl Source {
    /// The name that the database holds.
    pub fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }

    fn parse(name: &str) -> Result<Self, sqlx::Error> {
        match name {
            "file" => Ok(Self::File),
            "stdout" => Ok(Self::Stdout),
            "stderr" => Ok(Self::Stderr),
            other => Err(jobs::decode(format!("{other:?} is no source of an artifact"))),
        }
    }
}

/// 64 hexadecimal digits.
pub fn hex(hash: &[u8; 32]) -> String {
    use std::fmt::Write as _;
    hash.iter().fold(String::with_capacity(64), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// An artifact whose content is not in its row.
pub(super) struct NewArtifact {
    pub(super) key: AttemptKey,
    pub(super) source: Source,
    pub(super) filename: String,
    pub(super) content_type: String,
    pub(super) size: i64,
    pub(super) sha256: Option<String>,
    pub(super) note: String,
    pub(super) failed: bool,
}

/// Adds artifacts; one that is there already is replaced (an upload that was
/// begun and given up).
pub(super) async fn insert(tx: &mut Tx<'_>, artifacts: &[NewArtifact]) -> Result<(), StoreError> {
    const INT: Kind = Kind::Int;
    const TEXT: Kind = Kind::Text;
    let columns = [
        ("k_job", INT),
        ("k_attempt", INT),
        ("k_source", TEXT),
        ("k_filename", TEXT),
        ("k_type", TEXT),
        ("k_size", INT),
        ("k_hash", TEXT),
        ("k_note", TEXT),
        ("k_state", TEXT),
    ];
    let sql = format!(
        "INSERT INTO artifacts (job_id, attempt, source, filename, content_type, size, sha256, \
         note, state, created) \
         SELECT r.k_job, r.k_attempt, r.k_source, r.k_filename, r.k_type, r.k_size, r.k_hash, \
         r.k_note, r.k_state, $2 FROM {} WHERE $2 > 0 \
         ON CONFLICT (job_id, attempt, source, filename) DO UPDATE SET size = excluded.size, \
         sha256 = excluded.sha256, note = excluded.note, state = excluded.state",
        tx.dialect.rows("$1", &columns)
    );
    let rows: Vec<_> = artifacts
        .iter()
        .map(|new| {
            (
                new.key.job.0,
                new.key.number,
                new.source.name(),
                &new.filename,
                &new.content_type,
                new.size,
                &new.sha256,
                &new.note,
                if new.failed { "failed" } else { "stored" },
            )
        })
        .collect();
    sqlx::query(AssertSqlSafe(sql))
        .bind(serde_json::json!(rows).to_string())
        .bind(tx.now)
        .execute(&mut *tx.conn)
        .await?;
    Ok(())
}

/// What is being uploaded.
#[derive(Clone, Debug)]
pub struct Upload {
    /// The attempt.
    pub key: AttemptKey,
    /// The file's name within the working directory.
    pub filename: String,
    /// Its size in bytes.
    pub size: i64,
}

/// What a file is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// Its MIME type.
    pub content_type: String,
    /// What its application says that it is; empty if it says nothing.
    pub note: String,
}

/// Stores a small artifact whole.
#[derive(Clone, Debug)]
pub struct PutArtifact {
    /// What it is of.
    pub upload: Upload,
    /// What it is.
    pub about: About,
    /// SHA-256 of its content.
    pub sha256: [u8; 32],
    /// Its content.
    pub content: Vec<u8>,
}

/// Checks that the attempt is open under its fence and its agent connected here, and makes
/// the artifact's row.
async fn put(
    tx: &mut Tx<'_>,
    upload: &Upload,
    about: &About,
    whole: Option<(Vec<u8>, String)>,
) -> Result<ArtifactId, StoreError> {
    schedulers::held(tx, upload.key).await?;
    let state = if whole.is_some() { "stored" } else { "uploading" };
    let (content, sha256) = whole.unzip();
    let id: Option<i64> = sqlx::query_scalar(
        "INSERT INTO artifacts (job_id, attempt, source, filename, content_type, content, size, \
         sha256, note, state, created) \
         SELECT job_id, number, 'file', $1, $2, $3, $4, $5, $11, $6, $7 FROM attempt \
         WHERE job_id = $8 AND number = $9 AND fence = $10 \
         AND state IN ('running', 'unreachable', 'finishing') \
         ON CONFLICT (job_id, attempt, source, filename) DO UPDATE SET \
         content_type = excluded.content_type, note = excluded.note, content = excluded.content, \
         size = excluded.size, sha256 = excluded.sha256, state = excluded.state RETURNING id",
    )
    .bind(upload.filename.clone())
    .bind(about.content_type.clone())
    .bind(content)
    .bind(upload.size)
    .bind(sha256)
    .bind(state)
    .bind(tx.now)
    .bind(upload.key.job.0)
    .bind(i64::from(upload.key.number))
    .bind(upload.key.fence.0)
    .bind(about.note.clone())
    .fetch_optional(&mut *tx.conn)
    .await?;
    id.map(ArtifactId).ok_or_else(|| {
        StoreError::Refused(format!("{} has ended: it takes no artifacts", upload.key))
    })
}

impl Change for PutArtifact {
    type Output = ArtifactId;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<ArtifactId, StoreError> {
        let whole = (self.content.clone(), hex(&self.sha256));
        put(tx, &self.upload, &self.about, Some(whole)).await
    }
}

/// Begins the upload of a large artifact, or finds the one that was begun.
#[derive(Clone, Debug)]
pub struct BeginUpload(pub Upload);

impl Change for BeginUpload {
    /// Its id, and the parts that are stored.
    type Output = (ArtifactId, Vec<Part>);

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Self::Output, StoreError> {
        let id = put(tx, &self.0, &About::default(), None).await?;
        let rows = sqlx::query(
            "SELECT start, length, object FROM artifact_part WHERE artifact_id = $1 ORDER BY start",
        )
        .bind(id.0)
        .fetch_all(&mut *tx.conn)
        .await?;
        Ok((id, rows.iter().map(part).collect::<Result<_, _>>()?))
    }
}

/// A piece of a large artifact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Where it begins in the artifact.
    pub start: i64,
    /// Its length in bytes.
    pub length: i64,
    /// The object that holds it.
    pub object: String,
}

fn part(row: &AnyRow) -> Result<Part, sqlx::Error> {
    Ok(Part { start: row.try_get(0)?, length: row.try_get(1)?, object: row.try_get(2)? })
}

/// Records that the next part is stored.
#[derive(Clone, Debug)]
pub struct AddPart {
    /// The attempt that made it.
    pub key: AttemptKey,
    /// The artifact.
    pub artifact: ArtifactId,
    /// The part.
    pub part: Part,
}

impl Change for AddPart {
    type Output = ();

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        schedulers::held(tx, self.key).await?;
        sqlx::query(
            "INSERT INTO artifact_part (artifact_id, start, length, object) \
             VALUES ($1, $2, $3, $4) ON CONFLICT (artifact_id, start) DO UPDATE SET \
             length = excluded.length, object = excluded.object",
        )
        .bind(self.artifact.0)
        .bind(self.part.start)
        .bind(self.part.length)
        .bind(self.part.object.clone())
        .execute(&mut *tx.conn)
        .await?;
        Ok(())
    }
}

/// Ends an upload: the artifact is whole, or is to be forgotten.
#[derive(Clone, Debug)]
pub struct FinishUpload {
    /// The attempt that made it.
    pub key: AttemptKey,
    /// The artifact.
    pub artifact: ArtifactId,
    /// What it is and its SHA-256, if it is whole.
    pub whole: Option<(About, [u8; 32])>,
}

impl Change for FinishUpload {
    type Output = ();

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        schedulers::held(tx, self.key).await?;
        match &self.whole {
            Some((about, sha256)) => {
                sqlx::query(
                    "UPDATE artifacts SET state = 'stored', content_type = $1, note = $2, \
                     sha256 = $3, created = $4 WHERE id = $5 AND state = 'uploading'",
                )
                .bind(about.content_type.clone())
                .bind(about.note.clone())
                .bind(hex(sha256))
                .bind(tx.now)
                .bind(self.artifact.0)
                .execute(&mut *tx.conn)
                .await?;
            }
            None => {
                sqlx::query("DELETE FROM artifact_part WHERE artifact_id = $1")
                    .bind(self.artifact.0)
                    .execute(&mut *tx.conn)
                    .await?;
            }
        }
        Ok(())
    }
}

/// An artifact without its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArtifactRow {
    /// Its id.
    pub id: ArtifactId,
    /// The job.
    pub job: JobId,
    /// Number of the attempt.
    pub attempt: i32,
    /// What its content is.
    pub source: Source,
    /// Its name within the working directory.
    pub filename: String,
    /// Its MIME type.
    pub content_type: String,
    /// Its size in bytes.
    pub size: i64,
    /// SHA-256 of its content, hexadecimal; none if it could not be kept.
    pub sha256: Option<String>,
    /// What it is, or why it could not be kept.
    pub note: String,
    /// When it was stored.
    pub created: i64,
    /// It could not be kept.
    pub failed: bool,
}

const COLUMNS: &str = "SELECT id, job_id, attempt, source, filename, content_type, size, sha256, \
     note, created, state FROM artifacts";

fn artifact(row: &AnyRow) -> Result<ArtifactRow, sqlx::Error> {
    Ok(ArtifactRow {
        id: ArtifactId(row.try_get(0)?),
        job: JobId(row.try_get(1)?),
        attempt: jobs::small(row, 2)?.unwrap_or_default(),
        source: Source::parse(&row.try_get::<String, _>(3)?)?,
        filename: row.try_get(4)?,
        content_type: row.try_get(5)?,
        size: row.try_get(6)?,
        sha256: row.try_get(7)?,
        note: row.try_get(8)?,
        created: row.try_get(9)?,
        failed: row.try_get::<String, _>(10)? == "failed",
    })
}

/// An artifact's content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// In the row.
    Inline(Vec<u8>),
    /// In these objects, in order.
    Parts(Vec<Part>),
}

impl Store {
    /// What an attempt has left under this name; what the program has left under the name of
    /// its output wins.
    pub async fn artifact_of(
        &self,
        job: JobId,
        attempt: i32,
        filename: &str,
    ) -> Result<Option<ArtifactRow>, StoreError> {
        let sql = format!(
            "{COLUMNS} WHERE job_id = $1 AND attempt = $2 AND filename = $3 AND state = 'stored' \
             ORDER BY CASE source WHEN 'file' THEN 0 ELSE 1 END LIMIT 1"
        );
        let row = sqlx::query(AssertSqlSafe(sql))
            .bind(job.0)
            .bind(i64::from(attempt))
            .bind(filename.to_owned())
            .fetch_optional(&self.readers)
            .await?;
        Ok(row.as_ref().map(artifact).transpose()?)
    }

    /// One artifact.
    pub async fn artifact(&self, id: ArtifactId) -> Result<ArtifactRow, StoreError> {
        let sql = format!("{COLUMNS} WHERE id = $1 AND state <> 'uploading'");
        let row = sqlx::query(AssertSqlSafe(sql))
            .bind(id.0)
            .fetch_optional(&self.readers)
            .await?
            .ok_or(StoreError::NotFound { what: "artifact", id: id.0 })?;
        Ok(artifact(&row)?)
    }

    /// The content of an artifact that is a file.
    pub async fn artifact_content(&self, id: ArtifactId) -> Result<Content, StoreError> {
        let inline: Option<Option<Vec<u8>>> =
            sqlx::query_scalar("SELECT content FROM artifacts WHERE id = $1")
                .bind(id.0)
                .fetch_optional(&self.readers)
                .await?;
        match inline {
            None => Err(StoreError::NotFound { what: "artifact", id: id.0 }),
            Some(Some(content)) => Ok(Content::Inline(content)),
            Some(None) => {
                let rows = sqlx::query(
                    "SELECT start, length, object FROM artifact_part \
                     WHERE artifact_id = $1 ORDER BY start",
                )
                .bind(id.0)
                .fetch_all(&self.readers)
                .await?;
                Ok(Content::Parts(rows.iter().map(part).collect::<Result<_, _>>()?))
            }
        }
    }

    /// The parts of an upload that was begun; none if it was not.
    pub async fn upload_parts(
        &self,
        key: AttemptKey,
        filename: &str,
    ) -> Result<Vec<Part>, StoreError> {
        let rows = sqlx::query(
            "SELECT p.start, p.length, p.object FROM artifact_part p \
             JOIN artifacts a ON a.id = p.artifact_id JOIN attempt n \
             ON n.job_id = a.job_id AND n.number = a.attempt \
             WHERE a.job_id = $1 AND a.attempt = $2 AND n.fence = $3 AND a.source = 'file' \
             AND a.filename = $4 ORDER BY p.start",
        )
        .bind(key.job.0)
        .bind(i64::from(key.number))
        .bind(key.fence.0)
        .bind(filename.to_owned())
        .fetch_all(&self.readers)
        .await?;
        Ok(rows.iter().map(part).collect::<Result<_, _>>()?)
    }
}
