//! Reads the keys of a document.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{CredentialType, TypeField};
use crate::domain::{
    definition::{
        Invalid, Kind, document,
        field::{self, Rules},
        heading,
        report::{Report, element_path, quote, quote_text},
        section::Section,
    },
    environment::check_name,
};

/// Longest code, in bytes.
const MAX_CODE: usize = 64;

/// Most variables of one type.
const MAX_FIELDS: usize = 1000;

/// A credential is secret as a whole. Only numbers, flags and choices are not, as masking
/// every 443 or 1 in a job's output would help nobody, and what the document names.
const RULES: Rules = Rules {
    default: &["default", "default_value", "defval"],
    older: false,
    secret: |kind| !matches!(kind, Some(Kind::Integer | Kind::Float | Kind::Bool | Kind::Set)),
    can_be_shown: true,
};

/// Reads a whole document.
pub(super) fn credential_type(
    document: Value,
    mut found: Report,
) -> Result<CredentialType, Invalid> {
    let report = &mut found;
    document::check_size(&document, report);
    let Value::Object(map) = &document else {
        return Err(report.unreadable("the document is no object: use {…}".to_owned()));
    };
    let section = &mut Section::new(String::new(), map);
    let mut credential_type = CredentialType {
        code: read_code(section, report),
        name: heading::name(section, report),
        description: section.localized("description", report),
        uuid: heading::uuid(section, report),
        version: heading::version(section, report),
        homepage: read_homepage(section, report),
        logo: section.text("logo", report),
        tags: heading::tags(section, report),
        fields: read_fields(section, report),
        notes: Vec::new(),
        document: Value::Null,
    };
    for key in ["$schema", "schemaVersion", "id"] {
        section.text(key, report);
    }
    section.finish(report);
    credential_type.notes = found.finish()?;
    credential_type.document = document;
    Ok(credential_type)
}

fn read_code(section: &mut Section<'_>, report: &mut Report) -> String {
    let path = section.path("code");
    if !section.has("code") {
        let what = "a short name, as FioBank, by which credentials and applications name it";
        section.missing("code", what, report);
    }
    let code = section.text("code", report).unwrap_or_default();
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    if code.len() > MAX_CODE || !code.bytes().all(plain) {
        let problem = format!("is no code: use up to {MAX_CODE} letters, digits, _, - and .");
        report.fault(&path, format!("{} {problem}", quote_text(&code)));
    }
    code
}

/// The home page; `url` in the forms that the PHP MultiFlexi stores.
fn read_homepage(section: &mut Section<'_>, report: &mut Report) -> Option<String> {
    let url = section.text("url", report);
    heading::homepage(section, report).or(url)
}

fn read_fields(section: &mut Section<'_>, report: &mut Report) -> Vec<TypeField> {
    let path = section.path("fields");
    let Some(value) = section.get("fields") else {
        section.missing("fields", "a list of variables, or [] if there are none", report);
        return Vec::new();
    };
    let Value::Array(list) = value else {
        report.fault(&path, format!("{} is no list of variables: use […]", quote(value)));
        return Vec::new();
    };
    if list.len() > MAX_FIELDS {
        report.fault(&path, format!("has {} variables: it may have up to 1000", list.len()));
    }
    let (mut fields, mut known) = (Vec::new(), BTreeSet::new());
    for (index, value) in list.iter().take(MAX_FIELDS).enumerate() {
        let Some(mut section) = Section::open(element_path(&path, index), value, report) else {
            continue;
        };
        fields.extend(read_field(&mut section, &mut known, report));
        section.finish(report);
    }
    fields
}

fn read_field(
    section: &mut Section<'_>,
    known: &mut BTreeSet<String>,
    report: &mut Report,
) -> Option<TypeField> {
    let path = section.path("keyword");
    if !section.has("keyword") {
        section.missing("keyword", "the name of a variable, as FIO_TOKEN", report);
    }
    let keyword = section.text("keyword", report).unwrap_or_default();
    let title = section.localized("name", report);
    let field = field::read(&keyword, section, &RULES, report);
    for key in ["description_note", "note"] {
        section.text(key, report);
    }
    if keyword.is_empty() {
        return None;
    }
    if let Err(error) = check_name(&keyword) {
        report.fault(&path, error.to_string());
    } else if !known.insert(keyword.clone()) {
        report.fault(&path, format!("{keyword} is declared twice: name each variable once"));
    }
    Some(TypeField { keyword, title, field })
}
