//! The list of commands.

use std::path::PathBuf;

use clap::Subcommand;

use super::ById;
use crate::commands::{
    actions, agents, applications, artifacts, companies, completion, contexts, credential_types,
    credentials, definitions, demo, dev, jobs, man, queue, resource::Delete, retention,
    run_templates, schedules, zabbix,
};

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
    /// Show what happens to jobs, as it happens
    #[command(name = "job:watch")]
    JobWatch(jobs::Watch),
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
    #[command(name = "queue:status", aliases = ["queue:overview", "job:status"])]
    QueueStatus,
    /// Queue every loaded job and wait until these and those that were due already have ended;
    /// exit 63 tells that some failed
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
    #[command(name = "company:delete", alias = "company:remove")]
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
    #[command(name = "credential:delete", mut_arg("cascade", |cascade| {
        cascade.help("Also if run templates use it: they go on without it")
    }))]
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
    #[command(name = "runtemplate:delete", visible_alias = "run-template:delete",
        mut_arg("cascade", |cascade| cascade.help("With its jobs, their output and artifacts, and what makes jobs of it")))]
    RunTemplateDelete(Delete),
    /// Let jobs be made of a run template again
    #[command(name = "runtemplate:enable", visible_alias = "run-template:enable")]
    RunTemplateEnable(ById),
    /// Let no more jobs be made of a run template; those that are there stay, and run
    #[command(name = "runtemplate:disable", visible_alias = "run-template:disable")]
    RunTemplateDisable(ById),
    /// Show how the newest runs of a run template went, with a small chart
    #[command(name = "runtemplate:stats", visible_alias = "run-template:stats")]
    RunTemplateStats(run_templates::Stats),
    /// Set when jobs of a run template start by themselves, or show it
    #[command(name = "runtemplate:schedule", visible_aliases = ["run-template:schedule", "schedule:set"])]
    RunTemplateSchedule(schedules::Set),
    /// List run templates whose jobs start by themselves
    #[command(name = "schedule:list")]
    ScheduleList(schedules::List),
    /// Show what a schedule will do: of a run template, or one that is only said
    #[command(name = "schedule:preview")]
    SchedulePreview(schedules::Preview),
    /// Show what became of the moments of a run template's schedule
    #[command(name = "schedule:history")]
    ScheduleHistory(schedules::History),
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
    /// Has actions of ended jobs done again that could not be done, were cancelled or wait for
    /// their next try: now, and with the settings that their action has now; action:list --state
    /// failed has their ids
    #[command(name = "action:retry")]
    ActionRetry(actions::Several),
    /// Leaves actions of ended jobs undone; action:list --state pending has their ids
    #[command(name = "action:cancel")]
    ActionCancel(actions::Several),
    /// List the kinds of actions, or show one with its settings
    #[command(name = "action:kinds")]
    ActionKinds(actions::Kinds),
    /// List agents
    #[command(name = "agent:list")]
    AgentList(agents::List),
    /// Show how far Zabbix has been told what happens, and what is in the way
    #[command(name = "zabbix:status")]
    ZabbixStatus,
    /// Send Zabbix a value, and say what it answers
    #[command(name = "zabbix:test")]
    ZabbixTest,
    /// Print what there is to be watched, as Zabbix's low-level discovery takes it
    #[command(name = "zabbix:lld")]
    ZabbixDiscovery(zabbix::Discovery),
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
