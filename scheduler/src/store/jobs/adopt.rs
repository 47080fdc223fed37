//! Jobs that ran elsewhere and are imported as they ended, with their one attempt, its
//! output and its files.

use sqlx::{AssertSqlSafe, Row as _};

use crate::{
    domain::{
        environment::Given,
        ids::{AgentId, ApplicationId, AttemptKey, Fence, JobId, RunTemplateId},
        job::{State, StreamSummary},
    },
    store::{
        Change, Content, PutChunk, Source, StoreError, StoredChunk, Tx,
        adopted::{self, Brought, Origin},
        artifacts::{Part, hex},
        decisions::{self, Decision},
        dialect, variables,
    },
};

/// Gives out ids for jobs that are to be imported: those that they have elsewhere, where
/// these were never given out here.
#[derive(Clone, Debug)]
pub struct TakeJobIds(pub Vec<i64>);

impl Change for TakeJobIds {
    type Output = Vec<JobId>;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Vec<JobId>, StoreError> {
        let mut ids = Vec::with_capacity(self.0.len());
        for wanted in &self.0 {
            ids.push(JobId(dialect::take_id(&mut *tx.conn, tx.dialect, "job", *wanted).await?));
        }
        Ok(ids)
    }
}

/// A file that a job has left elsewhere.
#[derive(Clone, Debug)]
pub struct AdoptedFile {
    /// Its name.
    pub filename: String,
    /// Its MIME type.
    pub content_type: String,
    /// What it is.
    pub note: String,
    /// When it was stored.
    pub created: i64,
    /// Its size in bytes.
    pub size: i64,
    /// SHA-256 of its content.
    pub sha256: [u8; 32],
    /// Its content.
    pub content: Content,
}

/// Imports a job that has ended, under an id that was taken for it.
#[derive(Clone, Debug)]
pub struct AdoptJob {
    /// Its id.
    pub id: JobId,
    /// Where it comes from.
    pub origin: Origin,
    /// Its run template.
    pub run_template: RunTemplateId,
    /// The agent that stands for whoever ran it.
    pub agent: AgentId,
    /// The variables that it had.
    pub environment: Given,
    /// How it ended.
    pub state: State,
    /// Its exit code.
    pub exit_code: Option<i32>,
    /// Its process id.
    pub pid: Option<i64>,
    /// The program and its arguments.
    pub command: Vec<String>,
    /// Who asked for it.
    pub by: String,
    /// When it was created.
    pub created: i64,
    /// When it started.
    pub started: i64,
    /// When it ended.
    pub ended: i64,
    /// What went wrong; empty if nothing did.
    pub trouble: String,
    /// What it wrote: the chunks of its log.
    pub log: Vec<StoredChunk>,
    /// The length of its log.
    pub log_length: i64,
    /// What it wrote to stdout and to stderr.
    pub streams: [StreamSummary; 2],
    /// The files that it left.
    pub files: Vec<AdoptedFile>,
}

impl AdoptJob {
    fn key(&self) -> AttemptKey {
        AttemptKey { job: self.id, number: 1, fence: Fence(1) }
    }
}

impl Change for AdoptJob {
    type Output = ();

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        insert_job(tx, self).await?;
        insert_attempt(tx, self).await?;
        for chunk in &self.log {
            PutChunk { key: self.key(), chunk: chunk.clone() }.apply(tx).await?;
        }
        for file in &self.files {
            insert_file(tx, self, file).await?;
        }
        for (source, summary) in [Source::Stdout, Source::Stderr].into_iter().zip(&self.streams) {
            let file = AdoptedFile {
                filename: format!("{}.txt", source.name()),
                content_type: "text/plain; charset=utf-8".to_owned(),
                note: format!("what the job wrote to {}", source.name()),
                created: self.ended,
                size: summary.bytes,
                sha256: summary.sha256,
                content: Content::Parts(Vec::new()),
            };
            insert_row(tx, self, source, &file, None).await?;
        }
        count(tx, self).await?;
        let Origin { source, id, .. } = &self.origin;
        let why = format!("it ran in another system, where it is job {id} of {source}");
        decisions::record(tx, &[Decision::about(self.key(), "imported", &why)]).await?;
        adopted::record(tx, &self.origin, self.id.0, &Brought::default()).await
    }
}

async fn insert_job(tx: &mut Tx<'_>, job: &AdoptJob) -> Result<(), StoreError> {
    let template = job.run_template.0;
    let row = sqlx::query(
        "SELECT a.id, a.revision FROM runtemplate t JOIN apps a ON a.id = t.app_id \
         WHERE t.id = $1",
    )
    .bind(template)
    .fetch_optional(&mut *tx.conn)
    .await?
    .ok_or(StoreError::NotFound { what: "run template", id: template })?;
    let wanted = [(ApplicationId(row.try_get(0)?), row.try_get(1)?)].into();
    let definitions = tx.known.applications.of(&mut *tx.conn, tx.dialect, &wanted).await?;
    let environment = definitions
        .values()
        .fold(job.environment.clone(), |given, definition| variables::declare(&given, definition));
    sqlx::query(
        "INSERT INTO job (id, runtemplate_id, app_id, company_id, env, state, attempt, fence, \
         request_index, created_by, created, queued, ended, priority) \
         SELECT $1, t.id, t.app_id, t.company_id, $2, $3, 1, 1, 0, $4, $5, $5, $6, t.priority \
         FROM runtemplate t WHERE t.id = $7",
    )
    .bind(job.id.0)
    .bind(variables::to_json(&environment, tx.vault)?)
    .bind(job.state.name())
    .bind(job.by.clone())
    .bind(job.created)
    .bind(job.ended)
    .bind(template)
    .execute(&mut *tx.conn)
    .await?;
    Ok(())
}

async fn insert_attempt(tx: &mut Tx<'_>, job: &AdoptJob) -> Result<(), StoreError> {
    let [stdout, stderr] = &job.streams;
    sqlx::query(
        "INSERT INTO attempt (job_id, number, fence, state, agent_id, command, queued, offered, \
         started, ended, exit_code, pid, stdout_bytes, stdout_sha256, stderr_bytes, \
         stderr_sha256, log_length, trouble, choice) \
         VALUES ($1, 1, 1, $2, $3, $4, $5, $6, $6, $7, $8, $9, $10, $11, $12, $13, $14, \
         NULLIF($15, ''), 'it was imported')",
    )
    .bind(job.id.0)
    .bind(job.state.name())
    .bind(job.agent.0)
    .bind(serde_json::json!(job.command).to_string())
    .bind(job.created)
    .bind(job.started)
    .bind(job.ended)
    .bind(job.exit_code.map(i64::from))
    .bind(job.pid)
    .bind(stdout.bytes)
    .bind(hex(&stdout.sha256))
    .bind(stderr.bytes)
    .bind(hex(&stderr.sha256))
    .bind(job.log_length)
    .bind(job.trouble.clone())
    .execute(&mut *tx.conn)
    .await?;
    Ok(())
}

async fn insert_file(
    tx: &mut Tx<'_>,
    job: &AdoptJob,
    file: &AdoptedFile,
) -> Result<(), StoreError> {
    let (inline, parts) = match &file.content {
        Content::Inline(bytes) => (Some(bytes.clone()), &[][..]),
        Content::Parts(parts) => (None, parts.as_slice()),
    };
    let id = insert_row(tx, job, Source::File, file, inline).await?;
    for Part { start, length, object } in parts {
        let sql = "INSERT INTO artifact_part (artifact_id, start, length, object) \
             VALUES ($1, $2, $3, $4)";
        sqlx::query(sql)
            .bind(id)
            .bind(start)
            .bind(length)
            .bind(object.clone())
            .execute(&mut *tx.conn)
            .await?;
    }
    Ok(())
}

async fn insert_row(
    tx: &mut Tx<'_>,
    job: &AdoptJob,
    source: Source,
    file: &AdoptedFile,
    inline: Option<Vec<u8>>,
) -> Result<i64, StoreError> {
    let id = sqlx::query_scalar(
        "INSERT INTO artifacts (job_id, attempt, source, filename, content_type, content, size, \
         sha256, note, state, created) VALUES ($1, 1, $2, $3, $4, $5, $6, $7, $8, 'stored', $9) \
         RETURNING id",
    )
    .bind(job.id.0)
    .bind(source.name())
    .bind(file.filename.clone())
    .bind(file.content_type.clone())
    .bind(inline)
    .bind(file.size)
    .bind(hex(&file.sha256))
    .bind(file.note.clone())
    .bind(file.created)
    .fetch_one(&mut *tx.conn)
    .await?;
    Ok(id)
}

/// The run template counts it, at the time when it ended.
async fn count(tx: &mut Tx<'_>, job: &AdoptJob) -> Result<(), StoreError> {
    let column = match job.state {
        State::Succeeded => "successfull_jobs_count",
        _ => "failed_jobs_count",
    };
    let sql = format!(
        "UPDATE runtemplate SET {column} = {column} + 1, \
         last_ended = CASE WHEN last_ended > $1 THEN last_ended ELSE $1 END WHERE id = $2"
    );
    sqlx::query(AssertSqlSafe(sql))
        .bind(job.ended)
        .bind(job.run_template.0)
        .execute(&mut *tx.conn)
        .await?;
    Ok(())
}
