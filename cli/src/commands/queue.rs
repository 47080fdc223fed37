//! `queue:status`, `queue:process`, `queue:pause`, `queue:resume`, `queue:clear`.

use std::time::Duration;

use clap::Args;
use multiflexi_program::counted;
use multiflexi_proto::v1::{
    AgentLoad, ClearQueueRequest, CompanyLoad, GetQueueStatusRequest, GetQueueStatusResponse,
    JobState, PauseQueueRequest, ProcessQueueRequest, ProcessQueueResponse, ResumeQueueRequest,
};
use serde_json::{Map, Value, json};
use tokio::signal::unix::{SignalKind, signal};
use tonic::Streaming;

use super::{jobs::requested_by, progress_bar, removal, waiting};
use crate::{
    arguments,
    connect::Server,
    exit_code::Exit,
    failure::Failure,
    output::{Output, json},
};

/// Shows how full the queue is.
pub async fn status(server: &Server, output: Output) -> Result<(), Failure> {
    let status = server.queue().get_queue_status(GetQueueStatusRequest {}).await?.into_inner();
    let jobs: Map<String, Value> = status
        .counts
        .iter()
        .map(|count| (count.state().name().to_owned(), count.count.into()))
        .collect();
    let value = json!({
        "jobs": jobs,
        "waiting": waiting(&status),
        "delayed": status.delayed,
        "oldest_queued": json::time(status.oldest_queued.as_ref()),
        "agents_connected": status.agents_connected,
        "slots_total": status.slots_total,
        "slots_busy": status.slots_busy,
        "paused_by": status.paused_by,
        "companies": status.companies.iter().map(company_value).collect::<Vec<_>>(),
        "agents": status.agents.iter().map(agent_value).collect::<Vec<_>>(),
    });
    let delayed = if status.delayed > 0 { status.delayed.to_string() } else { String::new() };
    let mut fields: Vec<(&str, String)> =
        status.counts.iter().map(|count| (count.state().name(), count.count.to_string())).collect();
    fields.push(("of these wait for their time", delayed));
    fields.push(("waits longest since", json::local(status.oldest_queued.as_ref())));
    fields.push(("agents", status.agents_connected.to_string()));
    fields.push(("slots", format!("{} of {} busy", status.slots_busy, status.slots_total)));
    fields.push(("paused by", status.paused_by.clone().unwrap_or_default()));
    output.one(&value, &fields)?;
    if !output.is_chatty() {
        return Ok(());
    }
    if !status.companies.is_empty() {
        crate::output::print("\n")?;
        let row = |load: &CompanyLoad| {
            let CompanyLoad { company_name, waiting, on_agents, .. } = load;
            vec![company_name.clone(), waiting.to_string(), on_agents.to_string()]
        };
        let rows = status.companies.iter().map(row).collect();
        output.part(&["COMPANY", "WAITING", "ON AGENTS"], rows)?;
    }
    if !status.agents.is_empty() {
        crate::output::print("\n")?;
        let row = |load: &AgentLoad| {
            vec![load.agent.clone(), load.slots_busy.to_string(), load.slots_total.to_string()]
        };
        output.part(&["AGENT", "BUSY", "SLOTS"], status.agents.iter().map(row).collect())?;
    }
    Ok(())
}

fn company_value(load: &CompanyLoad) -> Value {
    json!({
        "company_id": load.company_id,
        "company_name": load.company_name,
        "waiting": load.waiting,
        "on_agents": load.on_agents,
    })
}

fn agent_value(load: &AgentLoad) -> Value {
    json!({
        "agent": load.agent,
        "slots_total": load.slots_total,
        "slots_busy": load.slots_busy,
    })
}

/// Stops offering jobs to agents.
pub async fn pause(server: &Server, output: Output) -> Result<(), Failure> {
    let request = PauseQueueRequest { requested_by: requested_by() };
    let changed = server.queue().pause_queue(request).await?.into_inner().changed;
    let sentence = if changed { "the queue is paused" } else { "the queue was paused already" };
    output.done(&json!({ "paused": true, "changed": changed }), sentence)
}

/// Lets a paused queue go on.
pub async fn resume(server: &Server, output: Output) -> Result<(), Failure> {
    let request = ResumeQueueRequest { requested_by: requested_by() };
    let changed = server.queue().resume_queue(request).await?.into_inner().changed;
    let sentence = if changed { "the queue goes on" } else { "the queue was not paused" };
    output.done(&json!({ "paused": false, "changed": changed }), sentence)
}

/// `queue:clear`.
#[derive(Debug, Args)]
pub struct Clear {
    /// Only jobs that ended at least so long ago
    #[arg(long, value_parser = arguments::duration, value_name = "DURATION")]
    older_than: Option<Duration>,
    /// Only jobs that ended so; may be given again [default: failed, timed_out, lost]
    #[arg(long, value_parser = arguments::named_of(JobState::name, JobState::is_terminal),
        value_name = "STATE")]
    state: Vec<JobState>,
    /// Only say how many there are
    #[arg(long)]
    dry_run: bool,
}

impl Clear {
    /// Removes failed jobs with their output and artifacts.
    pub async fn run(self, server: &Server, output: Output) -> Result<(), Failure> {
        let request = ClearQueueRequest {
            states: self.state.iter().map(|state| (*state).into()).collect(),
            older_than: self.older_than.map(multiflexi_proto::duration),
            dry_run: self.dry_run,
        };
        let mut answers = server.queue().clear_queue(request).await?.into_inner();
        let next = async || Ok(answers.message().await?.map(|answer| answer.removed));
        removal(output, self.dry_run, next).await.map(drop)
    }
}

fn waiting(status: &GetQueueStatusResponse) -> i64 {
    let waits = status.counts.iter().filter(|count| count.state() == JobState::Queued);
    waits.map(|count| count.count).sum::<i64>() - status.delayed
}

/// `queue:process`.
#[derive(Debug, Args)]
pub struct Process {
    /// Do not wait for the jobs
    #[arg(long)]
    no_wait: bool,
    /// Stop waiting after so long; the jobs go on (exit code 107)
    #[arg(
        long,
        value_parser = arguments::duration,
        value_name = "DURATION",
        conflicts_with = "no_wait"
    )]
    wait_at_most: Option<Duration>,
}

impl Process {
    /// Queues every loaded job, and waits until those and the ones that waited already have
    /// ended; fails if one has failed.
    pub async fn run(self, server: &Server, output: Output) -> Result<(), Failure> {
        let mut interrupts = signal(SignalKind::interrupt())
            .map_err(|error| Failure::new(Exit::Internal, error.to_string()))?;
        let answers = server.queue().process_queue(ProcessQueueRequest {}).await?.into_inner();
        let goes_on = "the jobs go on";
        let hint = || "`multiflexi-cli queue:status` shows how far they are".to_owned();
        let last = tokio::select! {
            last = self.last(answers) => last?,
            _ = interrupts.recv() => {
                let message = format!("interrupted; {goes_on}");
                return Err(Failure::new(Exit::Detached, message).hint(hint()));
            }
            () = waiting::long_enough(self.wait_at_most) => {
                return Err(waiting::waited(goes_on, hint()));
            }
            never = waiting::tell(output.format, async || why_they_wait(server).await) => {
                match never {}
            }
        };
        let ProcessQueueResponse { queued, waited, failed, .. } = last;
        let mut sentence = format!("queued {}", counted(queued, "job"));
        if waited > 0 {
            sentence += &format!(", and {waited} waited already");
        }
        let mut value = json!({ "queued": queued, "waited": waited });
        if !self.no_wait {
            sentence += &format!("; {failed} failed");
            value["failed"] = failed.into();
        }
        output.done(&value, &sentence)?;
        if failed == 0 || self.no_wait {
            return Ok(());
        }
        let jobs = counted(queued + waited, "job");
        Err(Failure::new(Exit::JobsFailed, format!("{failed} of {jobs} failed")))
    }

    /// The last that is said of the jobs.
    async fn last(
        &self,
        mut answers: Streaming<ProcessQueueResponse>,
    ) -> Result<ProcessQueueResponse, Failure> {
        let bar = progress_bar("{bar:30} {pos} of {len} jobs, {elapsed}");
        let mut last = ProcessQueueResponse::default();
        while let Some(answer) = answers.message().await? {
            last = answer;
            let all = last.queued + last.waited;
            bar.set_length(all.unsigned_abs());
            bar.set_position((all - last.left).unsigned_abs());
            if self.no_wait {
                break;
            }
        }
        bar.finish_and_clear();
        Ok(last)
    }
}

/// Why no job of the queue is run.
async fn why_they_wait(server: &Server) -> Option<String> {
    let status = server.queue().get_queue_status(GetQueueStatusRequest {}).await.ok()?.into_inner();
    match status.paused_by {
        Some(by) => Some(format!("the queue is paused by {by}: queue:resume lets it go on")),
        None if status.agents_connected == 0 => {
            Some("no agent is connected that could run the jobs".to_owned())
        }
        None => None,
    }
}
