//! Cancelling: at once while the job waits, by its agent once it is on one.

use sqlx::{AssertSqlSafe, Row as _};

use super::{key, list};
use crate::{
    domain::{
        ids::{AgentId, AttemptKey, JobId},
        job::{State, Transition},
    },
    store::{Change, StoreError, Tx},
};

/// Cancels a job.
#[derive(Clone, Copy, Debug)]
pub struct CancelJob(pub JobId);

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
        let id = self.0;
        let to = Transition::CancelWaiting.to();
        let sql = format!(
            "UPDATE job SET state = '{to}', ended = $1 WHERE id = $2 AND state IN {} \
             RETURNING id, attempt, fence",
            list(Transition::CancelWaiting.from())
        );
        let ended = sqlx::query(AssertSqlSafe(sql))
            .bind(tx.now)
            .bind(id.0)
            .fetch_optional(&mut *tx.conn)
            .await?;
        if let Some(row) = ended {
            let key = key(&row)?;
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
