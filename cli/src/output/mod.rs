//! What commands print: tables for people, JSON for machines.

pub mod json;
mod table;
mod visible;

use std::io::{self, IsTerminal as _, Write as _};

use clap::ValueEnum as _;
use multiflexi_program::{environment_files, say};
use serde_json::{Value, json};

use crate::{exit_code::Exit, failure::Failure};

pub use visible::visible;

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
    /// What is asked for by arguments that are not read yet.
    pub fn asked() -> Self {
        let asked = environment_files::option(std::env::args_os(), "--color");
        let asked = asked.and_then(|asked| Self::from_str(asked.to_str()?, false).ok());
        asked.unwrap_or(Self::Auto)
    }

    /// The same, for help and mistakes in the arguments.
    pub fn for_help(self) -> clap::ColorChoice {
        match self {
            Self::Auto => clap::ColorChoice::Auto,
            Self::Always => clap::ColorChoice::Always,
            Self::Never => clap::ColorChoice::Never,
        }
    }

    /// Makes it hold for everything that is printed.
    pub fn choose(self) {
        match self {
            Self::Auto => {}
            Self::Always => {
                anstream::ColorChoice::Always.write_global();
                table::force_colours();
            }
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
    quiet: bool,
    /// The fields that are wanted; empty for all.
    fields: &'static [String],
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
    /// Whether there are more than it has, of a list without pages.
    pub more: Option<bool>,
}

impl Output {
    /// As the arguments say.
    pub fn new(format: Format, colours: Colours, quiet: bool, fields: &[String]) -> Self {
        // Made once by a process that prints once.
        let fields = Vec::leak(fields.to_vec());
        Self { format, colours: colours.on_stdout(), quiet, fields }
    }

    /// Whether more is told to people than what was asked for.
    pub fn is_chatty(self) -> bool {
        self.format == Format::Text && !self.quiet && self.fields.is_empty()
    }

    /// Prints one thing: its fields, one a line.
    pub fn one(self, value: &Value, fields: &[(&str, String)]) -> Result<(), Failure> {
        match self.format {
            Format::Json => print(&format!("{}\n", self.chosen(value)?)),
            Format::Text if self.quiet => print(&id_line(value)),
            Format::Text if self.fields.is_empty() => print(&table::fields(fields, self.colours)),
            Format::Text => {
                let chosen = self.texts(value)?;
                let names = self.fields.iter().map(String::as_str);
                print(&table::fields(&names.zip(chosen).collect::<Vec<_>>(), self.colours))
            }
        }
    }

    /// Prints a list under the name `what`.
    pub fn list(self, what: &str, header: &[&str], list: List) -> Result<(), Failure> {
        match self.format {
            Format::Json => {
                let token = Some(list.next_page_token).filter(|token| !token.is_empty());
                let values: Vec<Value> =
                    list.values.iter().map(|value| self.chosen(value)).collect::<Result<_, _>>()?;
                let mut object = json!({ what: values, "next_page_token": token });
                if let Some(more) = list.more {
                    object["more"] = more.into();
                }
                print(&format!("{object}\n"))
            }
            Format::Text if self.quiet => {
                print(&list.values.iter().map(id_line).collect::<String>())
            }
            Format::Text if !self.fields.is_empty() => {
                let rows: Vec<Vec<String>> =
                    list.values.iter().map(|value| self.texts(value)).collect::<Result<_, _>>()?;
                let header: Vec<String> =
                    self.fields.iter().map(|name| name.to_uppercase()).collect();
                let header: Vec<&str> = header.iter().map(String::as_str).collect();
                print(&table::rows(&header, rows, self.colours))
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

    /// A line for one of many things that are not all there yet; `id` names it.
    pub fn line(self, id: i64, value: &Value, text: &str) -> Result<String, Failure> {
        match self.format {
            Format::Json => Ok(self.chosen(value)?.to_string()),
            Format::Text if self.quiet => Ok(id.to_string()),
            Format::Text if self.fields.is_empty() => Ok(visible(text).into_owned()),
            Format::Text => {
                let texts = self.texts(value)?;
                Ok(texts.iter().map(|text| visible(text)).collect::<Vec<_>>().join("\t"))
            }
        }
    }

    /// Prints a sentence for people, or an object for machines.
    pub fn done(self, value: &Value, sentence: &str) -> Result<(), Failure> {
        match self.format {
            Format::Text if !self.quiet && self.fields.is_empty() => tell(&format!("{sentence}\n")),
            _ => self.one(value, &[]),
        }
    }

    /// The same of several things, whose ids are all that is left when nothing else is said.
    pub fn done_to_all(self, ids: &[i64], value: &Value, sentence: &str) -> Result<(), Failure> {
        match self.format {
            Format::Text if self.quiet => {
                print(&ids.iter().map(|id| format!("{id}\n")).collect::<String>())
            }
            _ => self.done(value, sentence),
        }
    }

    /// Prints a table of a part of what is shown, for people.
    pub fn part(self, header: &[&str], rows: Vec<Vec<String>>) -> Result<(), Failure> {
        print(&table::rows(header, rows, self.colours))
    }

    /// The fields that are wanted of a thing.
    fn chosen(self, value: &Value) -> Result<Value, Failure> {
        if self.fields.is_empty() {
            return Ok(value.clone());
        }
        let field = |name: &String| {
            let found = value.get(name).cloned().ok_or_else(|| unknown(name, value))?;
            Ok((name.clone(), found))
        };
        self.fields.iter().map(field).collect::<Result<_, _>>().map(Value::Object)
    }

    /// The same, as texts for people.
    fn texts(self, value: &Value) -> Result<Vec<String>, Failure> {
        let text = |value: &Value| match value {
            Value::Null => String::new(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let chosen = self.chosen(value)?;
        Ok(self.fields.iter().map(|name| text(&chosen[name.as_str()])).collect())
    }
}

/// The id of a thing on a line, or its name if it has none, or else its time.
fn id_line(value: &Value) -> String {
    let id = value.get("id").and_then(Value::as_i64).map(|id| id.to_string());
    let text = |field| value.get(field).and_then(Value::as_str).map(str::to_owned);
    id.or_else(|| text("name"))
        .or_else(|| text("time"))
        .map(|id| format!("{id}\n"))
        .unwrap_or_default()
}

fn unknown(name: &str, value: &Value) -> Failure {
    let known = value.as_object().into_iter().flatten();
    let known: Vec<&str> = known.map(|(name, _)| name.as_str()).collect();
    let name: String = name.chars().take(40).collect();
    let message = format!("there is no field {name:?}: take some of {}", known.join(", "));
    Failure::new(Exit::Usage, message)
}

/// Tells people something on stdout.
pub fn tell(text: &str) -> Result<(), Failure> {
    print(&visible(text))
}

/// Tells people something on stderr, beside what they asked for.
pub fn remark(text: &str) {
    say!("{}", visible(text));
}

/// Writes to stdout, every byte as it is.
pub fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
        .map_err(|error| Failure::stdout(&error))
}
