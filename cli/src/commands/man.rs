//! `man`: the manual pages.

use std::{fs, path::PathBuf, process::ExitCode};

use clap::{Args, CommandFactory as _};
use clap_mangen::Man as Page;

use crate::{arguments::Arguments, exit_code::Exit, failure::Failure, output};

/// `man`.
#[derive(Debug, Args)]
pub struct Man {
    /// The folder for a page of each command; without it the main page goes to stdout
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

impl Man {
    /// Writes the pages.
    pub fn run(self) -> Result<ExitCode, Failure> {
        let mut command = Arguments::command();
        command.build();
        let cannot = |what: &str, error: &std::io::Error| {
            Failure::new(Exit::CannotWrite, format!("{what} cannot be written: {error}"))
        };
        let Some(folder) = self.dir else {
            let mut page = Vec::new();
            Page::new(command).render(&mut page).map_err(|error| cannot("the page", &error))?;
            output::print(&String::from_utf8_lossy(&page))?;
            return Ok(ExitCode::SUCCESS);
        };
        let name = folder.display().to_string();
        fs::create_dir_all(&folder).map_err(|error| cannot(&name, &error))?;
        clap_mangen::generate_to(command, &folder).map_err(|error| cannot(&name, &error))?;
        Ok(ExitCode::SUCCESS)
    }
}
