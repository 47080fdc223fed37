//! The command line: steers a scheduler from a terminal, cron or CI. Each command
//! is in the file of `commands` that is named after its resource. Some commands are
//! programs of their own too; what these do not use is not in them.

mod alone;
mod arguments;
mod commands;
mod connect;
mod contexts;
mod exit_code;
mod failure;
mod greeting;
mod output;
mod programs;

use std::process::ExitCode;

use clap::Parser;
use multiflexi_program::{environment_files, memory};

use arguments::{Arguments, advice};
use commands::completion;
use failure::Failure;

/// `multiflexi-cli`.
pub fn multiflexi_cli() -> ExitCode {
    if let Some(shell) = completion::asked() {
        return completion::answer(&shell);
    }
    run(|arguments: Arguments| {
        let format = arguments.global.format;
        (format, commands::run(arguments))
    })
}

/// `multiflexi-job2script`: the command `job:script` as a program of its own.
pub fn job2script() -> ExitCode {
    run(|arguments: alone::Job2Script| arguments.run())
}

/// `multiflexi-job2env`: the command `job:env-file` as a program of its own.
pub fn job2env() -> ExitCode {
    run(|arguments: alone::Job2Env| arguments.run())
}

/// What a program came to, and how that is told.
type Outcome = (output::Format, Result<ExitCode, Failure>);

/// Reads the arguments and does what they say.
fn run<A: Parser>(program: impl FnOnce(A) -> Outcome) -> ExitCode {
    memory::keep_small();
    if let Err(error) = environment_files::load(std::env::args_os()) {
        return Failure::usage(error.to_string()).report(format_asked());
    }
    // What is wrong with the arguments, and their help, is printed before they are known.
    let command = arguments::with_any_values(A::command());
    let mut command = command.color(output::Colours::asked().for_help());
    let parsed = command.try_get_matches_from_mut(std::env::args_os());
    let parsed = parsed.and_then(|mut found| A::from_arg_matches_mut(&mut found));
    match parsed {
        Ok(arguments) => {
            let (format, result) = program(arguments);
            result.unwrap_or_else(|failure| failure.report(format))
        }
        Err(mut error) => {
            advice::advise(&mut error, &command);
            exit_code::of_parsing(&error, format_asked())
        }
    }
}

/// The format that is asked for by arguments that cannot be understood as a whole.
fn format_asked() -> output::Format {
    let asked = |name| environment_files::option(std::env::args_os(), name);
    let attached = || std::env::args_os().any(|word| word == "-fjson");
    match asked("--format").or_else(|| asked("-f")) {
        Some(format) if format == "json" => output::Format::Json,
        None if attached() => output::Format::Json,
        _ => output::Format::Text,
    }
}
