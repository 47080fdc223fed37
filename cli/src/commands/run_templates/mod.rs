//! `runtemplate:list`, `runtemplate:show`, `runtemplate:create`, `runtemplate:update`,
//! `runtemplate:delete`, `runtemplate:enable`, `runtemplate:disable`.

mod runs;
pub mod schedule;
mod settings;
mod stats;

use clap::Args;
use multiflexi_program::counted;
use multiflexi_proto::v1::{
    self, CreateRunTemplateRequest, DeleteRunTemplateRequest, GetRunTemplateRequest,
    ListRunTemplatesRequest, RetryPolicy, RunTemplate, UpdateRunTemplateRequest,
};
use serde_json::{Value, json};

use settings::{NO_LIMIT, Settings};

pub use stats::Stats;

use super::{
    limit, pages,
    resource::{Delete, given, some_change},
    variables,
};
use crate::{
    arguments::{self, ById, Given, Sorted},
    connect::Server,
    failure::Failure,
    output::{Output, json},
};

/// A run template, for machines.
pub fn value(template: &RunTemplate) -> Value {
    json!({
        "id": template.id,
        "name": template.name,
        "application_id": template.application_id,
        "application_name": template.application_name,
        "company_id": template.company_id,
        "company_name": template.company_name,
        "environment": variables::environment(&template.environment),
        "files": variables::files(&template.files),
        "missing_credentials": template.missing_credentials,
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
        "executor": template.executor,
        "overflow": overflow_name(template.overflow()),
        "priority": template.priority,
        "max_running": template.max_running,
        "keep": template.keep.as_ref().map(|keep| json!({
            "age_seconds": json::seconds(keep.age.as_ref()),
            "count": keep.count,
            "bytes": keep.bytes,
        })),
        "active": template.active,
        "runs": runs::value(template),
        "schedule": template.schedule.as_ref().map(schedule::value),
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
    // Of each, 0 is no limit, whatever the scheduler's is.
    limits.extend(keep.age.as_ref().map(|age| match *age {
        NO_LIMIT => "for ever".to_owned(),
        _ => format!("for {}", json::lasting(age)),
    }));
    limits.extend(keep.count.map(|count| match count {
        0 => "any number of jobs".to_owned(),
        count => counted(count, "job"),
    }));
    limits.extend(keep.bytes.map(|bytes| match bytes {
        0 => "of any size".to_owned(),
        bytes => json::size(bytes),
    }));
    if limits.is_empty() { "as the scheduler does".to_owned() } else { limits.join(", ") }
}

/// How retries are configured, for people.
fn retries(retry: Option<&RetryPolicy>) -> String {
    match retry.filter(|retry| retry.max_attempts > 1) {
        None => "none".to_owned(),
        Some(retry) => format!(
            "up to {} attempts on {}, {} backoff from {} to {}",
            retry.max_attempts,
            retry.on.join(", "),
            backoff_name(retry.backoff()),
            json::lasting(&retry.min_gap.unwrap_or_default()),
            json::lasting(&retry.max_gap.unwrap_or_default()),
        ),
    }
}

fn yes_or_no(is: bool) -> &'static str {
    if is { "yes" } else { "no" }
}

/// `runtemplate:list`.
#[derive(Debug, Args)]
pub struct List {
    /// Only run templates of this company
    #[arg(long, alias = "company_id", value_parser = arguments::id, value_name = "ID")]
    company: Option<i64>,
    /// Only run templates of this application
    #[arg(long, alias = "app_id", value_parser = arguments::id, value_name = "ID")]
    app: Option<i64>,
    /// Only run templates whose name contains this
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    name: String,
    #[command(flatten)]
    sorted: Sorted,
}

impl List {
    /// Lists run templates.
    pub async fn run(self, server: &Server, output: Output) -> Result<(), Failure> {
        let mut client = server.run_templates();
        let list = pages(&self.sorted.paging, async |page_size, page_token, list| {
            let request = ListRunTemplatesRequest {
                page_size,
                page_token,
                company_id: self.company.unwrap_or_default(),
                application_id: self.app.unwrap_or_default(),
                name: self.name.clone(),
                order_by: self.sorted.order.clone(),
                scheduled: false,
            };
            let answer = client.list_run_templates(request).await?.into_inner();
            for template in answer.run_templates {
                list.values.push(value(&template));
                let [well, not] = runs::columns(&template);
                list.rows.push(vec![
                    template.id.to_string(),
                    template.name,
                    template.application_name,
                    template.company_name,
                    yes_or_no(template.active).to_owned(),
                    well.to_string(),
                    not.to_string(),
                    schedule::next(template.schedule.as_ref()),
                    json::local(template.created.as_ref()),
                ]);
            }
            list.next_page_token = answer.next_page_token;
            Ok(())
        })
        .await?;
        let header =
            ["ID", "NAME", "APPLICATION", "COMPANY", "ACTIVE", "OK", "NOT OK", "NEXT", "CREATED"];
        output.list("run_templates", &header, list)
    }
}

/// Shows a run template.
pub async fn show(server: &Server, output: Output, run_template_id: i64) -> Result<(), Failure> {
    let request = GetRunTemplateRequest { run_template_id };
    let answer = server.run_templates().get_run_template(request).await?;
    let template = given(answer.into_inner().run_template)?;
    let lasting = |time: Option<&prost_types::Duration>| time.map(json::lasting);
    let fields = [
        ("id", template.id.to_string()),
        ("name", template.name.clone()),
        ("application", format!("{} ({})", template.application_name, template.application_id)),
        ("company", format!("{} ({})", template.company_name, template.company_id)),
        ("executor", template.executor.clone()),
        ("environment", variables::text(&template.environment, &template.files)),
        ("lacks credentials", template.missing_credentials.join(", ")),
        ("timeout", lasting(template.timeout.as_ref()).unwrap_or_else(|| "none".to_owned())),
        ("grace", lasting(template.grace.as_ref()).unwrap_or_default()),
        ("lost after", lasting(template.lost_after.as_ref()).unwrap_or_default()),
        ("retries", retries(template.retry.as_ref())),
        ("overflow", overflow_name(template.overflow()).to_owned()),
        ("priority", template.priority.to_string()),
        ("jobs at once", limit(template.max_running)),
        ("kept", kept(template.keep.as_ref())),
        ("active", yes_or_no(template.active).to_owned()),
        ("schedule", schedule::text(template.schedule.as_ref())),
        ("next start", schedule::next(template.schedule.as_ref())),
        ("last start", schedule::last(template.schedule.as_ref())),
        ("runs", runs::text(&template)),
        ("last ended", json::local(template.runs.unwrap_or_default().last_ended.as_ref())),
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
    #[command(flatten)]
    settings: Settings,
}

impl Create {
    /// Creates a run template.
    pub async fn run(self, server: &Server, output: Output) -> Result<(), Failure> {
        let Given { values: environment, secrets, files } = self.environment.given()?;
        let given = self.settings.read();
        let request = CreateRunTemplateRequest {
            name: self.name,
            application_id: self.app,
            company_id: self.company,
            environment,
            secrets,
            files,
            timeout: given.timeout.filter(|timeout| *timeout != NO_LIMIT),
            grace: given.grace,
            lost_after: given.lost_after,
            retry: given.retry,
            overflow: given.overflow.into(),
            priority: given.priority.unwrap_or_default(),
            max_running: given.max_running.filter(|most| *most > 0),
            keep: given.keep,
            executor: given.executor,
        };
        let answer = server.run_templates().create_run_template(request).await?;
        output.done_to("created", answer.into_inner().run_template)
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
    #[command(flatten)]
    settings: Settings,
}

impl Update {
    /// Changes a run template.
    pub async fn run(self, server: &Server, output: Output) -> Result<(), Failure> {
        let Given { values: set_environment, secrets, files: set_files } =
            self.environment.given()?;
        let given = self.settings.read();
        let run_template_id = self.by.id();
        let request = UpdateRunTemplateRequest {
            run_template_id,
            name: self.name,
            set_environment,
            secrets,
            set_files,
            unset_environment: self.unset,
            timeout: given.timeout,
            grace: given.grace,
            lost_after: given.lost_after,
            retry: given.retry,
            overflow: given.overflow.into(),
            priority: given.priority,
            max_running: given.max_running,
            keep: given.keep,
            executor: given.executor,
            active: None,
        };
        let nothing = UpdateRunTemplateRequest { run_template_id, ..Default::default() };
        some_change::<RunTemplate, _>(run_template_id, &request, &nothing)?;
        let answer = server.run_templates().update_run_template(request).await?;
        output.done_to("changed", answer.into_inner().run_template)
    }
}

/// Lets jobs be made of a run template, or no more.
pub async fn activate(
    server: &Server,
    output: Output,
    run_template_id: i64,
    active: bool,
) -> Result<(), Failure> {
    let active = Some(active);
    let request = UpdateRunTemplateRequest { run_template_id, active, ..Default::default() };
    let answer = server.run_templates().update_run_template(request).await?;
    let does = if active == Some(true) { "enabled" } else { "disabled" };
    output.done_to(does, answer.into_inner().run_template)
}

/// Removes a run template.
pub async fn delete(server: &Server, output: Output, delete: Delete) -> Result<(), Failure> {
    let run_template_id = delete.by.id();
    let request = DeleteRunTemplateRequest { run_template_id, cascade: delete.cascade };
    server.run_templates().delete_run_template(request).await?;
    output.deleted::<RunTemplate>(run_template_id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_limit_on_what_is_kept_is_said_to_be_none() {
        let keep = |count, bytes| kept(Some(&v1::Keep { age: None, count, bytes }));
        assert_eq!(keep(Some(0), Some(0)), "any number of jobs, of any size");
        assert_eq!(keep(Some(3), None), "3 jobs");
        assert_eq!(keep(None, None), "as the scheduler does");
    }
}
