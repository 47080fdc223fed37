//! Tests of whole definitions: what is promised of any text, and of the definitions
//! that are in use.

use std::path::PathBuf;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

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
    assert_eq!(definition.environment["LINE"].check("LINE", "C").is_err(), true);
}

#[test]
fn all_faults_are_found_at_once() {
    let document = json!({
        "name": 5, "executable": 123, "uuid": "x", "version": "1..2", "homepage": "a.cz",
        "ociimage": "-v /:/", "environment": {
            "PORT": {"type": "strin"}, "1X": {"type": "string"}, "A": "b",
            "N": {"type": "integer", "defval": "five"}, "R": {"type": "bool", "required": "maybe"},
            "P": {"type": "password", "defval": ["s3cret"]},
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

/// JSON as it comes.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        "[a-zA-Z0-9*{}()$'|.\\[]{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((any_key(), inner), 0..6)
                .prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

/// Mostly keys that mean something.
fn any_key() -> impl Strategy<Value = String> {
    let known = [
        "name",
        "title",
        "description",
        "executable",
        "cmdparams",
        "cmdparamsTemplate",
        "uuid",
        "version",
        "homepage",
        "ociimage",
        "environment",
        "artifacts",
        "produces",
        "consumes",
        "exitCodes",
        "requirements",
        "tags",
        "topics",
        "events",
        "type",
        "defval",
        "required",
        "options",
        "category",
        "hint",
        "path",
        "severity",
        "retry",
        "format",
        "fields",
        "target",
        "patterns",
        "secret",
        "en",
        "0",
        "PORT",
    ];
    prop_oneof![3 => prop::sample::select(known.to_vec()).prop_map(str::to_owned), 1 => any::<String>()]
}

/// Definitions that are valid, with anything else in them.
fn any_definition() -> impl Strategy<Value = Value> {
    let field = ("[A-Z_][A-Z0-9_]{0,6}", prop::sample::select(Kind::ALL), any::<String>());
    let fields = prop::collection::vec(field, 0..4);
    let extra = prop::collection::vec(("x[a-z ]{0,6}", any_json()), 0..4);
    ("[a-zž][a-zž ]{0,9}", any::<String>(), fields, extra).prop_map(
        |(name, description, fields, extra)| {
            let mut document = serde_json::Map::new();
            let (before, after) = extra.split_at(extra.len() / 2);
            document.extend(before.iter().cloned());
            let fields = fields.into_iter().map(|(name, (kind, _), hint)| {
                (name, json!({"hint": hint, "type": kind, "extra": [1.5, null]}))
            });
            document.insert("environment".into(), Value::Object(fields.collect()));
            document.insert("executable".into(), "x".into());
            document.insert("name".into(), json!({"cs": name.clone(), "en": name}));
            document.insert("description".into(), description.into());
            document.extend(after.iter().cloned());
            Value::Object(document)
        },
    )
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in any::<String>()) {
        prop_assert!(parse(&text).is_err_and(|invalid| !invalid.faults.is_empty()));
    }

    #[test]
    fn any_json_is_read_or_refused(document in any_json()) {
        if let Err(invalid) = parse(&document.to_string()) {
            prop_assert!(!invalid.faults.is_empty());
        }
    }

    #[test]
    fn any_parts_of_a_definition_are_read_or_refused(
        mut document in any_definition(),
        parts in prop::collection::vec((any_key(), any_json()), 0..12),
    ) {
        document.as_object_mut().unwrap().extend(parts);
        if let Err(invalid) = parse(&document.to_string()) {
            prop_assert!(!invalid.faults.is_empty());
        }
    }

    #[test]
    fn an_export_is_the_import(document in any_definition()) {
        let text = document.to_string();
        let definition = parse(&text).unwrap();
        let exported: Value = serde_json::from_str(&definition.export()).unwrap();
        // Compared as text, for the order of keys is part of the promise.
        prop_assert_eq!(exported.to_string(), text);
        prop_assert_eq!(parse(&definition.export()).unwrap(), definition);
    }
}

/// Where definitions that are in use may be: they are no part of this project.
fn definitions_in_use() -> Result<PathBuf, String> {
    if let Some(folder) = std::env::var_os("MULTIFLEXI_TEST_APPLICATIONS") {
        return Ok(folder.into());
    }
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/apps");
    if folder.is_dir() {
        return Ok(folder);
    }
    Err("MULTIFLEXI_TEST_APPLICATIONS names no folder of definitions".to_owned())
}

#[test]
fn definitions_in_use_are_imported_or_refused_with_a_reason() {
    let folder = match definitions_in_use() {
        Ok(folder) => folder,
        Err(reason) => return println!("not run: {reason}"),
    };
    let (mut imported, mut with_notes, mut refused) = (0, 0, 0);
    let mut files: Vec<_> = folder.read_dir().unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    for file in files.iter().filter(|file| file.to_string_lossy().ends_with(".app.json")) {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let text = std::fs::read_to_string(file).unwrap();
        match parse(&text) {
            Ok(definition) => {
                let original: Value = serde_json::from_str(&text).unwrap();
                let exported: Value = serde_json::from_str(&definition.export()).unwrap();
                assert_eq!(exported.to_string(), original.to_string(), "{name}");
                imported += 1;
                with_notes += usize::from(!definition.notes.is_empty());
                println!("imported: {name}");
                definition.notes.iter().for_each(|note| println!("    {note}"));
            }
            Err(invalid) => {
                refused += 1;
                println!("refused: {name}");
                invalid.faults.iter().for_each(|fault| println!("    {fault}"));
                // Files that are there to be refused say so in their names.
                assert!(name.contains("invalid"), "{name}: {invalid}");
            }
        }
    }
    println!("{imported} imported, {with_notes} of them with notes, {refused} refused");
    assert!(imported > 0, "{} holds no definition", folder.display());
}
