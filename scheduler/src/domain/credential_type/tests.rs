use super::*;
use crate::domain::{
    definition::in_use,
    environment::{self, File, Given},
};

const BANK: &str = r#"{
    "code": "Bank", "uuid": "F79AAA38-2eaf-453a-beee-3a2afa1221d5", "name": {"en": "Bank", "cs": "Banka"},
    "version": "1.0", "fields": [
        {"keyword": "TOKEN", "name": "Token", "type": "password", "required": true},
        {"keyword": "ACCOUNT", "type": "string"},
        {"keyword": "PUBLIC_KEY", "type": "textarea", "secret": false},
        {"keyword": "PORT", "type": "number", "default": 443},
        {"keyword": "MODE", "type": "select", "default_value": "live",
         "options": [{"value": "live", "label": {"en": "Live"}}, {"value": "test", "label": "Test"}]},
        {"keyword": "CERT", "type": "file"}
    ]
}"#;

fn bank() -> CredentialType {
    parse(BANK).unwrap()
}

#[test]
fn a_type_is_read_and_exported_as_it_came() {
    let bank = bank();
    assert_eq!((bank.code.as_str(), bank.name.get("cs")), ("Bank", "Banka"));
    assert_eq!(bank.uuid.as_deref(), Some("f79aaa38-2eaf-453a-beee-3a2afa1221d5"));
    assert_eq!(bank.notes, []);
    assert_eq!(bank.fields[0].title.main(), "Token");
    assert_eq!(bank.field("MODE").unwrap().options[0].label.main(), "Live");
    let again = parse(&bank.export()).unwrap();
    assert_eq!(again, bank);
}

#[test]
fn what_is_not_named_harmless_is_secret() {
    let bank = bank();
    let secret: Vec<&str> =
        bank.fields.iter().filter(|f| f.field.secret).map(|f| f.keyword.as_str()).collect();
    assert_eq!(secret, ["TOKEN", "ACCOUNT", "CERT"]);
}

#[test]
fn a_credential_is_completed_and_its_faults_are_named() {
    let bank = bank();
    let mut given = Given::from([
        ("TOKEN".to_owned(), "t0ken".to_owned()),
        ("PORT".to_owned(), "x".to_owned()),
    ]);
    given.secret = ["TOKEN".to_owned(), "PORT".to_owned(), "OTHER".to_owned()].into();
    given.values.insert("OTHER".to_owned(), "kept".to_owned());
    assert_eq!(bank.faults(&given), ["PORT: \"x\" is no whole number, as 42 or -7"]);
    let file = File { name: "a".to_owned(), content: Vec::new() };
    given.set("PORT".to_owned(), environment::Value::File(file.clone()), true);
    assert_eq!(bank.faults(&given), ["PORT: takes a value of type integer, and no file"]);
    given.files.clear();
    given.files.insert("CERT".to_owned(), file);
    assert_eq!(bank.faults(&given), [] as [String; 0]);
    let complete = bank.complete(&given);
    assert_eq!(complete.values["PORT"], "443");
    assert_eq!(complete.values["MODE"], "live");
    let secret: Vec<&str> = complete.secret.iter().map(String::as_str).collect();
    assert_eq!(secret, ["CERT", "OTHER", "TOKEN"]);
    assert_eq!(bank.faults(&Given::default()), ["TOKEN is required and has no value"]);
}

#[test]
fn every_fault_of_a_definition_is_named() {
    let faults = parse(
        r#"{"code": "a b", "name": "", "fields": [{"type": "string"}, {"keyword": "A-B"}, 3,
            {"keyword": "A", "type": "thing"}, {"keyword": "A"}]}"#,
    )
    .unwrap_err();
    let paths: Vec<&str> = faults.faults.iter().map(|fault| fault.path.as_str()).collect();
    let expected = [
        "code",
        "name",
        "fields[0].keyword",
        "fields[1].keyword",
        "fields[2]",
        "fields[3].type",
        "fields[4].keyword",
    ];
    assert_eq!(paths, expected);
    assert!(faults.to_string().starts_with("this is no credential type: code: \"a b\" is no code"));
    assert!(parse(r#"{"name": "x", "code": "x"}"#).is_err(), "an application is none");
}

#[test]
fn definitions_in_use_are_imported_or_refused_with_a_reason() {
    let endings = [".credprototype.json", ".credtype.json", ".credential-type.json"];
    in_use::are_imported_or_refused(&endings, parse, |d| (d.export(), &d.notes));
}
