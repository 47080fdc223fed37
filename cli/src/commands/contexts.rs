//! `context:list`, `context:show`, `context:set`, `context:use`, `context:delete`. They
//! ask no scheduler.

use clap::Args;
use serde_json::{Value, json};

use crate::{
    arguments::Global,
    connect::Server,
    contexts::{self, Contexts},
    failure::Failure,
    output::{List, Output},
};

fn value(contexts: &Contexts, name: &str, server: &str) -> Value {
    json!({ "name": name, "server": server, "in_use": contexts.current() == Some(name) })
}

/// Lists contexts.
pub fn list(output: Output) -> Result<(), Failure> {
    let contexts = Contexts::read()?;
    let mut list = List::default();
    for (name, server) in contexts.all() {
        list.values.push(value(&contexts, name, server));
        let in_use = if contexts.current() == Some(name) { "yes" } else { "" };
        list.rows.push(vec![name.to_owned(), server.to_owned(), in_use.to_owned()]);
    }
    output.list("contexts", &["NAME", "SERVER", "IN USE"], list)
}

/// Names a context.
#[derive(Debug, Args)]
pub struct ByName {
    /// Its name
    name: String,
}

/// `context:show`.
#[derive(Debug, Args)]
pub struct Show {
    /// Its name [default: the scheduler that commands ask now]
    name: Option<String>,
}

impl Show {
    /// Shows a context, or which scheduler commands ask and who says so.
    pub fn run(self, global: &Global, output: Output) -> Result<(), Failure> {
        if let Some(name) = self.name {
            let contexts = Contexts::read()?;
            let value = value(&contexts, &name, contexts.server(&name)?);
            let server = contexts.server(&name)?.to_owned();
            let in_use = if contexts.current() == Some(&name) { "yes" } else { "no" };
            let fields = [("name", name), ("server", server), ("in use", in_use.to_owned())];
            return output.one(&value, &fields);
        }
        let chosen = contexts::choose(global.server.as_deref(), global.context.as_deref())?;
        let value = json!({
            "name": chosen.context,
            "server": chosen.server,
            "named_by": chosen.by,
        });
        let fields = [
            ("name", chosen.context.unwrap_or_default()),
            ("server", chosen.server),
            ("named by", chosen.by.to_owned()),
        ];
        output.one(&value, &fields)
    }
}

/// Creates a context, or changes it: its scheduler is what `--server` says.
pub fn set(by: &ByName, global: &Global, output: Output) -> Result<(), Failure> {
    let name = &by.name;
    let server = global.server.as_deref().ok_or_else(|| {
        Failure::usage(format!("context {name:?} gets no scheduler: add --server URL"))
    })?;
    Server::endpoints(server)?;
    let mut contexts = Contexts::read()?;
    let does = if contexts.set(name, server)? { "created" } else { "changed" };
    contexts.write()?;
    output.done(&value(&contexts, name, server), &format!("{does} context {name}: {server}"))
}

/// Makes a context the one in use.
pub fn take(by: &ByName, output: Output) -> Result<(), Failure> {
    let name = &by.name;
    let mut contexts = Contexts::read()?;
    contexts.take(name)?;
    contexts.write()?;
    let server = contexts.server(name)?;
    output.done(&value(&contexts, name, server), &format!("using context {name}: {server}"))
}

/// Removes a context.
pub fn delete(by: &ByName, output: Output) -> Result<(), Failure> {
    let name = &by.name;
    let mut contexts = Contexts::read()?;
    let was_in_use = contexts.remove(name)?;
    contexts.write()?;
    let now = if was_in_use { "; no context is in use now" } else { "" };
    let value = json!({ "name": name, "deleted": true });
    output.done(&value, &format!("deleted context {name}{now}"))
}
