//! What was decided about jobs, for whoever asks why: rows that are only added.

use sqlx::{AssertSqlSafe, Row as _};

use super::{Change, Store, StoreError, Tx, dialect::Kind, jobs};
use crate::domain::ids::{AttemptKey, JobId};

/// A decision about a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The job.
    pub job: JobId,
    /// The attempt that it is about; 0 for the job itself.
    pub attempt: i32,
    /// What was decided, one word.
    pub what: String,
    /// Why, as a sentence.
    pub why: String,
}

impl Decision {
    /// One about an attempt.
    pub(super) fn about(key: AttemptKey, what: &str, why: &str) -> Self {
        Self { job: key.job, attempt: key.number, what: what.to_owned(), why: why.to_owned() }
    }
}

/// A decision, with its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecisionRow {
    /// When.
    pub at: i64,
    /// The decision.
    pub decision: Decision,
}

/// Records decisions.
pub(super) async fn record(tx: &mut Tx<'_>, decisions: &[Decision]) -> Result<(), StoreError> {
    if decisions.is_empty() {
        return Ok(());
    }
    let columns = [
        ("k_job", Kind::Int),
        ("k_attempt", Kind::Int),
        ("k_what", Kind::Text),
        ("k_why", Kind::Text),
    ];
    let sql = format!(
        "INSERT INTO decision (job_id, attempt, at, what, why) \
         SELECT r.k_job, r.k_attempt, $2, r.k_what, r.k_why FROM {}",
        tx.dialect.rows("$1", &columns)
    );
    let rows: Vec<_> = decisions
        .iter()
        .map(|decision| (decision.job.0, decision.attempt, &decision.what, &decision.why))
        .collect();
    sqlx::query(AssertSqlSafe(sql))
        .bind(serde_json::json!(rows).to_string())
        .bind(tx.now)
        .execute(&mut *tx.conn)
        .await?;
    Ok(())
}

/// Records that an attempt waits for its agent's host, or goes on.
#[derive(Clone, Debug)]
pub struct Waits {
    /// The attempt.
    pub key: AttemptKey,
    /// What it waits for, as a sentence; empty if it goes on.
    pub reason: String,
}

impl Change for Waits {
    type Output = ();

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        match self.reason.as_str() {
            "" => record_all(tx, &[self.key], "goes on", "its agent's host has room again").await,
            reason => record_all(tx, &[self.key], "waits", reason).await,
        }
    }
}

/// Records the same decision about several attempts.
pub(super) async fn record_all(
    tx: &mut Tx<'_>,
    keys: &[AttemptKey],
    what: &str,
    why: &str,
) -> Result<(), StoreError> {
    let decisions: Vec<_> = keys.iter().map(|key| Decision::about(*key, what, why)).collect();
    record(tx, &decisions).await
}

impl Store {
    /// What was decided about a job, oldest first.
    pub async fn decisions(&self, job: JobId) -> Result<Vec<DecisionRow>, StoreError> {
        let rows = sqlx::query(
            "SELECT at, attempt, what, why FROM decision WHERE job_id = $1 ORDER BY id",
        )
        .bind(job.0)
        .fetch_all(&self.readers)
        .await?;
        let decision = |row: &sqlx::any::AnyRow| {
            Ok::<_, sqlx::Error>(DecisionRow {
                at: row.try_get(0)?,
                decision: Decision {
                    job,
                    attempt: jobs::small(row, 1)?.unwrap_or_default(),
                    what: row.try_get(2)?,
                    why: row.try_get(3)?,
                },
            })
        };
        Ok(rows.iter().map(decision).collect::<Result<_, _>>()?)
    }
}
