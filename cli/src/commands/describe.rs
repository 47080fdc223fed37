//! `describe`: all commands as JSON, for programs that make menus or checks of them.

use std::process::ExitCode;

use clap::{Arg, Command, CommandFactory as _};
use serde_json::{Value, json};

use crate::{arguments::Arguments, failure::Failure, output};

/// Prints them.
pub fn run() -> Result<ExitCode, Failure> {
    let mut all = Arguments::command();
    all.build();
    let value = json!({
        "name": all.get_name(),
        "version": all.get_version(),
        "arguments": arguments(&all),
        "commands": all.get_subcommands().filter(|one| !one.is_hide_set()).map(command)
            .collect::<Vec<_>>(),
    });
    output::print(&format!("{value}\n"))?;
    Ok(ExitCode::SUCCESS)
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
    own.map(argument).collect()
}

fn argument(argument: &Arg) -> Value {
    let values = argument.get_possible_values();
    let takes_value = argument.get_action().takes_values();
    let name = argument.get_long().map(|long| format!("--{long}"));
    json!({
        "name": name.unwrap_or_else(|| argument.get_id().to_string()),
        "short": argument.get_short(),
        "positional": argument.is_positional(),
        "required": argument.is_required_set(),
        "takes_value": takes_value,
        "values": values.iter().filter(|_| takes_value).map(|value| value.get_name().to_owned())
            .collect::<Vec<_>>(),
        "default": argument.get_default_values().iter().map(|value| value.to_string_lossy())
            .next(),
        "help": argument.get_help().map(ToString::to_string),
    })
}
