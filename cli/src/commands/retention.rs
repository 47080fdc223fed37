//! `retention:apply`.

use clap::Args;
use multiflexi_program::counted;
use multiflexi_proto::v1::{ApplyRetentionRequest, ApplyRetentionResponse};
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
        let mut last = ApplyRetentionResponse::default();
        while let Some(answer) = answers.message().await? {
            bar.set_position(answer.jobs.unsigned_abs());
            last = answer;
        }
        bar.finish_and_clear();
        let what = if self.dry_run { "would be removed" } else { "were removed" };
        let ApplyRetentionResponse { jobs, objects, missing_objects, missing_job_ids } = last;
        let mut sentence = format!(
            "{}, and {} that nothing refers to, {what}",
            counted(jobs, "job"),
            counted(objects, "object")
        );
        if missing_objects > 0 {
            let of: Vec<String> = missing_job_ids.iter().map(ToString::to_string).collect();
            sentence = format!(
                "{sentence}; lost: {}, of jobs {}: job:verify says what was held there",
                counted(missing_objects, "object"),
                of.join(", ")
            );
        }
        let value = json!({
            "jobs": jobs,
            "objects": objects,
            "missing_objects": missing_objects,
            "missing_job_ids": missing_job_ids,
            "dry_run": self.dry_run,
        });
        output.done(&value, &sentence)
    }
}
