//! The variables of an attempt: who gives which.

use std::collections::BTreeMap;

use super::{Credential, Executor, RunBeginError, Template};
use crate::domain::{
    environment::{self, Given, Layer, Resolved, VariableChange, Variables},
    ids::AttemptKey,
};

/// The agent's own: no layer is heard with them, and what they are only it knows.
const OF_THE_AGENT: [&str; 2] = ["MULTIFLEXI_TMP", "MULTIFLEXI_ATTEMPT_FOLDER"];

/// The environment of an attempt, each variable with where it comes from. `own` are the
/// variables that were given with the job. Secret is what was given so, and what the
/// application declares so. The names that begin with `MULTIFLEXI_` are
/// the system's and win over all; `told` is what else the system tells this process.
pub fn environment_of(
    key: AttemptKey,
    template: &Template,
    own: &Given,
    told: &Variables,
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
        ("MULTIFLEXI_EXECUTOR", Executor::Native.to_string()),
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
    let mut system = Given::from(system);
    system.values.extend(told.clone());
    let credentials = credentials_of(&template.credentials);
    let layers = [
        (Layer::Application, &defaults),
        (Layer::Company, &template.company_environment),
        (Layer::Credential, &credentials),
        (Layer::RunTemplate, &template.environment),
        (Layer::Job, own),
        (Layer::System, &system),
    ];
    let mut resolved = environment::resolve(&layers)
        .map_err(|error| RunBeginError::Variable(template.id, error))?;
    resolved.retain(|name, _| !OF_THE_AGENT.contains(&name.as_str()));
    for (name, _) in definition.environment.iter().filter(|(_, field)| field.secret) {
        if let Some(known) = resolved.get_mut(name) {
            known.secret = true;
        }
    }
    Ok(resolved)
}

/// What several credentials give together.
fn credentials_of(credentials: &[Credential]) -> Given {
    let mut all = Given::default();
    for credential in credentials {
        let given = match &credential.kind {
            Some(kind) => kind.complete(&credential.given),
            None => credential.given.clone(),
        };
        all.change(&VariableChange { set: given, unset: Vec::new() });
    }
    all
}
