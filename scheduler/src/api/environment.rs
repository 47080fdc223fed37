//! `JobService.GetJobEnvironment`: which variables a job's process has, and why.

use std::collections::HashMap;

use multiflexi_proto::v1::{GetJobEnvironmentResponse, JobVariable};
use tonic::Status;

use super::Services;
use crate::domain::{
    application::Definition,
    environment::Variables,
    ids::{AttemptKey, Fence, JobId},
    job::{MASK, environment_of, run_begin, secrets_of, without_secrets},
};

/// Variables for people: what the application declares secret is masked.
pub(super) fn shown(variables: Variables, application: &Definition) -> HashMap<String, String> {
    let secret = |name: &str| application.environment.get(name).is_some_and(|field| field.secret);
    let shown = |(name, value): (String, String)| match secret(&name) && !value.is_empty() {
        true => (name, MASK.to_owned()),
        false => (name, value),
    };
    variables.into_iter().map(shown).collect()
}

impl Services {
    pub(super) async fn environment(&self, id: JobId) -> Result<GetJobEnvironmentResponse, Status> {
        let job = self.store.job(id).await?;
        let template = self.store.run_template(job.run_template.0).await?.template;
        let number = if job.attempt == 0 { 1 } else { job.attempt };
        let key = AttemptKey { job: id, number, fence: Fence(0) };
        let resolved = environment_of(key, &template, &job.environment)
            .map_err(|error| Status::failed_precondition(error.to_string()))?;
        let values: Variables =
            resolved.iter().map(|(name, known)| (name.clone(), known.value.clone())).collect();
        let secrets = secrets_of(&template, &values);
        let trouble = run_begin(key, &template, &job.environment).err();
        let variables = resolved.into_iter().map(|(name, known)| {
            let secret = secrets.contains(&name);
            let value = match secret {
                true => MASK.to_owned(),
                false => without_secrets(&known.value, &secrets, &values),
            };
            let overridden = known.overridden.iter().map(ToString::to_string).collect();
            JobVariable { name, value, layer: known.layer.to_string(), overridden, secret }
        });
        Ok(GetJobEnvironmentResponse {
            variables: variables.collect(),
            trouble: trouble.map(|error| error.to_string()).unwrap_or_default(),
        })
    }
}
