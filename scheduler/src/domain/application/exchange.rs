//! What an application produces for others, and what it consumes of theirs.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::domain::definition::{
    Field, Localized, Named,
    names::named,
    report::{Report, key_path, quote_text},
    section::Section,
};

named! {
    /// In what form something is handed on.
    Format, "format":
    /// The bytes of a file.
    File = "file",
    /// A JSON document.
    Json = "json",
    /// A text.
    Text = "text",
    /// A URL.
    Url = "url",
    /// Anything else.
    Custom = "custom",
}

named! {
    /// What one item of something that is handed on may be.
    ItemKind, "type":
    /// A text.
    String = "string",
    /// A whole number.
    Integer = "integer",
    /// A number.
    Float = "float",
    /// Yes or no.
    Boolean = "boolean",
}

/// Something that an application produces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// In what form.
    pub format: Format,
    /// Which artifacts hold it.
    pub patterns: Vec<String>,
    /// What it is.
    pub description: Localized,
    /// Items inside it, by name.
    pub fields: BTreeMap<String, OutputField>,
}

/// An item inside something that is produced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputField {
    /// What it may be.
    pub kind: ItemKind,
    /// Where it is in the document, if not under its name.
    pub path: Option<String>,
    /// What it is.
    pub description: Localized,
}

/// Something that an application consumes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// In what form.
    pub format: Format,
    /// Whether there must be one; it must unless the document says otherwise.
    pub required: bool,
    /// The variable that takes it as a whole.
    pub target: Option<String>,
    /// What it is.
    pub description: Localized,
    /// Items inside it, by name.
    pub fields: BTreeMap<String, InputField>,
}

/// An item inside something that is consumed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputField {
    /// The variable that takes it.
    pub target: String,
    /// What it may be.
    pub kind: Option<ItemKind>,
}

/// Reads `produces`.
pub(super) fn read_outputs(
    path: &str,
    entries: &Map<String, Value>,
    report: &mut Report,
) -> BTreeMap<String, Output> {
    each(path, entries, report, |section, report| {
        let patterns = section.words("patterns", report);
        let description = section.localized("description", report);
        let fields = section.entries("fields", report);
        let fields = fields.map(|fields| {
            each(&section.path("fields"), fields, report, |section, report| {
                Some(OutputField {
                    path: section.text("path", report),
                    description: section.localized("description", report),
                    kind: required(section, "type", report)?,
                })
            })
        });
        let format = required(section, "format", report)?;
        Some(Output { format, patterns, description, fields: fields.unwrap_or_default() })
    })
}

/// Reads `consumes`, whose targets are variables that the application declares.
pub(super) fn read_inputs(
    path: &str,
    entries: &Map<String, Value>,
    environment: &BTreeMap<String, Field>,
    report: &mut Report,
) -> BTreeMap<String, Input> {
    each(path, entries, report, |section, report| {
        let must = section.flag("required", report).unwrap_or(true);
        let description = section.localized("description", report);
        let target = read_target(section, environment, report);
        let fields = section.entries("fields", report);
        let fields = fields.map(|fields| {
            each(&section.path("fields"), fields, report, |section, report| {
                let kind = section.named("format", report);
                let target = read_target(section, environment, report);
                if !section.has("target") {
                    section.missing("target", "the name of a variable", report);
                }
                Some(InputField { target: target?, kind })
            })
        });
        let format = required(section, "format", report)?;
        let fields = fields.unwrap_or_default();
        Some(Input { format, required: must, target, description, fields })
    })
}

fn read_target(
    section: &mut Section<'_>,
    environment: &BTreeMap<String, Field>,
    report: &mut Report,
) -> Option<String> {
    let target = section.text("target", report)?;
    if !environment.contains_key(&target) {
        let text = format!("{} is no variable that environment declares", quote_text(&target));
        report.note(&section.path("target"), text);
    }
    Some(target)
}

/// One of a few names that must be there.
fn required<T: Named>(
    section: &mut Section<'_>,
    key: &'static str,
    report: &mut Report,
) -> Option<T> {
    if !section.has(key) {
        let names: Vec<_> = T::ALL.iter().map(|(name, _)| *name).collect();
        section.missing(key, &format!("one of {}", names.join(", ")), report);
    }
    section.named(key, report)
}

/// Reads each entry; one that cannot be read has left its fault.
fn each<T>(
    path: &str,
    entries: &Map<String, Value>,
    report: &mut Report,
    mut read: impl FnMut(&mut Section<'_>, &mut Report) -> Option<T>,
) -> BTreeMap<String, T> {
    let mut things = BTreeMap::new();
    for (name, value) in entries {
        let path = key_path(path, name);
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
        if name.is_empty() || !name.bytes().all(plain) {
            report.fault(
                &path,
                format!("{} is no name: use letters, digits, _ and -", quote_text(name)),
            );
        }
        let Some(mut section) = Section::open(path, value, report) else { continue };
        if let Some(thing) = read(&mut section, report) {
            things.insert(name.clone(), thing);
        }
        section.finish(report);
    }
    things
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn outputs_and_inputs_are_read_with_their_items() {
        let mut report = Report::of("test");
        let produces = json!({"balance": {
            "format": "json", "patterns": ["balance_.*"],
            "fields": {"amount": {"type": "float", "path": "$.a"}},
        }});
        let consumes = json!({
            "statement": {"format": "file", "target": "FILE"},
            "hint": {"format": "text", "required": false, "fields": {"x": {"target": "X"}}},
        });
        let outputs = read_outputs("produces", produces.as_object().unwrap(), &mut report);
        let none = BTreeMap::new();
        let inputs = read_inputs("consumes", consumes.as_object().unwrap(), &none, &mut report);
        assert_eq!(outputs["balance"].format, Format::Json);
        assert_eq!(outputs["balance"].fields["amount"].kind, ItemKind::Float);
        assert_eq!(outputs["balance"].fields["amount"].path.as_deref(), Some("$.a"));
        assert!(inputs["statement"].required && !inputs["hint"].required);
        assert_eq!(inputs["hint"].fields["x"].target, "X");
        let notes: Vec<_> = report.finish().unwrap().iter().map(|note| note.path.clone()).collect();
        assert_eq!(notes, ["consumes.statement.target", "consumes.hint.fields.x.target"]);
    }

    #[test]
    fn every_fault_is_found() {
        let mut report = Report::of("test");
        let produces = json!({
            "a b": {"format": "json"}, "c": {"fields": {"d": {}}}, "e": {"format": "xml"}, "f": 1,
        });
        read_outputs("produces", produces.as_object().unwrap(), &mut report);
        let faults = report.finish().unwrap_err().faults;
        let paths: Vec<_> = faults.iter().map(|fault| fault.path.as_str()).collect();
        assert_eq!(
            paths,
            [
                "produces[\"a b\"]",
                "produces.c.fields.d.type",
                "produces.c.format",
                "produces.e.format",
                "produces.f"
            ]
        );
        assert!(faults[3].problem.starts_with("\"xml\" is no format: use file, json"));
    }
}
