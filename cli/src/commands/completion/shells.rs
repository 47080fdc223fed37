//! What fish and zsh need: both take a line for each candidate, with its description.

use std::{
    ffi::OsString,
    io::{Error, Write},
    path::Path,
};

use clap::Command;
use clap_complete::env::{self, EnvCompleter};

use super::{at_cursor, description, index};

/// fish.
pub struct Fish;

impl EnvCompleter for Fish {
    fn name(&self) -> &'static str {
        env::Fish.name()
    }

    fn is(&self, name: &str) -> bool {
        env::Fish.is(name)
    }

    fn write_registration(
        &self,
        variable: &str,
        name: &str,
        bin: &str,
        program: &str,
        script: &mut dyn Write,
    ) -> Result<(), Error> {
        env::Fish.write_registration(variable, name, bin, program, script)
    }

    fn write_complete(
        &self,
        command: &mut Command,
        words: Vec<OsString>,
        folder: Option<&Path>,
        answer: &mut dyn Write,
    ) -> Result<(), Error> {
        let index = words.len() - 1;
        for candidate in at_cursor(command, words, index, folder)? {
            let value = candidate.get_value().to_string_lossy();
            match description(&candidate) {
                Some(description) => writeln!(answer, "{value}\t{description}")?,
                None => writeln!(answer, "{value}")?,
            }
        }
        Ok(())
    }
}

/// zsh.
pub struct Zsh;

impl EnvCompleter for Zsh {
    fn name(&self) -> &'static str {
        env::Zsh.name()
    }

    fn is(&self, name: &str) -> bool {
        env::Zsh.is(name)
    }

    fn write_registration(
        &self,
        variable: &str,
        name: &str,
        bin: &str,
        program: &str,
        script: &mut dyn Write,
    ) -> Result<(), Error> {
        env::Zsh.write_registration(variable, name, bin, program, script)
    }

    fn write_complete(
        &self,
        command: &mut Command,
        words: Vec<OsString>,
        folder: Option<&Path>,
        answer: &mut dyn Write,
    ) -> Result<(), Error> {
        let index = index(&words);
        for candidate in at_cursor(command, words, index, folder)? {
            // A colon ends the value.
            let value = candidate.get_value().to_string_lossy();
            let value = value.replace('\\', r"\\").replace(':', r"\:");
            match description(&candidate) {
                Some(text) => writeln!(answer, "{value}:{}", text.replace('\\', r"\\"))?,
                None => writeln!(answer, "{value}")?,
            }
        }
        Ok(())
    }
}
