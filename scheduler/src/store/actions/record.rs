//! What came of actions: recorded under the claim, with their effect, once.

use std::time::Duration;

use sqlx::AssertSqlSafe;

use super::{
    Effect,
    outbox::{ActionClaim, microseconds},
};
use crate::{
    domain::{
        action::Progress,
        ids::{JobId, PerformedActionId},
    },
    store::{Change, StoreError, Tx},
};

/// Why an action was not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActionFailure {
    /// Why, as a sentence.
    pub reason: String,
    /// When it is tried again; none for never.
    pub again: Option<Duration>,
}

/// Records what came of an action, with its effect, if the claim still holds.
#[derive(Clone, Debug)]
pub struct RecordAction {
    /// The claim.
    pub claim: ActionClaim,
    /// What came of it.
    pub result: Result<Effect, ActionFailure>,
}

/// What came of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// Somebody else has the claim by now, or the job is gone: nothing was changed.
    Stale,
    /// It is on record, and it launched this job.
    Done(Option<JobId>),
}

impl Change for RecordAction {
    type Output = Recorded;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Recorded, StoreError> {
        let ActionClaim { id, fence, job, attempt, .. } = self.claim;
        let sql = format!(
            "SELECT id FROM action WHERE id = $1 AND fence = $2 AND state = '{}' {}",
            Progress::Running,
            tx.dialect.lock_rows()
        );
        let ours = sqlx::query(AssertSqlSafe(sql)).bind(id.0).bind(fence.0);
        if ours.fetch_optional(&mut *tx.conn).await?.is_none() {
            return Ok(Recorded::Stale);
        }
        let (mut launched, mut wait, mut again) = (None, Duration::ZERO, None);
        let (progress, outcome) = match &self.result {
            Ok(effect) => match effect.apply(tx, &self.claim).await {
                Ok(applied) => {
                    (launched, wait) = (applied.launched, applied.wait);
                    (Progress::Succeeded, applied.outcome)
                }
                // It has written nothing.
                Err(error) if error.is_answer() => (Progress::Failed, error.to_string()),
                Err(error) => return Err(error),
            },
            Err(failure) => {
                again = failure.again;
                let state = if again.is_some() { Progress::Pending } else { Progress::Failed };
                (state, failure.reason.clone())
            }
        };
        let later = |time: Duration| tx.now.saturating_add(microseconds(time));
        let (now, due, next) = (tx.now, again.map(later), later(wait));
        sqlx::query(
            "UPDATE action SET state = $2, outcome = $3, due = $4, ended = $5 WHERE id = $1",
        )
        .bind(id.0)
        .bind(progress.name())
        .bind(outcome)
        .bind(due)
        .bind(due.is_none().then_some(now))
        .execute(&mut *tx.conn)
        .await?;
        if due.is_none() {
            give_time(tx, (job, attempt), next).await?;
        }
        Ok(Recorded::Done(launched))
    }
}

/// Has an action done again that could not be done: at once, and with all its tries.
#[derive(Clone, Copy, Debug)]
pub struct RetryAction(pub PerformedActionId);

impl Change for RetryAction {
    type Output = ();

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        let id = self.0;
        let sql = format!(
            "UPDATE action SET state = '{}', due = $2, ended = NULL, tries = 0 \
             WHERE id = $1 AND state = '{}'",
            Progress::Pending,
            Progress::Failed
        );
        let again = sqlx::query(AssertSqlSafe(sql)).bind(id.0).bind(tx.now);
        if again.execute(&mut *tx.conn).await?.rows_affected() > 0 {
            return Ok(());
        }
        let state = sqlx::query_scalar::<_, String>("SELECT state FROM action WHERE id = $1")
            .bind(id.0)
            .fetch_optional(&mut *tx.conn)
            .await?
            .ok_or(StoreError::NotFound { what: "action of a job", id: id.0 })?;
        Err(StoreError::Refused(format!(
            "action {id} is {state}: only one that has failed is done again"
        )))
    }
}

/// Gives the next action of a job its time.
async fn give_time(
    tx: &mut Tx<'_>,
    (job, attempt): (JobId, i32),
    due: i64,
) -> Result<(), StoreError> {
    let sql = format!(
        "SELECT id FROM action WHERE job_id = $1 AND attempt = $2 AND state = '{}' \
         AND due IS NULL ORDER BY position, actionconfig_id LIMIT 1",
        Progress::Pending
    );
    let next: Option<i64> = sqlx::query_scalar(AssertSqlSafe(sql))
        .bind(job.0)
        .bind(i64::from(attempt))
        .fetch_optional(&mut *tx.conn)
        .await?;
    if let Some(next) = next {
        sqlx::query("UPDATE action SET due = $2 WHERE id = $1")
            .bind(next)
            .bind(due)
            .execute(&mut *tx.conn)
            .await?;
    }
    Ok(())
}
