//! `job:create`.

use std::{env, ffi::OsStr, fs::OpenOptions, io::Write as _, time::Duration};

use chrono::{DateTime, Utc};
use clap::Args;
use multiflexi_program::counted;
use multiflexi_proto::v1::CreateJobsRequest;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use tonic::Request;

use super::requested_by;
use crate::{
    arguments::{self, Given},
    commands::missing,
    connect::Server,
    exit_code::Exit,
    failure::{Failure, is_broken_connection},
    output::Output,
};

/// `job:create`.
#[derive(Debug, Args)]
pub struct Create {
    /// The run template
    #[arg(long, alias = "runtemplate_id", value_parser = arguments::id, value_name = "ID")]
    template: i64,
    /// The company; must be the run template's
    #[arg(long, alias = "company_id", value_parser = arguments::id, value_name = "ID")]
    company: Option<i64>,
    #[command(flatten)]
    environment: arguments::Environment,
    /// How many jobs
    #[arg(long, value_name = "N", value_parser = arguments::number::<i32>(1..=100_000))]
    count: Option<i32>,
    /// Queue them at once; otherwise they wait for job:run or queue:process
    #[arg(long)]
    queue: bool,
    /// Queue them, and run them not before so long from now
    #[arg(long, value_parser = arguments::duration, value_name = "DURATION")]
    delay: Option<Duration>,
    /// Queue them, and run them not before this time, `2027-01-31T06:00:00+01:00` or
    /// `2027-01-31 06:00` (of this host's time zone)
    #[arg(long, alias = "scheduled", value_parser = arguments::time, value_name = "TIME",
        conflicts_with = "delay")]
    at: Option<DateTime<Utc>>,
    /// Their priority: of those that wait, the higher runs first [default: the run
    /// template's]
    #[arg(long, value_name = "N",
        value_parser = arguments::number::<i32>(-1000..=1000))]
    priority: Option<i32>,
    /// A name for this request: said again, it creates nothing and shows the same jobs
    #[arg(long, value_name = "NAME")]
    request_id: Option<String>,
}

impl Create {
    /// Creates jobs.
    pub async fn run(self, server: &Server, output: Output) -> Result<(), Failure> {
        let Given { values: environment, secrets, files } = self.environment.given()?;
        let request = CreateJobsRequest {
            run_template_id: self.template,
            company_id: self.company.unwrap_or_default(),
            environment,
            secrets,
            files,
            count: self.count.unwrap_or(1),
            queue: self.queue || self.delay.is_some() || self.at.is_some(),
            request_id: self.request_id.unwrap_or_else(|| uuid::Uuid::new_v4().to_string()),
            requested_by: requested_by(),
            priority: self.priority,
            not_before: self.at.map(arguments::timestamp),
            delay: self.delay.map(multiflexi_proto::duration),
        };
        let mut interrupts = signal(SignalKind::interrupt())
            .map_err(|error| Failure::new(Exit::Internal, error.to_string()))?;
        let name = request.request_id.clone();
        let ids = tokio::select! {
            ids = create(server, request) => ids?,
            _ = interrupts.recv() => return Err(interrupted(&name)),
        };
        let (Some(first), Some(last)) = (ids.first(), ids.last()) else {
            return Err(missing("job"));
        };
        let (value, sentence) = match self.count {
            None => (json!({ "id": first, "job_id": first }), format!("created job {first}")),
            Some(count) => (
                json!({ "id": first, "job_id": first, "job_ids": ids }),
                format!("created {}, {first} to {last}", counted(count, "job")),
            ),
        };
        output.done_to_all(&ids, &value, &sentence)?;
        match env::var_os("GITHUB_OUTPUT").filter(|file| !file.is_empty()) {
            Some(file) => tell_workflow(&file, *first),
            None => Ok(()),
        }
    }
}

/// Nobody waits any more, and the scheduler may have been asked already.
fn interrupted(request_id: &str) -> Failure {
    let message = "interrupted; whether the jobs are created is not known";
    Failure::new(Exit::Detached, message).hint(format!(
        "the same command with --request-id {request_id} shows them, and creates them if they \
         are not there"
    ))
}

/// Creates the jobs once, even if the connection breaks on the way: the request's
/// name says that it is the same.
async fn create(server: &Server, request: CreateJobsRequest) -> Result<Vec<i64>, Failure> {
    let status = match server.jobs().create_jobs(traced(request.clone())).await {
        Ok(answer) => return Ok(answer.into_inner().job_ids),
        Err(status) => status,
    };
    if !is_broken_connection(&status) {
        return Err(status.into());
    }
    let again = server.reconnect().await?.jobs().create_jobs(traced(request)).await?;
    Ok(again.into_inner().job_ids)
}

/// The request, within the trace that this process was told of, if it was: a job that makes
/// jobs has them in its own.
fn traced(request: CreateJobsRequest) -> Request<CreateJobsRequest> {
    let mut request = Request::new(request);
    for (name, variable) in [("traceparent", "TRACEPARENT"), ("tracestate", "TRACESTATE")] {
        let value = env::var(variable).ok().and_then(|value| value.parse().ok());
        if let Some(value) = value {
            request.metadata_mut().insert(name, value);
        }
    }
    request
}

/// Makes the job's id an output of the step of a workflow.
fn tell_workflow(file: &OsStr, id: i64) -> Result<(), Failure> {
    let written = OpenOptions::new()
        .create(true)
        .append(true)
        .open(file)
        .and_then(|mut file| writeln!(file, "job_id={id}"));
    written.map_err(|error| {
        let file = file.display();
        let message =
            format!("job {id} was created, but GITHUB_OUTPUT ({file}) cannot be written: {error}");
        Failure::new(Exit::CannotWrite, message)
    })
}
