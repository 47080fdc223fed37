//! What may stand where an argument names something of the scheduler's: its newest, asked
//! for in a moment or not at all.

use std::{
    ffi::{OsStr, OsString},
    sync::Arc,
    time::Duration,
};

use clap::{Arg, Command};
use clap_complete::{ArgValueCompleter, CompletionCandidate};
use multiflexi_program::environment_files;
use multiflexi_proto::v1::{
    JobState, ListActionKindsRequest, ListActionsRequest, ListAgentsRequest,
    ListApplicationsRequest, ListArtifactsRequest, ListCompaniesRequest,
    ListCredentialTypesRequest, ListCredentialsRequest, ListJobsRequest,
    ListPerformedActionsRequest, ListRunTemplatesRequest, PerformedActionState,
};

use super::names::Line;
use crate::{
    commands::runtime,
    connect::Server,
    contexts::{self, Contexts},
    failure::Failure,
};

/// How long the scheduler may take.
const DEADLINE: Duration = Duration::from_millis(300);

/// Most that are offered.
const MOST: usize = 50;

/// How many are looked through for those that begin with what is written.
const SEARCHED: i32 = 1000;

/// Longest description, in characters.
const LONGEST: usize = 60;

/// A value, and what it is.
pub type Found = (String, String);

/// What an argument names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Action,
    /// An action of an ended job that could not be done.
    FailedAction,
    /// An action of a job that is still to be done.
    PendingAction,
    /// The name of a kind of actions.
    SortOfAction,
    Agent,
    Application,
    Artifact,
    Company,
    Context,
    Credential,
    CredentialType,
    /// The code of a type of credentials.
    CredentialTypeCode,
    /// A variable that the application declares.
    Declared,
    /// A field of what the command prints.
    Field,
    Job,
    /// What a list is sorted by.
    Order,
    RunTemplate,
    /// A job that can be cancelled.
    UnendedJob,
    /// A variable that something has.
    Variable,
}

impl Kind {
    /// What an argument of a command names. The id that a command takes is of its own
    /// resource; options have the same name in all commands.
    fn of(command: &str, argument: &str) -> Option<Self> {
        let resource = match argument {
            "id" | "named" => command.split_once(':')?.0,
            "name" if command.starts_with("context:") => "context",
            other => other,
        };
        Some(match resource {
            "job" if command == "job:cancel" => Self::UnendedJob,
            "job" => Self::Job,
            "runtemplate" | "template" | "schedule" => Self::RunTemplate,
            "artifact" => Self::Artifact,
            "company" => Self::Company,
            "application" | "app" => Self::Application,
            "context" => Self::Context,
            "credential" => Self::Credential,
            "credential-type" => Self::CredentialType,
            "type" if command.starts_with("credential:") => Self::CredentialTypeCode,
            "action" if command == "action:retry" => Self::FailedAction,
            "action" if command == "action:cancel" => Self::PendingAction,
            "action" => Self::Action,
            "kind" if command.starts_with("action:") => Self::SortOfAction,
            "agent" => Self::Agent,
            "fields" => Self::Field,
            "order" => Self::Order,
            "unset" => Self::Variable,
            "env" | "secret" if command == "job:create" || command.starts_with("runtemplate:") => {
                Self::Declared
            }
            _ => return None,
        })
    }
}

/// Attaches to a command line what its arguments may be. Where something else than an
/// option can stand, options are offered only to a word that begins one.
pub fn attach(all: Command, current: &OsStr, words: Vec<OsString>) -> Command {
    let is_option = current.to_string_lossy().starts_with('-');
    let words = Arc::new(words);
    let attach = |command: Command| {
        let name = command.get_name().to_owned();
        without_options(command, is_option).mut_args(|argument| {
            let Some(kind) = Kind::of(&name, argument.get_id().as_str()) else { return argument };
            let words = Arc::clone(&words);
            let find = move |current: &OsStr| offered(kind, &words, &current.to_string_lossy());
            argument.add(ArgValueCompleter::new(find))
        })
    };
    attach(all).mut_subcommands(attach)
}

fn without_options(command: Command, is_option: bool) -> Command {
    if is_option || !(command.has_subcommands() || command.get_positionals().next().is_some()) {
        return command;
    }
    let hide = |argument: Arg| {
        let is_option = !argument.is_positional();
        if is_option { argument.hide(true) } else { argument }
    };
    command.disable_help_flag(true).disable_version_flag(true).mut_args(hide)
}

/// What begins with `prefix`, newest first; nothing if no scheduler says it in time.
fn offered(kind: Kind, words: &[OsString], prefix: &str) -> Vec<CompletionCandidate> {
    let found = ask(kind, words, prefix).unwrap_or_default();
    let matching = found.into_iter().filter(|(value, _)| value.starts_with(prefix));
    let candidate = |(value, description): Found| {
        let help = Some(description).filter(|description| !description.is_empty());
        CompletionCandidate::new(value).help(help.map(|help| in_short(&help).into()))
    };
    matching.take(MOST).map(candidate).collect()
}

fn ask(kind: Kind, words: &[OsString], prefix: &str) -> Option<Vec<Found>> {
    if kind == Kind::Context {
        let contexts = Contexts::read().ok()?;
        return Some(contexts.all().map(|(name, url)| (name.to_owned(), url.to_owned())).collect());
    }
    let line = Line::read(words)?;
    match kind {
        Kind::Field => return Some(line.fields()),
        Kind::Order => return Some(line.orders()),
        _ => {}
    }
    let url = scheduler(words)?;
    let runtime = runtime().ok()?;
    let found = runtime.block_on(async {
        let asked = async {
            let server = Server::connect(&url).await?;
            match kind {
                Kind::Variable => line.variables(&server).await,
                Kind::Declared => line.declared(&server).await,
                _ => find(kind, &server, prefix.is_empty()).await,
            }
        };
        tokio::time::timeout(DEADLINE, asked).await
    });
    // A host whose name is still being looked up is not waited for.
    runtime.shutdown_background();
    found.ok()?.ok()
}

/// The scheduler that the line would ask.
fn scheduler(words: &[OsString]) -> Option<String> {
    let option = |name| environment_files::option(words.iter().cloned(), name);
    let (server, context) = (option("--server"), option("--context"));
    let text = |value: &Option<OsString>| Some(value.as_ref()?.to_string_lossy().into_owned());
    Some(contexts::choose(text(&server).as_deref(), text(&context).as_deref()).ok()?.server)
}

/// Asks for the newest: a few if all match.
async fn find(kind: Kind, server: &Server, all: bool) -> Result<Vec<Found>, Failure> {
    let page_size = if all { MOST as i32 } else { SEARCHED };
    let order_by = "id desc".to_owned();
    Ok(match kind {
        Kind::Job | Kind::UnendedJob => {
            let states = if kind == Kind::Job { &[][..] } else { &UNENDED };
            let states = states.iter().map(|state| (*state).into()).collect();
            let request = ListJobsRequest { page_size, states, ..ListJobsRequest::default() };
            let jobs = server.jobs().list_jobs(request).await?.into_inner().jobs;
            let found = jobs.into_iter().map(|job| {
                let description = format!("{}, {}", job.state().name(), job.run_template_name);
                (job.id.to_string(), description)
            });
            found.collect()
        }
        Kind::Artifact => {
            let request = ListArtifactsRequest { page_size, ..ListArtifactsRequest::default() };
            let found = server.artifacts().list_artifacts(request).await?.into_inner().artifacts;
            let found = found
                .into_iter()
                .map(|one| (one.id.to_string(), format!("{}, job {}", one.filename, one.job_id)));
            found.collect()
        }
        Kind::RunTemplate => {
            let request = ListRunTemplatesRequest {
                page_size,
                order_by,
                ..ListRunTemplatesRequest::default()
            };
            let answer = server.run_templates().list_run_templates(request).await?.into_inner();
            let describe = |name: String, company: &str| format!("{name}, {company}");
            let found = answer.run_templates.into_iter();
            found.map(|one| (one.id.to_string(), describe(one.name, &one.company_name))).collect()
        }
        Kind::Company => {
            let request =
                ListCompaniesRequest { page_size, order_by, ..ListCompaniesRequest::default() };
            let answer = server.companies().list_companies(request).await?.into_inner();
            answer.companies.into_iter().map(|one| (one.id.to_string(), one.name)).collect()
        }
        Kind::Application => {
            let request = ListApplicationsRequest {
                page_size,
                order_by,
                ..ListApplicationsRequest::default()
            };
            let answer = server.applications().list_applications(request).await?.into_inner();
            answer.applications.into_iter().map(|one| (one.id.to_string(), one.name)).collect()
        }
        Kind::Credential => {
            let request =
                ListCredentialsRequest { page_size, order_by, ..ListCredentialsRequest::default() };
            let answer = server.credentials().list_credentials(request).await?.into_inner();
            let found = answer.credentials.into_iter();
            found
                .map(|one| (one.id.to_string(), format!("{}, {}", one.name, one.company_name)))
                .collect()
        }
        Kind::CredentialType | Kind::CredentialTypeCode => {
            let request = ListCredentialTypesRequest { page_size, order_by, ..Default::default() };
            let answer = server.credential_types().list_credential_types(request).await?;
            let found = answer.into_inner().credential_types.into_iter();
            found
                .map(|one| match kind {
                    Kind::CredentialType => (one.id.to_string(), one.name),
                    _ => (one.code, one.name),
                })
                .collect()
        }
        Kind::Action => {
            let request = ListActionsRequest { page_size: SEARCHED, ..Default::default() };
            let answer = server.actions().list_actions(request).await?.into_inner();
            let found = answer.actions.into_iter().rev();
            let owner =
                |name: String, company: String| if name.is_empty() { company } else { name };
            found
                .map(|one| {
                    let owner = owner(one.run_template_name, one.company_name);
                    (one.id.to_string(), format!("{}, {owner}", one.kind))
                })
                .collect()
        }
        Kind::FailedAction | Kind::PendingAction => {
            let state = match kind {
                Kind::PendingAction => PerformedActionState::Pending,
                _ => PerformedActionState::Failed,
            };
            let request = ListPerformedActionsRequest {
                page_size,
                state: state.into(),
                ..Default::default()
            };
            let answer = server.actions().list_performed_actions(request).await?.into_inner();
            let found = answer.actions.into_iter();
            found
                .map(|one| (one.id.to_string(), format!("{} of job {}", one.kind, one.job_id)))
                .collect()
        }
        Kind::SortOfAction => {
            let answer = server.actions().list_action_kinds(ListActionKindsRequest {}).await?;
            let found = answer.into_inner().kinds.into_iter();
            found.map(|one| (one.name, one.description)).collect()
        }
        // These are asked for elsewhere.
        Kind::Context | Kind::Field | Kind::Order | Kind::Variable | Kind::Declared => Vec::new(),
        Kind::Agent => {
            let request = ListAgentsRequest { page_size, order_by, ..ListAgentsRequest::default() };
            let answer = server.agents().list_agents(request).await?.into_inner();
            let state = |connected| if connected { "connected" } else { "away" };
            let found = answer.agents.into_iter();
            found
                .map(|one| {
                    let load = format!("{}, {}/{} busy", state(one.connected), one.busy, one.slots);
                    (one.name, load)
                })
                .collect()
        }
    })
}

/// The states of a job that can be cancelled.
const UNENDED: [JobState; 6] = [
    JobState::Loaded,
    JobState::Queued,
    JobState::Offered,
    JobState::Running,
    JobState::Unreachable,
    JobState::Finishing,
];

/// One line that is not too long.
fn in_short(description: &str) -> String {
    let line = description.chars().map(|one| if one.is_control() { ' ' } else { one });
    let mut short: String = line.clone().take(LONGEST).collect();
    if line.count() > LONGEST {
        short.pop();
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::arguments::Arguments;

    #[test]
    fn every_command_that_takes_an_id_knows_of_what() {
        let all = Arguments::command();
        for command in all.get_subcommands() {
            let name = command.get_name();
            let takes_id = command.get_arguments().any(|argument| argument.get_id() == "id");
            if takes_id {
                assert!(Kind::of(name, "id").is_some(), "{name}");
            }
        }
        assert_eq!(Kind::of("job:create", "template"), Some(Kind::RunTemplate));
        assert_eq!(Kind::of("job:list", "limit"), None);
    }

    #[test]
    fn a_description_is_one_short_line() {
        assert_eq!(in_short("a\nb\tc"), "a b c");
        let long = in_short(&"ž".repeat(100));
        assert_eq!((long.chars().count(), long.chars().last()), (LONGEST, Some('…')));
    }
}
