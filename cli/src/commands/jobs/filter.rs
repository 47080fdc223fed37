//! Which jobs a command is about.

use chrono::{DateTime, Utc};
use clap::Args;
use multiflexi_proto::v1::{JobState, ListJobsRequest};

use crate::arguments;

/// Only some jobs.
#[derive(Debug, Args)]
#[group(id = "filter", multiple = true)]
pub struct Filter {
    /// Only jobs in this state; may be given again
    #[arg(long, alias = "status", value_parser = arguments::named(JobState::name),
        value_name = "STATE")]
    state: Vec<JobState>,
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
    #[arg(long, value_name = "NAME")]
    agent: Option<String>,
    /// Only jobs whose newest attempt exited so
    #[arg(long, value_name = "CODE", value_parser = arguments::number::<i32>(0..=255))]
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
}

impl Filter {
    /// What is asked for; nothing is said of pages and order.
    pub fn request(&self) -> ListJobsRequest {
        ListJobsRequest {
            states: self.state.iter().map(|state| (*state).into()).collect(),
            run_template_id: self.template.unwrap_or_default(),
            company_id: self.company.unwrap_or_default(),
            application_id: self.app.unwrap_or_default(),
            agent: self.agent.clone().unwrap_or_default(),
            exit_code: self.exit_code,
            created_from: self.since.map(arguments::timestamp),
            created_before: self.until.map(arguments::timestamp),
            ended_from: self.ended_since.map(arguments::timestamp),
            ended_before: self.ended_until.map(arguments::timestamp),
            ..ListJobsRequest::default()
        }
    }
}
