//! What is said beside a mistake in the arguments: the commands that are nearest to one that
//! there is not, and what commands and options of the PHP MultiFlexi's command line are here.
//! Those that are the same under another name are aliases, and no mistake.

use clap::{
    Command, Error,
    builder::StyledStr,
    error::{ContextKind, ContextValue, ErrorKind},
};

/// What is meant by a word that is known there.
const KNOWN_THERE: [(&str, &str); 11] = [
    ("queue:list", "in this version that is job:list --state queued"),
    ("queue:truncate", "in this version that is job:delete --state queued"),
    (
        "queue:fix",
        "in this version there is nothing to fix: job:why tells of each job why it waits",
    ),
    (
        "run-template:assign-credential",
        "in this version that is credential:assign ID --template ID",
    ),
    (
        "run-template:unassign-credential",
        "in this version that is credential:unassign ID --template ID",
    ),
    ("run-template:list-credentials", "in this version that is credential:list --template ID"),
    (
        "prune",
        "in this version run templates say what is kept (runtemplate:update ID --keep-count N), and \
         retention:apply removes the rest at once",
    ),
    (
        "--offset",
        "in this version a list goes on with --page-token, which the page before tells, and --all \
         shows all of it",
    ),
    ("--schedule_time", "in this version that is job:create --template ID --at TIME"),
    ("--schedule_type", "in this version that is not said: leave it out"),
    ("--credential_id", "in this version that is credential:assign ID --template ID"),
];

/// Most commands that are offered for one that there is not.
const MOST: usize = 3;

/// How near they are at least; 1 is the same.
const NEAR: f64 = 0.6;

/// Puts the advice into an error, in the place of what the parser guesses.
pub fn advise(error: &mut Error, command: &Command) {
    let wrong = match error.kind() {
        ErrorKind::InvalidSubcommand => ContextKind::InvalidSubcommand,
        ErrorKind::UnknownArgument => ContextKind::InvalidArg,
        _ => return,
    };
    let Some(ContextValue::String(word)) = error.get(wrong) else { return };
    let there = |(known, _): &&(&str, &str)| word.split('=').next() == Some(*known);
    if let Some((_, meant)) = KNOWN_THERE.iter().find(there) {
        error.remove(ContextKind::SuggestedSubcommand);
        error.remove(ContextKind::SuggestedArg);
        let meant = vec![StyledStr::from(*meant)];
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(meant));
    } else if wrong == ContextKind::InvalidSubcommand {
        let nearest = nearest(word, command);
        error.remove(ContextKind::SuggestedSubcommand);
        if !nearest.is_empty() {
            error.insert(ContextKind::SuggestedSubcommand, ContextValue::Strings(nearest));
        }
    }
}

/// The advice in an error.
pub fn of(error: &Error) -> Option<String> {
    match error.get(ContextKind::Suggested)? {
        ContextValue::StyledStrs(advice) => advice.first().map(ToString::to_string),
        _ => None,
    }
}

/// The commands whose name or alias is nearest to a word, the nearest first.
fn nearest(word: &str, all: &Command) -> Vec<String> {
    let near = |command: &Command| {
        let names = command.get_visible_aliases().chain([command.get_name()]);
        let names = names.map(|name| (strsim::normalized_damerau_levenshtein(word, name), name));
        let nearest = names.max_by(|one, other| one.0.total_cmp(&other.0));
        nearest.map(|(near, name)| (near, name.to_owned())).filter(|(near, _)| *near >= NEAR)
    };
    let commands = all.get_subcommands().filter(|command| !command.is_hide_set());
    let mut found: Vec<(f64, String)> = commands.filter_map(near).collect();
    found.sort_by(|one, other| other.0.total_cmp(&one.0));
    found.into_iter().take(MOST).map(|(_, name)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::Arguments;
    use clap::CommandFactory as _;

    #[test]
    fn a_few_commands_are_offered_each_once() {
        let all = Arguments::command();
        let found = nearest("job:lst", &all);
        assert!(found.len() == MOST && found[0] == "job:list", "{found:?}");
        assert_eq!(nearest("run-template:lst", &all)[0], "run-template:list");
        assert_eq!(nearest("xyzzy", &all), [""; 0]);
    }

    #[test]
    fn what_is_known_there_is_no_command_and_no_option_here() {
        let all = Arguments::command();
        for (word, _) in KNOWN_THERE {
            assert!(all.find_subcommand(word).is_none(), "{word}");
            let is_option = |command: &Command| {
                let mut options = command.get_arguments().filter_map(|one| one.get_long());
                options.any(|long| word.strip_prefix("--") == Some(long))
            };
            assert!(!all.get_subcommands().any(is_option), "{word}");
        }
    }
}
