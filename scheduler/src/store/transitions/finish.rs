//! The end of an attempt: its outcome, the rest of its log and its stdout.txt and
//! stderr.txt, in one transaction.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use sha2::{Digest as _, Sha256};
use sqlx::{AssertSqlSafe, Row as _};

use super::{
    ATTEMPT_IS_KEY, JOB_IS_KEY, KEY,
    admission::{self, DUE},
    ends::End,
    key, list, shares, transition, united,
};
use crate::{
    domain::{
        ids::{AgentId, AttemptKey},
        job::{Completion, Outcome, State, StreamSummary, Template, Transition},
        retry::Verdict,
    },
    store::{
        Change, PutChunk, StoreError, StoredChunk, Tx,
        artifacts::{self, NewArtifact, Source, hex},
        decisions::{self, Decision},
        dialect::Kind,
        jobs, run_templates, schedulers,
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

/// What came of the end of attempts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Finished {
    /// Those that were still open. The others had ended before, or are no longer
    /// the newest of their job.
    pub ended: Vec<AttemptKey>,
    /// Those whose agent is connected to another scheduler now: nothing was recorded.
    pub elsewhere: Vec<AttemptKey>,
    /// Jobs that can be claimed now: those that are retried at once, and those that took
    /// a place under a limit that became free.
    pub admitted: u64,
}

/// Ends attempts of an agent that is connected to this scheduler, or was last: of another
/// what is here is old.
#[derive(Clone, Debug)]
pub struct Finish {
    /// The agent.
    pub agent: AgentId,
    /// The ends.
    pub ends: Vec<Ended>,
}

impl Finish {
    fn keys(&self) -> Vec<AttemptKey> {
        self.ends.iter().map(|ended| ended.completion.key).collect()
    }
}

impl Change for Finish {
    type Output = Finished;
    const TOGETHER: bool = true;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Finished, StoreError> {
        let finished = Self::apply_all(&[self], tx).await?;
        Ok(finished.into_iter().next().unwrap_or_default())
    }

    async fn apply_all(changes: &[&Self], tx: &mut Tx<'_>) -> Result<Vec<Finished>, StoreError> {
        let agents: Vec<AgentId> = changes.iter().map(|change| change.agent).collect();
        let here = schedulers::are_here(tx, &agents).await?;
        let (mut parts, mut ends) = (Vec::with_capacity(changes.len()), Vec::new());
        // One that is said twice ends as it is said first.
        let mut known = HashSet::new();
        for (change, here) in changes.iter().zip(&here) {
            parts.push(if *here { change.keys() } else { Vec::new() });
            let first = |ended: &&Ended| *here && known.insert(ended.completion.key);
            ends.extend(change.ends.iter().filter(first));
        }
        let mut all = end(tx, &ends, Transition::End(Outcome::Succeeded).from()).await?;
        let ended = shares(parts.iter().map(Vec::as_slice), std::mem::take(&mut all.ended));
        let finished =
            changes.iter().zip(here).zip(ended).map(|((change, here), ended)| Finished {
                ended,
                elsewhere: if here { Vec::new() } else { change.keys() },
                // Told once: somebody looks at the queue then.
                admitted: std::mem::take(&mut all.admitted),
            });
        Ok(finished.collect())
    }
}

/// Ends the attempts that are in one of the states `from`; says which were.
pub(super) async fn end(
    tx: &mut Tx<'_>,
    all: &[&Ended],
    from: &[State],
) -> Result<Finished, StoreError> {
    let from = list(from);
    let Retries { due: retries, forbidden } = retries(tx, all).await?;
    let [job, number, fence] = KEY;
    let columns = [job, number, fence, ("k_state", Kind::Text), ("k_due", Kind::Int)];
    let rows = tx.dialect.rows("$1", &columns);
    // A job that is retried waits again, until its next attempt is due.
    let sql = format!(
        "UPDATE job SET state = r.k_state, cancel_requested = NULL, due = r.k_due, \
         ended = CASE WHEN r.k_due IS NULL THEN $2 END, \
         queued = CASE WHEN r.k_due IS NULL THEN job.queued ELSE $2 END, \
         held = CASE WHEN r.k_due IS NULL OR (r.k_due <= $2 AND limited = 0) THEN NULL \
         ELSE '{DUE}' END, \
         limited = CASE WHEN r.k_due IS NULL AND limited = 1 THEN 2 ELSE limited END, \
         retries = CASE WHEN r.k_due IS NULL THEN job.retries ELSE job.retries + 1 END \
         FROM {rows} WHERE {JOB_IS_KEY} AND {} IN {from} \
         RETURNING job.id, job.attempt, job.fence, job.limited, job.company_id, \
         job.runtemplate_id, job.state",
        tx.dialect.unindexed("job.state")
    );
    let states: Vec<_> = all
        .iter()
        .map(|ended| {
            let key = ended.completion.key;
            let due = retries.get(&key).map(|retry| retry.due);
            let state = due.map_or(ended.outcome.state(), |_| Transition::Retry.to());
            (key.job.0, key.number, key.fence.0, state.name(), due)
        })
        .collect();
    let won = sqlx::query(AssertSqlSafe(sql))
        .bind(serde_json::json!(states).to_string())
        .bind(tx.now)
        .fetch_all(&mut *tx.conn)
        .await?;
    let (mut companies, mut again) = (BTreeSet::new(), 0);
    for row in &won {
        let (template, state) = (row.try_get(5)?, jobs::state(row, 6)?);
        if state.is_terminal() {
            let AttemptKey { job, number, .. } = key(row)?;
            tx.ends.push(End { template, state, ran: Some((job.0, number)) });
        }
        if row.try_get::<i64, _>(3)? > 0 {
            companies.insert(row.try_get(4)?);
        } else if retries.get(&key(row)?).is_some_and(|retry| retry.due <= tx.now) {
            again += 1;
        }
    }
    let won: Vec<AttemptKey> = won.iter().map(key).collect::<Result<_, _>>()?;
    let won_keys: HashSet<&AttemptKey> = won.iter().collect();
    let ended: Vec<&Ended> =
        all.iter().copied().filter(|ended| won_keys.contains(&ended.completion.key)).collect();
    if ended.is_empty() {
        return Ok(Finished::default());
    }
    end_attempts(tx, &ended, &from, &retries).await?;
    let decided = |key: &AttemptKey| {
        let retried = retries.get(key).map(|retry| Decision::about(*key, "retried", &retry.why));
        let forbidden = || Some(Decision::about(*key, "not retried", forbidden.get(key)?));
        retried.or_else(forbidden)
    };
    let decided: Vec<Decision> = won.iter().filter_map(decided).collect();
    decisions::record(tx, &decided).await?;
    for ended in &ended {
        if let Some(chunk) = &ended.chunk {
            PutChunk { key: ended.completion.key, chunk: chunk.clone() }.put(tx).await?;
        }
    }
    let files: Vec<NewArtifact> = ended.iter().flat_map(|ended| artifacts_of(ended)).collect();
    artifacts::insert(tx, &files).await?;
    let admitted = admission::admit(tx, &companies).await?;
    Ok(Finished { ended: won, elsewhere: Vec::new(), admitted: admitted + again })
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

/// A retry that was decided.
struct Due {
    due: i64,
    why: String,
}

/// What was decided about retries.
#[derive(Default)]
struct Retries {
    /// Attempts that are followed by another.
    due: HashMap<AttemptKey, Due>,
    /// Attempts that would be, if their application did not forbid it: why.
    forbidden: HashMap<AttemptKey, String>,
}

/// Which of these are followed by another attempt by themselves. Nearly always none
/// has failed, and nothing is asked.
async fn retries(tx: &mut Tx<'_>, ended: &[&Ended]) -> Result<Retries, StoreError> {
    let mut retries = Retries::default();
    for ended in ended {
        if matches!(ended.outcome, Outcome::Succeeded | Outcome::Cancelled) {
            continue;
        }
        let key = ended.completion.key;
        let row = sqlx::query(
            "SELECT j.runtemplate_id, j.retries FROM job j JOIN runtemplate t \
             ON t.id = j.runtemplate_id WHERE j.id = $1 AND j.cancel_requested IS NULL \
             AND t.max_attempts > 1",
        )
        .bind(key.job.0)
        .fetch_optional(&mut *tx.conn)
        .await?;
        let Some(row) = row else { continue };
        let template: i64 = row.try_get(0)?;
        let before = u32::try_from(row.try_get::<i64, _>(1)?).unwrap_or(u32::MAX);
        let templates =
            run_templates::by_ids(&mut *tx.conn, tx.dialect, tx.known, &[template]).await?;
        let Some(Template { retry: policy, definition, .. }) =
            templates.values().next().map(|row| &row.template)
        else {
            continue;
        };
        // It is applied again after a rollback: what is random must stay the same.
        let random =
            u32::from_le_bytes(Sha256::digest(key.to_string())[..4].try_into().unwrap_or_default());
        match policy.decide(&ended.completion, definition, before, random) {
            Verdict::Retry { pause, why } => {
                let pause = i64::try_from(pause.as_micros()).unwrap_or(i64::MAX);
                retries.due.insert(key, Due { due: tx.now.saturating_add(pause), why });
            }
            Verdict::Forbidden { why } => _ = retries.forbidden.insert(key, why),
            Verdict::Nothing => {}
        }
    }
    Ok(retries)
}

async fn end_attempts(
    tx: &mut Tx<'_>,
    ended: &[&Ended],
    from: &str,
    retries: &HashMap<AttemptKey, Due>,
) -> Result<(), StoreError> {
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
        ("k_due", INT),
        ("k_ran", INT),
    ];
    let sql = format!(
        "UPDATE attempt SET state = r.k_state, ended = $2, exit_code = r.k_exit_code, \
         signal = r.k_signal, pid = COALESCE(r.k_pid, pid), user_cpu_us = r.k_user, \
         system_cpu_us = r.k_system, peak_memory_bytes = r.k_memory, stdout_bytes = r.k_out, \
         stdout_sha256 = r.k_out_hash, stderr_bytes = r.k_err, stderr_sha256 = r.k_err_hash, \
         log_length = r.k_log, leftovers = r.k_leftovers, trouble = r.k_trouble, \
         retry_due = r.k_due, ran_us = r.k_ran \
         FROM {} WHERE {ATTEMPT_IS_KEY} AND {} IN {from}",
        tx.dialect.rows("$1", &columns),
        tx.dialect.unindexed("attempt.state")
    );
    let rows: Vec<serde_json::Value> = ended.iter().map(|ended| row(ended, retries)).collect();
    sqlx::query(AssertSqlSafe(sql))
        .bind(serde_json::Value::Array(rows).to_string())
        .bind(tx.now)
        .execute(&mut *tx.conn)
        .await?;
    Ok(())
}

/// One row of the batch, in the order of the columns above.
fn row(ended: &Ended, retries: &HashMap<AttemptKey, Due>) -> serde_json::Value {
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
        retries.get(&key).map(|retry| retry.due),
        (!completion.elapsed.is_zero()).then(|| microseconds(completion.elapsed)),
    ])
}

/// Records that processes have ended while artifacts are still on their way.
#[derive(Clone, Debug)]
pub struct FinishingAttempts(pub Vec<AttemptKey>);

impl Change for FinishingAttempts {
    type Output = Vec<AttemptKey>;
    const TOGETHER: bool = true;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Vec<AttemptKey>, StoreError> {
        transition(tx, Transition::Finish, &self.0, "", "").await
    }

    async fn apply_all(
        changes: &[&Self],
        tx: &mut Tx<'_>,
    ) -> Result<Vec<Vec<AttemptKey>>, StoreError> {
        let parts = || changes.iter().map(|change| change.0.as_slice());
        let finishing = transition(tx, Transition::Finish, &united(parts()), "", "").await?;
        Ok(shares(parts(), finishing))
    }
}
