//! A script for `sh` that does what an agent would do with a job: its command, in
//! its environment, in a folder of its own, and the script ends as the command does.
//!
//! **Environment.** The command runs in a subshell that gives up the variables of
//! the caller but for those that an agent hands on, and exports the job's. So values
//! are on no command line, and the script's own programs (`mktemp`, `rm`) are not run
//! under the job's variables. The subshell then becomes `/usr/bin/env`, which becomes
//! the command: it removes what shells add or do not give up (`PWD`, `SHLVL`, `_`,
//! exported functions), and hands on the few names that mean something to a shell
//! (`UID`, `RANDOM`, `IFS`, `LC_ALL`). Others on the host can see its arguments, so
//! never is a secret one: a secret of such a name is refused in a sentence.
//!
//! The process then has, byte for byte, the job's variables; `MULTIFLEXI_TMP` and
//! `PATH` as an agent gives them; `HOME`, `USER`, `LOGNAME`, `SHELL`, `LANG`, `TZ` and
//! `LC_*` of the caller where the job has none; and nothing else. An exact environment
//! by `env -i NAME=value ...` would be shorter, and would show secrets.
//!
//! **Signals.** The command runs in the background and the script waits, because a
//! shell that waits for a program in front leaves a signal until that has ended. HUP,
//! TERM, USR1 and USR2 are passed on; INT and QUIT as TERM, which is what an agent
//! sends, because `sh` lets what is in the background ignore those two. A signal in
//! the instant in which the command's process is made can be lost: shells reset their
//! traps only in the new process.

use super::{Job, files::Folder, kept, minded, quote};
use crate::domain::command_line::{Piece, Word, fill};

/// The beginning of the script's own names, before it is made to fit the job.
const OWN: &str = "own_";

/// From here on no signal ends the script before its folder is removed.
const SIGNALS: &str = r#"
own_child=
own_signal=
own_forward() {
    own_signal=$1
    [ -z "$own_child" ] || kill -s "$1" "$own_child" 2>/dev/null || :
}
trap 'own_forward HUP' HUP
trap 'own_forward TERM' TERM INT QUIT
trap 'own_forward USR1' USR1
trap 'own_forward USR2' USR2
"#;

/// The folder is removed only if it was made here: the caller may be a job, with a
/// `MULTIFLEXI_TMP` of its own.
const FOLDER: &str = r#"
MULTIFLEXI_TMP=$(mktemp -d "${TMPDIR:-/tmp}/multiflexi.XXXXXX") || exit 1
if [ -n "${KEEP-}" ]; then
    trap 'echo "The working folder is kept: $MULTIFLEXI_TMP" >&2' EXIT
else
    trap 'rm -rf -- "$MULTIFLEXI_TMP" "$MULTIFLEXI_TMP.files"' EXIT
fi
"#;

/// A function, because bash says how a background command ended with all its text,
/// secrets too, and of a function it has only the name.
///
/// No variable is used for this: it could be one of the job's that the caller gives.
/// What cannot be unset, be it a name that is none for a shell, is left to `env -u`.
const CLEAN: &str = r#"
own_command() {
    # Of the caller's variables only those stay that an agent would hand on.
    set -f
    set -- $(env | LC_ALL=C sed -n 's/^\([^=[:space:]-][^=[:space:]]*\)=.*/\1/p') --
    while [ "$1" != -- ]; do
        case $1 in
        PATH | HOME | USER | LOGNAME | SHELL | LANG | TZ | LC_* | MULTIFLEXI_TMP) ;;
"#;

const CLEANED: &str = r#"        *) command unset -v "$1" 2>/dev/null || set -- "$@" -u "$1" ;;
        esac
        shift
    done
    shift
    cd "$MULTIFLEXI_TMP" || exit 126
    export MULTIFLEXI_TMP="$PWD"
    export PATH="${PATH-/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin}"
"#;

/// Removes what shells add of their own; it must come before the job's variables.
const EXEC: &str = r#"    exec /usr/bin/env -u PWD -u OLDPWD -u SHLVL -u _ "$@" -- \
"#;

/// `wait` also ends when a signal comes, so it is asked again. 127 is its answer if
/// the command had ended just before: then the earlier answer was the command's.
const WAIT: &str = r#"}

# Nothing is begun after a signal that asks for the end.
[ -z "$own_signal" ] || exit 143
own_command </dev/null &
own_child=$!
[ -z "$own_signal" ] || kill -s "$own_signal" "$own_child" 2>/dev/null || :
own_exit=127
own_signal=again
while [ -n "$own_signal" ]; do
    own_signal=
    wait "$own_child" && own_code=0 || own_code=$?
    [ "$own_code" -eq 127 ] || own_exit=$own_code
done
exit "$own_exit"
"#;

/// The script. It needs `sh`, `mktemp`, `env` and `sed`.
pub fn script(job: &Job) -> String {
    let own = own_names(job);
    let files = Folder { own: &own, job };
    [
        header(job),
        secrets(job),
        SIGNALS.replace(OWN, &own),
        FOLDER.to_owned(),
        files.write(),
        CLEAN.replace(OWN, &own),
        callers_secrets(job).map(|name| format!("        {name}) ;;\n")).collect(),
        CLEANED.to_owned(),
        exports(job, files),
        command(job, files),
        WAIT.replace(OWN, &own),
    ]
    .concat()
}

/// The beginning of names that the job has not: a secret comes in the script's own
/// environment, where an equal name would change it.
fn own_names(job: &Job) -> String {
    let mut own = "multiflexi_".to_owned();
    while job.environment.keys().any(|name| name.starts_with(&own)) {
        own.push('_');
    }
    own
}

/// Names are written with their line breaks and control characters escaped, so that
/// they stay in the comment.
fn header(job: &Job) -> String {
    let Job { id, run_template, company, application, .. } = job;
    let shows = job.with_secrets && job.environment.keys().any(|name| job.secrets.contains(name));
    let secret = if shows { "# This file holds secrets.\n" } else { "" };
    format!(
        "#!/bin/sh\n\
         # Runs the command of a MultiFlexi job as an agent would: with its variables, in\n\
         # a folder of its own that is removed at the end, unless KEEP=1 is set.\n\
         {secret}#\n\
         # Job:          {id}\n\
         # Run template: {run_template:?}\n\
         # Company:      {company:?}\n\
         # Application:  {application:?}\n"
    )
}

/// How a variable of the job gets into its process.
#[derive(PartialEq, Eq)]
enum Way<'a> {
    /// The shell exports this value.
    Export(&'a str),
    /// The caller has set it.
    Caller,
    /// `env` is told this value, and the shell does not know it.
    Env(&'a str),
    /// There is none.
    Refused,
    /// The script has a value of its own.
    Own,
}

fn way<'a>(job: &'a Job, name: &str) -> Option<Way<'a>> {
    let value = job.environment.get(name)?;
    // The path of a secret file is none.
    let secret = job.secrets.contains(name) && !job.files.contains_key(name);
    Some(match name {
        "MULTIFLEXI_TMP" => Way::Own,
        _ if !secret && minded(name) => Way::Env(value),
        _ if !secret => Way::Export(value),
        // A name in `BASH_` that no shell knows yet, or a locale, may be a secret.
        _ if kept(name) || super::MINDED.contains(&name) => Way::Refused,
        _ if job.with_secrets => Way::Export(value),
        _ => Way::Caller,
    })
}

fn ways(job: &Job) -> impl Iterator<Item = (&str, Way<'_>)> {
    job.environment.keys().filter_map(|name| Some((name.as_str(), way(job, name)?)))
}

/// The secrets that the caller gives.
fn callers_secrets(job: &Job) -> impl Iterator<Item = &str> {
    ways(job).filter(|(_, way)| *way == Way::Caller).map(|(name, _)| name)
}

/// What ends the script before anything is done.
fn secrets(job: &Job) -> String {
    let lines = ways(job).filter_map(|(name, way)| match way {
        Way::Refused => Some(format!(
            "echo 'The secret {name} cannot be handed on by a script: shells use this name \
             themselves.' >&2\nexit 78\n"
        )),
        Way::Caller => {
            Some(format!(": \"${{{name}:?set the secret {name} before running this script}}\"\n"))
        }
        _ => None,
    });
    let hidden = job.files.iter().filter(|(name, _)| job.is_hidden(name)).map(|(name, _)| {
        format!(": \"${{{name}:?set {name} to the path of the secret file before running this script}}\"\n")
    });
    let lines: String = lines.chain(hidden).collect();
    if lines.is_empty() { lines } else { format!("\n{lines}") }
}

fn exports(job: &Job, files: Folder<'_>) -> String {
    ways(job)
        .filter_map(|(name, way)| match way {
            Way::Export(value) => Some(format!("    export {name}={}\n", files.quote(value))),
            Way::Caller => Some(format!("    export {name}\n")),
            _ => None,
        })
        .collect()
}

/// The last line of the subshell, which becomes the command.
fn command(job: &Job, files: Folder<'_>) -> String {
    let assignments = ways(job).filter_map(|(name, way)| match way {
        Way::Env(value) => Some(format!("        {name}={} \\\n", files.quote(value))),
        _ => None,
    });
    let assignments: String = assignments.collect();
    let program = job.command.first().map(|word| fill(word, &job.environment)).unwrap_or_default();
    // `env` takes such a program for one more variable, so `nice` starts it. The job's
    // PATH need not have that one.
    let nice = if program.contains('=') {
        "        \"$(PATH=/usr/local/bin:/usr/bin:/bin command -v nice)\" -n 0 -- \\\n"
    } else {
        ""
    };
    let words: Vec<String> = job.command.iter().map(|word| argument(job, files, word)).collect();
    let words = if words.is_empty() { quote("") } else { words.join(" ") };
    format!("{EXEC}{assignments}{nice}        {words}\n")
}

/// One argument. Values of variables are taken from the variables, so that a secret
/// is written once or not at all; those that the shell does not know are written.
fn argument(job: &Job, files: Folder<'_>, word: &Word) -> String {
    let pieces = word.iter().map(|piece| match piece {
        Piece::Literal(text) => quote(text),
        Piece::Variable(name) => match way(job, name) {
            Some(Way::Env(value)) => files.quote(value),
            Some(Way::Own) if job.with_secrets || !job.secrets.contains(name) => {
                files.quote(&job.environment[name])
            }
            _ => format!("\"${{{name}}}\""),
        },
    });
    let word: String = pieces.collect();
    if word.is_empty() { quote("") } else { word }
}

#[cfg(test)]
mod tests;
