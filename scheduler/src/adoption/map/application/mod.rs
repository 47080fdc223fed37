//! The definition of an application, rebuilt from its rows.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{names, repair};
use crate::{
    adoption::source::Row,
    domain::application::{self, Definition},
};

/// The rows of an application.
#[derive(Clone, Copy, Debug)]
pub struct Parts<'r> {
    /// Its texts in other languages.
    pub translations: &'r [&'r Row],
    /// The variables that it declares.
    pub fields: &'r [&'r Row],
    /// The files that it leaves.
    pub artifacts: &'r [&'r Row],
    /// Their texts, by the id of the file.
    pub artifact_texts: &'r BTreeMap<i64, Vec<&'r Row>>,
    /// What its exit codes mean.
    pub exit_codes: &'r [&'r Row],
    /// What it hands on.
    pub produces: &'r [&'r Row],
    /// What it takes.
    pub consumes: &'r [&'r Row],
}

/// The definition, and what of the rows is not in it.
pub fn definition(app: &Row, parts: &Parts<'_>) -> Result<(Definition, Vec<String>), String> {
    let mut said = Vec::new();
    let document = document(app, parts, &mut said);
    let (definition, left_out) = repair::read(document, application::parse)?;
    said.extend(left_out);
    said.extend(shell_notes(&definition));
    Ok((definition, said))
}

/// What of the command line means something else here, where no shell runs.
pub fn shell_notes(definition: &Definition) -> Vec<String> {
    let program = definition.executable.rsplit('/').next().unwrap_or_default();
    if matches!(program, "sh" | "bash" | "dash" | "zsh" | "ksh") {
        // It is a shell itself.
        return Vec::new();
    }
    let about = |path: &str| matches!(path, "cmdparams" | "cmdparamsTemplate" | "executable");
    let notes = definition.notes.iter().filter(|note| about(&note.path));
    let notes = notes.filter(|note| !note.text.contains("older key"));
    notes.map(ToString::to_string).collect()
}

fn document(app: &Row, parts: &Parts<'_>, said: &mut Vec<String>) -> Value {
    let mut map = Map::new();
    let mut put = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            map.insert(key.to_owned(), value);
        }
    };
    let text = |column: &str| app.text(column).map(Value::String);
    put("$schema", Some("https://multiflexi.eu/schema/application.json".into()));
    put("uuid", text("uuid"));
    put("version", text("version"));
    put("code", text("code"));
    let name = names::name(app.text("name"), &format!("application {}", app.id()));
    put("name", Some(localized(Some(name), "name", parts.translations)));
    let title = localized(None, "title", parts.translations);
    put("title", Some(title).filter(|title| *title != ""));
    let description = localized(app.text("description"), "description", parts.translations);
    put("description", Some(description));
    put("homepage", text("homepage"));
    put("image", text("image"));
    put("ociimage", text("ociimage"));
    let (executable, parameters) = command(app);
    put("executable", Some(executable.into()));
    put("cmdparams", Some(parameters.into()).filter(|parameters: &Value| *parameters != ""));
    for key in ["setup", "deploy", "resultfile"] {
        put(key, text(key));
    }
    put("tags", words(app.text("tags")));
    put("requirements", words(app.text("requirements")));
    put("environment", Some(environment(parts.fields)));
    put("artifacts", artifacts(app, parts));
    put("exitCodes", exit_codes(parts.exit_codes));
    put("produces", exchange(parts.produces, produced, said));
    put("consumes", exchange(parts.consumes, consumed, said));
    let chart = app.text("helmchart").map(|chart| json!({ "helm": { "chart": chart } }));
    put("kubernetes", chart);
    Value::Object(map)
}

/// Program and parameters. PHP gives both to a shell as one line, so parameters may stand in
/// the column of the program.
fn command(app: &Row) -> (String, String) {
    let executable = app.raw("executable").unwrap_or_default();
    let parameters = app.raw("cmdparams").unwrap_or_default();
    let parameters = parameters.trim();
    match executable.trim().split_once(char::is_whitespace) {
        Some((program, first)) if !program.contains(['"', '\'', '\\']) => {
            (program.to_owned(), format!("{} {parameters}", first.trim()).trim().to_owned())
        }
        _ => (executable.trim().to_owned(), parameters.to_owned()),
    }
}

/// A text, or a text a language if there are several.
fn localized(main: Option<String>, column: &str, translations: &[&Row]) -> Value {
    let mut texts = Map::new();
    if let Some(main) = &main {
        texts.insert("en".to_owned(), main.clone().into());
    }
    for row in translations {
        if let (Some(language), Some(text)) = (row.text("lang"), row.text(column)) {
            texts.entry(language).or_insert(text.into());
        }
    }
    let all_main =
        texts.values().all(|text| Some(text.as_str().unwrap_or_default()) == main.as_deref());
    if all_main { main.unwrap_or_default().into() } else { Value::Object(texts) }
}

fn words(text: Option<String>) -> Option<Value> {
    let text = text?;
    let words: Vec<&str> = text.split(',').map(str::trim).filter(|word| !word.is_empty()).collect();
    Some(json!(words)).filter(|_| !words.is_empty())
}

fn environment(fields: &[&Row]) -> Value {
    let mut map = Map::new();
    for row in fields {
        let mut field = Map::new();
        let kind = row.text("type").unwrap_or_else(|| "string".to_owned());
        let lines = row.flag("multiline") && matches!(kind.as_str(), "string" | "text");
        field.insert("type".to_owned(), if lines { "text".into() } else { kind.into() });
        for key in ["category", "description", "hint", "defval"] {
            if let Some(text) = row.text(key) {
                field.insert(key.to_owned(), text.into());
            }
        }
        for key in ["required", "secret"] {
            if row.flag(key) {
                field.insert(key.to_owned(), true.into());
            }
        }
        map.insert(row.raw("keyname").unwrap_or_default(), Value::Object(field));
    }
    Value::Object(map)
}

fn artifacts(app: &Row, parts: &Parts<'_>) -> Option<Value> {
    if parts.artifacts.is_empty() {
        return app.text("artifacts").map(Value::String);
    }
    let one = |row: &&Row| {
        let path = row.text("path").unwrap_or_default();
        let texts = parts.artifact_texts.get(&row.id()).map(Vec::as_slice).unwrap_or_default();
        let (name, description) =
            (localized(None, "name", texts), localized(None, "description", texts));
        let mut artifact = Map::new();
        artifact.insert("name".to_owned(), if name == "" { path.clone().into() } else { name });
        artifact.insert("path".to_owned(), path.into());
        if let Some(kind) = row.text("type") {
            artifact.insert("type".to_owned(), kind.into());
        }
        if description != "" {
            artifact.insert("description".to_owned(), description);
        }
        Value::Object(artifact)
    };
    Some(parts.artifacts.iter().map(one).collect())
}

fn exit_codes(rows: &[&Row]) -> Option<Value> {
    let mut codes: BTreeMap<i64, Vec<&Row>> = BTreeMap::new();
    for row in rows {
        codes.entry(row.int("exit_code").unwrap_or(-1)).or_default().push(row);
    }
    let mut map = Map::new();
    for (code, rows) in codes {
        let mut one = Map::new();
        one.insert("description".to_owned(), localized(None, "description", &rows));
        if let Some(severity) = rows.iter().find_map(|row| row.text("severity")) {
            one.insert("severity".to_owned(), severity.into());
        }
        // There, 0 is what is said when nothing is: it forbids nothing.
        if rows.iter().any(|row| row.flag("retry")) {
            one.insert("retry".to_owned(), true.into());
        }
        map.insert(code.to_string(), Value::Object(one));
    }
    (!map.is_empty()).then_some(Value::Object(map))
}

fn exchange(
    rows: &[&Row],
    more: impl Fn(&Row, &mut Map<String, Value>, &mut Vec<String>),
    said: &mut Vec<String>,
) -> Option<Value> {
    let mut map = Map::new();
    for row in rows {
        let mut one = Map::new();
        one.insert("format".to_owned(), row.text("format").unwrap_or_else(|| "json".into()).into());
        more(row, &mut one, said);
        put_json(row, "description_json", "description", &mut one, said);
        put_json(row, "fields_json", "fields", &mut one, said);
        map.insert(row.text("name").unwrap_or_default(), Value::Object(one));
    }
    (!map.is_empty()).then_some(Value::Object(map))
}

fn produced(row: &Row, one: &mut Map<String, Value>, said: &mut Vec<String>) {
    put_json(row, "patterns_json", "patterns", one, said);
}

fn consumed(row: &Row, one: &mut Map<String, Value>, _: &mut Vec<String>) {
    if row.int("required") == Some(0) {
        one.insert("required".to_owned(), false.into());
    }
    if let Some(target) = row.text("target_env_key") {
        one.insert("target".to_owned(), target.into());
    }
}

fn put_json(
    row: &Row,
    column: &str,
    key: &str,
    one: &mut Map<String, Value>,
    said: &mut Vec<String>,
) {
    let Some(text) = row.text(column) else { return };
    match serde_json::from_str::<Value>(&text) {
        // PHP writes empty objects as empty lists.
        Ok(Value::Null) => {}
        Ok(Value::Array(list)) if list.is_empty() => {}
        Ok(value) => drop(one.insert(key.to_owned(), value)),
        Err(_) => {
            let name = row.text("name").unwrap_or_default();
            said.push(format!("{column} of {name:?} is no JSON; it is left out"));
        }
    }
}
