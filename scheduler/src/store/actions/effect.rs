//! What actions change here, in the transaction that records them: it happens once, or not.

use std::{sync::Arc, time::Duration};

use humantime::format_duration;
use sqlx::{AssertSqlSafe, Row as _};

use super::outbox::ActionClaim;
use crate::{
    domain::{
        application::{self, Definition},
        environment::Given,
        ids::{ApplicationId, CompanyId, JobId, RunTemplateId},
        job::{GRACE, LOST_AFTER, Overflow, State},
        retention::Keep,
        retry::RetryPolicy,
    },
    store::{
        Change as _, CreateJobs, CreateRunTemplate, NewJobs, NewRunTemplate, PutApplication, Start,
        StoreError, Tx, jobs,
    },
};

/// The variable that holds the command, a file.
pub const COMMAND: &str = "COMMAND";

/// The application whose jobs run commands of actions. No action of a company follows them.
pub(super) const COMMANDS: &str = "8d7b8a1e-6f0c-4a53-9b8e-3f1d2c5a7e60";

/// What the name of the run template of an action's commands begins with; the action's id
/// follows.
pub(super) const COMMANDS_OF: &str = "CustomCommand, action ";

/// Its name.
const NAME: &str = "CustomCommand";

/// What it says of itself.
const DEFINITION: &str = r#"{
    "$schema": "https://multiflexi.eu/schema/application.json",
    "uuid": "8d7b8a1e-6f0c-4a53-9b8e-3f1d2c5a7e60",
    "name": "CustomCommand",
    "description": "Runs the commands of actions",
    "executable": "sh",
    "cmdparamsTemplate": "{COMMAND}",
    "environment": {}
}"#;

/// What an action does to the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing: what it did, it did elsewhere, and this is what came of it.
    Nothing(String),
    /// A job of a run template of the same company is queued, with these variables.
    Launch(RunTemplateId, Given),
    /// A job of the same run template is queued, for so much later; none if one that was made so
    /// waits already.
    Again(Duration),
    /// A job is queued that runs a command, which is in the variable [`COMMAND`], for so long
    /// at most. Its run template is made if it is not there.
    Command(Duration, Given),
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
            Self::Launch(template, given) => {
                let job = launch(tx, of, new_job(*template, given.clone())).await?;
                applied.launched = Some(job);
                format!("launched job {job}")
            }
            Self::Again(delay) => match waiting(tx, of.run_template).await? {
                Some(job) => format!("job {job} waits already"),
                None => {
                    let new = NewJobs {
                        start: Start::After(*delay),
                        request_id: Some(again_of(of.run_template)),
                        ..new_job(of.run_template, Given::default())
                    };
                    let job = launch(tx, of, new).await?;
                    applied.launched = Some(job);
                    format!("launched job {job}, to be run in {}", format_duration(*delay))
                }
            },
            Self::Command(timeout, given) => {
                let template = command_template(tx, of, *timeout).await?;
                let job = launch(tx, of, new_job(template, given.clone())).await?;
                // Only now: what is refused has written nothing.
                sqlx::query("UPDATE runtemplate SET timeout_ms = $2 WHERE id = $1")
                    .bind(template.0)
                    .bind(i64::try_from(timeout.as_millis()).unwrap_or(i64::MAX))
                    .execute(&mut *tx.conn)
                    .await?;
                applied.launched = Some(job);
                format!("launched job {job}, which runs the command")
            }
            Self::Disable => {
                let template = of.run_template;
                sqlx::query(
                    "UPDATE runtemplate SET active = 0, next_schedule = NULL WHERE id = $1",
                )
                .bind(template.0)
                .execute(&mut *tx.conn)
                .await?;
                format!("run template {template} is inactive")
            }
            Self::Wait(time) => {
                applied.wait = *time;
                format!("the next action waits {}", format_duration(*time))
            }
        };
        Ok(applied)
    }
}

/// A job that is queued.
fn new_job(run_template: RunTemplateId, environment: Given) -> NewJobs {
    NewJobs {
        run_template,
        company: None,
        environment,
        count: 1,
        queue: true,
        start: Start::AtOnce,
        priority: None,
        request_id: None,
        by: String::new(),
        slot: None,
    }
}

async fn launch(tx: &mut Tx<'_>, of: &ActionClaim, new: NewJobs) -> Result<JobId, StoreError> {
    let by = format!("action {} of job {}", of.id, of.job);
    let missing = StoreError::NotFound { what: "run template", id: new.run_template.0 };
    CreateJobs(NewJobs { by, ..new }).apply(tx).await?.pop().ok_or(missing)
}

/// The request of the job that a run template is run again by: one at a time has this name.
fn again_of(template: RunTemplateId) -> String {
    format!("again: run template {template}")
}

/// The job that a run template will be run again by, if it waits; else its name is free for
/// the next. Whoever asks for the same waits until this transaction has ended.
async fn waiting(tx: &mut Tx<'_>, template: RunTemplateId) -> Result<Option<JobId>, StoreError> {
    jobs::lock_parents(tx, template).await?;
    let lock = format!("SELECT id FROM runtemplate WHERE id = $1 {}", tx.dialect.lock_rows());
    sqlx::query(AssertSqlSafe(lock)).bind(template.0).execute(&mut *tx.conn).await?;
    let known = sqlx::query("SELECT id, state FROM job WHERE request_id = $1")
        .bind(again_of(template))
        .fetch_optional(&mut *tx.conn)
        .await?;
    let Some(known) = known else { return Ok(None) };
    let id: i64 = known.try_get(0)?;
    if known.try_get::<String, _>(1)? == State::Queued.name() {
        return Ok(Some(JobId(id)));
    }
    let free = sqlx::query("UPDATE job SET request_id = NULL WHERE id = $1").bind(id);
    free.execute(&mut *tx.conn).await?;
    Ok(None)
}

/// The run template of an action's commands, made if it is not there.
async fn command_template(
    tx: &mut Tx<'_>,
    of: &ActionClaim,
    timeout: Duration,
) -> Result<RunTemplateId, StoreError> {
    let name = format!("{COMMANDS_OF}{}", of.action);
    let company = sqlx::query("SELECT company_id FROM job WHERE id = $1")
        .bind(of.job.0)
        .fetch_one(&mut *tx.conn)
        .await?
        .try_get(0)?;
    let known = sqlx::query(
        "SELECT t.id FROM runtemplate t JOIN apps a ON a.id = t.app_id \
         WHERE a.uuid = $1 AND t.company_id = $2 AND t.name = $3 ORDER BY t.id LIMIT 1",
    )
    .bind(COMMANDS)
    .bind(company)
    .bind(name.clone())
    .fetch_optional(&mut *tx.conn)
    .await?;
    if let Some(row) = known {
        return Ok(RunTemplateId(row.try_get(0)?));
    }
    let new = NewRunTemplate {
        name,
        application: commands(tx).await?,
        company: CompanyId(company),
        environment: Given::default(),
        timeout: Some(timeout),
        grace: GRACE,
        lost_after: LOST_AFTER,
        retry: RetryPolicy::default(),
        overflow: Overflow::default(),
        priority: 0,
        max_running: None,
        keep: Keep::default(),
    };
    CreateRunTemplate(new).apply(tx).await
}

/// The application that runs commands, made if it is not there.
async fn commands(tx: &mut Tx<'_>) -> Result<ApplicationId, StoreError> {
    let known = sqlx::query_scalar("SELECT id FROM apps WHERE uuid = $1").bind(COMMANDS);
    if let Some(id) = known.fetch_optional(&mut *tx.conn).await? {
        return Ok(ApplicationId(id));
    }
    let names: Vec<String> = sqlx::query_scalar("SELECT name FROM apps WHERE name LIKE $1")
        .bind(format!("{NAME}%"))
        .fetch_all(&mut *tx.conn)
        .await?;
    let definition = definition(&names)?;
    let put = PutApplication { id: None, definition: Arc::new(definition), replace: false };
    Ok(put.apply(tx).await?.id())
}

/// What the application that runs commands says of itself: it is known by its UUID, and has
/// another name where somebody has taken its own.
fn definition(taken: &[String]) -> Result<Definition, StoreError> {
    let numbered = (2..).map(|number| format!("{NAME} {number}"));
    let mut names = std::iter::once(NAME.to_owned()).chain(numbered);
    let free = names.find(|name| !taken.contains(name)).unwrap_or_default();
    let document = DEFINITION.replace(&format!("{NAME:?}"), &format!("{free:?}"));
    application::parse(&document).map_err(|error| StoreError::Invalid(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_runs_commands_is_an_application() {
        let named = |taken: &[&str]| {
            let taken: Vec<String> = taken.iter().map(|name| (*name).to_owned()).collect();
            definition(&taken).unwrap().name.main().to_owned()
        };
        assert_eq!(named(&["CustomCommands"]), "CustomCommand");
        assert_eq!(named(&["CustomCommand"]), "CustomCommand 2");
        assert_eq!(named(&["CustomCommand 2", "CustomCommand"]), "CustomCommand 3");
        let definition = definition(&[]).unwrap();
        assert_eq!(definition.uuid.as_deref(), Some(COMMANDS));
        assert_eq!(definition.cmdparams, format!("{{{COMMAND}}}"));
    }
}
