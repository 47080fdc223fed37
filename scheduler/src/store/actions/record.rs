//! What came of actions: recorded under the claim, with their effect, once.

use std::time::Duration;

use sqlx::{AssertSqlSafe, Row as _};

use super::{
    Effect,
    outbox::{ActionClaim, microseconds},
    put_off::WAITS,
};
use crate::{
    domain::{
        action::Progress,
        ids::{JobId, PerformedActionId},
    },
    store::{Change, StoreError, Tx, jobs},
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

/// How an action stands, which somebody wants to be otherwise.
struct Standing {
    job: JobId,
    attempt: i32,
    progress: Progress,
    /// When it is due; none if it waits for the one before it, or has ended.
    due: Option<i64>,
    /// What the action that it was of is told now, sealed; none if that is gone.
    settings: Option<String>,
}

/// Reads how an action stands; nobody else changes it until the transaction ends.
async fn standing(tx: &mut Tx<'_>, id: PerformedActionId) -> Result<Standing, StoreError> {
    let sql = format!(
        "SELECT job_id, attempt, state, due, (SELECT c.configuration FROM actionconfig c \
         WHERE c.id = action.actionconfig_id AND c.module = action.module \
         AND c.created <= action.created) FROM action WHERE id = $1 {}",
        tx.dialect.lock_rows()
    );
    let row = sqlx::query(AssertSqlSafe(sql)).bind(id.0).fetch_optional(&mut *tx.conn).await?;
    let row = row.ok_or(StoreError::NotFound { what: "action of a job", id: id.0 })?;
    Ok(Standing {
        job: JobId(row.try_get(0)?),
        attempt: jobs::small(&row, 1)?.unwrap_or_default(),
        progress: row.try_get::<String, _>(2)?.parse().map_err(|e: String| jobs::decode(e))?,
        due: row.try_get(3)?,
        settings: row.try_get(4)?,
    })
}

/// Has an action done that could not be done, was cancelled, or waits for its next try: at
/// once, with all its tries, and with what the action that it was of is told now.
#[derive(Clone, Copy, Debug)]
pub struct RetryAction(pub PerformedActionId);

impl Change for RetryAction {
    type Output = ();

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        let id = self.0;
        let Standing { job, progress, due, settings, .. } = standing(tx, id).await?;
        match (progress, due) {
            (Progress::Failed | Progress::Cancelled, _) | (Progress::Pending, Some(_)) => {}
            (Progress::Pending, None) => {
                return Err(StoreError::Refused(format!(
                    "action {id} of job {job} waits for the one before it: retry or cancel that one"
                )));
            }
            (Progress::Running | Progress::Succeeded, _) => {
                return Err(StoreError::Refused(format!(
                    "action {id} of job {job} is {progress}: only one that has failed, was \
                     cancelled or waits for its next try is done again"
                )));
            }
        }
        let sql = format!(
            "UPDATE action SET state = '{}', due = $2, ended = NULL, tries = 0, \
             configuration = COALESCE($3, configuration) WHERE id = $1",
            Progress::Pending
        );
        sqlx::query(AssertSqlSafe(sql))
            .bind(id.0)
            .bind(tx.now)
            .bind(settings)
            .execute(&mut *tx.conn)
            .await?;
        Ok(())
    }
}

/// Leaves an action undone that is still to be done; the one after it has its turn.
#[derive(Clone, Copy, Debug)]
pub struct CancelAction(pub PerformedActionId);

impl Change for CancelAction {
    type Output = ();

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        let id = self.0;
        let Standing { job, attempt, progress, due, .. } = standing(tx, id).await?;
        if progress != Progress::Pending {
            return Err(StoreError::Refused(format!(
                "action {id} of job {job} is {progress}: only one that is pending can be cancelled"
            )));
        }
        let sql = format!(
            "UPDATE action SET state = '{}', due = NULL, ended = $2, \
             outcome = COALESCE(CASE WHEN tries > 0 AND outcome NOT LIKE '{WAITS}%' \
             THEN 'cancelled; its last try: ' || outcome END, 'cancelled') \
             WHERE id = $1",
            Progress::Cancelled
        );
        sqlx::query(AssertSqlSafe(sql)).bind(id.0).bind(tx.now).execute(&mut *tx.conn).await?;
        // One that was waiting for another leaves it to that one.
        match due {
            Some(_) => give_time(tx, (job, attempt), tx.now).await,
            None => Ok(()),
        }
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
