//! `application:import-json`, `application:export-json`, `application:validate-json`, and
//! the same of `credential-type`: definitions as files.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::PathBuf,
};

use clap::Args;
use multiflexi_program::counted;
use multiflexi_proto::MAX_DEFINITION;
use multiflexi_proto::v1::{DefinitionNote, ImportOutcome};
use serde_json::{Value, json};
use tonic::Status;

use super::resource::{Resource, given};
use crate::{
    arguments::ById,
    connect::Server,
    exit_code::Exit,
    failure::Failure,
    output::{Format, Output, print, remark, tell},
};

/// What is defined by a document.
pub trait Defined: Resource + Sized {
    /// What a list of them is called in JSON.
    const PLURAL: &str;

    /// What it is known by.
    fn known_as(&self) -> &str;

    /// Takes one from its definition.
    async fn import(server: &Server, document: String) -> Result<Imported<Self>, Status>;

    /// The definition of one.
    async fn export(server: &Server, id: i64) -> Result<String, Status>;

    /// Looks at a definition.
    async fn validate(server: &Server, document: String) -> Result<Verdict, Status>;
}

/// What became of a definition.
pub struct Imported<R> {
    /// What has it now.
    pub resource: Option<R>,
    /// What happened.
    pub outcome: ImportOutcome,
    /// What its author should know.
    pub notes: Vec<DefinitionNote>,
}

/// What is said of a definition.
pub struct Verdict {
    /// Everything that is wrong.
    pub faults: Vec<DefinitionNote>,
    /// What its author should know.
    pub notes: Vec<DefinitionNote>,
}

/// Definition files.
#[derive(Debug, Args)]
struct Files {
    /// Definitions; - is stdin
    #[arg(required = true, conflicts_with = "file", value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The same, as the PHP MultiFlexi's command line has it
    #[arg(long, alias = "json", value_name = "FILE")]
    file: Vec<PathBuf>,
}

impl Files {
    /// Each file with its text, or why there is none.
    fn read(self) -> impl Iterator<Item = (String, Result<String, String>)> {
        self.files.into_iter().chain(self.file).map(|path| {
            let opened: io::Result<Box<dyn Read>> = match path.as_os_str() == "-" {
                true => Ok(Box::new(io::stdin())),
                false => File::open(&path).map(|file| Box::new(file) as _),
            };
            let unreadable = |error: io::Error| format!("it cannot be read: {error}");
            (path.display().to_string(), opened.map_err(unreadable).and_then(text))
        })
    }
}

/// The text of a definition. Editors of some systems begin it with a byte order mark.
fn text(source: impl Read) -> Result<String, String> {
    let mut bytes = Vec::new();
    let read = source.take(MAX_DEFINITION as u64 + 1).read_to_end(&mut bytes);
    read.map_err(|error| format!("it cannot be read: {error}"))?;
    if bytes.len() > MAX_DEFINITION {
        return Err(format!("it has more than {} MiB, which is too large", MAX_DEFINITION >> 20));
    }
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    let text = str::from_utf8(text).map_err(|error| format!("it is no UTF-8 text: {error}"))?;
    Ok(text.to_owned())
}

fn notes_value(notes: &[DefinitionNote]) -> Value {
    notes.iter().map(|note| json!({ "path": note.path, "text": note.text })).collect()
}

fn lines(notes: &[DefinitionNote]) -> String {
    notes.iter().map(|note| format!("  {}: {}\n", note.path, note.text)).collect()
}

/// Everything that is wrong with a definition that was refused; nothing if it was refused for
/// what is there beside it. The refusal itself names a few.
async fn faults<R: Defined>(
    server: &Server,
    document: Option<String>,
) -> Result<Vec<DefinitionNote>, Failure> {
    match document {
        None => Ok(Vec::new()),
        Some(document) => Ok(R::validate(server, document).await?.faults),
    }
}

/// `import-json`.
#[derive(Debug, Args)]
pub struct Import {
    #[command(flatten)]
    files: Files,
    /// Say which older forms and unknown keys were taken
    #[arg(long)]
    notes: bool,
}

impl Import {
    /// Imports definitions, all that can be; fails if one cannot.
    pub async fn run<R: Defined>(self, server: &Server, output: Output) -> Result<(), Failure> {
        let mut counts = [0_u32; 4];
        let (mut ids, mut values) = (Vec::new(), Vec::new());
        for (file, text) in self.files.read() {
            let (document, imported) = match text {
                Ok(document) => (Some(document.clone()), R::import(server, document).await),
                Err(reason) => (None, Err(Status::invalid_argument(reason))),
            };
            let answer = match imported {
                Ok(answer) => answer,
                Err(status) if Failure::is_about_values(&status) => {
                    counts[3] += 1;
                    let faults = faults::<R>(server, document).await?;
                    if output.format == Format::Text {
                        let reason = match lines(&faults) {
                            none if none.is_empty() => status.message().to_owned(),
                            faults => format!("\n{}", faults.trim_end()),
                        };
                        remark(&format!("{file}: refused: {reason}"));
                    }
                    values.push(json!({
                        "file": file,
                        "outcome": "refused",
                        "reason": status.message(),
                        "faults": notes_value(&faults),
                    }));
                    continue;
                }
                // What has nothing to do with this file will not be better with the next.
                Err(status) => return Err(status.into()),
            };
            let (outcome, count) = match answer.outcome {
                ImportOutcome::Created | ImportOutcome::Unspecified => ("created", 0),
                ImportOutcome::Changed => ("changed", 1),
                ImportOutcome::Unchanged => ("unchanged", 2),
            };
            counts[count] += 1;
            let resource = given(answer.resource)?;
            ids.push(resource.id());
            values.push(json!({
                "file": file,
                "outcome": outcome,
                "id": resource.id(),
                "name": resource.known_as(),
                "notes": notes_value(&answer.notes),
            }));
            if output.is_chatty() {
                let (what, id, name) = (R::NAME, resource.id(), resource.known_as());
                let more = match answer.notes.len() {
                    0 => String::new(),
                    notes => format!(", {}", counted(notes, "note")),
                };
                tell(&format!("{file}: {outcome} {what} {id}, {name}{more}\n"))?;
                if self.notes {
                    tell(&lines(&answer.notes))?;
                }
            }
        }
        let [created, changed, unchanged, refused] = counts;
        let value = json!({
            R::PLURAL: values,
            "created": created,
            "changed": changed,
            "unchanged": unchanged,
            "refused": refused,
        });
        let sentence = format!(
            "{created} created, {changed} changed, {unchanged} unchanged, {refused} refused"
        );
        output.done_to_all(&ids, &value, &sentence)?;
        match refused {
            0 => Ok(()),
            _ => {
                let refused = counted(refused, "definition");
                Err(Failure::new(Exit::Invalid, format!("refused {refused}")))
            }
        }
    }
}

/// `export-json`.
#[derive(Debug, Args)]
pub struct Export {
    #[command(flatten)]
    by: ById,
    /// Where to write it [default: stdout]
    #[arg(short, long, alias = "file", value_name = "FILE")]
    output: Option<PathBuf>,
}

impl Export {
    /// Writes a definition.
    pub async fn run<R: Defined>(self, server: &Server, output: Output) -> Result<(), Failure> {
        let id = self.by.id();
        let document = format!("{}\n", R::export(server, id).await?);
        let Some(path) = self.output.filter(|path| path.as_os_str() != "-") else {
            return print(&document);
        };
        fs::write(&path, &document).map_err(|error| {
            let message = format!("{} cannot be written: {error}", path.display());
            Failure::new(Exit::CannotWrite, message)
        })?;
        let file = path.display().to_string();
        let sentence = format!("wrote {} {id} to {file}", R::NAME);
        output.done(&json!({ "id": id, "file": file }), &sentence)
    }
}

/// `validate-json`.
#[derive(Debug, Args)]
pub struct Validate {
    #[command(flatten)]
    files: Files,
}

impl Validate {
    /// Says all that is wrong with definitions; fails if something is.
    pub async fn run<R: Defined>(self, server: &Server, output: Output) -> Result<(), Failure> {
        let (mut values, mut invalid) = (Vec::new(), 0);
        for (file, text) in self.files.read() {
            let answer = match text {
                Ok(document) => R::validate(server, document).await?,
                Err(text) => {
                    let path = "$".to_owned();
                    let faults = vec![DefinitionNote { path, text }];
                    Verdict { faults, notes: Vec::new() }
                }
            };
            let valid = answer.faults.is_empty();
            invalid += u32::from(!valid);
            values.push(json!({
                "file": file,
                "valid": valid,
                "faults": notes_value(&answer.faults),
                "notes": notes_value(&answer.notes),
            }));
            if output.format == Format::Text {
                let verdict = if valid { "valid" } else { "INVALID" };
                let (faults, notes) = (lines(&answer.faults), lines(&answer.notes));
                tell(&format!("{file}: {verdict}\n{faults}{notes}"))?;
            }
        }
        if output.format == Format::Json {
            print(&format!("{}\n", json!({ "definitions": values })))?;
        }
        match invalid {
            0 => Ok(()),
            _ => {
                let invalid = counted(invalid, "invalid definition");
                Err(Failure::new(Exit::Invalid, format!("found {invalid}")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_definition_is_text_of_a_size_that_the_scheduler_takes() {
        assert_eq!(text(&b"\xef\xbb\xbf{}"[..]), Ok("{}".to_owned()), "its mark is no part of it");
        assert_eq!(text(&b"{}"[..]), Ok("{}".to_owned()));
        assert!(text(&b"\xff"[..]).unwrap_err().contains("no UTF-8"));
        let endless = text(io::repeat(b' ')).unwrap_err();
        assert_eq!(endless, "it has more than 4 MiB, which is too large");
    }
}
