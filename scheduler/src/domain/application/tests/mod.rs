//! Tests of whole definitions.

mod properties;

use serde_json::{Value, json};

use super::*;
use crate::domain::definition::in_use;

fn faults(document: &Value) -> Vec<String> {
    let invalid = parse(&document.to_string()).unwrap_err();
    invalid.faults.iter().map(ToString::to_string).collect()
}

#[test]
fn a_definition_is_read_with_its_types() {
    let definition = parse(
        r#"{
        "$schema": "https://multiflexi.eu/schema/application.json", "schemaVersion": "3.4.0",
        "name": {"en": "Probe", "cs": "Sonda"}, "description": "Looks around.",
        "executable": "probe", "cmdparamsTemplate": "--to ${TARGET}",
        "uuid": "775ED801-2489-4981-BC14-D8A01CBA1938", "version": "2.1",
        "homepage": "https://example.com/probe", "ociimage": "docker.io/example/probe:2",
        "tags": ["network"], "requirements": ["Probe"], "license": "MIT", "category": "Network",
        "environment": {
            "TARGET": {"type": "url", "required": true, "category": "API", "defval": ""},
            "DEBUG": {"type": "bool", "defval": "False"},
            "TRIES": {"type": "integer", "defval": 3},
            "LINE": {"type": "set", "options": {"A": "First", "B": {"en": "Second"}}}
        },
        "artifacts": [{"name": "Report", "path": "report_.*\\.json", "type": "file"}],
        "exitCodes": {"0": {"description": "Done"}}, "events": {}
    }"#,
    )
    .unwrap();
    assert_eq!(definition.notes, []);
    assert_eq!(definition.name.get("cs"), "Sonda");
    assert_eq!(definition.cmdparams, "--to ${TARGET}");
    assert_eq!(definition.uuid.as_deref(), Some("775ed801-2489-4981-bc14-d8a01cba1938"));
    assert_eq!(definition.environment["TARGET"].category, Some(Category::Api));
    assert_eq!(definition.environment["LINE"].options[1].label.main(), "Second");
    assert_eq!(
        definition.defaults(),
        [("DEBUG", "0"), ("TARGET", ""), ("TRIES", "3")].map(|(n, v)| (n.into(), v.into())).into()
    );
    assert!(definition.environment["LINE"].check("LINE", "C", false).is_err());
}

#[test]
fn all_faults_are_found_at_once() {
    let document = json!({
        "name": 5, "executable": 123, "uuid": "x", "version": "1..2", "homepage": "a.cz",
        "ociimage": "-v /:/", "environment": {
            "PORT": {"type": "strin"}, "1X": {"type": "string"}, "A": "b",
            "N": {"type": "integer", "defval": "five"}, "R": {"type": "bool", "required": "maybe"},
            "P": {"type": "password", "defval": ["s3cret"]},
            "Q": {"type": "passwort", "defval": ["s3cret"]},
        },
        "requirements": {"a": "b"}, "cmdparams": "'open", "tags": [1],
    });
    let faults = faults(&document);
    let found: Vec<_> = faults.iter().map(|fault| fault.split(": ").next().unwrap()).collect();
    assert_eq!(
        found,
        [
            "name",
            "description",
            "executable",
            "cmdparams",
            "environment.PORT.type",
            "environment.1X",
            "environment.A",
            "environment.N.defval",
            "environment.R.required",
            "environment.P.defval",
            "environment.Q.type",
            "environment.Q.defval",
            "uuid",
            "version",
            "homepage",
            "ociimage",
            "tags[0]",
            "requirements",
        ]
    );
    assert_eq!(
        faults[4],
        "environment.PORT.type: \"strin\" is no type: use string, file-path, email, url, integer, \
         float, bool, password, set, text"
    );
    assert!(!faults.join("").contains("s3cret"));
}

#[test]
fn older_forms_are_taken_and_said() {
    let definition = parse(
        r#"{"name": "a", "description": "", "executable": "php -f x", "cmdparams": "{A} > b",
        "multiflexi": "1.7.2", "setup": "ls", "topics": "a, b", "requirements": "Mail,AbraFlexi",
        "artifacts": "a\\.csv", "exitCodes": [], "homepage": null, "image": "",
        "RESULT_FILE": {"type": "string"}, "surprise": true,
        "environment": {
            "A": {"type": "select", "options": ["x", 2], "defval": "z", "category": "Mail"},
            "B": {"type": "checkbox", "required": 1}, "C": {"type": "number"}, "D": {}
        }}"#,
    )
    .unwrap();
    let kinds: Vec<_> = definition.environment.values().map(|field| field.kind).collect();
    assert_eq!(kinds, [Kind::Set, Kind::Bool, Kind::Integer, Kind::String]);
    assert!(definition.environment["B"].required);
    assert_eq!(definition.tags, ["a", "b"]);
    assert_eq!(definition.requirements, ["Mail", "AbraFlexi"]);
    assert_eq!(definition.cmdparams, "{A} > b");
    let noted: Vec<_> = definition.notes.iter().map(|note| note.path.as_str()).collect();
    assert_eq!(
        noted,
        [
            "cmdparams",
            "executable",
            "cmdparams",
            "environment.A.type",
            "environment.A.category",
            "environment.A.defval",
            "environment.B.type",
            "environment.B.required",
            "environment.C.type",
            "environment.D.type",
            "artifacts",
            "exitCodes",
            "topics",
            "topics",
            "requirements",
            "$schema",
            "multiflexi",
            "setup",
            "RESULT_FILE",
            "surprise",
        ]
    );
}

#[test]
fn what_is_no_definition_says_what_is_missing() {
    assert_eq!(faults(&json!([])), ["$: the document is no object: use {…}"]);
    let missing: Vec<_> = faults(&json!({}));
    assert_eq!(missing.len(), 4, "{missing:?}");
    assert!(missing.iter().all(|fault| fault.contains(": is missing: give ")), "{missing:?}");
}

#[test]
fn a_definition_made_by_hand_is_valid() {
    let made = Definition::new("Hello", "echo", "-n {NAME}").unwrap();
    assert_eq!(made.notes, []);
    assert_eq!((made.name.main(), made.executable.as_str()), ("Hello", "echo"));
    assert_eq!(parse(&made.export()).unwrap(), made);
    assert_eq!(Definition::new("", "", "'").unwrap_err().faults.len(), 3);
    assert!(Definition::new(&"x".repeat(129), "echo", "").is_err());
}

#[test]
fn definitions_in_use_are_imported_or_refused_with_a_reason() {
    in_use::are_imported_or_refused(&[".app.json"], parse, |d| (d.export(), &d.notes));
}
