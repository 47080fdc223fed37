//! The end of an attempt: its outcome, the rest of its log and its stdout.txt and
//! stderr.txt, in one transaction.

use std::{collections::HashSet, sync::Arc};

use sqlx::AssertSqlSafe;

use super::{ATTEMPT_IS_KEY, JOB_IS_KEY, KEY, key, list, transition};
use crate::{
    domain::{
        ids::AttemptKey,
        job::{Completion, Outcome, State, StreamSummary, Transition},
    },
    store::{
        Change, PutChunk, StoreError, StoredChunk, Tx,
        artifacts::{self, NewArtifact, Source, hex},
        dialect::Kind,
    },
};

/// An attempt that has ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// What the agent said.
    pub completion: Arc<Completion>,
    /// What that means.
    pub outcome: Outcome,
    /// What is here of stdout and stderr.
    pub streams: [StreamSummary; 2],
    /// The rest of its log, if it is not stored yet.
    pub chunk: Option<StoredChunk>,
    /// What is wrong with what was stored; empty if nothing is.
    pub trouble: String,
}

/// Ends attempts.
#[derive(Clone, Debug)]
pub struct Finish(pub Vec<Ended>);

impl Change for Finish {
    /// Those that were still open. The others had ended before, or are no longer
    /// the newest of their job.
    type Output = Vec<AttemptKey>;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Vec<AttemptKey>, StoreError> {
        let ended: Vec<&Ended> = self.0.iter().collect();
        end(tx, &ended, Transition::End(Outcome::Succeeded).from()).await
    }
}

/// Ends the attempts that are in one of the states `from`; says which were.
pub(super) async fn end(
    tx: &mut Tx<'_>,
    all: &[&Ended],
    from: &[State],
) -> Result<Vec<AttemptKey>, StoreError> {
    let from = list(from);
    let [job, number, fence] = KEY;
    let rows = tx.dialect.rows("$1", &[job, number, fence, ("k_state", Kind::Text)]);
    let sql = format!(
        "UPDATE job SET state = r.k_state, ended = $2, cancel_requested = NULL FROM {rows} \
         WHERE {JOB_IS_KEY} AND job.state IN {from} RETURNING job.id, job.attempt, job.fence"
    );
    let states: Vec<_> = all
        .iter()
        .map(|ended| {
            let key = ended.completion.key;
            (key.job.0, key.number, key.fence.0, ended.outcome.state().name())
        })
        .collect();
    let won = sqlx::query(AssertSqlSafe(sql))
        .bind(serde_json::json!(states).to_string())
        .bind(tx.now)
        .fetch_all(&mut *tx.conn)
        .await?;
    let won: Vec<AttemptKey> = won.iter().map(key).collect::<Result<_, _>>()?;
    let won_keys: HashSet<&AttemptKey> = won.iter().collect();
    let ended: Vec<&Ended> =
        all.iter().copied().filter(|ended| won_keys.contains(&ended.completion.key)).collect();
    if ended.is_empty() {
        return Ok(won);
    }
    end_attempts(tx, &ended, &from).await?;
    for ended in &ended {
        if let Some(chunk) = &ended.chunk {
            PutChunk { key: ended.completion.key, chunk: chunk.clone() }.apply(tx).await?;
        }
    }
    let files: Vec<NewArtifact> = ended.iter().flat_map(|ended| artifacts_of(ended)).collect();
    artifacts::insert(tx, &files).await?;
    Ok(won)
}

/// stdout.txt, stderr.txt, and the files that could not be kept.
fn artifacts_of(ended: &Ended) -> Vec<NewArtifact> {
    let completion = &ended.completion;
    let key = completion.key;
    let [stdout, stderr] = &ended.streams;
    let stream = |source: Source, summary: &StreamSummary| NewArtifact {
        key,
        source,
        filename: format!("{}.txt", source.name()),
        content_type: "text/plain; charset=utf-8".to_owned(),
        size: summary.bytes,
        sha256: Some(hex(&summary.sha256)),
        note: format!("what the job wrote to {}", source.name()),
        failed: false,
    };
    let mut artifacts = vec![stream(Source::Stdout, stdout), stream(Source::Stderr, stderr)];
    artifacts.extend(completion.failed_artifacts.iter().map(|failed| NewArtifact {
        key,
        source: Source::File,
        filename: failed.filename.clone(),
        content_type: "application/octet-stream".to_owned(),
        size: 0,
        sha256: None,
        note: format!("not kept: {}", failed.reason),
        failed: true,
    }));
    artifacts
}

async fn end_attempts(tx: &mut Tx<'_>, ended: &[&Ended], from: &str) -> Result<(), StoreError> {
    const INT: Kind = Kind::Int;
    const TEXT: Kind = Kind::Text;
    let columns = [
        KEY[0],
        KEY[1],
        KEY[2],
        ("k_state", TEXT),
        ("k_exit_code", INT),
        ("k_signal", INT),
        ("k_pid", INT),
        ("k_user", INT),
        ("k_system", INT),
        ("k_memory", INT),
        ("k_out", INT),
        ("k_out_hash", TEXT),
        ("k_err", INT),
        ("k_err_hash", TEXT),
        ("k_log", INT),
        ("k_leftovers", TEXT),
        ("k_trouble", TEXT),
    ];
    let sql = format!(
        "UPDATE attempt SET state = r.k_state, ended = $2, exit_code = r.k_exit_code, \
         signal = r.k_signal, pid = COALESCE(r.k_pid, pid), user_cpu_us = r.k_user, \
         system_cpu_us = r.k_system, peak_memory_bytes = r.k_memory, stdout_bytes = r.k_out, \
         stdout_sha256 = r.k_out_hash, stderr_bytes = r.k_err, stderr_sha256 = r.k_err_hash, \
         log_length = r.k_log, leftovers = r.k_leftovers, trouble = r.k_trouble \
         FROM {} WHERE {ATTEMPT_IS_KEY} AND attempt.state IN {from}",
        tx.dialect.rows("$1", &columns)
    );
    let rows: Vec<serde_json::Value> = ended.iter().map(|ended| row(ended)).collect();
    sqlx::query(AssertSqlSafe(sql))
        .bind(serde_json::Value::Array(rows).to_string())
        .bind(tx.now)
        .execute(&mut *tx.conn)
        .await?;
    Ok(())
}

/// One row of the batch, in the order of the columns above.
fn row(ended: &Ended) -> serde_json::Value {
    let completion = &ended.completion;
    let key = completion.key;
    let [stdout, stderr] = &ended.streams;
    let microseconds =
        |time: std::time::Duration| i64::try_from(time.as_micros()).unwrap_or(i64::MAX);
    let leftovers = (!completion.leftovers.is_empty())
        .then(|| serde_json::json!(completion.leftovers).to_string());
    let troubles: Vec<&str> = [completion.trouble.as_str(), ended.trouble.as_str()]
        .into_iter()
        .filter(|trouble| !trouble.is_empty())
        .collect();
    let trouble = (!troubles.is_empty()).then(|| troubles.join("; "));
    serde_json::json!([
        key.job.0,
        key.number,
        key.fence.0,
        ended.outcome.state().name(),
        completion.exit_code,
        completion.signal,
        completion.pid,
        microseconds(completion.usage.user_cpu),
        microseconds(completion.usage.system_cpu),
        completion.usage.peak_memory_bytes,
        stdout.bytes,
        hex(&stdout.sha256),
        stderr.bytes,
        hex(&stderr.sha256),
        completion.log_length,
        leftovers,
        trouble,
    ])
}

/// Records that processes have ended while artifacts are still on their way.
#[derive(Clone, Debug)]
pub struct FinishingAttempts(pub Vec<AttemptKey>);

impl Change for FinishingAttempts {
    type Output = Vec<AttemptKey>;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Vec<AttemptKey>, StoreError> {
        transition(tx, Transition::Finish, &self.0, "", "").await
    }
}
