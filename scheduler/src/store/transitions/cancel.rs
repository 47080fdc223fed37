//! Cancelling: at once while the job waits, by its agent once it is on one.

use sqlx::{AssertSqlSafe, Row as _};

use super::{
    admission::{self, LEAVES_LIMITS},
    ends::End,
    key, list,
};
use crate::{
    domain::{
        ids::{AgentId, AttemptKey, JobId},
        job::{State, Transition},
    },
    store::{
        Change, StoreError, Tx,
        decisions::{self, Decision},
    },
};

/// Cancels a job.
#[derive(Clone, Debug)]
pub struct CancelJob {
    /// The job.
    pub job: JobId,
    /// Who asks; empty if that is not known.
    pub by: String,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cancelled {
    /// It waited, and has ended. If it was on offer, this is the offer.
    Ended(Option<AttemptKey>),
    /// It is on this agent, which has to end it.
    OnAgent(AgentId, AttemptKey),
}

impl Change for CancelJob {
    type Output = Cancelled;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Cancelled, StoreError> {
        let id = self.job;
        let to = Transition::CancelWaiting.to();
        let sql = format!(
            "UPDATE job SET state = '{to}', ended = $1, held = NULL, {LEAVES_LIMITS} \
             WHERE id = $2 AND state IN {} RETURNING id, attempt, fence, runtemplate_id, retries",
            list(Transition::CancelWaiting.from())
        );
        let ended = sqlx::query(AssertSqlSafe(sql))
            .bind(tx.now)
            .bind(id.0)
            .fetch_optional(&mut *tx.conn)
            .await?;
        if let Some(row) = ended {
            let key = key(&row)?;
            // An attempt that was to be retried is the last one now.
            let ran = row.try_get::<i64, _>(4)? > 0;
            let ran = ran.then_some((key.job.0, key.number));
            tx.ends.push(End { template: row.try_get(3)?, state: to, ran });
            self.record(tx, 0, "while it waited").await?;
            let sql = format!(
                "UPDATE attempt SET state = '{to}', ended = $1 \
                 WHERE job_id = $2 AND number = $3 AND fence = $4 AND state = 'offered'"
            );
            let offers = sqlx::query(AssertSqlSafe(sql))
                .bind(tx.now)
                .bind(id.0)
                .bind(i64::from(key.number))
                .bind(key.fence.0)
                .execute(&mut *tx.conn)
                .await?;
            admission::admit_beside(tx, &[key]).await?;
            return Ok(Cancelled::Ended((offers.rows_affected() > 0).then_some(key)));
        }
        let sql = format!(
            "UPDATE job SET cancel_requested = COALESCE(cancel_requested, $1) \
             WHERE id = $2 AND state IN {} RETURNING id, attempt, fence",
            list(&[State::Running, State::Unreachable, State::Finishing])
        );
        let on_agent = sqlx::query(AssertSqlSafe(sql))
            .bind(tx.now)
            .bind(id.0)
            .fetch_optional(&mut *tx.conn)
            .await?;
        if let Some(row) = on_agent {
            let key = key(&row)?;
            self.record(tx, key.number, "its agent ends it").await?;
            let agent: i64 = sqlx::query_scalar(
                "SELECT agent_id FROM attempt WHERE job_id = $1 AND number = $2",
            )
            .bind(id.0)
            .bind(i64::from(key.number))
            .fetch_one(&mut *tx.conn)
            .await?;
            return Ok(Cancelled::OnAgent(AgentId(agent), key));
        }
        let row = sqlx::query("SELECT state FROM job WHERE id = $1")
            .bind(id.0)
            .fetch_optional(&mut *tx.conn)
            .await?
            .ok_or(StoreError::NotFound { what: "job", id: id.0 })?;
        let state: String = row.try_get(0)?;
        Err(StoreError::Refused(format!("job {id} has ended already: it is {state}")))
    }
}

impl CancelJob {
    async fn record(&self, tx: &mut Tx<'_>, attempt: i32, how: &str) -> Result<(), StoreError> {
        let by = if self.by.is_empty() { "somebody" } else { &self.by };
        let why = format!("asked by {by}; {how}");
        let what = "cancel".to_owned();
        decisions::record(tx, &[Decision { job: self.job, attempt, what, why }]).await
    }
}
