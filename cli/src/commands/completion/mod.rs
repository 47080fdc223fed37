//! `completion`: scripts that complete the command line in a shell. A script asks this
//! program, which finds the variable [`ASKED`] and answers what may stand at the cursor:
//! commands, options, and what the scheduler has. It never says anything else: a line that
//! cannot be completed stays as it is.

mod bash;
mod candidates;
mod names;
mod shells;

use std::{
    env,
    ffi::{OsStr, OsString},
    io,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, Command, CommandFactory as _};
use clap_complete::{
    CompletionCandidate, Shell, engine,
    env::{Elvish, Powershell, Shells},
};
use multiflexi_program::environment_files;

use crate::{arguments::Arguments, exit_code::Exit, failure::Failure, output, programs};

/// The variable by which a script asks; its value is the shell.
const ASKED: &str = "MULTIFLEXI_COMPLETE";

/// The variable in which some shells say which word the cursor is in, from 0 on.
const INDEX: &str = "_CLAP_COMPLETE_INDEX";

const SHELLS: Shells<'static> =
    Shells(&[&bash::Bash, &shells::FISH, &shells::ZSH, &Elvish, &Powershell]);

/// `completion`.
#[derive(Debug, Args)]
pub struct Completion {
    /// The shell
    shell: Shell,
    /// Of this program; the others are completed without asking the scheduler
    #[arg(long, value_parser = named, default_value = "multiflexi-cli", value_name = "PROGRAM")]
    program: String,
}

/// Reads the name of a program.
fn named(name: &str) -> Result<String, String> {
    let all = programs::all();
    let names: Vec<&str> = all.iter().map(Command::get_name).collect();
    match names.contains(&name) {
        true => Ok(name.to_owned()),
        false => Err(format!("there are {}", names.join(", "))),
    }
}

impl Completion {
    /// Prints the script.
    pub fn run(self) -> Result<ExitCode, Failure> {
        let failed = |error: io::Error| Failure::new(Exit::Internal, error.to_string());
        let name = Arguments::command().get_name().to_owned();
        let program = program(&name).map_err(failed)?;
        let mut script = Vec::new();
        let mut others = programs::all().into_iter().skip(1);
        if let Some(mut other) = others.find(|other| other.get_name() == self.program) {
            clap_complete::generate(self.shell, &mut other, self.program, &mut script);
            return output::print(&String::from_utf8_lossy(&script)).map(|()| ExitCode::SUCCESS);
        }
        if let Some(shell) = SHELLS.completer(&self.shell.to_string()) {
            shell.write_registration(ASKED, &name, &name, &program, &mut script).map_err(failed)?;
        }
        output::print(&String::from_utf8_lossy(&script))?;
        Ok(ExitCode::SUCCESS)
    }
}

/// How the script calls this program: as it was called now, from any folder.
fn program(name: &str) -> io::Result<String> {
    let called = env::args_os().next().map_or_else(|| name.into(), PathBuf::from);
    let is_looked_up = called.components().count() < 2;
    let path = if is_looked_up { called } else { env::current_dir()?.join(called) };
    Ok(path.to_string_lossy().into_owned())
}

/// The shell whose script asks, if this process is to complete a line.
pub fn asked() -> Option<OsString> {
    env::var_os(ASKED).filter(|shell| !shell.is_empty())
}

/// Answers a shell's script. The words of the line are our arguments after `--`.
pub fn answer(shell: &OsStr) -> ExitCode {
    if let Some(answer) = complete(shell, env::args_os()) {
        // A shell that does not read the answer does not want it.
        let _ = output::print(&String::from_utf8_lossy(&answer));
    }
    ExitCode::SUCCESS
}

fn complete(shell: &OsStr, arguments: impl Iterator<Item = OsString>) -> Option<Vec<u8>> {
    let shell = SHELLS.completer(shell.to_str()?)?;
    let mut words: Vec<OsString> = arguments.skip_while(|word| word != "--").skip(1).collect();
    if matches!(shell.name(), "bash" | "zsh") {
        words = words.into_iter().map(unquoted).collect();
    }
    let index = index(&words);
    if words.len() == index {
        words.push(OsString::new());
    }
    // The word that is still being written says nothing yet.
    let mut others = words.clone();
    let current = std::mem::take(others.get_mut(index)?);
    let _ = environment_files::load(others.clone());
    let mut command = candidates::attach(Arguments::command(), &current, others);
    let mut answer = Vec::new();
    let folder = env::current_dir().ok();
    shell.write_complete(&mut command, words, folder.as_deref(), &mut answer).ok()?;
    Some(answer)
}

/// The word that the cursor is in; the last if the shell does not say.
fn index(words: &[OsString]) -> usize {
    let said = env::var(INDEX).ok().and_then(|index| index.parse().ok());
    said.unwrap_or_else(|| words.len().saturating_sub(1))
}

/// What may stand at the cursor. The engine falls back to what is hidden: that is left out.
fn at_cursor(
    command: &mut Command,
    words: Vec<OsString>,
    index: usize,
    folder: Option<&Path>,
) -> io::Result<Vec<CompletionCandidate>> {
    let mut candidates = engine::complete(command, words, index, folder)?;
    candidates.retain(|candidate| !candidate.is_hide_set());
    Ok(candidates)
}

/// The first line of what is known of a candidate.
fn description(candidate: &CompletionCandidate) -> Option<String> {
    let help = candidate.get_help()?.to_string();
    help.lines().next().map(str::to_owned)
}

/// A word as the program gets it: `'a b'` is `a b`. One whose quotes are still open stays.
fn unquoted(word: OsString) -> OsString {
    match word.to_str().map(shell_words::split) {
        Some(Ok(parts)) if parts.len() == 1 => parts.concat().into(),
        _ => word,
    }
}
