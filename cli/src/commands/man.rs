//! `man`: the manual pages.

use std::{fs, path::PathBuf, process::ExitCode};

use clap::{Args, Command, CommandFactory as _};
use clap_mangen::Man as Page;

use crate::{arguments::Arguments, exit_code::Exit, failure::Failure, output, programs};

/// `man`.
#[derive(Debug, Args)]
pub struct Man {
    /// The folder for a page of each program and each command; without it the main page goes
    /// to stdout
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

impl Man {
    /// Writes the pages.
    pub fn run(self) -> Result<ExitCode, Failure> {
        let cannot = |what: &str, error: &std::io::Error| {
            Failure::new(Exit::CannotWrite, format!("{what} cannot be written: {error}"))
        };
        let Some(folder) = self.dir else {
            let mut page = Vec::new();
            Page::new(paged(Arguments::command()))
                .render(&mut page)
                .map_err(|error| cannot("the page", &error))?;
            output::print(&String::from_utf8_lossy(&page))?;
            return Ok(ExitCode::SUCCESS);
        };
        let name = folder.display().to_string();
        fs::create_dir_all(&folder).map_err(|error| cannot(&name, &error))?;
        for program in programs::all() {
            let written = clap_mangen::generate_to(paged(program), &folder);
            written.map_err(|error| cannot(&name, &error))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// A program as its pages have it: `help` says what they say, and needs none.
fn paged(program: Command) -> Command {
    let mut program = program.disable_help_subcommand(true);
    program.build();
    program
}
