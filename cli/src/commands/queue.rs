//! `queue:status`, `queue:process`.

use std::{
    io::{self, IsTerminal as _},
    time::Duration,
};

use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use multiflexi_proto::v1::{
    GetQueueStatusRequest, GetQueueStatusResponse, JobState, ProcessQueueRequest,
};
use serde_json::{Map, Value, json};

use crate::{
    connect::Server,
    failure::Failure,
    output::{Output, json},
};

/// How often somebody who waits for the queue looks at it.
const LOOK: Duration = Duration::from_millis(500);

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
        "oldest_queued": json::time(status.oldest_queued.as_ref()),
        "agents_connected": status.agents_connected,
        "slots_total": status.slots_total,
        "slots_busy": status.slots_busy,
    });
    let mut fields: Vec<(&str, String)> =
        status.counts.iter().map(|count| (count.state().name(), count.count.to_string())).collect();
    fields.push(("waits longest since", json::local(status.oldest_queued.as_ref())));
    fields.push(("agents", status.agents_connected.to_string()));
    fields.push(("slots", format!("{} of {} busy", status.slots_busy, status.slots_total)));
    output.one(&value, &fields)
}

fn waiting(status: &GetQueueStatusResponse) -> i64 {
    let waits = status.counts.iter().filter(|count| count.state() == JobState::Queued);
    waits.map(|count| count.count).sum()
}

/// Jobs that wait or run.
fn unfinished(status: &GetQueueStatusResponse) -> i64 {
    let open = status
        .counts
        .iter()
        .filter(|count| !count.state().is_terminal() && count.state() != JobState::Loaded);
    open.map(|count| count.count).sum()
}

/// `queue:process`.
#[derive(Debug, Args)]
pub struct Process {
    /// Do not wait for the jobs
    #[arg(long)]
    no_wait: bool,
}

impl Process {
    /// Queues every loaded job, and waits until none waits or runs.
    pub async fn run(self, server: &Server, output: Output) -> Result<(), Failure> {
        let mut queue = server.queue();
        let queued = queue.process_queue(ProcessQueueRequest {}).await?.into_inner().queued;
        if !self.no_wait {
            let bar = progress_bar();
            loop {
                let status = queue.get_queue_status(GetQueueStatusRequest {}).await?.into_inner();
                let left = unfinished(&status);
                bar.set_length(bar.length().unwrap_or(0).max(left.unsigned_abs()));
                bar.set_position(bar.length().unwrap_or(0).saturating_sub(left.unsigned_abs()));
                if left == 0 {
                    break;
                }
                tokio::time::sleep(LOOK).await;
            }
            bar.finish_and_clear();
        }
        output.done(&json!({ "queued": queued }), &format!("queued {queued} jobs"))
    }
}

fn progress_bar() -> ProgressBar {
    let target = if io::stderr().is_terminal() {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    };
    let bar = ProgressBar::with_draw_target(Some(0), target);
    let style = ProgressStyle::with_template("{bar:30} {pos} of {len} jobs, {elapsed}");
    // The template is a constant that the tests draw.
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
