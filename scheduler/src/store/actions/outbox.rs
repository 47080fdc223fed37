//! The actions of jobs that have ended: put there by the transaction that ends the job,
//! and claimed under a fence for a while. Whoever has the claim records what came of it.

use std::time::Duration;

use sqlx::{AssertSqlSafe, Row as _, any::AnyRow};

use crate::{
    domain::{
        action::{Mode, Progress},
        environment::Given,
        ids::{Fence, JobId, PerformedActionId, RunTemplateId},
        job::State,
    },
    store::{Change, Dialect, Store, StoreError, Tx, dialect::Kind, jobs, variables},
};

/// A job that ran and has ended for good.
#[derive(Clone, Copy, Debug)]
pub(in crate::store) struct Ran {
    /// The job.
    pub(in crate::store) job: i64,
    /// Its last attempt.
    pub(in crate::store) attempt: i32,
    /// Its run template.
    pub(in crate::store) template: i64,
    /// How it ended.
    pub(in crate::store) state: State,
}

/// Puts the actions that follow these ends into the outbox; whether there were any. Of each
/// job only the first has its time: it gives it to the next when it ends.
pub(in crate::store) async fn enqueue(
    tx: &mut Tx<'_>,
    ends: impl Iterator<Item = Ran>,
) -> Result<bool, StoreError> {
    let ends: Vec<_> = ends
        .map(|end| (end.job, end.attempt, end.template, Mode::of(end.state).map(Mode::name)))
        .collect();
    let columns = [
        ("k_job", Kind::Int),
        ("k_attempt", Kind::Int),
        ("k_template", Kind::Int),
        ("k_mode", Kind::Text),
    ];
    let sql = format!(
        "INSERT INTO action (job_id, attempt, actionconfig_id, runtemplate_id, module, position, \
         configuration, state, due, created) \
         SELECT r.k_job, r.k_attempt, c.id, c.runtemplate_id, c.module, c.position, \
         c.configuration, '{}', CASE ROW_NUMBER() OVER (PARTITION BY r.k_job, r.k_attempt \
         ORDER BY c.position, c.id) WHEN 1 THEN $2 END, $2 FROM {} \
         JOIN actionconfig c ON c.runtemplate_id = r.k_template \
         AND (c.mode = '{}' OR c.mode = r.k_mode) JOIN job j ON j.id = r.k_job \
         WHERE r.k_attempt > 0 ON CONFLICT (job_id, attempt, actionconfig_id) DO NOTHING",
        Progress::Pending,
        tx.dialect.rows("$1", &columns),
        Mode::Always.name(),
    );
    let inserted = sqlx::query(AssertSqlSafe(sql))
        .bind(serde_json::json!(ends).to_string())
        .bind(tx.now)
        .execute(&mut *tx.conn)
        .await?;
    Ok(inserted.rows_affected() > 0)
}

/// Takes actions whose time has come, also from a scheduler that has not said in time what
/// came of them.
#[derive(Clone, Copy, Debug)]
pub struct ClaimActions {
    /// How many at most.
    pub limit: i64,
    /// How long they are left to whoever takes them.
    pub lease: Duration,
}

/// A claim on an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The action.
    pub id: PerformedActionId,
    /// Another claim has a higher one.
    pub fence: Fence,
    /// The job that has ended.
    pub job: JobId,
    /// Its last attempt.
    pub attempt: i32,
    /// Its run template.
    pub run_template: RunTemplateId,
}

/// An action that is to be done.
#[derive(Clone, Debug)]
pub struct ClaimedAction {
    /// The claim.
    pub claim: Claim,
    /// What kind it is of.
    pub kind: String,
    /// What it is told; or why that cannot be read.
    pub settings: Result<Given, String>,
    /// How many times it was begun, this time included.
    pub tries: u32,
}

impl Change for ClaimActions {
    type Output = Vec<ClaimedAction>;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Vec<ClaimedAction>, StoreError> {
        let rows = sqlx::query(AssertSqlSafe(claim_sql(tx.dialect)))
            .bind(self.limit)
            .bind(tx.now)
            .bind(microseconds(self.lease))
            .fetch_all(&mut *tx.conn)
            .await?;
        let claimed = |row: &AnyRow| {
            Ok(ClaimedAction {
                claim: Claim {
                    id: PerformedActionId(row.try_get(0)?),
                    fence: Fence(row.try_get(1)?),
                    job: JobId(row.try_get(2)?),
                    attempt: jobs::small(row, 3)?.unwrap_or_default(),
                    run_template: RunTemplateId(row.try_get(4)?),
                },
                kind: row.try_get(5)?,
                settings: variables::from_json(&row.try_get::<String, _>(6)?, tx.vault)
                    .map_err(|error| error.to_string()),
                tries: jobs::small(row, 7)?.unwrap_or_default().unsigned_abs(),
            })
        };
        rows.iter().map(claimed).collect()
    }
}

fn claim_sql(dialect: Dialect) -> String {
    format!(
        "WITH next AS (SELECT id FROM action {} WHERE state IN {OPEN} AND due <= $2 \
         ORDER BY due, id LIMIT $1 {}) \
         UPDATE action SET state = '{}', fence = fence + 1, tries = tries + 1, due = $2 + $3, \
         started = COALESCE(started, $2) FROM next WHERE action.id = next.id \
         RETURNING action.id, action.fence, action.job_id, action.attempt, \
         action.runtemplate_id, action.module, action.configuration, action.tries",
        dialect.by_index("action_due"),
        dialect.skip_locked(),
        Progress::Running,
    )
}

/// The states of what is not done, as the index has them.
const OPEN: &str = "('pending', 'running')";

pub(super) fn microseconds(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}

/// Lets go of what a scheduler before had claimed, where there can be no other.
#[derive(Clone, Copy, Debug)]
pub struct ReleaseActions;

impl Change for ReleaseActions {
    type Output = ();

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        if !tx.dialect.is_shared() {
            let sql = format!("UPDATE action SET due = $1 WHERE state = '{}'", Progress::Running);
            sqlx::query(AssertSqlSafe(sql)).bind(tx.now).execute(&mut *tx.conn).await?;
        }
        Ok(())
    }
}

impl Store {
    /// How long until the next action is due, or a claim on one runs out; none if there is
    /// none.
    pub async fn next_action(&self) -> Result<Option<Duration>, StoreError> {
        let mut conn = self.readers.acquire().await?;
        let now: i64 = sqlx::query_scalar(self.dialect.now()).fetch_one(&mut *conn).await?;
        let index = self.dialect.by_index("action_due");
        let sql = format!("SELECT MIN(due) FROM action {index} WHERE state IN {OPEN}");
        let next: Option<i64> =
            sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&mut *conn).await?;
        Ok(next.map(|next| Duration::from_micros(u64::try_from(next - now).unwrap_or(0))))
    }

    /// Rung when actions were put into the outbox.
    pub fn actions_added(&self) -> &tokio::sync::Notify {
        &self.actions
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::transitions::tests::plan;

    #[tokio::test]
    async fn a_claim_reads_what_is_due_from_the_front_of_its_index() {
        let plan = plan(&claim_sql(Dialect::Sqlite)).await;
        assert!(plan.contains("INDEX action_due (due<?)"), "{plan}");
        assert!(!plan.contains("TEMP B-TREE"), "{plan}");
    }
}
