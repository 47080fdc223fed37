//! The command line: steers a scheduler from a terminal, cron or CI. Each command
//! is in the file of `commands` that is named after its resource.

mod arguments;
mod commands;
mod connect;
mod exit_code;
mod failure;
mod output;

use std::process::ExitCode;

use clap::Parser as _;
use multiflexi_program::{environment_files, memory};

use arguments::Arguments;
use failure::Failure;

fn main() -> ExitCode {
    memory::keep_small();
    if let Err(error) = environment_files::load(std::env::args_os()) {
        return Failure::usage(error.to_string()).report(output::Format::Text);
    }
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return exit_code::of_parsing(&error),
    };
    let format = arguments.global.format;
    commands::run(arguments).unwrap_or_else(|failure| failure.report(format))
}
