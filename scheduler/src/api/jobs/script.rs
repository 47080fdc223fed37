//! `JobService.GenerateScript`: a job to take along.

use multiflexi_proto::v1::{GenerateScriptRequest, GenerateScriptResponse, ScriptFormat};
use tonic::Status;

use crate::{
    api::{Services, environment::of_today, status::invalid},
    domain::{
        command_line::{self, Piece},
        environment::{self, Variables},
        ids::{AttemptKey, Fence, JobId},
        job::{RunBeginError, Secrets, environment_of},
        script::{self, env_file, shell},
    },
};

impl Services {
    pub(super) async fn script(
        &self,
        id: JobId,
        request: GenerateScriptRequest,
    ) -> Result<GenerateScriptResponse, Status> {
        let format = ScriptFormat::try_from(request.format)
            .map_err(|error| invalid("format", error.to_string()))?;
        let job = self.store.job(id).await?;
        let template = self.store.run_template(job.run_template.0).await?.template;
        let number = if job.attempt == 0 { 1 } else { job.attempt };
        let key = AttemptKey { job: id, number, fence: Fence(0) };
        let unusable =
            |error: &dyn std::fmt::Display| Status::failed_precondition(error.to_string());
        // Who runs a script is in no trace of ours.
        let told = Variables::new();
        let resolved = environment_of(key, &template, &job.environment, &told)
            .map_err(|error| unusable(&error))?;
        let known = Secrets::of(&resolved);
        let secrets = known.names().cloned().collect();
        let (environment, files) = environment::split(resolved);
        let with_secrets = request.with_secrets;
        if with_secrets {
            tracing::info!(job = id.0, "a script with secrets was asked for");
        }
        let mut file = match format {
            ScriptFormat::Env => env_file::env_file(&environment, &secrets, with_secrets),
            ScriptFormat::DockerEnv => env_file::docker(&environment, &secrets, with_secrets),
            ScriptFormat::Unspecified | ScriptFormat::Shell => {
                let definition = &template.definition;
                let (executable, parameters) = (&definition.executable, &definition.cmdparams);
                let command = command_line::words(executable, parameters, &environment)
                    .map_err(|error| unusable(&error))?;
                // An agent would refuse it as well.
                let literal = command.iter().flatten().find_map(|piece| match piece {
                    Piece::Literal(text) => known.found_in(text),
                    Piece::Variable(_) => None,
                });
                if let (Some(name), false) = (literal, with_secrets) {
                    return Err(unusable(&RunBeginError::Secret(template.id, name.clone())));
                }
                let text = shell::script(&script::Job {
                    id,
                    run_template: template.name,
                    company: template.company_name,
                    application: template.application_name,
                    command,
                    environment,
                    files,
                    secrets,
                    with_secrets,
                });
                env_file::EnvFile { text, warnings: Vec::new() }
            }
        };
        file.warnings.extend(of_today(&job));
        Ok(GenerateScriptResponse { text: file.text, warnings: file.warnings })
    }
}
