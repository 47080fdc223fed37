//! Variables as they are shown: of companies, run templates and jobs.

use std::collections::{BTreeMap, HashMap};

use multiflexi_proto::v1::VariableFile;
use serde_json::{Value, json};

use crate::output::json;

/// For people: one a line, a file by its name and size. Further lines of a value are indented:
/// they look like no variable.
pub fn text(environment: &HashMap<String, String>, files: &[VariableFile]) -> String {
    let texts =
        environment.iter().map(|(name, value)| format!("{name}={}", value.replace('\n', "\n  ")));
    let files = files.iter().map(|file| {
        let VariableFile { name, file_name, size_bytes, .. } = file;
        format!("{name}=<{}>", file_text(file_name, *size_bytes))
    });
    let mut lines: Vec<String> = texts.chain(files).collect();
    lines.sort_unstable();
    lines.join("\n")
}

/// A file, for people.
pub fn file_text(name: &str, size_bytes: i64) -> String {
    format!("file {name}, {}", json::size(size_bytes))
}

/// Texts, for machines, in a stable order.
pub fn environment(environment: &HashMap<String, String>) -> Value {
    json!(environment.iter().collect::<BTreeMap<_, _>>())
}

/// Files, for machines.
pub fn files(files: &[VariableFile]) -> Value {
    let file = |file: &VariableFile| {
        json!({
            "name": file.name,
            "file_name": file.file_name,
            "size_bytes": file.size_bytes,
            "secret": file.secret,
        })
    };
    files.iter().map(file).collect()
}
