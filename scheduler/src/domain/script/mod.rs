//! A job to take along: a script that runs it where no agent is, and files with its
//! variables. Everything is text from a job's own words; nothing is run here.
//!
//! A secret that is not to be shown is never in that text, and no secret is ever an
//! argument of a program that the text runs, unless the job's own command has it so.

pub mod env_file;
mod files;
#[cfg(test)]
mod in_shells;
pub mod shell;

use std::collections::{BTreeMap, BTreeSet};

use super::{
    command_line::Word,
    environment::{File, Variables},
    ids::JobId,
};

/// What a script is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// The job.
    pub id: JobId,
    /// The name of its run template.
    pub run_template: String,
    /// The name of its company.
    pub company: String,
    /// The name of its application.
    pub application: String,
    /// The program and its arguments, made for this `environment`.
    pub command: Vec<Word>,
    /// The variables of its process, secrets too; of files, the paths.
    pub environment: Variables,
    /// Its files.
    pub files: BTreeMap<String, File>,
    /// Which variables are secret, or have a secret in their value. Names that are no
    /// variables of the job mean nothing.
    pub secrets: BTreeSet<String>,
    /// Whether the values of secrets may be shown.
    pub with_secrets: bool,
}

impl Job {
    /// Whether the value of a variable, or the content of its file, is left out.
    fn is_hidden(&self, name: &str) -> bool {
        self.secrets.contains(name) && !self.with_secrets
    }
}

/// Names that at least one shell gives a meaning of its own: the value is refused,
/// counted on, or replaced, and a program does not get what was assigned.
const KEPT: [&str; 33] = [
    "BASHOPTS",
    "BASHPID",
    "BASH_ALIASES",
    "BASH_ARGC",
    "BASH_ARGV",
    "BASH_ARGV0",
    "BASH_CMDS",
    "BASH_COMMAND",
    "BASH_COMPAT",
    "BASH_LINENO",
    "BASH_MONOSECONDS",
    "BASH_SOURCE",
    "BASH_SUBSHELL",
    "BASH_VERSINFO",
    "BASH_XTRACEFD",
    "COMP_WORDBREAKS",
    "DIRSTACK",
    "EPOCHREALTIME",
    "EPOCHSECONDS",
    "EUID",
    "FUNCNAME",
    "GROUPS",
    "HISTCMD",
    "LINENO",
    "OPTIND",
    "PIPESTATUS",
    "PPID",
    "RANDOM",
    "SECONDS",
    "SHELLOPTS",
    "SRANDOM",
    "UID",
    "_",
];

/// Names by which a shell changes how it works, or which it sets anew on its way. A
/// file may assign them; a script that goes on working must not.
const MINDED: [&str; 10] =
    ["EXECIGNORE", "IFS", "LANG", "OLDPWD", "POSIXLY_CORRECT", "PS1", "PS2", "PS4", "PWD", "SHLVL"];

/// Whether assigning and exporting is not enough to hand this variable on.
fn kept(name: &str) -> bool {
    KEPT.contains(&name)
}

/// Whether a shell is better not told of this variable. More than the known names:
/// each new bash has new ones in `BASH_`, and complains of locales that it lacks.
fn minded(name: &str) -> bool {
    kept(name) || MINDED.contains(&name) || name.starts_with("BASH_") || name.starts_with("LC_")
}

/// `text` as one word for a shell: between single quotes nothing has a meaning, and
/// what ends them is put between two such texts.
fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quoted_text_is_one_word() {
        assert_eq!(quote(""), "''");
        assert_eq!(quote("it's $(not) `run`\n"), "'it'\\''s $(not) `run`\n'");
    }
}
