//! `action:create`, `action:list`, `action:show`, `action:update`, `action:delete`,
//! `action:retry`, `action:cancel`, `action:kinds`.

mod kinds;
mod performed;
mod several;

use std::{collections::HashMap, convert::Infallible};

use clap::{ArgGroup, Args};
use multiflexi_proto::v1::{
    Action, ActionMode, CreateActionRequest, DeleteActionRequest, GetActionRequest,
    ListActionsRequest, ListPerformedActionsRequest, UpdateActionRequest,
};
use serde_json::{Value, json};

use super::{
    pages,
    resource::{given, some_change},
    variables,
};
use crate::{
    arguments::{self, ById, Paging},
    connect::Server,
    failure::Failure,
    output::{self, Output, json},
};

pub use kinds::Kinds;
use performed::Filter;
pub use performed::{performed_header, performed_row, performed_value};
pub use several::{Deed, Several};

/// An action, for machines.
pub fn value(action: &Action) -> Value {
    json!({
        "id": action.id,
        "run_template_id": action.run_template_id,
        "run_template_name": action.run_template_name,
        "company_id": action.company_id,
        "company_name": action.company_name,
        "kind": action.kind,
        "on": on(action),
        "position": action.position,
        "settings": action.settings,
        "created": json::time(action.created.as_ref()),
    })
}

/// On which ends an action follows, as people say it.
fn on(action: &Action) -> String {
    match action.mode() {
        ActionMode::Condition => action.condition.clone(),
        mode => mode.name().to_owned(),
    }
}

/// Whose an action is.
fn owner(action: &Action) -> String {
    match action.company_id {
        0 => format!("{} ({})", action.run_template_name, action.run_template_id),
        company => format!("company {} ({company})", action.company_name),
    }
}

/// On which ends, as people say it: a word or a condition.
#[derive(Clone, Debug)]
struct On(String);

impl std::str::FromStr for On {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(text.to_owned()))
    }
}

impl On {
    /// The mode, or the condition.
    fn split(self) -> (i32, String) {
        let modes = [ActionMode::Success, ActionMode::Fail, ActionMode::Always];
        let said = self.0.trim();
        match modes.into_iter().find(|mode| mode.name().eq_ignore_ascii_case(said)) {
            Some(mode) => (mode.into(), String::new()),
            None => (ActionMode::Condition.into(), self.0),
        }
    }
}

/// `action:create`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("owner").args(["template", "company"]).required(true))]
pub struct Create {
    /// The run template whose jobs it follows
    #[arg(long, alias = "runtemplate_id", value_parser = arguments::id, value_name = "ID")]
    template: Option<i64>,
    /// The company whose jobs it follows, those of all run templates
    #[arg(long, alias = "company_id", value_parser = arguments::id, value_name = "ID")]
    company: Option<i64>,
    /// What it does; action:kinds lists the kinds
    #[arg(long)]
    kind: String,
    /// After which ends of a job it follows: success, fail, always, or a condition such as
    /// "exit in 2..5 || state == timed_out"
    #[arg(long, value_name = "END")]
    on: On,
    /// Where it stands among its owner's actions: the lower is done first [default:
    /// at the end]
    #[arg(long, value_name = "N", value_parser = arguments::number::<i32>(0..=1_000_000))]
    position: Option<i32>,
    #[command(flatten)]
    settings: arguments::Settings,
}

impl Create {
    /// Gives a run template or a company an action.
    pub async fn run(self, server: &Server, output: Output) -> Result<(), Failure> {
        let (mode, condition) = self.on.split();
        let request = CreateActionRequest {
            run_template_id: self.template.unwrap_or_default(),
            company_id: self.company.unwrap_or_default(),
            kind: self.kind,
            mode,
            condition,
            position: self.position,
            settings: self.settings.given()?,
        };
        let answer = server.actions().create_action(request).await?.into_inner();
        answer.remarks.iter().for_each(|remark| output::remark(remark));
        output.done_to("created", answer.action)
    }
}

/// `action:list`.
#[derive(Debug, Args)]
pub struct List {
    /// Only those of this run template; with --state, those of its jobs
    #[arg(long, alias = "runtemplate_id", value_parser = arguments::id, value_name = "ID",
        conflicts_with_all = ["company", "job"])]
    template: Option<i64>,
    /// Only those of this company itself; with --state, those of its jobs
    #[arg(long, alias = "company_id", value_parser = arguments::id, value_name = "ID",
        conflicts_with = "job")]
    company: Option<i64>,
    /// Those that follow the ends of this job, and what came of each
    #[arg(long, alias = "job_id", value_parser = arguments::id, value_name = "ID")]
    job: Option<i64>,
    #[command(flatten)]
    filter: Filter,
    #[command(flatten)]
    paging: Paging,
}

impl List {
    /// Lists what run templates and companies have, or what follows the ends of jobs.
    pub async fn run(self, server: &Server, output: Output) -> Result<(), Failure> {
        let (template, company) = (self.template, self.company);
        if self.job.is_some() || self.filter.state.is_some() {
            let request = ListPerformedActionsRequest {
                run_template_id: template.unwrap_or_default(),
                company_id: company.unwrap_or_default(),
                ..self.filter.request(self.job)
            };
            return performed::list(server, output, &self.paging, request).await;
        }
        let mut client = server.actions();
        let list = pages(&self.paging, async |page_size, page_token, list| {
            let request = ListActionsRequest {
                page_size,
                page_token,
                run_template_id: template.unwrap_or_default(),
                company_id: company.unwrap_or_default(),
            };
            let answer = client.list_actions(request).await?.into_inner();
            for action in answer.actions {
                list.values.push(value(&action));
                list.rows.push(vec![
                    action.id.to_string(),
                    owner(&action),
                    action.position.to_string(),
                    on(&action),
                    action.kind.clone(),
                    briefly(&action.settings),
                ]);
            }
            list.next_page_token = answer.next_page_token;
            Ok(())
        })
        .await?;
        let header = ["ID", "OF", "POSITION", "ON", "KIND", "SETTINGS"];
        output.list("actions", &header, list)
    }
}

/// Shows an action of a run template or a company.
pub async fn show(server: &Server, output: Output, action_id: i64) -> Result<(), Failure> {
    let answer = server.actions().get_action(GetActionRequest { action_id }).await?;
    let action = given(answer.into_inner().action)?;
    let fields = [
        ("id", action.id.to_string()),
        ("of", owner(&action)),
        ("kind", action.kind.clone()),
        ("on", on(&action)),
        ("position", action.position.to_string()),
        ("settings", variables::text(&action.settings, &[])),
        ("created", json::local(action.created.as_ref())),
    ];
    output.one(&value(&action), &fields)
}

/// `action:update`.
#[derive(Debug, Args)]
pub struct Update {
    #[command(flatten)]
    by: ById,
    /// After which ends of a job it follows: success, fail, always, or a condition such as
    /// "exit in 2..5 || state == timed_out"
    #[arg(long, value_name = "END")]
    on: Option<On>,
    /// Where it stands among its owner's actions: the lower is done first
    #[arg(long, value_name = "N", value_parser = arguments::number::<i32>(0..=1_000_000))]
    position: Option<i32>,
    #[command(flatten)]
    settings: arguments::Settings,
    /// A setting that is left to its default; may be given again
    #[arg(long, value_name = "NAME")]
    unset: Vec<String>,
}

impl Update {
    /// Changes an action. Those of jobs that have ended stay what they were.
    pub async fn run(self, server: &Server, output: Output) -> Result<(), Failure> {
        let (mode, condition) = self.on.map(On::split).unwrap_or_default();
        let action_id = self.by.id();
        let request = UpdateActionRequest {
            action_id,
            mode,
            condition,
            position: self.position,
            set_settings: self.settings.given()?,
            unset_settings: self.unset,
        };
        let nothing = UpdateActionRequest { action_id, ..Default::default() };
        some_change::<Action, _>(action_id, &request, &nothing)?;
        let answer = server.actions().update_action(request).await?.into_inner();
        answer.remarks.iter().for_each(|remark| output::remark(remark));
        output.done_to("changed", answer.action)
    }
}

/// Takes an action from its owner.
pub async fn delete(server: &Server, output: Output, action_id: i64) -> Result<(), Failure> {
    server.actions().delete_action(DeleteActionRequest { action_id }).await?;
    output.deleted::<Action>(action_id)
}

/// Longest value that is shown among those of other actions.
const LONGEST: usize = 60;

/// What an action is told, on one line: of a long value its beginning.
fn briefly(settings: &HashMap<String, String>) -> String {
    let shorten = |(name, value): (&String, &String)| {
        let line = value.replace('\n', " ");
        let text = match line.char_indices().nth(LONGEST) {
            Some((end, _)) => format!("{}…", &line[..end]),
            None => line,
        };
        (name.clone(), text)
    };
    variables::text(&settings.iter().map(shorten).collect(), &[]).replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_setting_is_cut_in_a_list() {
        let settings = [("uri", "https://x"), ("body", &"é\n".repeat(40))];
        let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let expected = format!("body={}… uri=https://x", "é ".repeat(30));
        assert_eq!(briefly(&settings), expected);
    }
}
