//! `job:run`.

use std::{io, process::ExitCode, time::Duration};

use clap::{Args, ValueEnum};
use multiflexi_program::say;
use multiflexi_proto::v1::{Attempt, CancelJobRequest, ExplainJobRequest, JobState, RunJobRequest};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{
    Follow, Followed,
    follow::{self, Sink, detached},
    requested_by,
    show::{attempt_value, outcome},
    sinks::{Raw, Timestamps},
};
use crate::{
    arguments::{self, ById},
    commands::waiting,
    connect::Server,
    exit_code::{self, Exit},
    failure::Failure,
    output::{Format, Output, json, remark},
};

/// What Ctrl-C does to the job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum OnInterrupt {
    /// Nothing: it goes on, and nobody watches.
    Detach,
    /// It is cancelled; a second Ctrl-C detaches.
    Cancel,
}

/// `job:run`.
#[derive(Debug, Args)]
pub struct Run {
    #[command(flatten)]
    by: ById,
    /// What Ctrl-C does
    #[arg(long, default_value = "detach", value_name = "WHAT")]
    on_interrupt: OnInterrupt,
    /// Both streams on stdout, in their order, each line with its time
    #[arg(long)]
    timestamps: bool,
    /// Stop waiting after so long; the job goes on (exit code 107)
    #[arg(long, value_parser = arguments::duration, value_name = "DURATION")]
    wait_at_most: Option<Duration>,
}

impl Run {
    /// Queues a job, follows it, and exits with its exit code.
    pub async fn run(self, server: &Server, output: Output) -> Result<ExitCode, Failure> {
        let job = self.by.id();
        tokio::select! {
            ended = self.to_the_end(server, output) => ended,
            () = waiting::long_enough(self.wait_at_most) => {
                Err(waiting::waited(&format!("job {job} goes on"), follow::afterwards(job)))
            }
            never = waiting::tell(output.format, async || why_it_waits(server, job).await) => {
                match never {}
            }
        }
    }

    async fn to_the_end(&self, server: &Server, output: Output) -> Result<ExitCode, Failure> {
        let job = self.by.id();
        let mut interrupts = signal(SignalKind::interrupt())
            .map_err(|error| Failure::new(Exit::Internal, error.to_string()))?;
        let request = RunJobRequest { job_id: job, requested_by: requested_by() };
        let mut attempt = server.jobs().run_job(request).await?.into_inner().attempt;
        let mut server = server.clone();
        loop {
            let follow = Follow { attempt, ..Follow::new(job) };
            let followed = if self.timestamps {
                let mut sink = Timestamps::new(io::stdout());
                self.follow(follow, &server, &mut sink, &mut interrupts).await?
            } else {
                self.follow(follow, &server, &mut Raw, &mut interrupts).await?
            };
            let Followed::Ended(ended) = followed else { return Err(detached(job)) };
            report(job, &ended, output.format);
            if ended.retry_due.is_none() {
                return Ok(ExitCode::from(exit_code::of_job(&ended)));
            }
            if output.format == Format::Text {
                let due = json::local(ended.retry_due.as_ref());
                say!("job {job}: attempt {} is due at {due}", ended.number + 1);
            }
            attempt = ended.number + 1;
            // The connection may have been lost and found while the attempt ran.
            server = server.reconnect().await.unwrap_or(server);
        }
    }

    async fn follow(
        &self,
        follow: Follow,
        server: &Server,
        sink: &mut impl Sink,
        interrupts: &mut Signal,
    ) -> Result<Followed, Failure> {
        let job_id = follow.job;
        let interrupted = async {
            interrupts.recv().await;
            if self.on_interrupt == OnInterrupt::Cancel {
                say!("cancelling job {job_id}; Ctrl-C again leaves it alone");
                let cancel = CancelJobRequest { job_id, requested_by: requested_by() };
                // One that has ended meanwhile is what was wanted.
                let _ = server.jobs().cancel_job(cancel).await;
                interrupts.recv().await;
            }
        };
        follow.run(server, sink, interrupted).await
    }
}

/// Why a job is on no agent, or on none that can be reached. One that cannot be asked now is
/// asked again.
async fn why_it_waits(server: &Server, job_id: i64) -> Option<String> {
    let answer = server.jobs().explain_job(ExplainJobRequest { job_id }).await.ok()?.into_inner();
    let waits = matches!(answer.state(), JobState::Queued | JobState::Unreachable);
    waits.then(|| answer.reasons.join("; "))
}

/// Says how the job ended, beside its own stderr: nothing if all is well.
fn report(job: i64, attempt: &Attempt, format: Format) {
    if format == Format::Json {
        say!("{}", attempt_value(attempt));
        return;
    }
    for left in &attempt.leftovers {
        remark(&format!("job {job} left {} ({}) behind; it was killed", left.name, left.pid));
    }
    if attempt.state() != JobState::Succeeded {
        let state = attempt.state().name().replace('_', " ");
        let outcome = outcome(attempt.exit_code, attempt.signal, &attempt.meaning);
        // `cancelled, ended by SIGTERM` says the state already.
        let state = if outcome.starts_with(&state) { String::new() } else { state };
        let parts = [state, outcome, attempt.trouble.clone()];
        let parts: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        remark(&format!("job {job}: {}", parts.join(": ")));
    }
}
