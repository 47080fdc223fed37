//! Every change of a job's state. The guard of each statement is (job, attempt,
//! fence) and the states that [`Transition::from`] allows: whoever comes second,
//! late or under an old fence changes nothing, and is told so.

pub(super) mod admission;
mod cancel;
mod claim;
mod contact;
pub(super) mod ends;
mod finish;
mod queue;

use std::collections::HashSet;

use sqlx::{AssertSqlSafe, Row as _};

use super::{Dialect, StoreError, Tx, dialect::Kind};
use crate::domain::{
    ids::{AttemptKey, Fence, JobId},
    job::{State, Transition},
};

pub use admission::ReleaseDue;
pub use cancel::{CancelJob, Cancelled};
pub use claim::{Accept, Claim, Claimed, Started, StartedRow, Withdraw};
pub use contact::{GiveUp, HeldRow, LoseContact, Lost, Missing, Overdue, Reconcile, Reconciled};
pub use finish::{Ended, Finish, Finished, FinishingAttempts};
pub use queue::{QueueJob, Queued};

/// The columns of a batch of attempt keys.
pub(super) const KEY: [(&str, Kind); 3] =
    [("k_job", Kind::Int), ("k_attempt", Kind::Int), ("k_fence", Kind::Int)];

/// Joins `job` to a batch of keys.
const JOB_IS_KEY: &str = "job.id = r.k_job AND job.attempt = r.k_attempt AND job.fence = r.k_fence";

/// Joins `attempt` to a batch of keys.
const ATTEMPT_IS_KEY: &str = "attempt.job_id = r.k_job AND attempt.number = r.k_attempt \
     AND attempt.fence = r.k_fence";

/// States as a list in SQL.
pub(super) fn list(states: &[State]) -> String {
    let names: Vec<String> = states.iter().map(|state| format!("'{}'", state.name())).collect();
    format!("({})", names.join(", "))
}

/// A batch of keys as a parameter.
pub(super) fn keys_json(keys: &[AttemptKey]) -> String {
    let keys: Vec<_> = keys.iter().map(|key| (key.job.0, key.number, key.fence.0)).collect();
    serde_json::json!(keys).to_string()
}

/// The keys of several changes, each once.
fn united<'k>(parts: impl IntoIterator<Item = &'k [AttemptKey]>) -> Vec<AttemptKey> {
    let mut known = HashSet::new();
    parts.into_iter().flatten().copied().filter(|key| known.insert(*key)).collect()
}

/// Of the keys that were won, those of each change: what two ask for, the first has.
fn shares<'k>(
    parts: impl IntoIterator<Item = &'k [AttemptKey]>,
    won: Vec<AttemptKey>,
) -> Vec<Vec<AttemptKey>> {
    let mut won: HashSet<AttemptKey> = won.into_iter().collect();
    let share = |part: &[AttemptKey]| part.iter().copied().filter(|key| won.remove(key)).collect();
    parts.into_iter().map(share).collect()
}

/// Reads keys from the first three columns.
pub(super) fn key(row: &sqlx::any::AnyRow) -> Result<AttemptKey, sqlx::Error> {
    Ok(AttemptKey {
        job: JobId(row.try_get(0)?),
        number: super::jobs::small(row, 1)?.unwrap_or_default(),
        fence: Fence(row.try_get(2)?),
    })
}

/// Takes the attempts `keys` and their jobs through `transition`, and says which
/// of them it was still open to. `job_set` and `attempt_set` are further columns
/// to set (`, ended = $2`), with `$2` the time; `$2 > 0` keeps the parameter in the
/// statements that set none.
async fn transition(
    tx: &mut Tx<'_>,
    transition: Transition,
    keys: &[AttemptKey],
    job_set: &str,
    attempt_set: &str,
) -> Result<Vec<AttemptKey>, StoreError> {
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let rows = tx.dialect.rows("$1", &KEY);
    let from = list(transition.from());
    let to = transition.to();
    let sql = job_sql(tx.dialect, transition, job_set);
    let changed = sqlx::query(AssertSqlSafe(sql))
        .bind(keys_json(keys))
        .bind(tx.now)
        .fetch_all(&mut *tx.conn)
        .await?;
    let changed: Vec<AttemptKey> = changed.iter().map(key).collect::<Result<_, _>>()?;
    if changed.is_empty() {
        return Ok(changed);
    }
    let sql = format!(
        "UPDATE attempt SET state = '{to}'{attempt_set} FROM {rows} \
         WHERE {ATTEMPT_IS_KEY} AND {} IN {from} AND $2 > 0",
        tx.dialect.unindexed("attempt.state")
    );
    sqlx::query(AssertSqlSafe(sql))
        .bind(keys_json(&changed))
        .bind(tx.now)
        .execute(&mut *tx.conn)
        .await?;
    Ok(changed)
}

fn job_sql(dialect: Dialect, transition: Transition, set: &str) -> String {
    format!(
        "UPDATE job SET state = '{}'{set} FROM {} \
         WHERE {JOB_IS_KEY} AND {} IN {} AND $2 > 0 \
         RETURNING job.id, job.attempt, job.fence",
        transition.to(),
        dialect.rows("$1", &KEY),
        dialect.unindexed("job.state"),
        list(transition.from())
    )
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use sqlx::Connection as _;

    /// An SQLite that has our schema and no rows.
    pub(in crate::store) async fn empty() -> sqlx::AnyConnection {
        sqlx::any::install_default_drivers();
        let mut connection = sqlx::AnyConnection::connect("sqlite::memory:").await.unwrap();
        for (_, migration) in Dialect::Sqlite.migrations() {
            sqlx::raw_sql(*migration).execute(&mut connection).await.unwrap();
        }
        connection
    }

    /// How SQLite goes about a statement, on the schema of ours.
    pub(in crate::store) async fn plan(sql: &str) -> String {
        let mut connection = empty().await;
        let rows = sqlx::query(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}")))
            .bind("[]")
            .bind(1_i64)
            .fetch_all(&mut connection)
            .await
            .unwrap();
        let steps: Vec<String> = rows.iter().map(|row| row.get(3)).collect();
        steps.join("\n")
    }

    #[tokio::test]
    async fn a_transition_finds_each_job_by_its_id() {
        for transition in [Transition::Start, Transition::Finish, Transition::LoseContact] {
            let plan = plan(&job_sql(Dialect::Sqlite, transition, "")).await;
            assert!(plan.contains("SEARCH job USING INTEGER PRIMARY KEY"), "{plan}");
        }
    }
}
