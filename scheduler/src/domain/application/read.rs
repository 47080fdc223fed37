//! Reads the keys at the top of a document.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Definition, Invalid, artifact, command, exchange, exit_codes, fields};
use crate::domain::definition::{
    document, heading,
    report::{Report, quote_text},
    section::{self, Section},
};

/// Reads a whole document.
pub(super) fn definition(document: Value, mut found: Report) -> Result<Definition, Invalid> {
    let report = &mut found;
    document::check_size(&document, report);
    // An empty list is no empty definition here: nothing of what must be there is.
    let Value::Object(map) = &document else {
        return Err(report.unreadable("the document is no object: use {…}".to_owned()));
    };
    let section = &mut Section::new(String::new(), map);
    if !section.has("executable") && section.has("fields") && section.has("code") {
        let problem = "it is the definition of a type of credentials: import it with \
                       credential-type:import-json";
        return Err(report.unreadable(problem.to_owned()));
    }
    let name = heading::name(section, report);
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
        .map(|entries| fields::read(&section.path("environment"), entries, report))
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
        uuid: heading::uuid(section, report),
        code: section.text("code", report),
        version: heading::version(section, report),
        homepage: heading::homepage(section, report),
        image: section.text("image", report),
        oci_image: read_oci_image(section, report),
        author: section.text("author", report),
        license: section.text("license", report),
        category: section.text("category", report),
        result_file: section.text("resultfile", report),
        tags: heading::tags(section, report),
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
    definition.notes = found.finish()?;
    definition.document = document;
    Ok(definition)
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
