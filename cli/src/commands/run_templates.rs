//! `runtemplate:list`, `runtemplate:show`, `runtemplate:create`, `runtemplate:update`,
//! `runtemplate:delete`.

use std::{collections::BTreeMap, time::Duration};

use clap::{Args, ValueEnum};
use multiflexi_proto::v1::{
    self, CreateRunTemplateRequest, DeleteRunTemplateRequest, GetRunTemplateRequest,
    ListRunTemplatesRequest, RetryPolicy, RunTemplate, UpdateRunTemplateRequest,
};
use serde_json::{Value, json};

use super::{Delete, limit, missing, pages, variables};
use crate::{
    arguments::{self, ById, Paging},
    connect::Server,
    failure::Failure,
    output::{Output, json},
};

fn value(template: &RunTemplate) -> Value {
    let environment: BTreeMap<_, _> = template.environment.iter().collect();
    json!({
        "id": template.id,
        "name": template.name,
        "application_id": template.application_id,
        "application_name": template.application_name,
        "company_id": template.company_id,
        "company_name": template.company_name,
        "environment": environment,
        "timeout_seconds": json::seconds(template.timeout.as_ref()),
        "grace_seconds": json::seconds(template.grace.as_ref()),
        "lost_after_seconds": json::seconds(template.lost_after.as_ref()),
        "retry": template.retry.as_ref().map(|retry| json!({
            "max_attempts": retry.max_attempts,
            "on": retry.on,
            "backoff": backoff_name(retry.backoff()),
            "min_gap_seconds": json::seconds(retry.min_gap.as_ref()),
            "max_gap_seconds": json::seconds(retry.max_gap.as_ref()),
        })),
        "overflow": overflow_name(template.overflow()),
        "priority": template.priority,
        "max_running": template.max_running,
        "keep": template.keep.as_ref().map(|keep| json!({
            "age_seconds": json::seconds(keep.age.as_ref()),
            "count": keep.count,
            "bytes": keep.bytes,
        })),
        "created": json::time(template.created.as_ref()),
    })
}

fn overflow_name(overflow: v1::OutputOverflow) -> &'static str {
    match overflow {
        v1::OutputOverflow::Unspecified | v1::OutputOverflow::Block => "block",
        v1::OutputOverflow::HeadTail => "head_tail",
        v1::OutputOverflow::Fail => "fail",
    }
}

fn backoff_name(backoff: v1::Backoff) -> &'static str {
    match backoff {
        v1::Backoff::None => "none",
        v1::Backoff::Fixed => "fixed",
        v1::Backoff::Linear => "linear",
        v1::Backoff::Unspecified | v1::Backoff::Exponential => "exponential",
    }
}

/// What is kept, for people.
fn kept(keep: Option<&v1::Keep>) -> String {
    let Some(keep) = keep else { return String::new() };
    let mut limits = Vec::new();
    if let Some(age) = &keep.age {
        limits.push(format!("for {} s", json::as_seconds(age)));
    }
    limits.extend(keep.count.map(|count| format!("{count} jobs")));
    limits.extend(keep.bytes.map(json::size));
    if limits.is_empty() { "as the scheduler does".to_owned() } else { limits.join(", ") }
}

/// How retries are configured, for people.
fn retries(retry: Option<&RetryPolicy>) -> String {
    match retry.filter(|retry| retry.max_attempts > 1) {
        None => "none".to_owned(),
        Some(retry) => format!(
            "up to {} attempts on {}, {} backoff from {} s to {} s",
            retry.max_attempts,
            retry.on.join(", "),
            backoff_name(retry.backoff()),
            retry.min_gap.as_ref().map_or(0.0, json::as_seconds),
            retry.max_gap.as_ref().map_or(0.0, json::as_seconds),
        ),
    }
}

/// Lists run templates.
pub async fn list(server: &Server, output: Output, paging: Paging) -> Result<(), Failure> {
    let mut client = server.run_templates();
    let list = pages(&paging, async |page_size, page_token, list| {
        let request = ListRunTemplatesRequest { page_size, page_token };
        let answer = client.list_run_templates(request).await?.into_inner();
        for template in answer.run_templates {
            list.values.push(value(&template));
            list.rows.push(vec![
                template.id.to_string(),
                template.name,
                template.application_name,
                template.company_name,
                json::local(template.created.as_ref()),
            ]);
        }
        list.next_page_token = answer.next_page_token;
        Ok(())
    })
    .await?;
    output.list("run_templates", &["ID", "NAME", "APPLICATION", "COMPANY", "CREATED"], list)
}

/// Shows a run template.
pub async fn show(server: &Server, output: Output, run_template_id: i64) -> Result<(), Failure> {
    let request = GetRunTemplateRequest { run_template_id };
    let answer = server.run_templates().get_run_template(request).await?;
    let template = answer.into_inner().run_template.ok_or_else(|| missing("run template"))?;
    let seconds = |time: Option<&prost_types::Duration>| {
        time.map(|time| format!("{} s", json::as_seconds(time)))
    };
    let fields = [
        ("id", template.id.to_string()),
        ("name", template.name.clone()),
        ("application", format!("{} ({})", template.application_name, template.application_id)),
        ("company", format!("{} ({})", template.company_name, template.company_id)),
        ("environment", variables(&template.environment)),
        ("timeout", seconds(template.timeout.as_ref()).unwrap_or_else(|| "none".to_owned())),
        ("grace", seconds(template.grace.as_ref()).unwrap_or_default()),
        ("lost after", seconds(template.lost_after.as_ref()).unwrap_or_default()),
        ("retries", retries(template.retry.as_ref())),
        ("overflow", overflow_name(template.overflow()).to_owned()),
        ("priority", template.priority.to_string()),
        ("jobs at once", limit(template.max_running)),
        ("kept", kept(template.keep.as_ref())),
        ("created", json::local(template.created.as_ref())),
    ];
    output.one(&value(&template), &fields)
}

/// `runtemplate:create`.
#[derive(Debug, Args)]
pub struct Create {
    /// Its name
    #[arg(long)]
    name: String,
    /// The application
    #[arg(long, alias = "app_id", value_parser = arguments::id, value_name = "ID")]
    app: i64,
    /// The company
    #[arg(long, alias = "company_id", value_parser = arguments::id, value_name = "ID")]
    company: i64,
    #[command(flatten)]
    environment: arguments::Environment,
    /// How long a job may run [default: no limit]
    #[arg(long, value_parser = arguments::duration, value_name = "DURATION")]
    timeout: Option<Duration>,
    /// Time between SIGTERM and SIGKILL [default: 10s]
    #[arg(long, value_parser = arguments::duration, value_name = "DURATION")]
    grace: Option<Duration>,
    /// How long a job is waited for whose agent is away [default: 10min]
    #[arg(long, value_parser = arguments::duration, value_name = "DURATION")]
    lost_after: Option<Duration>,
    #[command(flatten)]
    retries: Retries,
    /// What happens to a job whose output does not fit into its agent's spool, because the
    /// scheduler is away: it waits, goes on with beginning and end kept, or fails
    /// [default: block]
    #[arg(long, value_name = "WHAT")]
    overflow: Option<Overflow>,
    /// Its jobs' priority: of those that wait, the higher runs first
    #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true,
        value_parser = clap::value_parser!(i32).range(-1000..=1000))]
    priority: i32,
    /// Most of its jobs that run at once [default: no limit]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..=1_000_000))]
    max_running: Option<i32>,
    #[command(flatten)]
    kept: Kept,
}

/// How much of ended jobs is kept.
#[derive(Debug, Args)]
struct Kept {
    /// How long its ended jobs are kept, such as 90d; 0s for ever [default: as the
    /// scheduler does]
    #[arg(long, value_parser = arguments::duration, value_name = "DURATION")]
    keep_age: Option<Duration>,
    /// How many of its ended jobs are kept, the newest; 0 for all
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(0..))]
    keep_count: Option<i64>,
    /// How many bytes of their output and artifacts are kept; 0 for all
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(i64).range(0..))]
    keep_bytes: Option<i64>,
}

impl Kept {
    /// The limits, if one is given.
    fn limits(&self) -> Option<v1::Keep> {
        let Self { keep_age, keep_count: count, keep_bytes: bytes } = *self;
        let given = keep_age.is_some() || count.is_some() || bytes.is_some();
        given.then(|| v1::Keep { age: keep_age.map(multiflexi_proto::duration), count, bytes })
    }
}

/// When a job is run again by itself.
#[derive(Debug, Args)]
struct Retries {
    /// Most attempts each time that a job is run; more than 1 retries by itself [default: 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..=1000))]
    max_attempts: Option<i32>,
    /// What is retried: failed, exit:CODE, signaled, launch_failed, timed_out, lost; may be
    /// given again [default: all of it]
    #[arg(long, value_name = "CAUSE", requires = "max_attempts")]
    retry_on: Vec<String>,
    /// How the pause before a retry grows [default: exponential]
    #[arg(long, value_name = "BACKOFF", requires = "max_attempts")]
    retry_backoff: Option<Backoff>,
    /// The first pause [default: 10s]
    #[arg(long, value_parser = arguments::duration, value_name = "DURATION", requires = "max_attempts")]
    retry_min_gap: Option<Duration>,
    /// The longest pause [default: 1h]
    #[arg(long, value_parser = arguments::duration, value_name = "DURATION", requires = "max_attempts")]
    retry_max_gap: Option<Duration>,
}

impl Retries {
    /// The policy, if one is given.
    fn policy(self) -> Option<RetryPolicy> {
        Some(RetryPolicy {
            max_attempts: self.max_attempts?,
            on: self.retry_on,
            backoff: self.retry_backoff.map_or(v1::Backoff::Unspecified, Into::into).into(),
            min_gap: self.retry_min_gap.map(multiflexi_proto::duration),
            max_gap: self.retry_max_gap.map(multiflexi_proto::duration),
        })
    }
}

/// What happens to output, as people name it.
#[derive(Clone, Copy, Debug, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Overflow {
    Block,
    HeadTail,
    Fail,
}

impl From<Overflow> for v1::OutputOverflow {
    fn from(overflow: Overflow) -> Self {
        match overflow {
            Overflow::Block => Self::Block,
            Overflow::HeadTail => Self::HeadTail,
            Overflow::Fail => Self::Fail,
        }
    }
}

/// How a pause grows, as people name it.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Backoff {
    None,
    Fixed,
    Linear,
    Exponential,
}

impl From<Backoff> for v1::Backoff {
    fn from(backoff: Backoff) -> Self {
        match backoff {
            Backoff::None => Self::None,
            Backoff::Fixed => Self::Fixed,
            Backoff::Linear => Self::Linear,
            Backoff::Exponential => Self::Exponential,
        }
    }
}

impl Create {
    /// Creates a run template.
    pub async fn run(self, server: &Server, output: Output) -> Result<(), Failure> {
        let (environment, secrets) = self.environment.split();
        let request = CreateRunTemplateRequest {
            name: self.name,
            application_id: self.app,
            company_id: self.company,
            environment,
            secrets,
            timeout: self.timeout.map(multiflexi_proto::duration),
            grace: self.grace.map(multiflexi_proto::duration),
            lost_after: self.lost_after.map(multiflexi_proto::duration),
            retry: self.retries.policy(),
            overflow: self.overflow.map_or(v1::OutputOverflow::Unspecified, Into::into).into(),
            priority: self.priority,
            max_running: self.max_running,
            keep: self.kept.limits(),
        };
        let answer = server.run_templates().create_run_template(request).await?;
        let template = answer.into_inner().run_template.ok_or_else(|| missing("run template"))?;
        output.done(&value(&template), &format!("created run template {}", template.id))
    }
}

/// `runtemplate:update`.
#[derive(Debug, Args)]
pub struct Update {
    #[command(flatten)]
    by: ById,
    /// Its name
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    environment: arguments::Environment,
    /// A variable to be removed; may be given again
    #[arg(long, value_name = "NAME")]
    unset: Vec<String>,
    /// How long a job may run; 0s for no limit
    #[arg(long, value_parser = arguments::duration, value_name = "DURATION")]
    timeout: Option<Duration>,
    /// Time between SIGTERM and SIGKILL
    #[arg(long, value_parser = arguments::duration, value_name = "DURATION")]
    grace: Option<Duration>,
    /// How long a job is waited for whose agent is away
    #[arg(long, value_parser = arguments::duration, value_name = "DURATION")]
    lost_after: Option<Duration>,
    #[command(flatten)]
    retries: Retries,
    /// What happens to a job whose output does not fit into its agent's spool
    #[arg(long, value_name = "WHAT")]
    overflow: Option<Overflow>,
    /// Its jobs' priority: of those that wait, the higher runs first; jobs that are there
    /// keep theirs
    #[arg(long, value_name = "N", allow_negative_numbers = true,
        value_parser = clap::value_parser!(i32).range(-1000..=1000))]
    priority: Option<i32>,
    /// Most of its jobs that run at once; 0 for no limit
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(0..=1_000_000))]
    max_running: Option<i32>,
    #[command(flatten)]
    kept: Kept,
}

impl Update {
    /// Changes a run template.
    pub async fn run(self, server: &Server, output: Output) -> Result<(), Failure> {
        let (set_environment, secrets) = self.environment.split();
        let request = UpdateRunTemplateRequest {
            run_template_id: self.by.id(),
            name: self.name,
            set_environment,
            secrets,
            unset_environment: self.unset,
            timeout: self.timeout.map(multiflexi_proto::duration),
            grace: self.grace.map(multiflexi_proto::duration),
            lost_after: self.lost_after.map(multiflexi_proto::duration),
            retry: self.retries.policy(),
            overflow: self.overflow.map_or(v1::OutputOverflow::Unspecified, Into::into).into(),
            priority: self.priority,
            max_running: self.max_running,
            keep: self.kept.limits(),
        };
        let answer = server.run_templates().update_run_template(request).await?;
        let template = answer.into_inner().run_template.ok_or_else(|| missing("run template"))?;
        output.done(&value(&template), &format!("changed run template {}", template.id))
    }
}

/// Removes a run template.
pub async fn delete(server: &Server, output: Output, delete: Delete) -> Result<(), Failure> {
    let run_template_id = delete.by.id();
    let request = DeleteRunTemplateRequest { run_template_id, cascade: delete.cascade };
    server.run_templates().delete_run_template(request).await?;
    let value = json!({ "id": run_template_id, "deleted": true });
    output.done(&value, &format!("deleted run template {run_template_id}"))
}
