//! `job:list`.

use chrono::{DateTime, Utc};
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
    /// Only jobs of this application
    #[arg(long, alias = "app_id", value_parser = arguments::id, value_name = "ID")]
    app: Option<i64>,
    /// Only jobs whose newest attempt is on this agent
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    agent: String,
    /// Only jobs whose newest attempt exited so
    #[arg(long, value_name = "CODE", value_parser = clap::value_parser!(i32).range(0..=255))]
    exit_code: Option<i32>,
    /// Only jobs created since then: a time, or a duration ago such as 1h
    #[arg(long, value_parser = arguments::since, value_name = "WHEN")]
    since: Option<DateTime<Utc>>,
    /// Only jobs created before then
    #[arg(long, value_parser = arguments::since, value_name = "WHEN")]
    until: Option<DateTime<Utc>>,
    /// Only jobs that ended since then
    #[arg(long, value_parser = arguments::since, value_name = "WHEN")]
    ended_since: Option<DateTime<Utc>>,
    /// Only jobs that ended before then
    #[arg(long, value_parser = arguments::since, value_name = "WHEN")]
    ended_until: Option<DateTime<Utc>>,
    /// What they are sorted by: id, created or ended; "id desc" begins with the newest
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
        let states: Vec<i32> =
            self.state.iter().map(|state| JobState::from(*state).into()).collect();
        let list = pages(&self.paging, async |page_size, page_token, list| {
            let request = ListJobsRequest {
                page_size,
                page_token,
                states: states.clone(),
                run_template_id: self.template.unwrap_or_default(),
                company_id: self.company.unwrap_or_default(),
                application_id: self.app.unwrap_or_default(),
                agent: self.agent.clone(),
                exit_code: self.exit_code,
                created_from: self.since.map(arguments::timestamp),
                created_before: self.until.map(arguments::timestamp),
                ended_from: self.ended_since.map(arguments::timestamp),
                ended_before: self.ended_until.map(arguments::timestamp),
                order_by: self.order.clone(),
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
