//! The arguments of a process. Each can come from a variable as well, and one that is empty
//! is not set, as environment files and units of systemd have it.

use clap::{Command, Parser};

/// Reads the arguments of this process; ends it where they are wrong or ask for help.
pub fn parse<A: Parser>() -> A {
    let mut command = without_empty_variables(A::command());
    let mut matches = command.get_matches_mut();
    A::from_arg_matches_mut(&mut matches).unwrap_or_else(|error| error.format(&mut command).exit())
}

/// A command that takes nothing from variables that are empty.
fn without_empty_variables(command: Command) -> Command {
    let empty = |name: &std::ffi::OsStr| std::env::var_os(name).is_some_and(|text| text.is_empty());
    command
        .mut_args(|argument| match argument.get_env().is_some_and(empty) {
            true => argument.env(None::<&str>),
            false => argument,
        })
        .mut_subcommands(without_empty_variables)
}
