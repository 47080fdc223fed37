//! `job:delete`.

use clap::Args;
use multiflexi_program::say;
use multiflexi_proto::v1::{DeleteJobRequest, DeleteJobsRequest, Job};

use super::Filter;
use crate::{arguments, commands::removal, connect::Server, failure::Failure, output::Output};

/// `job:delete`.
#[derive(Debug, Args)]
pub struct Delete {
    /// The jobs
    #[arg(
        value_parser = arguments::id,
        required_unless_present_any = ["named", "filter"],
        conflicts_with = "filter",
        value_name = "ID"
    )]
    id: Vec<i64>,
    /// The same, as the PHP MultiFlexi's command line has it
    #[arg(
        long = "id",
        id = "named",
        value_parser = arguments::id,
        conflicts_with = "filter",
        value_name = "ID"
    )]
    named: Vec<i64>,
    #[command(flatten)]
    filter: Filter,
    /// Only say how many there are
    #[arg(long)]
    dry_run: bool,
}

impl Delete {
    /// Removes jobs with their output and artifacts.
    pub async fn run(self, server: &Server, output: Output) -> Result<(), Failure> {
        let ids: Vec<i64> = self.id.into_iter().chain(self.named).collect();
        if let ([job_id], false) = (&ids[..], self.dry_run) {
            server.jobs().delete_job(DeleteJobRequest { job_id: *job_id }).await?;
            return output.deleted::<Job>(*job_id);
        }
        let listed = ids.is_empty().then(|| self.filter.request());
        let only_ended = listed.as_ref().is_some_and(|listed| listed.states.is_empty());
        let request = DeleteJobsRequest { job_ids: ids, listed, dry_run: self.dry_run };
        let mut answers = server.jobs().delete_jobs(request).await?.into_inner();
        let next = async || Ok(answers.message().await?.map(|answer| answer.removed));
        let removed = removal(output, self.dry_run, next).await?;
        if removed == 0 && only_ended && output.is_chatty() {
            say!("only jobs that have ended are removed; --state loaded or queued removes others");
        }
        Ok(())
    }
}
