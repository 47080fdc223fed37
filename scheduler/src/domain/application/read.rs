//! Reads the keys at the top of a document.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{
    Definition, Invalid, Localized, artifact, check, command, document, exchange, exit_codes,
    field,
    report::{Report, quote_text},
    section::{self, Section},
};

/// Longest name, in characters.
const MAX_NAME: usize = 128;

/// Reads a whole document.
pub(super) fn definition(document: Value, mut report: Report) -> Result<Definition, Invalid> {
    let report = &mut report;
    document::check_size(&document, report);
    // An empty list is no empty definition here: nothing of what must be there is.
    let Value::Object(map) = &document else {
        return Err(Invalid::document("the document is no object: use {…}".to_owned()));
    };
    let section = &mut Section::new(String::new(), map);
    let name = read_name(section, report);
    let title = section.localized("title", report);
    if section.get("description").is_none() {
        section.missing("description", "a text that says what the application is for", report);
    }
    let description = section.localized("description", report);
    let (executable, cmdparams) = command::read(section, report);
    if section.get("environment").is_none() {
        section.missing("environment", "an object of variables, or {} if it takes none", report);
    }
    let environment = section.entries("environment", report);
    let environment = environment
        .map(|entries| field::read(&section.path("environment"), entries, report))
        .unwrap_or_default();
    let artifacts = section.get("artifacts");
    let artifacts = artifacts
        .map(|value| artifact::read(&section.path("artifacts"), value, report))
        .unwrap_or_default();
    let produces = section.entries("produces", report);
    let produces = produces
        .map(|entries| exchange::read_outputs(&section.path("produces"), entries, report))
        .unwrap_or_default();
    let consumes = section.entries("consumes", report);
    let consumes = consumes.map_or_else(BTreeMap::new, |entries| {
        exchange::read_inputs(&section.path("consumes"), entries, &environment, report)
    });
    let exit_codes = section.entries("exitCodes", report);
    let exit_codes = exit_codes
        .map(|entries| exit_codes::read(&section.path("exitCodes"), entries, report))
        .unwrap_or_default();
    let mut definition = Definition {
        name,
        title,
        description,
        executable,
        cmdparams,
        uuid: read_uuid(section, report),
        code: section.text("code", report),
        version: read_version(section, report),
        homepage: read_homepage(section, report),
        image: section.text("image", report),
        oci_image: read_oci_image(section, report),
        author: section.text("author", report),
        license: section.text("license", report),
        category: section.text("category", report),
        result_file: section.text("resultfile", report),
        tags: read_tags(section, report),
        requirements: section.words("requirements", report),
        environment,
        artifacts,
        produces,
        consumes,
        exit_codes,
        notes: Vec::new(),
        document: Value::Null,
    };
    read_the_rest(section, report);
    section.finish(report);
    definition.notes = std::mem::take(report).finish()?;
    definition.document = document;
    Ok(definition)
}

fn read_name(section: &mut Section<'_>, report: &mut Report) -> Localized {
    let path = section.path("name");
    if section.get("name").is_none() {
        section.missing("name", "a name of 1 to 128 characters", report);
        return Localized::default();
    }
    let faultless = report.faults();
    let name = section.localized("name", report);
    let text = name.main();
    let characters = text.chars().count();
    if report.faults() > faultless {
        // What is no text cannot be empty or too long besides.
    } else if text.trim().is_empty() {
        report.fault(&path, "is empty: give a name of 1 to 128 characters");
    } else if characters > MAX_NAME {
        report.fault(&path, format!("has {characters} characters: it may have up to {MAX_NAME}"));
    } else if text.chars().any(char::is_control) {
        report.fault(&path, format!("{} has a control character", quote_text(text)));
    }
    name
}

fn read_uuid(section: &mut Section<'_>, report: &mut Report) -> Option<String> {
    let text = section.text("uuid", report)?;
    // The crate takes other forms too, which other programs do not.
    if text.len() != 36 || uuid::Uuid::try_parse(&text).is_err() {
        let problem = "is no UUID: use 32 hexadecimal digits, as \
                       01234567-89ab-4cde-8f01-23456789abcd";
        report.fault(&section.path("uuid"), format!("{} {problem}", quote_text(&text)));
        return None;
    }
    Some(text.to_ascii_lowercase())
}

fn read_version(section: &mut Section<'_>, report: &mut Report) -> Option<String> {
    let text = section.text("version", report)?;
    let number = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|b| b.is_ascii_digit())
            && (part == "0" || !part.starts_with('0'))
    };
    if text.split('.').count() > 4 || !text.split('.').all(number) {
        let problem = "is no version: use one to four numbers without leading zeros, as 1.2.3";
        report.fault(&section.path("version"), format!("{} {problem}", quote_text(&text)));
    }
    Some(text)
}

fn read_homepage(section: &mut Section<'_>, report: &mut Report) -> Option<String> {
    let text = section.text("homepage", report)?;
    // People click on it, so it is nothing but a page.
    let scheme = text.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
    let page = matches!(scheme.as_deref(), Some("http" | "https"));
    if !page || !check::url(&text) {
        let problem = "is no home page: use a URL that begins with https:// or http://";
        report.fault(&section.path("homepage"), format!("{} {problem}", quote_text(&text)));
    }
    Some(text)
}

fn read_oci_image(section: &mut Section<'_>, report: &mut Report) -> Option<String> {
    let text = section.text("ociimage", report)?;
    // A dash at its beginning would be an option of the program that fetches it.
    let fits = |c: char| c.is_ascii_alphanumeric() || "_./:@-".contains(c);
    if text.starts_with('-') || !text.chars().all(fits) {
        let problem = "is no container image: use a reference, as docker.io/library/alpine:3";
        report.fault(&section.path("ociimage"), format!("{} {problem}", quote_text(&text)));
    }
    Some(text)
}

fn read_tags(section: &mut Section<'_>, report: &mut Report) -> Vec<String> {
    let tags = section.words("tags", report);
    let topics = section.words("topics", report);
    if section.get("topics").is_none() {
        return tags;
    }
    if section.get("tags").is_none() {
        report.note(&section.path("topics"), "is the older key: use tags");
        return topics;
    }
    report.note(&section.path("topics"), "is older than tags, which is taken instead");
    tags
}

/// What is known, but says nothing to this system.
fn read_the_rest(section: &mut Section<'_>, report: &mut Report) {
    let schema = section.text("$schema", report);
    section.text("schemaVersion", report);
    if schema.is_none() {
        report.note(&section.path("$schema"), "is missing: PHP MultiFlexi refuses to do without");
    }
    for key in ["events", "kubernetes"] {
        if let Some(value) = section.get(key) {
            section::entries(&section.path(key), value, report);
        }
    }
    for (key, text) in [
        ("multiflexi", "is a mark of older files; schemaVersion is today's"),
        ("setup", "is from older files; it is kept, but nothing here runs it"),
        ("deploy", "is from older files; it is kept, but nothing here runs it"),
        ("resultfile", "is from older files: declare RESULT_FILE in environment"),
    ] {
        if section.text(key, report).is_some() {
            report.note(&section.path(key), text);
        }
    }
}
