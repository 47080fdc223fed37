//! `run_begin`: everything that an agent needs to launch an attempt.

use std::{collections::BTreeMap, fmt, str::FromStr, sync::Arc, time::Duration};

use crate::domain::{
    application::Definition,
    command_line::{self, CommandLineError},
    environment::{self, Given, Layer, Resolved, VariableError, Variables},
    ids::{ApplicationId, AttemptKey, CompanyId, RunTemplateId},
    retention::Keep,
    retry::RetryPolicy,
};

/// Least bytes of a secret that is looked for in other texts.
const SHORTEST_SECRET: usize = 4;

/// What a run template says, with its application and company.
#[derive(Clone, Debug, PartialEq)]
pub struct Template {
    /// The run template.
    pub id: RunTemplateId,
    /// Its name.
    pub name: String,
    /// The application.
    pub application: ApplicationId,
    /// The application's name.
    pub application_name: String,
    /// What the application says of itself.
    pub definition: Arc<Definition>,
    /// The company.
    pub company: CompanyId,
    /// The company's name.
    pub company_name: String,
    /// The company's short name; empty if it has none.
    pub company_code: String,
    /// The company's variables.
    pub company_environment: Given,
    /// The variables of the credentials that it uses.
    pub credentials: Given,
    /// Its variables.
    pub environment: Given,
    /// How long a job may run; none for no limit.
    pub timeout: Option<Duration>,
    /// Time between SIGTERM and SIGKILL.
    pub grace: Duration,
    /// How long an unreachable job is waited for.
    pub lost_after: Duration,
    /// When a job that ended is run again by itself.
    pub retry: RetryPolicy,
    /// What happens when output does not fit into the agent's spool.
    pub overflow: Overflow,
    /// What is claimed first: the higher.
    pub priority: i32,
    /// Most jobs of it at once; none for no limit.
    pub max_running: Option<u32>,
    /// How much of its ended jobs is kept.
    pub keep: Keep,
}

/// What happens to a job whose output does not fit into the agent's spool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overflow {
    /// It waits in its writes.
    #[default]
    Block,
    /// It goes on; the beginning and the end of its output are kept.
    HeadTail,
    /// It is ended and has failed.
    Fail,
}

impl fmt::Display for Overflow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Block => "block",
            Self::HeadTail => "head_tail",
            Self::Fail => "fail",
        })
    }
}

impl FromStr for Overflow {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let all = [Self::Block, Self::HeadTail, Self::Fail];
        all.into_iter()
            .find(|overflow| overflow.to_string() == name)
            .ok_or_else(|| format!("{name:?} is nothing that can happen to output"))
    }
}

/// What an agent is told to launch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launch {
    /// The attempt.
    pub key: AttemptKey,
    /// The program and its arguments.
    pub command: Vec<String>,
    /// The variables of its process.
    pub environment: Variables,
    /// How long it may run; none for no limit.
    pub timeout: Option<Duration>,
    /// Time between SIGTERM and SIGKILL.
    pub grace: Duration,
    /// What happens when its output does not fit into the agent's spool.
    pub overflow: Overflow,
    /// Names of the variables whose values are never shown.
    pub secrets: Vec<String>,
}

/// Why an attempt cannot be launched: its configuration is unusable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RunBeginError {
    /// The command line.
    #[error("the command line of run template {0} cannot be built: {1}")]
    CommandLine(RunTemplateId, CommandLineError),
    /// An argument would show a secret to every user of the host.
    #[error(
        "the command line of run template {0} would show the secret {1} to every user of the \
         agent's host: take it out of cmdparams, and let the program read it from its environment"
    )]
    Secret(RunTemplateId, String),
    /// A variable.
    #[error("the variables of run template {0} cannot be given to a process: {1}")]
    Variable(RunTemplateId, VariableError),
    /// Values that the application does not take.
    #[error("the configuration of run template {template} is not what its application takes: {}", .faults.join("; "))]
    Fields {
        /// The run template.
        template: RunTemplateId,
        /// What is wrong, a sentence each.
        faults: Vec<String>,
    },
}

/// The environment of an attempt, each variable with where it comes from. `own` are the
/// variables that were given with the job. Secret is what was given so, and what the
/// application declares so. The names that begin with `MULTIFLEXI_` are
/// the system's and win over all.
pub fn environment_of(
    key: AttemptKey,
    template: &Template,
    own: &Given,
) -> Result<BTreeMap<String, Resolved>, RunBeginError> {
    let definition = &template.definition;
    let mut defaults = Given::from(definition.defaults());
    // What PHP MultiFlexi's applications look for: where to log, and where to leave
    // their result, in the working directory.
    defaults.values.entry("EASE_LOGGER".to_owned()).or_insert_with(|| "console".to_owned());
    if let Some(file) = &definition.result_file {
        defaults.values.entry("RESULT_FILE".to_owned()).or_insert_with(|| file.clone());
    }
    let system = [
        ("MULTIFLEXI_JOB_ID", key.job.to_string()),
        ("MULTIFLEXI_ATTEMPT", key.number.to_string()),
        ("MULTIFLEXI_EXECUTOR", "Native".to_owned()),
        ("MULTIFLEXI_VERSION", env!("CARGO_PKG_VERSION").to_owned()),
        ("MULTIFLEXI_RUNTEMPLATE_ID", template.id.to_string()),
        ("MULTIFLEXI_RUNTEMPLATE_NAME", template.name.clone()),
        ("MULTIFLEXI_APPLICATION_ID", template.application.to_string()),
        ("MULTIFLEXI_APPLICATION_NAME", template.application_name.clone()),
        ("MULTIFLEXI_APPLICATION_UUID", definition.uuid.clone().unwrap_or_default()),
        ("MULTIFLEXI_COMPANY_ID", template.company.to_string()),
        ("MULTIFLEXI_COMPANY_NAME", template.company_name.clone()),
        ("MULTIFLEXI_COMPANY_CODE", template.company_code.clone()),
    ]
    .map(|(name, value)| (name.to_owned(), value));
    let system = Given::from(system);
    let layers = [
        (Layer::Application, &defaults),
        (Layer::Company, &template.company_environment),
        (Layer::Credential, &template.credentials),
        (Layer::RunTemplate, &template.environment),
        (Layer::Job, own),
        (Layer::System, &system),
    ];
    let mut resolved = environment::resolve(&layers)
        .map_err(|error| RunBeginError::Variable(template.id, error))?;
    for (name, _) in definition.environment.iter().filter(|(_, field)| field.secret) {
        if let Some(known) = resolved.get_mut(name) {
            known.secret = true;
        }
    }
    Ok(resolved)
}

/// The names of those variables whose values are secret.
pub fn secrets_of(environment: &BTreeMap<String, Resolved>) -> Vec<String> {
    let secret = environment.iter().filter(|(_, known)| known.secret && !known.value.is_empty());
    secret.map(|(name, _)| name.clone()).collect()
}

/// A text for people, with the values of secrets masked that it contains.
pub fn without_secrets(text: &str, secrets: &[String], environment: &Variables) -> String {
    let values = secrets.iter().filter_map(|name| environment.get(name));
    let values = values.filter(|value| value.len() >= SHORTEST_SECRET);
    values.fold(text.to_owned(), |text, value| text.replace(value, MASK))
}

/// What stands in place of a secret.
pub const MASK: &str = "***";

/// Builds command line and environment of an attempt, and checks that the application
/// takes the values (resource validation, as far as it needs no host).
pub fn run_begin(
    key: AttemptKey,
    template: &Template,
    own: &Given,
) -> Result<Launch, RunBeginError> {
    let definition = &template.definition;
    let resolved = environment_of(key, template, own)?;
    let mut faults = Vec::new();
    for (name, field) in &definition.environment {
        match resolved.get(name).map(|known| known.value.as_str()).unwrap_or_default() {
            "" if field.required => faults.push(format!("{name} is required and has no value")),
            "" => {}
            value => faults.extend(field.check(name, value).err()),
        }
    }
    if !faults.is_empty() {
        return Err(RunBeginError::Fields { template: template.id, faults });
    }
    let secrets = secrets_of(&resolved);
    let environment: Variables =
        resolved.into_iter().map(|(name, known)| (name, known.value)).collect();
    let command = command_line::build(&definition.executable, &definition.cmdparams, &environment)
        .map_err(|error| RunBeginError::CommandLine(template.id, error))?;
    let shows = |name: &&String| {
        let value = &environment[*name];
        // A short value is in many an argument by chance.
        let by_value = value.len() >= SHORTEST_SECRET;
        definition.cmdparams.contains(&format!("{{{name}}}"))
            || (by_value && command.iter().any(|argument| argument.contains(value.as_str())))
    };
    if let Some(name) = secrets.iter().find(shows) {
        return Err(RunBeginError::Secret(template.id, name.clone()));
    }
    let Template { timeout, grace, overflow, .. } = *template;
    Ok(Launch { key, command, environment, timeout, grace, overflow, secrets })
}
