//! `retention:apply`.

use clap::Args;
use multiflexi_proto::v1::ApplyRetentionRequest;
use serde_json::json;

use super::progress_bar;
use crate::{connect::Server, failure::Failure, output::Output};

/// `retention:apply`.
#[derive(Debug, Args)]
pub struct Apply {
    /// Only say how much there is
    #[arg(long)]
    dry_run: bool,
}

impl Apply {
    /// Removes what need not be kept any longer, as the scheduler does every hour.
    pub async fn run(self, server: &Server, output: Output) -> Result<(), Failure> {
        let request = ApplyRetentionRequest { dry_run: self.dry_run };
        let mut answers = server.retention().apply_retention(request).await?.into_inner();
        let bar = progress_bar("{spinner} {pos} jobs, {elapsed}");
        let (mut jobs, mut objects) = (0_i64, 0_i64);
        while let Some(answer) = answers.message().await? {
            (jobs, objects) = (answer.jobs, answer.objects);
            bar.set_position(jobs.unsigned_abs());
        }
        bar.finish_and_clear();
        let what = if self.dry_run { "would be removed" } else { "were removed" };
        let sentence = format!("{jobs} jobs, and {objects} objects of none, {what}");
        let value = json!({ "jobs": jobs, "objects": objects, "dry_run": self.dry_run });
        output.done(&value, &sentence)
    }
}
