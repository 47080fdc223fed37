//! Definitions that are rebuilt from rows may say what ours may not. What is wrong with
//! them is taken out, place by place, until the rest is valid, and said.

use serde_json::Value;

use crate::domain::definition::{Fault, Invalid};

/// Most places that are taken out of one document.
const MAX_REPAIRS: usize = 200;

/// Places without which a document is another one.
const NEEDED: [&str; 5] = ["name", "executable", "cmdparams", "code", "fields"];

/// Reads a document, without what is wrong with it; says what that was.
pub fn read<D>(
    mut document: Value,
    parse: impl Fn(&str) -> Result<D, Invalid>,
) -> Result<(D, Vec<String>), String> {
    let mut said = Vec::new();
    loop {
        let invalid = match parse(&document.to_string()) {
            Ok(definition) => return Ok((definition, said)),
            Err(invalid) => invalid,
        };
        let fault = invalid.faults.first().ok_or_else(|| invalid.to_string())?;
        if said.len() >= MAX_REPAIRS || !take_out(&mut document, fault) {
            return Err(fault.to_string());
        }
        said.push(format!("{fault}; it is left out"));
    }
}

/// Takes the place of a fault out; false if the document cannot do without it.
fn take_out(document: &mut Value, fault: &Fault) -> bool {
    let mut steps = steps(&fault.path);
    while let Some(last) = steps.pop() {
        let whole = steps.is_empty();
        if whole && NEEDED.contains(&last.as_str()) {
            return false;
        }
        let parent = steps.iter().try_fold(&mut *document, |place, step| inside(place, step));
        let taken = match parent {
            Some(Value::Object(map)) => map.shift_remove(&last).is_some(),
            Some(Value::Array(list)) => {
                let index = last.parse().ok().filter(|index| *index < list.len());
                index.map(|index: usize| list.remove(index)).is_some()
            }
            _ => false,
        };
        // If it is not there, what misses it goes.
        if taken {
            return true;
        }
    }
    false
}

fn inside<'v>(place: &'v mut Value, step: &str) -> Option<&'v mut Value> {
    match place {
        Value::Object(map) => map.get_mut(step),
        Value::Array(list) => list.get_mut(step.parse::<usize>().ok()?),
        _ => None,
    }
}

/// The steps of `environment.PORT.type`, `artifacts[2].path` and `environment["a b"]`.
fn steps(path: &str) -> Vec<String> {
    let mut steps = Vec::new();
    let mut rest = path;
    while !rest.is_empty() {
        if let Some(quoted) = rest.strip_prefix("[\"") {
            let mut end = None;
            let mut escaped = false;
            for (at, c) in quoted.char_indices() {
                match c {
                    _ if escaped => escaped = false,
                    '\\' => escaped = true,
                    '"' => {
                        end = Some(at);
                        break;
                    }
                    _ => {}
                }
            }
            let Some(end) = end else { break };
            let literal = &quoted[..end];
            let text = serde_json::from_str(&format!("\"{literal}\""));
            steps.push(text.unwrap_or_else(|_| literal.to_owned()));
            rest = quoted[end..].trim_start_matches(['"', ']', '.']);
        } else if let Some(index) = rest.strip_prefix('[') {
            let end = index.find(']').unwrap_or(index.len());
            steps.push(index[..end].to_owned());
            rest = index[end..].trim_start_matches([']', '.']);
        } else {
            let end = rest.find(['.', '[']).unwrap_or(rest.len());
            steps.push(rest[..end].to_owned());
            rest = rest[end..].trim_start_matches('.');
        }
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::application;
    use serde_json::json;

    #[test]
    fn paths_are_taken_apart() {
        assert_eq!(steps("environment.PORT.type"), ["environment", "PORT", "type"]);
        assert_eq!(steps("artifacts[2].path"), ["artifacts", "2", "path"]);
        assert_eq!(steps("a[\"b.\\\"c\"].d"), ["a", "b.\"c", "d"]);
        assert_eq!(steps("$"), ["$"]);
    }

    #[test]
    fn what_is_wrong_goes_and_the_rest_stays() {
        let document = json!({
            "name": "Probe", "executable": "probe", "description": "d",
            "version": "v1", "homepage": "ftp://x",
            "environment": {
                "GOOD": {"type": "string"}, "1BAD": {"type": "string"},
                "ODD": {"type": "oddity", "defval": "x"}, "N": {"type": "integer", "defval": "x"},
            },
            "artifacts": [{"name": "a", "path": "*.x"}, {"name": "b", "path": "b"}],
        });
        let (definition, said) = read(document, application::parse).unwrap();
        assert_eq!(definition.version, None);
        assert_eq!(definition.environment.len(), 3);
        assert_eq!(definition.environment["ODD"].default.as_deref(), Some("x"));
        assert_eq!(definition.environment["N"].default, None);
        assert_eq!(definition.artifacts.len(), 1);
        assert!(said.len() >= 6, "{said:?}");
    }

    #[test]
    fn what_is_needed_is_not_taken_out() {
        let document = json!({
            "name": "Probe", "executable": "probe", "description": "", "environment": {},
            "cmdparams": "-c 'open",
        });
        assert!(read(document, application::parse).unwrap_err().contains("cmdparams"));
        let document = json!({"name": "", "executable": "x", "description": "", "environment": {}});
        assert!(read(document, application::parse).is_err());
    }
}
