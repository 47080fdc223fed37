//! Types of credentials, as their definitions describe them: `*.credprototype.json`,
//! and `*.credtype.json`, which has fewer types of values. A type says which variables a
//! credential of it gives to a job, which of them must have a value and what the value
//! may be. The document itself is kept as it came.

mod check;
mod read;
#[cfg(test)]
mod tests;

use serde_json::Value;

use super::definition::{Field, Invalid, Localized, Note, document, report::Report};

/// The definition of a type of credentials.
#[derive(Clone, Debug, PartialEq)]
pub struct CredentialType {
    /// The short name by which credentials and the requirements of applications name it;
    /// never empty.
    pub code: String,
    /// What it is called; never empty.
    pub name: Localized,
    /// What it opens.
    pub description: Localized,
    /// The UUID by which it is known everywhere, in small letters.
    pub uuid: Option<String>,
    /// Its version, of one to four numbers.
    pub version: Option<String>,
    /// The home page of what it opens.
    pub homepage: Option<String>,
    /// The file of a picture.
    pub logo: Option<String>,
    /// Words by which it is found.
    pub tags: Vec<String>,
    /// The variables, in the document's order.
    pub fields: Vec<TypeField>,
    /// What its author should know: older forms and unknown keys.
    pub notes: Vec<Note>,
    /// The document as it came.
    document: Value,
}

/// A variable that credentials of a type have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypeField {
    /// The variable's name.
    pub keyword: String,
    /// What people call it.
    pub title: Localized,
    /// What its value may be.
    pub field: Field,
}

/// Reads a definition from JSON.
pub fn parse(text: &str) -> Result<CredentialType, Invalid> {
    let mut report = Report::of("credential type");
    let document = document::parse(text, &mut report)?;
    read::credential_type(document, report)
}

impl CredentialType {
    /// The document as it came, in order, a value a line.
    pub fn export(&self) -> String {
        format!("{:#}", self.document)
    }

    /// The document as it came.
    pub fn document(&self) -> &Value {
        &self.document
    }

    /// The declaration of a variable, if there is one.
    pub fn field(&self, keyword: &str) -> Option<&Field> {
        self.fields.iter().find(|known| known.keyword == keyword).map(|known| &known.field)
    }
}
