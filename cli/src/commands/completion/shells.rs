//! What fish and zsh need: both take a line for each candidate, with its description.

use std::{
    ffi::OsString,
    io::{Error, Write},
    path::Path,
};

use clap::Command;
use clap_complete::env::{self, EnvCompleter};

use super::{at_cursor, description, index};

/// A shell that is told what candidates are.
pub struct Described {
    /// Whose script it is.
    shell: &'static (dyn EnvCompleter + Sync),
    /// Which word the cursor is in.
    index: fn(&[OsString]) -> usize,
    /// What ends a value before its description.
    separator: char,
}

/// fish: it hands over the words up to the cursor.
pub const FISH: Described =
    Described { shell: &env::Fish, index: |words| words.len() - 1, separator: '\t' };

/// zsh.
pub const ZSH: Described = Described { shell: &env::Zsh, index, separator: ':' };

impl Described {
    /// A text as the shell reads it: what would end a value there is escaped.
    fn escaped(&self, text: &str, is_value: bool) -> String {
        match self.separator {
            ':' if is_value => text.replace('\\', r"\\").replace(':', r"\:"),
            ':' => text.replace('\\', r"\\"),
            _ => text.to_owned(),
        }
    }
}

impl EnvCompleter for Described {
    fn name(&self) -> &'static str {
        self.shell.name()
    }

    fn is(&self, name: &str) -> bool {
        self.shell.is(name)
    }

    fn write_registration(
        &self,
        variable: &str,
        name: &str,
        bin: &str,
        program: &str,
        script: &mut dyn Write,
    ) -> Result<(), Error> {
        self.shell.write_registration(variable, name, bin, program, script)
    }

    fn write_complete(
        &self,
        command: &mut Command,
        words: Vec<OsString>,
        folder: Option<&Path>,
        answer: &mut dyn Write,
    ) -> Result<(), Error> {
        let index = (self.index)(&words);
        for candidate in at_cursor(command, words, index, folder)? {
            let value = self.escaped(&candidate.get_value().to_string_lossy(), true);
            match description(&candidate) {
                Some(text) => {
                    let text = self.escaped(&text, false);
                    writeln!(answer, "{value}{}{text}", self.separator)?;
                }
                None => writeln!(answer, "{value}")?,
            }
        }
        Ok(())
    }
}
