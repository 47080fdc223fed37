//! The arguments that all commands share, and the list of commands.

use std::{
    collections::HashMap,
    ffi::OsStr,
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
    time::Duration,
};

use chrono::{DateTime, Local, NaiveDate, NaiveDateTime, TimeZone as _, Utc};
use clap::{Args, Parser, Subcommand};
use multiflexi_proto::v1::VariableFile;

use crate::{
    commands::{
        actions, agents, applications, artifacts, companies, completion, contexts,
        credential_types, credentials, definitions, demo, dev, jobs, man, queue, resource::Delete,
        retention, run_templates,
    },
    exit_code,
    failure::Failure,
    output::{Colours, Format},
};

/// Most bytes of a file that is given as a variable: what the scheduler takes.
const MAX_FILE: u64 = 4 * 1024 * 1024;

/// Runs companies' jobs on many hosts, live.
#[derive(Debug, Parser)]
#[command(name = "multiflexi-cli", version, about, after_help = exit_code::HELP)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub struct Arguments {
    /// What holds for all commands.
    #[command(flatten)]
    pub global: Global,
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// What holds for all commands.
#[derive(Debug, Args)]
pub struct Global {
    /// The scheduler [default: what --context, MULTIFLEXI_SERVER, MULTIFLEXI_CONTEXT or
    /// context:use names, in this order; else http://127.0.0.1:7780]. Of several with commas
    /// between, which share one database, the first that is there is asked
    #[arg(long, value_name = "URL", global = true)]
    pub server: Option<String>,
    /// The scheduler of this context: context:list shows all
    #[arg(long, value_name = "NAME", global = true)]
    pub context: Option<String>,
    /// How results are printed
    #[arg(short, long, default_value = "text", value_name = "FORMAT", global = true)]
    pub format: Format,
    /// Reads variables from this file, besides /etc/multiflexi/.env
    #[arg(long, value_name = "FILE", global = true)]
    pub environment: Option<PathBuf>,
    /// Print ids and nothing else
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Print these fields only, in this order, by their names in JSON
    #[arg(long, value_name = "NAME,…", value_delimiter = ',', global = true)]
    pub fields: Vec<String>,
    /// When to use colours; NO_COLOR turns them off too
    #[arg(long, default_value = "auto", value_name = "WHEN", global = true)]
    pub color: Colours,
}

impl Global {
    /// The scheduler that is asked.
    pub fn scheduler(&self) -> Result<String, Failure> {
        Ok(crate::contexts::choose(self.server.as_deref(), self.context.as_deref())?.server)
    }
}

/// A command.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a small job through its whole life, on a scheduler and an agent of its own
    Demo(demo::Demo),
    /// Run a scheduler and an agent on this host until SIGTERM, for trying things out
    Dev(dev::Dev),
    /// List jobs, newest first
    #[command(name = "job:list")]
    JobList(jobs::List),
    /// Show a job and its attempts
    #[command(name = "job:show", visible_alias = "job:get")]
    JobShow(ById),
    /// Create jobs of a run template
    #[command(name = "job:create")]
    JobCreate(jobs::Create),
    /// Run a job at once, show its output live, and exit with its exit code
    #[command(name = "job:run")]
    JobRun(jobs::Run),
    /// Show the output of a job
    #[command(name = "job:logs")]
    JobLogs(jobs::Logs),
    /// Cancel a job: SIGTERM, its grace period, then its whole process tree is killed
    #[command(name = "job:cancel")]
    JobCancel(jobs::Cancel),
    /// Explain why a job is where it is, and what led there
    #[command(name = "job:why")]
    JobWhy(ById),
    /// Write a shell script that runs a job where no agent is
    #[command(name = "job:script")]
    JobScript(jobs::Script),
    /// Write the variables of a job's process as a file
    #[command(name = "job:env-file")]
    JobEnvFile(jobs::EnvFile),
    /// Show the variables of a job's process, and who gives each
    #[command(name = "job:env")]
    JobEnv(ById),
    /// Check that what is stored of a job is what was stored
    #[command(name = "job:verify")]
    JobVerify(ById),
    /// Delete jobs with their output and artifacts: those named, or those that are said
    #[command(name = "job:delete")]
    JobDelete(jobs::Delete),
    /// List artifacts: of a job, or the newest of all
    #[command(name = "artifact:list")]
    ArtifactList(artifacts::List),
    /// Show what is known of an artifact
    #[command(name = "artifact:show")]
    ArtifactShow(ById),
    /// Download an artifact
    #[command(name = "artifact:get", visible_alias = "artifact:save")]
    ArtifactGet(artifacts::Get),
    /// Show how full the queue is
    #[command(name = "queue:status")]
    QueueStatus,
    /// Queue every loaded job and wait until these have ended; exit 63 tells that some failed
    #[command(name = "queue:process")]
    QueueProcess(queue::Process),
    /// Stop offering jobs to agents; what is on an agent goes on
    #[command(name = "queue:pause")]
    QueuePause,
    /// Let a paused queue go on
    #[command(name = "queue:resume")]
    QueueResume,
    /// Remove jobs that have failed, with their output and artifacts
    #[command(name = "queue:clear")]
    QueueClear(queue::Clear),
    /// Seal all secrets with a new key, and forget the one before
    #[command(name = "secret:rotate-key")]
    SecretRotateKey,
    /// Remove ended jobs beyond what their run templates keep, as happens every hour
    #[command(name = "retention:apply")]
    RetentionApply(retention::Apply),
    /// List companies
    #[command(name = "company:list")]
    CompanyList(companies::List),
    /// Show a company
    #[command(name = "company:show", visible_alias = "company:get")]
    CompanyShow(ById),
    /// Create a company
    #[command(name = "company:create")]
    CompanyCreate(companies::Create),
    /// Change a company
    #[command(name = "company:update")]
    CompanyUpdate(companies::Update),
    /// Delete a company
    #[command(name = "company:delete")]
    CompanyDelete(Delete),
    /// List types of credentials
    #[command(name = "credential-type:list", visible_alias = "credential-prototype:list")]
    CredentialTypeList(credential_types::List),
    /// Show a type of credentials, with its variables
    #[command(name = "credential-type:show", visible_alias = "credential-type:get")]
    CredentialTypeShow(ById),
    /// Import types of credentials from their definitions
    #[command(
        name = "credential-type:import-json",
        visible_aliases = ["credential-type:import", "credential-prototype:import-json"]
    )]
    CredentialTypeImport(definitions::Import),
    /// Export the definition of a type of credentials
    #[command(name = "credential-type:export-json")]
    CredentialTypeExport(definitions::Export),
    /// Say all that is wrong with definitions of types of credentials
    #[command(name = "credential-type:validate-json")]
    CredentialTypeValidate(definitions::Validate),
    /// Delete a type of credentials of which there is no credential
    #[command(name = "credential-type:delete")]
    CredentialTypeDelete(credential_types::Delete),
    /// List credentials, without their values
    #[command(name = "credential:list")]
    CredentialList(credentials::List),
    /// Show a credential, without its values
    #[command(name = "credential:show", visible_alias = "credential:get")]
    CredentialShow(ById),
    /// Create a credential of a company: variables that are all secret
    #[command(name = "credential:create")]
    CredentialCreate(credentials::Create),
    /// Change a credential
    #[command(name = "credential:update")]
    CredentialUpdate(credentials::Update),
    /// Delete a credential
    #[command(name = "credential:delete")]
    CredentialDelete(Delete),
    /// Let a run template use a credential of its company
    #[command(name = "credential:assign")]
    CredentialAssign(credentials::Assign),
    /// Take a credential from a run template
    #[command(name = "credential:unassign")]
    CredentialUnassign(credentials::Assign),
    /// List applications
    #[command(name = "application:list")]
    ApplicationList(applications::List),
    /// Import applications from their definitions
    #[command(name = "application:import-json")]
    ApplicationImport(definitions::Import),
    /// Export the definition of an application
    #[command(name = "application:export-json")]
    ApplicationExport(definitions::Export),
    /// Say all that is wrong with definitions of applications
    #[command(name = "application:validate-json")]
    ApplicationValidate(definitions::Validate),
    /// Show the variables that an application takes
    #[command(name = "application:show-config")]
    ApplicationShowConfig(ById),
    /// Change an application
    #[command(name = "application:update")]
    ApplicationUpdate(applications::Update),
    /// Delete an application
    #[command(name = "application:delete")]
    ApplicationDelete(Delete),
    /// Show an application
    #[command(name = "application:show", visible_alias = "application:get")]
    ApplicationShow(ById),
    /// Create an application
    #[command(name = "application:create")]
    ApplicationCreate(applications::Create),
    /// List run templates
    #[command(name = "runtemplate:list", visible_alias = "run-template:list")]
    RunTemplateList(run_templates::List),
    /// Show a run template
    #[command(name = "runtemplate:show", visible_aliases = ["run-template:show", "run-template:get"])]
    RunTemplateShow(ById),
    /// Create a run template: an application as it is configured for a company
    #[command(name = "runtemplate:create", visible_alias = "run-template:create")]
    RunTemplateCreate(run_templates::Create),
    /// Change a run template
    #[command(name = "runtemplate:update", visible_alias = "run-template:update")]
    RunTemplateUpdate(run_templates::Update),
    /// Delete a run template
    #[command(name = "runtemplate:delete", visible_alias = "run-template:delete")]
    RunTemplateDelete(Delete),
    /// Let jobs be made of a run template again
    #[command(name = "runtemplate:enable", visible_alias = "run-template:enable")]
    RunTemplateEnable(ById),
    /// Let no more jobs be made of a run template; those that are there stay, and run
    #[command(name = "runtemplate:disable", visible_alias = "run-template:disable")]
    RunTemplateDisable(ById),
    /// List what follows the ends of jobs: as run templates have it, or of a job, with what
    /// came of it
    #[command(name = "action:list")]
    ActionList(actions::List),
    /// Show an action of a run template
    #[command(name = "action:show", visible_alias = "action:get")]
    ActionShow(ById),
    /// Let an action follow the ends of a run template's jobs
    #[command(name = "action:create")]
    ActionCreate(actions::Create),
    /// Change an action
    #[command(name = "action:update")]
    ActionUpdate(actions::Update),
    /// Delete an action
    #[command(name = "action:delete")]
    ActionDelete(ById),
    /// List the kinds of actions, with their settings
    #[command(name = "action:kinds")]
    ActionKinds,
    /// List agents
    #[command(name = "agent:list")]
    AgentList(agents::List),
    /// List contexts: schedulers under names of your own
    #[command(name = "context:list")]
    ContextList,
    /// Show a context, or which scheduler commands ask now
    #[command(name = "context:show", visible_alias = "context:get")]
    ContextShow(contexts::Show),
    /// Create a context for the scheduler that --server names, or change it
    #[command(name = "context:set")]
    ContextSet(contexts::ByName),
    /// Make a context the one in use: commands ask its scheduler from now on
    #[command(name = "context:use")]
    ContextUse(contexts::ByName),
    /// Delete a context
    #[command(name = "context:delete")]
    ContextDelete(contexts::ByName),
    /// Print a completion script for a shell
    Completion(completion::Completion),
    /// Print all commands with their arguments as JSON
    Describe,
    /// Write the manual pages
    Man(man::Man),
    /// Keeps the processes of jobs; `dev` and `demo` start it
    #[command(hide = true)]
    Supervisor {
        /// The agent's folder
        #[arg(long)]
        directory: PathBuf,
    },
}

/// Names one thing.
#[derive(Debug, Args)]
pub struct ById {
    /// Its id
    #[arg(value_parser = id, required_unless_present = "named", value_name = "ID")]
    id: Option<i64>,
    /// Its id, as the PHP MultiFlexi's command line has it
    #[arg(
        long = "id",
        id = "named",
        value_parser = id,
        conflicts_with = "id",
        value_name = "ID",
        hide = true
    )]
    named: Option<i64>,
}

impl ById {
    /// The id.
    pub fn id(&self) -> i64 {
        self.id.or(self.named).unwrap_or_default()
    }
}

/// Which part of a list is shown.
#[derive(Clone, Debug, Args)]
pub struct Paging {
    /// Most rows to show
    #[arg(
        long,
        default_value_t = 50,
        value_name = "N",
        value_parser = clap::value_parser!(i32).range(1..=1000)
    )]
    pub limit: i32,
    /// Goes on where another list ended: its `next_page_token`
    #[arg(long, default_value = "", value_name = "TOKEN", hide_default_value = true)]
    pub page_token: String,
    /// Show all rows
    #[arg(long, conflicts_with_all = ["limit", "page_token"])]
    pub all: bool,
}

/// How a list is sorted, and which part of it is shown.
#[derive(Clone, Debug, Args)]
pub struct Sorted {
    /// What they are sorted by: id, name or created; "id desc" begins with the newest
    /// [default: id]
    #[arg(long, value_name = "ORDER", default_value = "", hide_default_value = true)]
    pub order: String,
    /// Which part.
    #[command(flatten)]
    pub paging: Paging,
}

/// Reads an id.
pub fn id(text: &str) -> Result<i64, String> {
    match text.parse::<i64>() {
        Ok(id) if id > 0 => Ok(id),
        _ => Err("an id is a whole number from 1 on".to_owned()),
    }
}

/// Reads a variable.
pub fn variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("a variable looks like NAME=VALUE".to_owned()),
    }
}

/// Variables that a command sets.
#[derive(Debug, Args)]
pub struct Environment {
    /// A variable for the process; may be given again
    #[arg(long, value_parser = variable, value_name = "NAME=VALUE")]
    env: Vec<(String, String)>,
    /// A variable whose value is never shown and stored encrypted; with the name alone its
    /// value is taken from this command's own environment, where nobody else sees it
    #[arg(long, value_parser = secret, value_name = "NAME[=VALUE]")]
    secret: Vec<(String, String)>,
    /// A file for the process: its content is stored now, the agent writes it for the job's
    /// user alone, and the variable holds the path; may be given again
    #[arg(long, value_parser = file, value_name = "NAME=FILE")]
    file: Vec<VariableFile>,
    /// The same, stored encrypted and masked in the output
    #[arg(long, value_parser = file, value_name = "NAME=FILE")]
    secret_file: Vec<VariableFile>,
}

/// Variables as the protocol has them.
pub struct Given {
    /// Those that are texts.
    pub values: HashMap<String, String>,
    /// The names of texts that are secret.
    pub secrets: Vec<String>,
    /// Those that are files.
    pub files: Vec<VariableFile>,
}

impl Environment {
    /// What was given.
    pub fn given(self) -> Given {
        let secrets = self.secret.iter().map(|(name, _)| name.clone()).collect();
        let values = self.env.into_iter().chain(self.secret).collect();
        let hidden = self.secret_file.into_iter();
        let hidden = hidden.map(|file| VariableFile { secret: true, ..file });
        Given { values, secrets, files: self.file.into_iter().chain(hidden).collect() }
    }
}

/// Reads a file that is given as a variable.
fn file(text: &str) -> Result<VariableFile, String> {
    let (name, path) = text
        .split_once('=')
        .filter(|(name, path)| !name.is_empty() && !path.is_empty())
        .ok_or_else(|| "a file looks like NAME=FILE".to_owned())?;
    let path = Path::new(path);
    let shown = path.display();
    let file_name = path.file_name().and_then(OsStr::to_str);
    let file_name = file_name.ok_or_else(|| format!("{shown} has no name that is UTF-8 text"))?;
    let unreadable = |error: io::Error| format!("{shown} cannot be read: {error}");
    let file = File::open(path).map_err(unreadable)?;
    let mut content = Vec::new();
    file.take(MAX_FILE + 1).read_to_end(&mut content).map_err(unreadable)?;
    if content.len() as u64 > MAX_FILE {
        return Err(format!("{shown} is larger than {} MiB, which is too large", MAX_FILE >> 20));
    }
    Ok(VariableFile {
        name: name.to_owned(),
        file_name: file_name.to_owned(),
        content,
        ..VariableFile::default()
    })
}

/// Reads a secret variable: without a value it is one of our own.
fn secret(text: &str) -> Result<(String, String), String> {
    if text.contains('=') {
        return variable(text);
    }
    match std::env::var(text) {
        Ok(value) => Ok((text.to_owned(), value)),
        Err(_) => Err(format!("there is no variable {text} in this command's environment")),
    }
}

/// Reads a time: RFC 3339, or a local date with or without a time.
pub fn time(text: &str) -> Result<DateTime<Utc>, String> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Ok(time.to_utc());
    }
    let formats =
        ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M"];
    let local = formats.iter().find_map(|format| NaiveDateTime::parse_from_str(text, format).ok());
    let midnight = || NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0);
    local
        .or_else(midnight)
        .and_then(|time| Local.from_local_datetime(&time).earliest())
        .map(|time| time.to_utc())
        .ok_or_else(|| {
            "a time looks like 2026-01-31, \"2026-01-31 13:00\" or 2026-01-31T13:00:00Z".to_owned()
        })
}

/// Reads a time, or how long ago it was.
pub fn since(text: &str) -> Result<DateTime<Utc>, String> {
    if let Ok(ago) = duration(text) {
        let then = std::time::SystemTime::now().checked_sub(ago);
        return then.map(Into::into).ok_or_else(|| "that is too long ago".to_owned());
    }
    time(text).map_err(|error| format!("{error}, or 5m (ago)"))
}

/// A time as the protocol has it.
pub fn timestamp(time: DateTime<Utc>) -> prost_types::Timestamp {
    let nanos = i32::try_from(time.timestamp_subsec_nanos()).unwrap_or_default();
    prost_types::Timestamp { seconds: time.timestamp(), nanos }
}

/// Reads a duration.
pub fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text)
        .map_err(|error| format!("{error}; a duration looks like 30s, 5m or 1h 30m"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    fn parse(words: &[&str]) -> Result<Arguments, clap::Error> {
        Arguments::try_parse_from(["multiflexi-cli"].iter().chain(words))
    }

    #[test]
    fn the_definition_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn globals_stand_before_or_after_the_command() {
        for words in [
            ["-f", "json", "--server", "http://h:1", "job:show", "5"],
            ["job:show", "5", "-f", "json", "--server", "http://h:1"],
        ] {
            let arguments = parse(&words).unwrap();
            assert_eq!(arguments.global.server.as_deref(), Some("http://h:1"));
            assert!(matches!(arguments.global.format, Format::Json));
            assert!(matches!(arguments.command, Command::JobShow(by) if by.id() == 5));
        }
    }

    #[test]
    fn the_names_of_the_php_command_line_are_taken() {
        assert!(matches!(parse(&["job:get", "--id", "5"]).unwrap().command,
            Command::JobShow(by) if by.id() == 5));
        parse(&["run-template:list"]).unwrap();
        parse(&["job:create", "--runtemplate_id", "1", "--company_id", "2"]).unwrap();
        parse(&["run-template:create", "--name", "n", "--app_id", "1", "--company_id", "2"])
            .unwrap();
        parse(&["artifact:save", "--id", "1", "--file", "f"]).unwrap();
    }

    #[test]
    fn what_is_no_id_is_refused() {
        for bad in ["0", "-1", "x", "", "1.5", "99999999999999999999"] {
            assert!(parse(&["job:show", bad]).is_err(), "{bad:?}");
        }
        assert!(parse(&["job:show"]).is_err());
    }

    #[test]
    fn times_can_be_said_in_many_ways() {
        let time = since("2026-01-31T13:00:00Z").unwrap();
        assert_eq!(time.timestamp(), 1_769_864_400);
        assert_eq!(since("2026-01-31T14:00:00+01:00").unwrap(), time);
        assert!(since("2026-01-31").is_ok() && since("2026-01-31 13:00").is_ok());
        let then = since("5m").unwrap();
        let ago = Utc::now() - then;
        assert!((300..310).contains(&ago.num_seconds()), "{ago}");
        assert!(since("yesterday").is_err());
    }

    #[test]
    fn variables_may_hold_anything_after_the_first_equals_sign() {
        assert_eq!(variable("A=b=c\n"), Ok(("A".to_owned(), "b=c\n".to_owned())));
        assert_eq!(variable("A="), Ok(("A".to_owned(), String::new())));
        assert!(variable("A").is_err());
        assert!(variable("=b").is_err());
    }
}
