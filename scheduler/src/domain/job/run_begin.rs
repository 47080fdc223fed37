//! `run_begin`: everything that an agent needs to launch an attempt.

use std::{collections::BTreeMap, time::Duration};

use super::{Credential, Overflow, Secrets, Template, environment_of};
use crate::domain::{
    command_line::{self, CommandLineError},
    definition::Kind,
    environment::{self, File, FileError, Given, VariableError, Variables},
    ids::{AttemptKey, RunTemplateId},
};

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
    /// Names of the variables whose values are never shown; of files, their content.
    pub secrets: Vec<String>,
    /// Names of variables that hold the path of a file that must be on the agent's host.
    pub required_files: Vec<String>,
    /// Files to be delivered. Their variables are among the others, and begin with
    /// [`FILES`](environment::FILES).
    pub files: BTreeMap<String, File>,
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
    /// Files.
    #[error("the files of run template {0} cannot be delivered: {1}")]
    Files(RunTemplateId, FileError),
    /// Values that the application, or the type of a credential, does not take.
    #[error("the configuration of run template {template} is not what its application takes: {}", .faults.join("; "))]
    Fields {
        /// The run template.
        template: RunTemplateId,
        /// What is wrong, a sentence each.
        faults: Vec<String>,
    },
}

/// Builds command line and environment of an attempt, and checks that the application
/// takes the values (resource validation, as far as it needs no host). `told` is as
/// [`environment_of`](super::environment_of) takes it.
pub fn run_begin(
    key: AttemptKey,
    template: &Template,
    own: &Given,
    told: &Variables,
) -> Result<Launch, RunBeginError> {
    let definition = &template.definition;
    let resolved = environment_of(key, template, own, told)?;
    let secrets = Secrets::of(&resolved);
    let mut faults = Vec::new();
    for (name, field) in &definition.environment {
        let known = resolved.get(name);
        match known.map(|known| known.value.as_str()).unwrap_or_default() {
            "" if field.required => faults.push(format!("{name} is required and has no value")),
            "" => {}
            _ if known.is_some_and(|known| known.file.is_some()) => {
                faults.extend(field.check_file(name).err());
            }
            value => {
                let secret = field.secret || secrets.are_in_value_of(name);
                faults.extend(field.check(name, value, secret).err());
            }
        }
    }
    for Credential { name, kind, given } in &template.credentials {
        let Some(kind) = kind else { continue };
        let of_it = |fault: String| {
            let fault = secrets.masked(&fault);
            format!("credential {name:?} of type {}: {fault}", kind.code)
        };
        faults.extend(kind.faults(given).into_iter().map(of_it));
    }
    if !faults.is_empty() {
        return Err(RunBeginError::Fields { template: template.id, faults });
    }
    let (environment, files) = environment::split(resolved);
    environment::check_files(&files).map_err(|error| RunBeginError::Files(template.id, error))?;
    let command = command_line::build(&definition.executable, &definition.cmdparams, &environment)
        .map_err(|error| RunBeginError::CommandLine(template.id, error))?;
    // Of a file, everybody may see the path.
    let mut values = secrets.names().filter(|name| !files.contains_key(*name));
    let placed = values.find(|name| definition.cmdparams.contains(&format!("{{{name}}}")));
    let found = || command.iter().find_map(|argument| secrets.found_in(argument));
    if let Some(name) = placed.or_else(found) {
        return Err(RunBeginError::Secret(template.id, name.clone()));
    }
    let must_be_there = definition.environment.iter().filter(|(name, field)| {
        field.required && field.kind == Kind::FilePath && !files.contains_key(*name)
    });
    let required_files = must_be_there.map(|(name, _)| name.clone()).collect();
    let Template { timeout, grace, overflow, .. } = *template;
    Ok(Launch {
        key,
        command,
        environment,
        timeout,
        grace,
        overflow,
        secrets: secrets.own().cloned().collect(),
        required_files,
        files,
    })
}
