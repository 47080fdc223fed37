//! `action:create`, `action:list`, `action:show`, `action:update`, `action:delete`,
//! `action:kinds`.

mod performed;

use clap::{Args, ValueEnum};
use multiflexi_proto::v1::{
    Action, ActionField, ActionMode, CreateActionRequest, DeleteActionRequest, GetActionRequest,
    ListActionKindsRequest, ListActionsRequest, PerformedActionState, UpdateActionRequest,
};
use serde_json::{Value, json};

use super::{pages, resource::given, variables};
use crate::{
    arguments::{self, ById, Paging},
    connect::Server,
    failure::Failure,
    output::{self, Output, json},
};

pub use performed::{performed_header, performed_row, performed_value};

fn value(action: &Action) -> Value {
    json!({
        "id": action.id,
        "run_template_id": action.run_template_id,
        "run_template_name": action.run_template_name,
        "kind": action.kind,
        "on": action.mode().name(),
        "position": action.position,
        "settings": action.settings,
        "created": json::time(action.created.as_ref()),
    })
}

/// On which ends, as people name it.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum On {
    /// It has succeeded
    Success,
    /// It has failed, timed out or was lost
    Fail,
    /// It has ended in any way, but for a cancel while it waited
    Always,
}

impl From<On> for ActionMode {
    fn from(on: On) -> Self {
        match on {
            On::Success => Self::Success,
            On::Fail => Self::Fail,
            On::Always => Self::Always,
        }
    }
}

/// `action:create`.
#[derive(Debug, Args)]
pub struct Create {
    /// The run template whose jobs it follows
    #[arg(long, alias = "runtemplate_id", value_parser = arguments::id, value_name = "ID")]
    template: i64,
    /// What it does; action:kinds lists the kinds
    #[arg(long)]
    kind: String,
    /// After which ends of a job it follows
    #[arg(long, value_name = "END")]
    on: On,
    /// Where it stands among the run template's actions: the lower is done first [default:
    /// at the end]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(0..=1_000_000))]
    position: Option<i32>,
    /// What it is told; may be given again
    #[arg(long, value_parser = arguments::variable, value_name = "NAME=VALUE")]
    set: Vec<(String, String)>,
}

impl Create {
    /// Gives a run template an action.
    pub async fn run(self, server: &Server, output: Output) -> Result<(), Failure> {
        let request = CreateActionRequest {
            run_template_id: self.template,
            kind: self.kind,
            mode: ActionMode::from(self.on).into(),
            position: self.position,
            settings: self.set.into_iter().collect(),
        };
        let answer = server.actions().create_action(request).await?;
        output.done_to("created", answer.into_inner().action, value)
    }
}

/// `action:list`.
#[derive(Debug, Args)]
pub struct List {
    /// Only those of this run template
    #[arg(long, alias = "runtemplate_id", value_parser = arguments::id, value_name = "ID",
        conflicts_with_all = ["job", "state"])]
    template: Option<i64>,
    /// Those that follow the ends of this job, and what came of each
    #[arg(long, alias = "job_id", value_parser = arguments::id, value_name = "ID")]
    job: Option<i64>,
    /// Those of ended jobs that are in this state, and what came of each
    #[arg(long, value_parser = arguments::named(PerformedActionState::name), value_name = "STATE")]
    state: Option<PerformedActionState>,
    #[command(flatten)]
    paging: Paging,
}

impl List {
    /// Lists what run templates have, or what follows the ends of jobs.
    pub async fn run(self, server: &Server, output: Output) -> Result<(), Failure> {
        if self.job.is_some() || self.state.is_some() {
            return performed::list(server, output, &self.paging, (self.job, self.state)).await;
        }
        let mut client = server.actions();
        let run_template_id = self.template.unwrap_or_default();
        let list = pages(&self.paging, async |page_size, page_token, list| {
            let request = ListActionsRequest { page_size, page_token, run_template_id };
            let answer = client.list_actions(request).await?.into_inner();
            for action in answer.actions {
                list.values.push(value(&action));
                list.rows.push(vec![
                    action.id.to_string(),
                    action.run_template_name.clone(),
                    action.position.to_string(),
                    action.mode().name().to_owned(),
                    action.kind.clone(),
                    variables::text(&action.settings, &[]).replace('\n', " "),
                ]);
            }
            list.next_page_token = answer.next_page_token;
            Ok(())
        })
        .await?;
        let header = ["ID", "TEMPLATE", "POSITION", "ON", "KIND", "SETTINGS"];
        output.list("actions", &header, list)
    }
}

/// Shows an action of a run template.
pub async fn show(server: &Server, output: Output, action_id: i64) -> Result<(), Failure> {
    let answer = server.actions().get_action(GetActionRequest { action_id }).await?;
    let action = given(answer.into_inner().action)?;
    let fields = [
        ("id", action.id.to_string()),
        ("run template", format!("{} ({})", action.run_template_name, action.run_template_id)),
        ("kind", action.kind.clone()),
        ("on", action.mode().name().to_owned()),
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
    /// After which ends of a job it follows
    #[arg(long, value_name = "END")]
    on: Option<On>,
    /// Where it stands among the run template's actions: the lower is done first
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(0..=1_000_000))]
    position: Option<i32>,
    /// What it is told; may be given again
    #[arg(long, value_parser = arguments::variable, value_name = "NAME=VALUE")]
    set: Vec<(String, String)>,
    /// A setting that is left to its default; may be given again
    #[arg(long, value_name = "NAME")]
    unset: Vec<String>,
}

impl Update {
    /// Changes an action. Those of jobs that have ended stay what they were.
    pub async fn run(self, server: &Server, output: Output) -> Result<(), Failure> {
        let request = UpdateActionRequest {
            action_id: self.by.id(),
            mode: self.on.map_or(ActionMode::Unspecified, Into::into).into(),
            position: self.position,
            set_settings: self.set.into_iter().collect(),
            unset_settings: self.unset,
        };
        let answer = server.actions().update_action(request).await?;
        output.done_to("changed", answer.into_inner().action, value)
    }
}

/// Takes an action from its run template.
pub async fn delete(server: &Server, output: Output, action_id: i64) -> Result<(), Failure> {
    server.actions().delete_action(DeleteActionRequest { action_id }).await?;
    output.deleted::<Action>(action_id)
}

/// Lists the kinds of actions.
pub async fn kinds(server: &Server, output: Output) -> Result<(), Failure> {
    let answer = server.actions().list_action_kinds(ListActionKindsRequest {}).await?.into_inner();
    let mut list = output::List::default();
    for kind in answer.kinds {
        let value = |field: &ActionField| {
            json!({
                "name": field.name,
                "description": field.description,
                "type": field.r#type,
                "default": field.default_value,
            })
        };
        let text = |field: &ActionField| {
            let default = field.default_value.as_ref();
            let default =
                default.map_or_else(|| "required".to_owned(), |it| format!("default {it}"));
            format!("{}: {} ({default})", field.name, field.description)
        };
        list.values.push(json!({
            "name": kind.name,
            "description": kind.description,
            "fields": kind.fields.iter().map(value).collect::<Vec<_>>(),
        }));
        let fields: Vec<String> = kind.fields.iter().map(text).collect();
        list.rows.push(vec![kind.name, kind.description, fields.join(", ")]);
    }
    output.list("kinds", &["KIND", "WHAT IT DOES", "SETTINGS"], list)
}
