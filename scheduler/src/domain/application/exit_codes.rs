//! What an application means by its exit codes.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::domain::definition::{
    Localized,
    names::named,
    report::{Report, key_path, quote_text},
    section::Section,
};

named! {
    /// How bad an exit code is.
    Severity, "severity":
    /// All went well.
    Success = "success",
    /// Worth knowing.
    Info = "info",
    /// Worth a look.
    Warning = "warning",
    /// It failed.
    Error = "error",
    /// It failed, and someone must act.
    Critical = "critical",
}

/// What one exit code means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExitCode {
    /// What it says.
    pub description: Localized,
    /// How bad it is.
    pub severity: Severity,
    /// Whether another try may help; none if the definition does not say.
    pub retry: Option<bool>,
}

/// Reads `exitCodes`.
pub(super) fn read(
    path: &str,
    entries: &Map<String, Value>,
    report: &mut Report,
) -> BTreeMap<i32, ExitCode> {
    let mut codes = BTreeMap::new();
    for (key, value) in entries {
        let path = key_path(path, key);
        let digits = !key.is_empty() && key.bytes().all(|b| b.is_ascii_digit());
        let code: Option<i32> = if digits { key.parse().ok() } else { None };
        match code {
            None => {
                report.fault(&path, format!("{} is no exit code: use 0 to 255", quote_text(key)));
            }
            Some(code) if code > 255 => report.note(&path, "no process ends with a code over 255"),
            Some(_) => {}
        }
        let Some(exit_code) = read_code(path.clone(), code, value, report) else { continue };
        let Some(code) = code else { continue };
        if codes.insert(code, exit_code).is_some() {
            report.fault(&path, format!("{code} is there twice, written in two ways"));
        }
    }
    codes
}

fn read_code(
    path: String,
    code: Option<i32>,
    value: &Value,
    report: &mut Report,
) -> Option<ExitCode> {
    let usual = if code == Some(0) { Severity::Success } else { Severity::Error };
    if let Value::String(text) = value {
        report.note(&path, "a text is the older form: use an object with a description");
        let description = Localized::plain(text);
        return Some(ExitCode { description, severity: usual, retry: None });
    }
    let mut section = Section::open(path, value, report)?;
    let description = section.localized("description", report);
    if description.is_empty() {
        report.note(&section.path("description"), "is missing: say what the code means");
    }
    let severity = section.named("severity", report).unwrap_or(usual);
    let retry = section.flag("retry", report);
    section.finish(report);
    Some(ExitCode { description, severity, retry })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read_all(value: &Value) -> (BTreeMap<i32, ExitCode>, Report) {
        let mut report = Report::of("test");
        let codes = read("exitCodes", value.as_object().unwrap(), &mut report);
        (codes, report)
    }

    #[test]
    fn codes_have_meanings_and_usual_values() {
        let (codes, report) = read_all(&json!({
            "0": {"description": "Done"},
            "75": {"description": {"cs": "Později"}, "severity": "warning", "retry": true},
            "1": "Failed",
            "2": {"description": "Wrong account", "retry": false},
        }));
        assert_eq!(report.finish().unwrap().len(), 1);
        assert_eq!(codes[&0].severity, Severity::Success);
        assert_eq!(codes[&1].severity, Severity::Error);
        assert_eq!(codes[&75].description.get("en"), "Později");
        let retry = [75, 0, 1, 2].map(|code| codes[&code].retry);
        assert_eq!(retry, [Some(true), None, None, Some(false)]);
    }

    #[test]
    fn what_no_process_returns_is_said() {
        let (_, report) = read_all(&json!({
            "-1": {"description": "x"}, "99999999999": "x", "": "x", "1": "x", "01": "x",
            "2": {"description": "x", "severity": "fatal"}, "3": 3,
        }));
        let faults = report.finish().unwrap_err().faults;
        let faults: Vec<_> = faults.iter().map(ToString::to_string).collect();
        assert_eq!(
            faults,
            [
                "exitCodes.-1: \"-1\" is no exit code: use 0 to 255",
                "exitCodes.99999999999: \"99999999999\" is no exit code: use 0 to 255",
                "exitCodes[\"\"]: \"\" is no exit code: use 0 to 255",
                "exitCodes.01: 1 is there twice, written in two ways",
                "exitCodes.2.severity: \"fatal\" is no severity: use success, info, warning, \
                 error, critical",
                "exitCodes.3: 3 is no object: use {…}",
            ]
        );
        let (_, report) = read_all(&json!({"300": {"description": "x"}}));
        assert_eq!(report.finish().unwrap()[0].text, "no process ends with a code over 255");
    }
}
