//! The programs of the product, with their arguments: for manual pages and completion.

use clap::{Command, CommandFactory as _};

use crate::{alone, arguments::Arguments};

/// All programs, the command line first.
pub fn all() -> [Command; 5] {
    [
        Arguments::command(),
        alone::Job2Script::command(),
        alone::Job2Env::command(),
        multiflexi_scheduler::config::Arguments::command(),
        multiflexi_agent::arguments::Arguments::command(),
    ]
}
