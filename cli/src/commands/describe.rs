//! `describe`: all commands as JSON, for programs that make menus or checks of them.

use std::process::ExitCode;

use clap::{Arg, Command, CommandFactory as _};
use serde_json::{Value, json};

use crate::{arguments::Arguments, exit_code, failure::Failure, output};

/// Prints them.
pub fn run() -> Result<ExitCode, Failure> {
    let mut all = Arguments::command();
    all.build();
    let commands = all.get_subcommands().filter(|one| !one.is_hide_set());
    let value = json!({
        "name": all.get_name(),
        "version": all.get_version(),
        "arguments": arguments(&all),
        "commands": commands.map(command).collect::<Vec<_>>(),
        "exit_codes": exit_codes(),
    });
    output::print(&format!("{value}\n"))?;
    Ok(ExitCode::SUCCESS)
}

fn exit_codes() -> Vec<Value> {
    let entry = |code: u8, name: &str, meaning: &str| json!({ "code": code, "name": name, "meaning": meaning });
    let others = exit_code::MEANINGS.iter();
    let others = others.map(|(exit, meaning)| entry(*exit as u8, exit.name(), meaning));
    std::iter::once(entry(0, "success", exit_code::SUCCESS)).chain(others).collect()
}

fn command(command: &Command) -> Value {
    json!({
        "name": command.get_name(),
        "aliases": command.get_visible_aliases().collect::<Vec<_>>(),
        "about": command.get_about().map(ToString::to_string),
        "arguments": arguments(command),
    })
}

fn arguments(command: &Command) -> Vec<Value> {
    let own = command.get_arguments().filter(|argument| !argument.is_hide_set());
    own.map(|one| argument(one, &others(one, command))).collect()
}

/// The arguments that may be given instead of one that is needed.
fn others(argument: &Arg, command: &Command) -> Vec<String> {
    if argument.is_required_set() {
        return command.get_arg_conflicts_with(argument).into_iter().map(name).collect();
    }
    let id = argument.get_id();
    let groups = command.get_groups().filter(|group| group.is_required_set());
    let mut groups = groups.map(|group| group.get_args().collect::<Vec<_>>());
    let group = groups.find(|group| group.contains(&id)).unwrap_or_default();
    let is_other = |one: &&Arg| one.get_id() != id && group.contains(&one.get_id());
    command.get_arguments().filter(is_other).map(name).collect()
}

fn name(argument: &Arg) -> String {
    let long = argument.get_long().map(|long| format!("--{long}"));
    long.unwrap_or_else(|| argument.get_id().to_string())
}

fn argument(argument: &Arg, or: &[String]) -> Value {
    let takes_value = argument.get_action().takes_values();
    let values = argument.get_possible_values();
    let values = values.iter().filter(|value| takes_value && !value.is_hide_set());
    let default = argument
        .get_default_values()
        .iter()
        .filter(|_| takes_value && !argument.is_hide_default_value_set());
    json!({
        "name": name(argument),
        "short": argument.get_short(),
        "positional": argument.is_positional(),
        "required": argument.is_required_set() || !or.is_empty(),
        "or": or,
        "takes_value": takes_value,
        "values": values.map(|value| value.get_name().to_owned()).collect::<Vec<_>>(),
        "default": default.map(|value| value.to_string_lossy()).next(),
        "help": argument.get_help().map(ToString::to_string),
    })
}
