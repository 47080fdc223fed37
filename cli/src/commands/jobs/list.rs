//! `job:list`.

use clap::Args;
use multiflexi_proto::v1::{Job, ListJobsRequest};

use super::{Filter, show::job_value};
use crate::{
    arguments::Paging,
    commands::pages,
    connect::Server,
    failure::Failure,
    output::{Output, json},
};

/// `job:list`.
#[derive(Debug, Args)]
pub struct List {
    #[command(flatten)]
    filter: Filter,
    /// What they are sorted by: id, created or ended, upwards, or downwards as in "ended desc"
    /// [default: id desc]
    #[arg(long, value_name = "ORDER", default_value = "", hide_default_value = true)]
    order: String,
    #[command(flatten)]
    paging: Paging,
}

impl List {
    /// Lists jobs.
    pub async fn run(self, server: &Server, output: Output) -> Result<(), Failure> {
        let mut client = server.jobs();
        let list = pages(&self.paging, async |page_size, page_token, list| {
            let order_by = self.order.clone();
            let filter = self.filter.request();
            let request = ListJobsRequest { page_size, page_token, order_by, ..filter };
            let answer = client.list_jobs(request).await?.into_inner();
            for job in &answer.jobs {
                list.values.push(job_value(job));
                list.rows.push(row(job));
            }
            list.next_page_token = answer.next_page_token;
            Ok(())
        })
        .await?;
        let header =
            ["ID", "STATE", "TEMPLATE", "COMPANY", "ATTEMPT", "CREATED", "SECONDS", "OUTCOME"];
        output.list("jobs", &header, list)
    }
}

fn row(job: &Job) -> Vec<String> {
    vec![
        job.id.to_string(),
        job.state().name().to_owned(),
        job.run_template_name.clone(),
        job.company_name.clone(),
        job.attempt.to_string(),
        json::local(job.created.as_ref()),
        json::rounded(job.run_time.as_ref()),
        super::show::outcome(job.exit_code, job.signal, &job.meaning),
    ]
}
