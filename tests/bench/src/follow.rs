//! Waits for jobs without asking again and again: it follows their output.

use std::time::Instant;

use anyhow::{Context as _, ensure};
use multiflexi_proto::v1::{
    Attempt, JobState, LogStream, TailLogRequest, job_service_client::JobServiceClient,
};
use tokio::task::JoinSet;
use tonic::transport::Channel;

use crate::system::System;

/// How many of the last jobs are followed: more than run at once, as jobs that run
/// at the same time end in any order.
const FOLLOWED: usize = 64;

/// What a follower saw.
#[derive(Debug)]
pub struct Followed {
    /// When the first output came; none if there was none.
    pub first: Option<Instant>,
    /// When the end came.
    pub ended: Instant,
    /// How the attempt ended.
    pub attempt: Attempt,
}

/// Follows a job's output to its end; the job must succeed.
pub async fn follow(
    mut jobs: JobServiceClient<Channel>,
    job: i64,
    stream: LogStream,
) -> anyhow::Result<Followed> {
    let request = TailLogRequest {
        job_id: job,
        stream: stream.into(),
        follow: true,
        ..TailLogRequest::default()
    };
    let mut answers = jobs.tail_log(request).await?.into_inner();
    let mut first = None;
    while let Some(answer) = answers.message().await? {
        if first.is_none() && !answer.records.is_empty() {
            first = Some(Instant::now());
        }
        if let Some(attempt) = answer.ended {
            ensure!(attempt.state() == JobState::Succeeded, "job {job} has ended: {attempt:?}");
            return Ok(Followed { first, ended: Instant::now(), attempt });
        }
    }
    anyhow::bail!("the log of job {job} ended before the job did")
}

/// Waits until `jobs` (ascending) and all others have ended; when the last end came.
/// The caller checks how they ended: most of them are not looked at here.
pub async fn all_ended(system: &System, jobs: &[i64]) -> anyhow::Result<Instant> {
    let last = &jobs[jobs.len().saturating_sub(FOLLOWED)..];
    let mut ended = followed(system, last.to_vec()).await?;
    loop {
        let open: Vec<_> = system.open_jobs().await?.into_iter().map(|job| job.id).collect();
        if open.is_empty() {
            return Ok(ended);
        }
        ended = followed(system, open).await?;
    }
}

/// Follows jobs, all at once, to their ends; when the last end came.
async fn followed(system: &System, jobs: Vec<i64>) -> anyhow::Result<Instant> {
    let mut followers = JoinSet::new();
    for job in jobs {
        followers.spawn(follow(system.jobs(), job, LogStream::Unspecified));
    }
    let mut ended = None;
    while let Some(follower) = followers.join_next().await {
        ended = ended.max(Some(follower??.ended));
    }
    ended.context("there is no job to follow")
}
