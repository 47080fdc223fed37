//! `job:cancel`.

use clap::Args;
use multiflexi_proto::v1::{CancelJobRequest, Job};

use super::{Follow, requested_by, show::job_value, sinks::Nothing};
use crate::{
    arguments::ById, commands::resource::given, connect::Server, failure::Failure, output::Output,
};

/// `job:cancel`.
#[derive(Debug, Args)]
pub struct Cancel {
    #[command(flatten)]
    by: ById,
    /// Wait until it has ended
    #[arg(long)]
    wait: bool,
}

impl Cancel {
    /// Cancels a job.
    pub async fn run(self, server: &Server, output: Output) -> Result<(), Failure> {
        let job_id = self.by.id();
        let answer = server
            .jobs()
            .cancel_job(CancelJobRequest { job_id, requested_by: requested_by() })
            .await?;
        let mut job = given(answer.into_inner().job)?;
        if self.wait && !job.state().is_terminal() {
            let follow = Follow { attempt: job.attempt, ..Follow::new(job_id) };
            follow.run(server, &mut Nothing, std::future::pending()).await?;
            let request = multiflexi_proto::v1::GetJobRequest { job_id };
            let answer = server.reconnect().await?.jobs().get_job(request).await?;
            job = given(answer.into_inner().job)?;
        }
        output.done(&job_value(&job), &sentence(&job))
    }
}

fn sentence(job: &Job) -> String {
    if job.state().is_terminal() {
        format!("job {} is {}", job.id, job.state().name())
    } else {
        format!("job {} was asked to end; it is {}", job.id, job.state().name())
    }
}
