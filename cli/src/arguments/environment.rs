//! Variables that a command sets: texts, secrets and files.

use std::{
    collections::{HashMap, HashSet},
    ffi::OsStr,
    fs::File,
    io::{self, Read as _},
    path::Path,
};

use clap::Args;
use multiflexi_program::say;
use multiflexi_proto::v1::VariableFile;

use super::{pair, variable};
use crate::failure::Failure;

/// Most bytes of a file that is given as a variable: what the scheduler takes.
const MAX_FILE: u64 = 4 * 1024 * 1024;

/// Least bytes of a secret that agents mask.
const SHORTEST_SECRET: usize = 4;

/// Variables that a command sets.
#[derive(Debug, Args)]
pub struct Environment {
    /// A variable for the process; may be given again
    #[arg(long, value_parser = variable, value_name = "NAME=VALUE")]
    env: Vec<(String, String)>,
    /// A variable whose value is never shown and stored encrypted; with the name alone its
    /// value is taken from this command's own environment, where nobody else sees it
    #[arg(long, value_parser = secret, value_name = "NAME[=VALUE]")]
    secret: Vec<(String, String)>,
    /// A file for the process: its content is stored now, the agent writes it for the job's
    /// user alone, and the variable holds the path; may be given again
    #[arg(long, value_parser = file, value_name = "NAME=FILE")]
    file: Vec<VariableFile>,
    /// The same, stored encrypted and masked in the output
    #[arg(long, value_parser = file, value_name = "NAME=FILE")]
    secret_file: Vec<VariableFile>,
}

/// Variables as the protocol has them.
pub struct Given {
    /// Those that are texts.
    pub values: HashMap<String, String>,
    /// The names of texts that are secret.
    pub secrets: Vec<String>,
    /// Those that are files.
    pub files: Vec<VariableFile>,
}

impl Environment {
    /// What was given, each once.
    pub fn given(self) -> Result<Given, Failure> {
        let texts = self.env.iter().chain(&self.secret).map(|(name, _)| name);
        let files = self.file.iter().chain(&self.secret_file).map(|file| &file.name);
        once(texts.chain(files))?;
        for (name, _) in self.secret.iter().filter(|(_, value)| is_too_short(value)) {
            say!(
                "the secret {name} has fewer than {SHORTEST_SECRET} bytes: it cannot be masked \
                 in the output of jobs"
            );
        }
        let secrets = self.secret.iter().map(|(name, _)| name.clone()).collect();
        let values = self.env.into_iter().chain(self.secret).collect();
        let hidden = self.secret_file.into_iter();
        let hidden = hidden.map(|file| VariableFile { secret: true, ..file });
        Ok(Given { values, secrets, files: self.file.into_iter().chain(hidden).collect() })
    }
}

/// Refuses a name that is given again: which of its values is meant, nobody knows.
pub(super) fn once<'n>(names: impl Iterator<Item = &'n String>) -> Result<(), Failure> {
    let mut known = HashSet::new();
    for name in names {
        if !known.insert(name) {
            return Err(Failure::usage(format!("{name} is given twice: give it once")));
        }
    }
    Ok(())
}

/// Whether a secret would be found by chance in much output; agents mask none that is.
fn is_too_short(secret: &str) -> bool {
    (1..SHORTEST_SECRET).contains(&secret.trim().len())
}

/// Reads a file that is given as a variable.
fn file(text: &str) -> Result<VariableFile, String> {
    let (name, path) = pair(text)
        .filter(|(_, path)| !path.is_empty())
        .ok_or_else(|| "a file looks like NAME=FILE".to_owned())?;
    let path = Path::new(&path);
    let shown = path.display();
    let file_name = path.file_name().and_then(OsStr::to_str);
    let file_name = file_name.ok_or_else(|| format!("{shown} has no name that is UTF-8 text"))?;
    Ok(VariableFile {
        name,
        file_name: file_name.to_owned(),
        content: content(path)?,
        ..VariableFile::default()
    })
}

/// Reads a file that is given; the error is a sentence.
pub(super) fn content(path: &Path) -> Result<Vec<u8>, String> {
    let shown = path.display();
    let unreadable = |error: io::Error| format!("{shown} cannot be read: {error}");
    let file = File::open(path).map_err(unreadable)?;
    let mut content = Vec::new();
    file.take(MAX_FILE + 1).read_to_end(&mut content).map_err(unreadable)?;
    if content.len() as u64 > MAX_FILE {
        return Err(format!("{shown} is larger than {} MiB, which is too large", MAX_FILE >> 20));
    }
    Ok(content)
}

/// Reads a secret variable: without a value it is one of our own.
fn secret(text: &str) -> Result<(String, String), String> {
    if text.contains('=') {
        return variable(text);
    }
    match std::env::var(text) {
        Ok(value) => Ok((text.to_owned(), value)),
        Err(_) => Err(format!("there is no variable {text} in this command's environment")),
    }
}
