//! Actions: what run templates have of them (`actionconfig`), and those of jobs that have
//! ended (`action`), which are an outbox first and the record of it then.

mod config;
mod effect;
mod outbox;
mod put_off;
mod record;
mod seal;

use sqlx::{AssertSqlSafe, Row as _, any::AnyRow};

use super::{Listed, Page, Store, StoreError, jobs, variables};
use crate::{
    domain::{
        action::{Mode, Owner, Progress},
        environment::Given,
        ids::{ActionId, CompanyId, JobId, PerformedActionId, RunTemplateId},
    },
    vault::Vault,
};

pub use config::{CreateAction, DeleteAction, UpdateAction};
pub use effect::{COMMAND, Effect};
pub use outbox::{ActionClaim, ClaimActions, ClaimedAction, KeepAction, ReleaseActions};
pub(super) use outbox::{Ran, companys_follows, enqueue};
pub use put_off::{PutOff, ResumeAction};
pub use record::{ActionFailure, CancelAction, RecordAction, Recorded, RetryAction};
pub use seal::{NextSettings, SealSettings, SecretSettings};

/// An action of a run template or of a company.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActionRow {
    /// Its id.
    pub id: ActionId,
    /// Whose it is, and that one's name.
    pub owner: (Owner, String),
    /// What kind it is of.
    pub kind: String,
    /// After which ends it follows.
    pub mode: Mode,
    /// Where it stands among its owner's actions: the lower is done first.
    pub position: i32,
    /// What it was told.
    pub settings: Given,
    /// When it was created.
    pub created: i64,
}

const COLUMNS: &str = "SELECT c.id, c.runtemplate_id, COALESCE(t.name, o.name), c.module, c.mode, \
     c.position, c.configuration, c.created, c.company_id FROM actionconfig c \
     LEFT JOIN runtemplate t ON t.id = c.runtemplate_id LEFT JOIN company o ON o.id = c.company_id";

fn action(row: &AnyRow, vault: &Vault) -> Result<ActionRow, StoreError> {
    let owner = match row.try_get::<Option<i64>, _>(8)? {
        Some(company) => Owner::Company(CompanyId(company)),
        None => Owner::RunTemplate(RunTemplateId(row.try_get(1)?)),
    };
    Ok(ActionRow {
        id: ActionId(row.try_get(0)?),
        owner: (owner, row.try_get(2)?),
        kind: row.try_get(3)?,
        mode: row.try_get::<String, _>(4)?.parse().map_err(jobs::decode)?,
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

/// Which actions of ended jobs are listed; all that is absent does not matter.
#[derive(Clone, Debug, Default)]
pub struct PerformedFilter {
    /// Those of this job.
    pub job: Option<JobId>,
    /// Those that are so far.
    pub progress: Option<Progress>,
    /// Those that follow jobs of this run template.
    pub run_template: Option<RunTemplateId>,
    /// Those that follow jobs of this company.
    pub company: Option<CompanyId>,
    /// Those of this kind.
    pub kind: Option<String>,
    /// Those whose job has ended since then.
    pub since: Option<i64>,
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
    /// One action of a run template or of a company.
    pub async fn action(&self, id: ActionId) -> Result<ActionRow, StoreError> {
        let row = sqlx::query(AssertSqlSafe(format!("{COLUMNS} WHERE c.id = $1")))
            .bind(id.0)
            .fetch_optional(&self.readers)
            .await?
            .ok_or(StoreError::NotFound { what: "action", id: id.0 })?;
        action(&row, self.vault())
    }

    /// Actions of one owner or of all, by id.
    pub async fn actions(
        &self,
        of: Option<Owner>,
        page: Page,
    ) -> Result<Listed<ActionRow>, StoreError> {
        let of = match of {
            None => String::new(),
            Some(Owner::RunTemplate(id)) => format!("AND c.runtemplate_id = {id}"),
            Some(Owner::Company(id)) => format!("AND c.company_id = {id}"),
        };
        let sql = format!("{COLUMNS} WHERE c.id > $1 {of} ORDER BY c.id LIMIT $2");
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(page.after.unwrap_or(0))
            .bind(page.size + 1)
            .fetch_all(&self.readers)
            .await?;
        let rows = rows.iter().map(|row| action(row, self.vault())).collect::<Result<_, _>>()?;
        Ok(Listed::of(rows, page.size, |row: &ActionRow| row.id.to_string()))
    }

    /// One action of an ended job.
    pub async fn performed_action(
        &self,
        id: PerformedActionId,
    ) -> Result<PerformedActionRow, StoreError> {
        let row = sqlx::query(AssertSqlSafe(format!("{PERFORMED} WHERE id = $1")))
            .bind(id.0)
            .fetch_optional(&self.readers)
            .await?
            .ok_or(StoreError::NotFound { what: "action of a job", id: id.0 })?;
        performed(&row, self.vault())
    }

    /// All actions of an ended job, in their order.
    pub async fn actions_of_job(&self, job: JobId) -> Result<Vec<PerformedActionRow>, StoreError> {
        let sql =
            format!("{PERFORMED} WHERE job_id = $1 ORDER BY attempt, position, actionconfig_id");
        let rows = sqlx::query(AssertSqlSafe(sql)).bind(job.0).fetch_all(&self.readers).await?;
        rows.iter().map(|row| performed(row, self.vault())).collect()
    }

    /// Actions of ended jobs, the newest first.
    pub async fn performed_actions(
        &self,
        which: &PerformedFilter,
        page: Page,
    ) -> Result<Listed<PerformedActionRow>, StoreError> {
        let PerformedFilter { job, progress, run_template, company, kind, since } = which;
        let conditions = [
            job.map(|job| format!("job_id = {job}")),
            progress.map(|state| format!("state = '{state}'")),
            run_template.map(|id| format!("runtemplate_id = {id}")),
            company.map(|id| {
                format!(
                    "runtemplate_id IN (SELECT t.id FROM runtemplate t WHERE t.company_id = {id})"
                )
            }),
            since.map(|since| format!("created >= {since}")),
            kind.as_ref().map(|_| "module = $3".to_owned()),
        ];
        let conditions: String =
            conditions.into_iter().flatten().map(|one| format!(" AND {one}")).collect();
        let sql = format!("{PERFORMED} WHERE id < $1{conditions} ORDER BY id DESC LIMIT $2");
        let mut query = sqlx::query(AssertSqlSafe(sql))
            .bind(page.after.unwrap_or(i64::MAX))
            .bind(page.size + 1);
        if let Some(kind) = kind {
            query = query.bind(kind.clone());
        }
        let rows = query.fetch_all(&self.readers).await?;
        let rows = rows.iter().map(|row| performed(row, self.vault())).collect::<Result<_, _>>()?;
        Ok(Listed::of(rows, page.size, |row: &PerformedActionRow| row.id.to_string()))
    }
}
