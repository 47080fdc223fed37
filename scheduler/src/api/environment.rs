//! `JobService.GetJobEnvironment`: which variables a job's process has, and why.

use std::collections::HashMap;

use multiflexi_proto::v1::{GetJobEnvironmentResponse, JobVariable, VariableFile};
use tonic::Status;

use super::Services;
use crate::{
    domain::{
        application::Definition,
        environment::{File, Given},
        ids::{AttemptKey, Fence, JobId},
        job::{MASK, Secrets, environment_of, run_begin},
    },
    store::JobRow,
    telemetry,
};

/// Those that are files, without their content.
pub(super) fn files(given: &Given) -> Vec<VariableFile> {
    let file = |(name, file): (&String, &File)| VariableFile {
        name: name.clone(),
        file_name: file.name.clone(),
        content: Vec::new(),
        secret: given.secret.contains(name),
        size_bytes: size(file),
    };
    given.files.iter().map(file).collect()
}

/// What to know of the variables of a job that has run: nobody keeps what an attempt was given.
pub(super) fn of_today(job: &JobRow) -> Option<String> {
    (job.attempt > 0).then(|| {
        format!(
            "job {} has run: these are the variables that it would be given now, and if its run \
             template, company, application or credentials were changed since, it had others",
            job.id
        )
    })
}

fn size(file: &File) -> i64 {
    i64::try_from(file.content.len()).unwrap_or(i64::MAX)
}

/// Variables for people that are texts: secrets are masked, those that were given so and those that the
/// application, if there is one, declares so.
pub(super) fn shown(given: Given, application: Option<&Definition>) -> HashMap<String, String> {
    let declared = |name: &str| {
        let field = application.and_then(|application| application.environment.get(name));
        field.is_some_and(|field| field.secret)
    };
    let Given { values, secret, .. } = given;
    let is_secret = |name: &str| secret.contains(name) || declared(name);
    let shown = |(name, value): (String, String)| match is_secret(&name) && !value.is_empty() {
        true => (name, MASK.to_owned()),
        false => (name, value),
    };
    values.into_iter().map(shown).collect()
}

impl Services {
    pub(super) async fn environment(&self, id: JobId) -> Result<GetJobEnvironmentResponse, Status> {
        let job = self.store.job(id).await?;
        let template = self.store.run_template(job.run_template.0).await?.template;
        let number = if job.attempt == 0 { 1 } else { job.attempt };
        let key = AttemptKey { job: id, number, fence: Fence(0) };
        let told = telemetry::variables(key, &job.environment);
        let resolved = environment_of(key, &template, &job.environment, &told)
            .map_err(|error| Status::failed_precondition(error.to_string()))?;
        let secrets = Secrets::of(&resolved);
        let trouble = run_begin(key, &template, &job.environment, &told).err();
        let variables = resolved.into_iter().map(|(name, known)| {
            let (secret, value) = (known.secret, secrets.shown(&name, &known));
            JobVariable {
                name,
                value,
                layer: known.layer.to_string(),
                overridden: known.overridden.iter().map(ToString::to_string).collect(),
                secret,
                size_bytes: known.file.as_ref().map_or(0, size),
                file_name: known.file.map(|file| file.name).unwrap_or_default(),
            }
        });
        Ok(GetJobEnvironmentResponse {
            variables: variables.collect(),
            note: of_today(&job).unwrap_or_default(),
            trouble: trouble.map(|error| error.to_string()).unwrap_or_default(),
        })
    }
}
