//! Types of credentials, rebuilt from their rows.

use serde_json::{Map, Value, json};

use super::repair;
use crate::{
    adoption::source::Row,
    domain::credential_type::{self, CredentialType},
};

/// Which columns hold what: prototypes and types name them differently.
struct Columns {
    keyword: &'static str,
    default: &'static str,
}

const PROTOTYPE: Columns = Columns { keyword: "keyword", default: "default_value" };
const TYPE: Columns = Columns { keyword: "keyname", default: "defval" };

/// The type that a prototype describes, under this code; what is not in it.
pub fn of_prototype(
    row: &Row,
    fields: &[&Row],
    code: &str,
) -> Result<(CredentialType, Vec<String>), String> {
    let home = row.text("homepage").or_else(|| row.text("url"));
    build(row, home, fields, code, &PROTOTYPE)
}

/// The type that a company has made for itself, under this code; what is not in it.
pub fn of_type(
    row: &Row,
    fields: &[&Row],
    code: &str,
) -> Result<(CredentialType, Vec<String>), String> {
    build(row, row.text("url"), fields, code, &TYPE)
}

fn build(
    row: &Row,
    home: Option<String>,
    fields: &[&Row],
    code: &str,
    columns: &Columns,
) -> Result<(CredentialType, Vec<String>), String> {
    let mut map = Map::new();
    map.insert("code".to_owned(), code.into());
    let name = row
        .text("name")
        .map_or_else(|| code.to_owned(), |name| super::names::name(Some(name), code));
    map.insert("name".to_owned(), name.into());
    for key in ["uuid", "description", "version", "logo"] {
        if let Some(text) = row.text(key) {
            map.insert(key.to_owned(), text.into());
        }
    }
    if let Some(home) = home {
        // Not each is a page: then it is only said where it is.
        let key = if home.starts_with("http") { "homepage" } else { "url" };
        map.insert(key.to_owned(), home.into());
    }
    if let Some(tags) = row.text("tags") {
        let tags: Vec<&str> =
            tags.split(',').map(str::trim).filter(|tag| !tag.is_empty()).collect();
        map.insert("tags".to_owned(), json!(tags));
    }
    map.insert("fields".to_owned(), fields.iter().map(|field| one(field, columns)).collect());
    repair::read(Value::Object(map), credential_type::parse)
}

fn one(row: &&Row, columns: &Columns) -> Value {
    let mut field = Map::new();
    field.insert("keyword".to_owned(), row.text(columns.keyword).unwrap_or_default().into());
    let kind = row.text("type").unwrap_or_else(|| "string".to_owned());
    field.insert("type".to_owned(), kind.into());
    for key in ["name", "description", "hint"] {
        if let Some(text) = row.text(key) {
            field.insert(key.to_owned(), text.into());
        }
    }
    if let Some(default) = row.text(columns.default) {
        field.insert("default".to_owned(), default.into());
    }
    if row.flag("required") {
        field.insert("required".to_owned(), true.into());
    }
    let options = row.text("options").and_then(|text| serde_json::from_str::<Value>(&text).ok());
    if let Some(options) = options.filter(|options| options.is_object() || options.is_array()) {
        field.insert("options".to_owned(), options);
    }
    Value::Object(field)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_rebuilt_and_what_is_wrong_with_them_is_said() {
        let row = Row::of(1, &[("name", "Fio"), ("url", "https://fio.cz/"), ("version", "1.0")]);
        let fields = [
            Row::of(1, &[("keyname", "FIO_TOKEN"), ("type", "password"), ("required", "1")]),
            Row::of(2, &[("keyname", "FIO_PORT"), ("type", "integer"), ("defval", "x")]),
            Row::of(3, &[("keyname", "FIO_ODD"), ("type", "oddity")]),
            Row::of(4, &[("keyname", "A B"), ("type", "string")]),
        ];
        let fields: Vec<&Row> = fields.iter().collect();
        let (kind, said) = of_type(&row, &fields, "FioBank").unwrap();
        assert_eq!(kind.code, "FioBank");
        assert!(kind.field("FIO_TOKEN").unwrap().required);
        assert_eq!(kind.field("FIO_PORT").unwrap().default, None);
        assert!(kind.field("FIO_ODD").is_some());
        assert!(said.len() >= 3 && said.iter().any(|text| text.contains("A B")), "{said:?}");
    }

    #[test]
    fn prototypes_have_columns_of_their_own() {
        let row = Row::of(1, &[("code", "Ldap"), ("tags", "a,b")]);
        let field = Row::of(
            1,
            &[
                ("keyword", "MODE"),
                ("type", "select"),
                ("default_value", "a"),
                ("options", "[{\"value\":\"a\",\"label\":\"A\"}]"),
            ],
        );
        let (kind, said) = of_prototype(&row, &[&field], "Ldap").unwrap();
        assert_eq!(kind.name.main(), "Ldap");
        assert_eq!(kind.field("MODE").unwrap().default.as_deref(), Some("a"));
        assert_eq!(said, Vec::<String>::new());
    }
}
