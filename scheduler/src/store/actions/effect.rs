//! What actions change here, in the transaction that records them: it happens once, or not.

use std::time::Duration;

use super::outbox::ActionClaim;
use crate::{
    domain::{
        environment::Given,
        ids::{JobId, RunTemplateId},
    },
    store::{Change as _, CreateJobs, NewJobs, Start, StoreError, Tx},
};

/// What an action does to the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing: what it did, it did elsewhere, and this is what came of it.
    Nothing(String),
    /// A job of a run template of the same company is queued, for now or for later.
    Launch(RunTemplateId, Duration),
    /// The job's run template is made inactive.
    Disable,
    /// The job's next action waits.
    Wait(Duration),
}

/// What came of an effect.
pub(super) struct Applied {
    /// In words.
    pub(super) outcome: String,
    /// The job that was launched.
    pub(super) launched: Option<JobId>,
    /// How long the job's next action waits.
    pub(super) wait: Duration,
}

impl Effect {
    pub(super) async fn apply(
        &self,
        tx: &mut Tx<'_>,
        of: &ActionClaim,
    ) -> Result<Applied, StoreError> {
        let mut applied = Applied { outcome: String::new(), launched: None, wait: Duration::ZERO };
        applied.outcome = match self {
            Self::Nothing(outcome) => outcome.clone(),
            Self::Launch(template, delay) => {
                let job = launch(tx, of, *template, *delay).await?;
                applied.launched = Some(job);
                match delay.as_secs() {
                    0 => format!("launched job {job}"),
                    seconds => format!("launched job {job}, to be run in {seconds} s"),
                }
            }
            Self::Disable => {
                let template = of.run_template;
                sqlx::query("UPDATE runtemplate SET active = 0 WHERE id = $1")
                    .bind(template.0)
                    .execute(&mut *tx.conn)
                    .await?;
                format!("run template {template} is inactive")
            }
            Self::Wait(time) => {
                applied.wait = *time;
                format!("the next action waits {} s", time.as_secs())
            }
        };
        Ok(applied)
    }
}

async fn launch(
    tx: &mut Tx<'_>,
    of: &ActionClaim,
    run_template: RunTemplateId,
    delay: Duration,
) -> Result<JobId, StoreError> {
    let new = NewJobs {
        run_template,
        company: None,
        environment: Given::default(),
        count: 1,
        queue: true,
        start: if delay.is_zero() { Start::AtOnce } else { Start::After(delay) },
        priority: None,
        request_id: None,
        by: format!("action {} of job {}", of.id, of.job),
    };
    let missing = StoreError::NotFound { what: "run template", id: run_template.0 };
    CreateJobs(new).apply(tx).await?.pop().ok_or(missing)
}
