//! The commands, a file for each resource.

pub mod actions;
pub mod agents;
pub mod applications;
pub mod artifacts;
pub mod companies;
pub mod completion;
pub mod contexts;
pub mod credential_types;
pub mod credentials;
pub mod definitions;
pub mod demo;
pub mod describe;
pub mod dev;
pub mod jobs;
pub mod man;
pub mod queue;
pub mod resource;
pub mod retention;
pub mod run_templates;
pub mod schedules;
pub mod secrets;
mod variables;
mod waiting;
pub mod zabbix;

use std::{
    io::{self, IsTerminal as _},
    process::ExitCode,
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use multiflexi_program::counted;
use multiflexi_proto::v1::{Application, CredentialType};

use crate::{
    arguments::{Arguments, Command, Global, Paging},
    connect::Server,
    exit_code::Exit,
    failure::Failure,
    output::{List, Output},
};

/// Most rows of one page.
const MAX_PAGE: i32 = 1000;

/// Runs a command.
pub fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    let Arguments { global, command } = arguments;
    let done = |()| ExitCode::SUCCESS;
    global.color.choose();
    let output = Output::new(global.format, global.color, global.quiet, &global.fields);
    match command {
        Command::Supervisor { directory } => {
            multiflexi_agent::supervise(&directory)
                .map_err(|error| Failure::new(Exit::Internal, error.to_string()))?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Completion(completion) => completion.run(),
        Command::Describe => describe::run(),
        Command::Man(man) => man.run(),
        Command::Demo(demo) => demo.run(output),
        Command::Dev(dev) => dev.run(),
        Command::ContextList => contexts::list(output).map(done),
        Command::ContextShow(show) => show.run(&global, output).map(done),
        Command::ContextSet(by) => contexts::set(&by, &global, output).map(done),
        Command::ContextUse(by) => contexts::take(&by, output).map(done),
        Command::ContextDelete(by) => contexts::delete(&by, output).map(done),
        command => runtime()?.block_on(ask(&global, output, command)),
    }
}

/// The runtime of a command that asks a scheduler: one thread, made in no time.
pub fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Exit::Internal, error.to_string()))
}

async fn ask(global: &Global, output: Output, command: Command) -> Result<ExitCode, Failure> {
    let server = Server::connect(&global.scheduler()?).await?;
    match command {
        Command::JobRun(run) => return run.run(&server, output).await,
        Command::JobCancel(cancel) => cancel.run(&server, output).await?,
        Command::JobList(list) => list.run(&server, output).await?,
        Command::JobShow(by) => jobs::show(&server, output, by.id()).await?,
        Command::JobCreate(create) => create.run(&server, output).await?,
        Command::JobLogs(logs) => logs.run(&server, output).await?,
        Command::JobWatch(watch) => watch.run(&server, output).await?,
        Command::JobWhy(by) => jobs::why(&server, output, by.id()).await?,
        Command::JobScript(script) => script.run(&server).await?,
        Command::JobEnvFile(file) => file.run(&server).await?,
        Command::JobEnv(by) => jobs::env(&server, output, by.id()).await?,
        Command::JobVerify(by) => jobs::verify(&server, output, by.id()).await?,
        Command::JobDelete(delete) => delete.run(&server, output).await?,
        Command::ArtifactList(list) => list.run(&server, output).await?,
        Command::ArtifactShow(by) => artifacts::show(&server, output, by.id()).await?,
        Command::ArtifactGet(get) => get.run(&server, output).await?,
        Command::QueueStatus => queue::status(&server, output).await?,
        Command::QueuePause => queue::pause(&server, output).await?,
        Command::QueueResume => queue::resume(&server, output).await?,
        Command::QueueClear(clear) => clear.run(&server, output).await?,
        Command::QueueProcess(process) => process.run(&server, output).await?,
        Command::SecretRotateKey => secrets::rotate_key(&server, output).await?,
        Command::RetentionApply(apply) => apply.run(&server, output).await?,
        Command::ZabbixStatus => zabbix::status(&server, output).await?,
        Command::ZabbixTest => zabbix::test(&server, output).await?,
        Command::ZabbixDiscovery(discovery) => discovery.run(&server).await?,
        Command::CompanyList(list) => list.run(&server, output).await?,
        Command::CompanyShow(by) => companies::show(&server, output, by.id()).await?,
        Command::CompanyCreate(create) => create.run(&server, output).await?,
        Command::CompanyUpdate(update) => update.run(&server, output).await?,
        Command::CompanyDelete(delete) => companies::delete(&server, output, delete).await?,
        Command::CredentialTypeList(list) => list.run(&server, output).await?,
        Command::CredentialTypeShow(by) => {
            credential_types::show(&server, output, by.id()).await?;
        }
        Command::CredentialTypeImport(import) => {
            import.run::<CredentialType>(&server, output).await?;
        }
        Command::CredentialTypeExport(export) => {
            export.run::<CredentialType>(&server, output).await?;
        }
        Command::CredentialTypeValidate(validate) => {
            validate.run::<CredentialType>(&server, output).await?;
        }
        Command::CredentialTypeDelete(delete) => delete.run(&server, output).await?,
        Command::CredentialList(list) => list.run(&server, output).await?,
        Command::CredentialShow(by) => credentials::show(&server, output, by.id()).await?,
        Command::CredentialCreate(create) => create.run(&server, output).await?,
        Command::CredentialUpdate(update) => update.run(&server, output).await?,
        Command::CredentialDelete(delete) => {
            credentials::delete(&server, output, delete).await?;
        }
        Command::CredentialAssign(assign) => assign.run(&server, output, false).await?,
        Command::CredentialUnassign(assign) => assign.run(&server, output, true).await?,
        Command::ApplicationList(list) => list.run(&server, output).await?,
        Command::ApplicationShow(by) => applications::show(&server, output, by.id()).await?,
        Command::ApplicationCreate(create) => create.run(&server, output).await?,
        Command::ApplicationImport(import) => import.run::<Application>(&server, output).await?,
        Command::ApplicationExport(export) => export.run::<Application>(&server, output).await?,
        Command::ApplicationValidate(validate) => {
            validate.run::<Application>(&server, output).await?;
        }
        Command::ApplicationShowConfig(by) => {
            applications::show_config(&server, output, by.id()).await?;
        }
        Command::ApplicationUpdate(update) => update.run(&server, output).await?,
        Command::ApplicationDelete(delete) => {
            applications::delete(&server, output, delete).await?;
        }
        Command::RunTemplateList(list) => list.run(&server, output).await?,
        Command::RunTemplateShow(by) => run_templates::show(&server, output, by.id()).await?,
        Command::RunTemplateCreate(create) => create.run(&server, output).await?,
        Command::RunTemplateUpdate(update) => update.run(&server, output).await?,
        Command::RunTemplateDelete(delete) => {
            run_templates::delete(&server, output, delete).await?;
        }
        Command::RunTemplateStats(stats) => stats.run(&server, output).await?,
        Command::RunTemplateSchedule(set) => set.run(&server, output).await?,
        Command::ScheduleList(list) => list.run(&server, output).await?,
        Command::SchedulePreview(preview) => preview.run(&server, output).await?,
        Command::ScheduleHistory(history) => history.run(&server, output).await?,
        Command::RunTemplateEnable(by) => {
            run_templates::activate(&server, output, by.id(), true).await?;
        }
        Command::RunTemplateDisable(by) => {
            run_templates::activate(&server, output, by.id(), false).await?;
        }
        Command::ActionList(list) => list.run(&server, output).await?,
        Command::ActionShow(by) => actions::show(&server, output, by.id()).await?,
        Command::ActionCreate(create) => create.run(&server, output).await?,
        Command::ActionUpdate(update) => update.run(&server, output).await?,
        Command::ActionDelete(by) => actions::delete(&server, output, by.id()).await?,
        Command::ActionRetry(which) => {
            which.run(actions::Deed::Retry, &server, output).await?;
        }
        Command::ActionCancel(which) => {
            which.run(actions::Deed::Cancel, &server, output).await?;
        }
        Command::ActionKinds(kinds) => kinds.run(&server, output).await?,
        Command::AgentList(list) => list.run(&server, output).await?,
        Command::Demo(_)
        | Command::Dev(_)
        | Command::ContextList
        | Command::ContextShow(_)
        | Command::ContextSet(_)
        | Command::ContextUse(_)
        | Command::ContextDelete(_)
        | Command::Completion(_)
        | Command::Describe
        | Command::Man(_)
        | Command::Supervisor { .. } => {}
    }
    Ok(ExitCode::SUCCESS)
}

/// Fetches the pages of a list that are asked for. `fetch` gets page size and
/// token, and appends what it finds: it may be less, and there may be more.
async fn pages(
    paging: &Paging,
    mut fetch: impl AsyncFnMut(i32, String, &mut List) -> Result<(), Failure>,
) -> Result<List, Failure> {
    let mut list = List::default();
    let mut token = paging.page_token.clone();
    loop {
        let found = i32::try_from(list.values.len()).unwrap_or(i32::MAX);
        let size = if paging.all { MAX_PAGE } else { paging.limit - found };
        fetch(size, token, &mut list).await?;
        let is_full = !paging.all && list.values.len() as i64 >= i64::from(paging.limit);
        if is_full || list.next_page_token.is_empty() {
            return Ok(list);
        }
        token = std::mem::take(&mut list.next_page_token);
    }
}

/// A bar on stderr, if somebody sees it.
fn progress_bar(template: &str) -> ProgressBar {
    let target = if io::stderr().is_terminal() {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    };
    let bar = ProgressBar::with_draw_target(Some(0), target);
    let style = ProgressStyle::with_template(template);
    // The templates are constants that the tests draw.
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// Shows how far a removal is, and at its end how many jobs it removed, which it returns. `next`
/// waits for how many there are by now; none at the end.
async fn removal(
    output: Output,
    dry_run: bool,
    mut next: impl AsyncFnMut() -> Result<Option<i64>, tonic::Status>,
) -> Result<i64, Failure> {
    let bar = progress_bar("{spinner} {pos} jobs, {elapsed}");
    let mut removed = 0;
    while let Some(now) = next().await? {
        removed = now;
        bar.set_position(removed.unsigned_abs());
    }
    bar.finish_and_clear();
    let jobs = counted(removed, "job");
    let sentence =
        if dry_run { format!("{jobs} would be removed") } else { format!("removed {jobs}") };
    output.done(&serde_json::json!({ "removed": removed, "dry_run": dry_run }), &sentence)?;
    Ok(removed)
}

/// A limit, for people.
fn limit(most: Option<i32>) -> String {
    most.map_or_else(|| "no limit".to_owned(), |most| most.to_string())
}

/// What the scheduler answered without.
fn missing(what: &str) -> Failure {
    Failure::new(Exit::Internal, format!("the scheduler's answer has no {what}"))
}
