//! What is promised of any text.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::{Kind, Named, parse};

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
    const KNOWN: &[&str] = &[
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
    prop_oneof![3 => prop::sample::select(KNOWN).prop_map(str::to_owned), 1 => any::<String>()]
}

/// Definitions that are valid, with anything else in them.
fn any_definition() -> impl Strategy<Value = Value> {
    let field = ("[A-Z_][A-Z0-9_]{0,6}", prop::sample::select(Kind::ALL), any::<String>());
    let fields = prop::collection::vec(field, 0..4);
    let extra = prop::collection::vec(("x[a-z ]{0,6}", any_json()), 0..4);
    ("[a-zž]([a-zž ]{0,8}[a-zž])?", any::<String>(), fields, extra).prop_map(
        |(name, description, fields, extra)| {
            let mut document = serde_json::Map::new();
            let (before, after) = extra.split_at(extra.len() / 2);
            document.extend(before.iter().cloned());
            let fields = fields.into_iter().map(|(name, (kind, _), hint)| {
                (name, json!({"hint": hint, "type": kind, "extra": [1.5, null]}))
            });
            document.insert("environment".into(), Value::Object(fields.collect()));
            document.insert("executable".into(), "x".into());
            document.insert("name".into(), json!({"cs": "jméno", "en": name}));
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
