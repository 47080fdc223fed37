//! Application definitions: the `*.multiflexi.app.json` documents that say what a
//! program is called, how it is started, which variables it takes and what it leaves
//! behind. Reading finds every fault of a document, not only the first, and says
//! which older forms it took. The document itself is kept as it came, with what is
//! not known here, and is what an export gives back.

mod artifact;
mod change;
mod command;
mod exchange;
mod exit_codes;
mod fields;
mod read;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde_json::Value;

pub use super::definition::{
    Category, Choice, Fault, Field, Invalid, Kind, Localized, MAX_DOCUMENT, Named, Note,
};
pub use artifact::ArtifactPattern;
pub use change::Change;
pub use exchange::{Format, Input, InputField, ItemKind, Output, OutputField};
pub use exit_codes::{ExitCode, Severity};

use super::{
    definition::{document, report::Report},
    environment::{Given, Variables},
};

/// A valid application definition.
#[derive(Clone, Debug, PartialEq)]
pub struct Definition {
    /// What it is called; never empty.
    pub name: Localized,
    /// A longer name.
    pub title: Localized,
    /// What it is for.
    pub description: Localized,
    /// The program; never empty.
    pub executable: String,
    /// Its parameters, with `{NAME}` and `${NAME}` for values.
    pub cmdparams: String,
    /// The UUID by which it is known everywhere, in small letters.
    pub uuid: Option<String>,
    /// A short name that PHP MultiFlexi uses in names of monitoring items.
    pub code: Option<String>,
    /// Its version, of one to four numbers.
    pub version: Option<String>,
    /// Its home page, at http or https.
    pub homepage: Option<String>,
    /// A picture: a URL, or the picture itself.
    pub image: Option<String>,
    /// The container image that holds it.
    pub oci_image: Option<String>,
    /// Who wrote it.
    pub author: Option<String>,
    /// Its licence.
    pub license: Option<String>,
    /// What sort of application it is.
    pub category: Option<String>,
    /// The file with its result, from older definitions.
    pub result_file: Option<String>,
    /// Words by which it is found; `topics` in older definitions.
    pub tags: Vec<String>,
    /// Codes of the credentials that it needs.
    pub requirements: Vec<String>,
    /// The variables that it takes.
    pub environment: BTreeMap<String, Field>,
    /// The files that it leaves.
    pub artifacts: Vec<ArtifactPattern>,
    /// What it produces for others.
    pub produces: BTreeMap<String, Output>,
    /// What it consumes of others.
    pub consumes: BTreeMap<String, Input>,
    /// What its exit codes mean.
    pub exit_codes: BTreeMap<i32, ExitCode>,
    /// What its author should know: older forms and unknown keys.
    pub notes: Vec<Note>,
    /// The document as it came.
    document: Value,
}

/// What the faults of a definition are reported by.
fn report() -> Report {
    Report::of("application definition")
}

/// Reads a definition from JSON.
pub fn parse(text: &str) -> Result<Definition, Invalid> {
    let mut report = report();
    let document = document::parse(text, &mut report)?;
    read::definition(document, report)
}

impl Definition {
    /// The least definition, for an application that is made by hand.
    pub fn new(name: &str, executable: &str, cmdparams: &str) -> Result<Self, Invalid> {
        let document = serde_json::json!({
            "$schema": "https://multiflexi.eu/schema/application.json",
            "name": name,
            "description": "",
            "executable": executable,
            "cmdparamsTemplate": cmdparams,
            "environment": {},
        });
        read::definition(document, report()).map_err(Invalid::of_fields)
    }

    /// The document as it came, in order, a value a line.
    pub fn export(&self) -> String {
        format!("{:#}", self.document)
    }

    /// The document as it came.
    pub fn document(&self) -> &Value {
        &self.document
    }

    /// What is wrong with variables that a run template or a job is given, a sentence each:
    /// values that are not of their type, which no job could be run with. None holds a secret.
    pub fn faults(&self, given: &Given) -> Vec<String> {
        let of_value = |(name, value): (&String, &String)| {
            let field = self.environment.get(name).filter(|_| !value.is_empty())?;
            field.check(name, value, field.secret || given.secret.contains(name)).err()
        };
        let of_file = |name: &String| self.environment.get(name)?.check_file(name).err();
        let files = given.files.keys().filter_map(of_file);
        given.values.iter().filter_map(of_value).chain(files).collect()
    }

    /// What it says of a file that a job has left: the first pattern that matches.
    pub fn artifact(&self, filename: &str) -> Option<&ArtifactPattern> {
        self.artifacts.iter().find(|pattern| pattern.matches(filename))
    }

    /// The variables that have a value where nobody gives one.
    pub fn defaults(&self) -> Variables {
        let default =
            |(name, field): (&String, &Field)| Some((name.clone(), field.default.clone()?));
        self.environment.iter().filter_map(default).collect()
    }
}
