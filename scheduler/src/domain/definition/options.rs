//! The values that a variable can be chosen from.

use serde_json::Value;

use super::{
    localized::Localized,
    report::{Report, element_path, key_path, quote},
};

/// One of the values to choose from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The value.
    pub value: String,
    /// What people read; the value itself if there is nothing better.
    pub label: Localized,
}

/// Reads `options`: a list of values, or an object from value to label.
pub(in crate::domain) fn read(path: &str, value: &Value, report: &mut Report) -> Vec<Choice> {
    let mut options = Vec::new();
    match value {
        Value::Array(list) => {
            for (index, value) in list.iter().enumerate() {
                let path = element_path(path, index);
                let (value, label) = match value.get("value") {
                    // Types of credentials have options with labels so.
                    Some(labelled) => (labelled, value.get("label")),
                    None => (value, None),
                };
                match scalar(value) {
                    Some(value) => {
                        let label = match label {
                            Some(label) => {
                                Localized::read(&key_path(&path, "label"), label, report)
                            }
                            None => Localized::plain(&value),
                        };
                        options.push(Choice { label, value });
                    }
                    None => report.fault(
                        &path,
                        format!("{} is no option: use a text or a number", quote(value)),
                    ),
                }
            }
        }
        Value::Object(map) => {
            for (value, label) in map {
                let label = match scalar(label) {
                    Some(label) => Localized::plain(&label),
                    None => Localized::read(&key_path(path, value), label, report),
                };
                options.push(Choice { value: value.clone(), label });
            }
        }
        other => report.fault(
            path,
            format!("{} is no options: use a list, or an object from value to label", quote(other)),
        ),
    }
    options
}

/// A value without parts, as a process would get it.
pub(in crate::domain) fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(flag) => Some(String::from(if *flag { "1" } else { "0" })),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}
