//! `action:kinds`: what kinds of actions there are, and what each can be told.

use clap::Args;
use multiflexi_proto::v1::{ActionField, ActionKind, ListActionKindsRequest};
use serde_json::{Value, json};

use crate::{
    connect::Server,
    exit_code::Exit,
    failure::Failure,
    output::{List, Output, print},
};

/// `action:kinds`.
#[derive(Debug, Args)]
pub struct Kinds {
    /// The kind whose settings are shown
    kind: Option<String>,
}

impl Kinds {
    /// Lists all kinds, or shows one with its settings.
    pub async fn run(self, server: &Server, output: Output) -> Result<(), Failure> {
        let answer = server.actions().list_action_kinds(ListActionKindsRequest {}).await?;
        let kinds = answer.into_inner().kinds;
        let Some(name) = self.kind else {
            let row = |kind: &ActionKind| vec![kind.name.clone(), kind.description.clone()];
            let values = kinds.iter().map(value).collect();
            let list = List { values, rows: kinds.iter().map(row).collect(), ..List::default() };
            return output.list("kinds", &["KIND", "WHAT IT DOES"], list);
        };
        match kinds.iter().find(|kind| kind.name.eq_ignore_ascii_case(&name)) {
            Some(kind) => show(kind, output),
            None => {
                let known: Vec<&str> = kinds.iter().map(|kind| kind.name.as_str()).collect();
                let name: String = name.chars().take(40).collect();
                let message = format!("{name:?} is no kind of action: take {}", known.join(", "));
                Err(Failure::new(Exit::NotFound, message))
            }
        }
    }
}

fn show(kind: &ActionKind, output: Output) -> Result<(), Failure> {
    let fields = [("kind", kind.name.clone()), ("what it does", kind.description.clone())];
    output.one(&value(kind), &fields)?;
    if !output.is_chatty() || kind.fields.is_empty() {
        return Ok(());
    }
    print("\n")?;
    output.part(&["SETTING", "DEFAULT", "WHAT IT IS"], kind.fields.iter().map(row).collect())
}

fn value(kind: &ActionKind) -> Value {
    let field = |field: &ActionField| {
        json!({
            "name": field.name,
            "description": field.description,
            "type": field.r#type,
            "default": field.default_value,
            "secret": field.secret,
        })
    };
    json!({
        "name": kind.name,
        "description": kind.description,
        "fields": kind.fields.iter().map(field).collect::<Vec<_>>(),
    })
}

fn row(field: &ActionField) -> Vec<String> {
    let default = match field.default_value.as_deref() {
        None => "(required)".to_owned(),
        Some(value) => value.to_owned(),
    };
    let secret = if field.secret { "; it is kept secret" } else { "" };
    vec![field.name.clone(), default, format!("{}{secret}", field.description)]
}
