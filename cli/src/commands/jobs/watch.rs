//! `job:watch`: what happens to jobs, as it happens. It goes on from where it was when the
//! connection breaks: nothing is missing, nothing comes twice.

use clap::Args;
use multiflexi_proto::v1::{JobChange, JobState, WatchRequest};
use serde_json::{Value, json};
use tonic::Status;

use super::patience::Patience;
use crate::{
    arguments,
    connect::Server,
    failure::Failure,
    output::{self, Output, json},
};

/// `job:watch`.
#[derive(Debug, Args)]
pub struct Watch {
    /// Only this job
    #[arg(long, value_parser = arguments::id, value_name = "ID")]
    job: Option<i64>,
    /// Only jobs of this run template
    #[arg(long, alias = "runtemplate_id", value_parser = arguments::id, value_name = "ID")]
    template: Option<i64>,
    /// Only jobs of this company
    #[arg(long, alias = "company_id", value_parser = arguments::id, value_name = "ID")]
    company: Option<i64>,
    /// Only when they come into this state; may be given again
    #[arg(long, value_parser = arguments::named(JobState::name), value_name = "STATE")]
    state: Vec<JobState>,
    /// Go on after this cursor, which each line of the JSON output has; 0 begins with the oldest
    /// change that is known [default: from now on]
    #[arg(long, value_name = "CURSOR", value_parser = arguments::number::<i64>(0..))]
    after: Option<i64>,
    /// End when all that has happened so far was shown
    #[arg(long, requires = "after")]
    past_only: bool,
}

impl Watch {
    /// Shows what happens, until it is interrupted.
    pub async fn run(self, server: &Server, output: Output) -> Result<(), Failure> {
        let mut server = server.clone();
        let mut patience = Patience::new();
        let mut request = WatchRequest {
            cursor: self.after,
            job_id: self.job.unwrap_or_default(),
            run_template_id: self.template.unwrap_or_default(),
            company_id: self.company.unwrap_or_default(),
            states: self.state.iter().map(|state| (*state).into()).collect(),
            past_only: self.past_only,
        };
        loop {
            let before = request.cursor;
            let Err(status) = read(&server, &mut request, output).await? else { return Ok(()) };
            patience.reconnect(&mut server, status, request.cursor > before).await?;
        }
    }
}

/// Reads over one connection. The outer error is final.
async fn read(
    server: &Server,
    request: &mut WatchRequest,
    output: Output,
) -> Result<Result<(), Status>, Failure> {
    let mut answers = match server.jobs().watch(request.clone()).await {
        Ok(answers) => answers.into_inner(),
        Err(status) => return Ok(Err(status)),
    };
    loop {
        match answers.message().await {
            Ok(Some(answer)) => {
                show(&answer.changes, output)?;
                request.cursor = Some(answer.next_cursor);
            }
            Ok(None) if request.past_only => return Ok(Ok(())),
            Ok(None) => {
                return Ok(Err(Status::unavailable("the scheduler has ended the stream")));
            }
            Err(status) => return Ok(Err(status)),
        }
    }
}

fn show(changes: &[JobChange], output: Output) -> Result<(), Failure> {
    let line = |change: &JobChange| output.line(change.job_id, &value(change), &line(change));
    let lines: Vec<String> = changes.iter().map(line).collect::<Result<_, _>>()?;
    output::print(&lines.iter().map(|line| format!("{line}\n")).collect::<String>())
}

fn value(change: &JobChange) -> Value {
    json!({
        "cursor": change.id,
        "time": json::time(change.time.as_ref()),
        "job_id": change.job_id,
        "attempt": change.attempt,
        "state": change.state().name(),
        "run_template_id": change.run_template_id,
        "run_template_name": change.run_template_name,
        "company_id": change.company_id,
        "company_name": change.company_name,
        "exit_code": change.exit_code,
        "signal": change.signal,
    })
}

fn line(change: &JobChange) -> String {
    let outcome = match (change.exit_code, change.signal) {
        (Some(code), _) if code != 0 => format!("  exit code {code}"),
        (None, Some(signal)) => format!("  signal {signal}"),
        _ => String::new(),
    };
    format!(
        "{}  job {}  attempt {}  {:<11}  {} ({}){outcome}",
        json::local(change.time.as_ref()),
        change.job_id,
        change.attempt,
        change.state().name(),
        named(&change.run_template_name, "run template", change.run_template_id),
        named(&change.company_name, "company", change.company_id),
    )
}

/// The name of what is still there, or which it was.
fn named(name: &str, what: &str, id: i64) -> String {
    if name.is_empty() { format!("{what} {id}, deleted") } else { name.to_owned() }
}
