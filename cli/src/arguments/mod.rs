//! The arguments that commands share, and the list of commands.

pub mod advice;
mod command;
mod environment;
mod settings;
mod values;

use std::path::PathBuf;

use clap::{Args, Parser};

use crate::{
    exit_code,
    failure::Failure,
    output::{Colours, Format},
};

pub use command::Command;
pub use environment::{Environment, Given};
pub use settings::Settings;
use values::pair;
pub use values::{duration, id, named, named_of, number, since, time, timestamp, variable};

/// Runs companies' jobs on many hosts, live.
#[derive(Debug, Parser)]
#[command(name = "multiflexi-cli", version, about, after_help = exit_code::help())]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub struct Arguments {
    /// The command.
    #[command(subcommand)]
    pub command: Command,
    /// What holds for all commands.
    #[command(flatten)]
    pub global: Global,
}

/// What holds for all commands.
#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// The scheduler [default: what --context, MULTIFLEXI_SERVER, MULTIFLEXI_CONTEXT or
    /// context:use names, in this order; else http://127.0.0.1:7780]. Of several with commas
    /// between, which share one database, the first that is there is asked
    #[arg(long, value_name = "URL", global = true)]
    pub server: Option<String>,
    /// The scheduler of this context: context:list shows all
    #[arg(long, value_name = "NAME", global = true)]
    pub context: Option<String>,
    /// How results are printed
    #[arg(short, long, default_value = "text", value_name = "FORMAT", global = true)]
    pub format: Format,
    /// Reads variables from this file, besides /etc/multiflexi/.env
    #[arg(long, value_name = "FILE", global = true)]
    pub environment: Option<PathBuf>,
    /// Print ids and nothing else
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Print these fields only, in this order, by their names in JSON
    #[arg(long, value_name = "NAME,…", value_delimiter = ',', global = true)]
    pub fields: Vec<String>,
    /// When to use colours; NO_COLOR turns them off too
    #[arg(long, default_value = "auto", value_name = "WHEN", global = true)]
    pub color: Colours,
}

/// A command whose options take the next word as their value, also if it begins with a hyphen, as
/// those of most programs do: what is wrong with `--delay -5s` is said of the delay then.
pub fn with_any_values(command: clap::Command) -> clap::Command {
    let any = |argument: clap::Arg| {
        let takes = argument.get_action().takes_values() && !argument.is_positional();
        if takes { argument.allow_hyphen_values(true) } else { argument }
    };
    command.mut_args(any).mut_subcommands(with_any_values)
}

impl Global {
    /// The scheduler that is asked.
    pub fn scheduler(&self) -> Result<String, Failure> {
        Ok(crate::contexts::choose(self.server.as_deref(), self.context.as_deref())?.server)
    }
}

/// Names one thing.
#[derive(Debug, Args)]
pub struct ById {
    /// Its id
    // What a given argument conflicts with is not missed.
    #[arg(value_parser = id, required = true, conflicts_with = "named", value_name = "ID")]
    id: Option<i64>,
    /// The same, as the PHP MultiFlexi's command line has it
    #[arg(long = "id", id = "named", value_parser = id, value_name = "ID")]
    named: Option<i64>,
}

impl ById {
    /// The id.
    pub fn id(&self) -> i64 {
        self.id.or(self.named).unwrap_or_default()
    }
}

/// Which part of a list is shown.
#[derive(Clone, Debug, Args)]
pub struct Paging {
    /// Most rows to show
    #[arg(
        long,
        default_value_t = 50,
        value_name = "N",
        value_parser = number::<i32>(1..=1000)
    )]
    pub limit: i32,
    /// Goes on where another list ended: its `next_page_token`
    #[arg(long, default_value = "", value_name = "TOKEN", hide_default_value = true)]
    pub page_token: String,
    /// Show all rows
    #[arg(long, conflicts_with_all = ["limit", "page_token"])]
    pub all: bool,
}

/// How a list is sorted, and which part of it is shown.
#[derive(Clone, Debug, Args)]
pub struct Sorted {
    /// What they are sorted by: id, name or created, upwards, or downwards as in "name desc"
    /// [default: id]
    #[arg(long, value_name = "ORDER", default_value = "", hide_default_value = true)]
    pub order: String,
    /// Which part.
    #[command(flatten)]
    pub paging: Paging,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{CommandFactory as _, FromArgMatches as _};

    fn parse(words: &[&str]) -> Result<Arguments, clap::Error> {
        let words = ["multiflexi-cli"].iter().chain(words);
        let found = with_any_values(Arguments::command()).try_get_matches_from(words)?;
        Arguments::from_arg_matches(&found)
    }

    #[test]
    fn the_definition_is_sound() {
        with_any_values(Arguments::command()).debug_assert();
    }

    #[test]
    fn globals_stand_before_or_after_the_command() {
        for words in [
            ["-f", "json", "--server", "http://h:1", "job:show", "5"],
            ["job:show", "5", "-f", "json", "--server", "http://h:1"],
        ] {
            let arguments = parse(&words).unwrap();
            assert_eq!(arguments.global.server.as_deref(), Some("http://h:1"));
            assert!(matches!(arguments.global.format, Format::Json));
            assert!(matches!(arguments.command, Command::JobShow(by) if by.id() == 5));
        }
    }

    #[test]
    fn the_names_of_the_php_command_line_are_taken() {
        assert!(matches!(parse(&["job:get", "--id", "5"]).unwrap().command,
            Command::JobShow(by) if by.id() == 5));
        parse(&["run-template:list"]).unwrap();
        parse(&["job:create", "--runtemplate_id", "1", "--company_id", "2"]).unwrap();
        parse(&["run-template:create", "--name", "n", "--app_id", "1", "--company_id", "2"])
            .unwrap();
        parse(&["artifact:save", "--id", "1", "--file", "f"]).unwrap();
        parse(&["job:list", "--status", "failed"]).unwrap();
        parse(&["job:create", "--runtemplate_id", "1", "--scheduled", "2027-01-31 06:00"]).unwrap();
        parse(&["company:remove", "--id", "1"]).unwrap();
        for status in ["queue:overview", "job:status"] {
            assert!(matches!(parse(&[status]).unwrap().command, Command::QueueStatus));
        }
    }

    #[test]
    fn what_is_wrong_is_said_of_the_option() {
        let create = ["job:create", "--template", "1"];
        for (words, option, said) in [
            (&["--delay", "-5s"][..], "--delay", "a duration looks like"),
            (&["--count", "-5"], "--count", "take a whole number, 1 to 100000"),
            (&["--count", "many"], "--count", "take a whole number, 1 to 100000"),
        ] {
            let error = parse(&[&create, words].concat()).unwrap_err().to_string();
            assert!(error.contains(option) && error.contains(said), "{error}");
        }
        let error = |words: &[&str]| parse(words).unwrap_err().to_string();
        assert!(error(&["job:watch", "--after", "abc"]).contains("take a whole number from 0 on"));
        let preview = ["schedule:preview", "1", "--catch-up", "-1"];
        assert!(error(&preview).contains("take skip, one"));
        parse(&["job:create", "--template", "1", "--priority", "-7"]).unwrap();
        let nobody = error(&["action:create", "--kind", "Stop", "--on", "fail"]);
        assert!(nobody.contains("--template <ID>|--company <ID>"), "{nobody}");
    }

    #[test]
    fn what_is_no_id_is_refused() {
        for bad in ["0", "-1", "x", "", "1.5", "99999999999999999999"] {
            assert!(parse(&["job:show", bad]).is_err(), "{bad:?}");
        }
        assert!(parse(&["job:show"]).is_err());
    }
}
