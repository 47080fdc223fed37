//! Actions: what run templates have of them (`actionconfig`), and those of jobs that have
//! ended (`action`), which are an outbox first and the record of it then.

mod config;
mod effect;
mod outbox;
mod record;

use sqlx::{AssertSqlSafe, Row as _, any::AnyRow};

use super::{Page, Store, StoreError, jobs, variables};
use crate::{
    domain::{
        action::{Mode, Progress},
        environment::Given,
        ids::{ActionId, JobId, PerformedActionId, RunTemplateId},
    },
    vault::Vault,
};

pub use config::{CreateAction, DeleteAction, UpdateAction};
pub use effect::Effect;
pub use outbox::{ClaimActions, ClaimedAction, ReleaseActions};
pub(super) use outbox::{Ran, enqueue};
pub use record::{ActionFailure, RecordAction, Recorded};

/// An action of a run template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActionRow {
    /// Its id.
    pub id: ActionId,
    /// The run template and its name.
    pub run_template: (RunTemplateId, String),
    /// What kind it is of.
    pub kind: String,
    /// After which ends it follows.
    pub mode: Mode,
    /// Where it stands among the run template's actions: the lower is done first.
    pub position: i32,
    /// What it was told.
    pub settings: Given,
    /// When it was created.
    pub created: i64,
}

const COLUMNS: &str = "SELECT c.id, c.runtemplate_id, t.name, c.module, c.mode, c.position, \
     c.configuration, c.created FROM actionconfig c JOIN runtemplate t ON t.id = c.runtemplate_id";

fn action(row: &AnyRow, vault: &Vault) -> Result<ActionRow, StoreError> {
    Ok(ActionRow {
        id: ActionId(row.try_get(0)?),
        run_template: (RunTemplateId(row.try_get(1)?), row.try_get(2)?),
        kind: row.try_get(3)?,
        mode: row.try_get::<String, _>(4)?.parse().map_err(|error: String| jobs::decode(error))?,
        position: jobs::small(row, 5)?.unwrap_or_default(),
        settings: variables::from_json(&row.try_get::<String, _>(6)?, vault)?,
        created: row.try_get(7)?,
    })
}

/// An action of a job that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PerformedActionRow {
    /// Its id.
    pub id: PerformedActionId,
    /// The job, and the attempt after which it follows.
    pub job: (JobId, i32),
    /// The run template's action that it was; that may be gone or another by now.
    pub action: ActionId,
    /// What kind it is of.
    pub kind: String,
    /// What it is told.
    pub settings: Given,
    /// How far it is.
    pub progress: Progress,
    /// How many times it was begun.
    pub tries: i32,
    /// When it is due, if it is pending and does not wait for the one before it.
    pub due: Option<i64>,
    /// When it was begun first.
    pub started: Option<i64>,
    /// When it ended.
    pub ended: Option<i64>,
    /// What came of it, or of the last try.
    pub outcome: Option<String>,
}

const PERFORMED: &str = "SELECT id, job_id, attempt, actionconfig_id, module, configuration, state, \
     tries, due, started, ended, outcome FROM action";

fn performed(row: &AnyRow, vault: &Vault) -> Result<PerformedActionRow, StoreError> {
    let progress: Progress =
        row.try_get::<String, _>(6)?.parse().map_err(|error: String| jobs::decode(error))?;
    Ok(PerformedActionRow {
        id: PerformedActionId(row.try_get(0)?),
        job: (JobId(row.try_get(1)?), jobs::small(row, 2)?.unwrap_or_default()),
        action: ActionId(row.try_get(3)?),
        kind: row.try_get(4)?,
        settings: variables::from_json(&row.try_get::<String, _>(5)?, vault)?,
        progress,
        tries: jobs::small(row, 7)?.unwrap_or_default(),
        due: row.try_get::<Option<i64>, _>(8)?.filter(|_| progress == Progress::Pending),
        started: row.try_get(9)?,
        ended: row.try_get(10)?,
        outcome: row.try_get(11)?,
    })
}

impl Store {
    /// One action of a run template.
    pub async fn action(&self, id: ActionId) -> Result<ActionRow, StoreError> {
        let row = sqlx::query(AssertSqlSafe(format!("{COLUMNS} WHERE c.id = $1")))
            .bind(id.0)
            .fetch_optional(&self.readers)
            .await?
            .ok_or(StoreError::NotFound { what: "action", id: id.0 })?;
        action(&row, self.vault())
    }

    /// Actions of a run template or of all, by id.
    pub async fn actions(
        &self,
        of: Option<RunTemplateId>,
        page: Page,
    ) -> Result<Vec<ActionRow>, StoreError> {
        let sql = format!(
            "{COLUMNS} WHERE c.id > $1 AND ($2 = 0 OR c.runtemplate_id = $2) ORDER BY c.id LIMIT $3"
        );
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(page.after.unwrap_or(0))
            .bind(of.map_or(0, |id| id.0))
            .bind(page.size)
            .fetch_all(&self.readers)
            .await?;
        rows.iter().map(|row| action(row, self.vault())).collect()
    }

    /// All actions of an ended job, in their order.
    pub async fn actions_of_job(&self, job: JobId) -> Result<Vec<PerformedActionRow>, StoreError> {
        let sql =
            format!("{PERFORMED} WHERE job_id = $1 ORDER BY attempt, position, actionconfig_id");
        let rows = sqlx::query(AssertSqlSafe(sql)).bind(job.0).fetch_all(&self.readers).await?;
        rows.iter().map(|row| performed(row, self.vault())).collect()
    }

    /// Actions of an ended job or of all, in one state or in any: the newest first.
    pub async fn performed_actions(
        &self,
        (job, progress): (Option<JobId>, Option<Progress>),
        page: Page,
    ) -> Result<Vec<PerformedActionRow>, StoreError> {
        let of_job = job.map_or(String::new(), |job| format!("AND job_id = {job}"));
        let in_state = progress.map_or(String::new(), |state| format!("AND state = '{state}'"));
        let sql =
            format!("{PERFORMED} WHERE id < $1 {of_job} {in_state} ORDER BY id DESC LIMIT $2");
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(page.after.unwrap_or(i64::MAX))
            .bind(page.size)
            .fetch_all(&self.readers)
            .await?;
        rows.iter().map(|row| performed(row, self.vault())).collect()
    }
}
