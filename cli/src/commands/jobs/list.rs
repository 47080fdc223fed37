//! `job:list`.

use clap::{Args, ValueEnum};
use multiflexi_proto::v1::{Job, JobState, ListJobsRequest};

use super::show::job_value;
use crate::{
    arguments::{self, Paging},
    commands::pages,
    connect::Server,
    failure::Failure,
    output::{Output, json},
};

/// A state, as people name it.
#[derive(Clone, Copy, Debug, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum StateName {
    Loaded,
    Queued,
    Offered,
    Running,
    Unreachable,
    Finishing,
    Succeeded,
    Failed,
    Cancelled,
    TimedOut,
    Lost,
}

impl From<StateName> for JobState {
    fn from(state: StateName) -> Self {
        match state {
            StateName::Loaded => Self::Loaded,
            StateName::Queued => Self::Queued,
            StateName::Offered => Self::Offered,
            StateName::Running => Self::Running,
            StateName::Unreachable => Self::Unreachable,
            StateName::Finishing => Self::Finishing,
            StateName::Succeeded => Self::Succeeded,
            StateName::Failed => Self::Failed,
            StateName::Cancelled => Self::Cancelled,
            StateName::TimedOut => Self::TimedOut,
            StateName::Lost => Self::Lost,
        }
    }
}

/// `job:list`.
#[derive(Debug, Args)]
pub struct List {
    /// Only jobs in this state; may be given again
    #[arg(long, value_name = "STATE")]
    state: Vec<StateName>,
    /// Only jobs of this run template
    #[arg(long, alias = "runtemplate_id", value_parser = arguments::id, value_name = "ID")]
    template: Option<i64>,
    /// Only jobs of this company
    #[arg(long, alias = "company_id", value_parser = arguments::id, value_name = "ID")]
    company: Option<i64>,
    #[command(flatten)]
    paging: Paging,
}

impl List {
    /// Lists jobs.
    pub async fn run(self, server: &Server, output: Output) -> Result<(), Failure> {
        let mut client = server.jobs();
        let states: Vec<i32> =
            self.state.iter().map(|state| JobState::from(*state).into()).collect();
        let list = pages(&self.paging, async |page_size, page_token, list| {
            let request = ListJobsRequest {
                page_size,
                page_token,
                states: states.clone(),
                run_template_id: self.template.unwrap_or_default(),
                company_id: self.company.unwrap_or_default(),
            };
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
    let seconds = json::between(job.started.as_ref(), job.ended.as_ref());
    vec![
        job.id.to_string(),
        job.state().name().to_owned(),
        job.run_template_name.clone(),
        job.company_name.clone(),
        job.attempt.to_string(),
        json::local(job.created.as_ref()),
        seconds.map(|seconds| format!("{seconds:.3}")).unwrap_or_default(),
        super::show::outcome(job.exit_code, job.signal, &job.meaning),
    ]
}
