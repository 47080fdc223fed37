//! What commands print: tables for people, JSON for machines.

pub mod json;
mod table;

use std::io::{self, IsTerminal as _, Write as _};

use multiflexi_program::say;
use serde_json::{Value, json};

use crate::failure::Failure;

/// How results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Tables for people.
    Text,
    /// JSON for machines, one object on one line.
    Json,
}

/// When colours are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Colours {
    /// On terminals, unless NO_COLOR is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl Colours {
    /// Makes it hold for everything that is printed.
    pub fn choose(self) {
        match self {
            Self::Auto => {}
            Self::Always => anstream::ColorChoice::Always.write_global(),
            Self::Never => anstream::ColorChoice::Never.write_global(),
        }
    }

    /// Whether stdout gets colours.
    fn on_stdout(self) -> bool {
        match self {
            Self::Auto => {
                let no = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
                io::stdout().is_terminal() && !no
            }
            Self::Always => true,
            Self::Never => false,
        }
    }
}

/// Where and how a command prints.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    /// Tables or JSON.
    pub format: Format,
    colours: bool,
}

/// One page of a list, as it is printed.
#[derive(Debug, Default)]
pub struct List {
    /// The things, for machines.
    pub values: Vec<Value>,
    /// The things, for people.
    pub rows: Vec<Vec<String>>,
    /// Names the next page; empty on the last.
    pub next_page_token: String,
}

impl Output {
    /// As the arguments say.
    pub fn new(format: Format, colours: Colours) -> Self {
        Self { format, colours: colours.on_stdout() }
    }

    /// Prints one thing: its fields, one a line.
    pub fn one(self, value: &Value, fields: &[(&str, String)]) -> Result<(), Failure> {
        match self.format {
            Format::Json => print(&format!("{value}\n")),
            Format::Text => print(&table::fields(fields, self.colours)),
        }
    }

    /// Prints a list under the name `what`.
    pub fn list(self, what: &str, header: &[&str], list: List) -> Result<(), Failure> {
        match self.format {
            Format::Json => {
                let token = Some(list.next_page_token).filter(|token| !token.is_empty());
                print(&format!("{}\n", json!({ what: list.values, "next_page_token": token })))
            }
            Format::Text => {
                print(&table::rows(header, list.rows, self.colours))?;
                if !list.next_page_token.is_empty() {
                    let token = list.next_page_token;
                    say!("there are more: --page-token {token} shows the next, --all shows all");
                }
                Ok(())
            }
        }
    }

    /// Prints a sentence for people, or an object for machines.
    pub fn done(self, value: &Value, sentence: &str) -> Result<(), Failure> {
        match self.format {
            Format::Json => print(&format!("{value}\n")),
            Format::Text => print(&format!("{sentence}\n")),
        }
    }

    /// Prints a table of a part of what is shown, for people.
    pub fn part(self, header: &[&str], rows: Vec<Vec<String>>) -> Result<(), Failure> {
        print(&table::rows(header, rows, self.colours))
    }
}

/// Writes to stdout.
pub fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
        .map_err(|error| Failure::stdout(&error))
}
