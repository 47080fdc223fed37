//! Which files of a job are worth keeping.

use regex::{Regex, RegexBuilder};
use serde_json::Value;

use crate::domain::definition::{
    Localized,
    report::{Report, element_path, quote, quote_text},
    section::Section,
};

/// Most patterns: each is tried on each file.
const MAX_PATTERNS: usize = 256;

/// Longest pattern, in bytes; PHP MultiFlexi stores as many.
const MAX_PATTERN: usize = 512;

/// Most memory for a compiled pattern, in bytes.
const MAX_COMPILED: usize = 1024 * 1024;

/// Files that are kept as artifacts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArtifactPattern {
    /// What they are called.
    pub name: Localized,
    /// The regular expression that matches somewhere in the file's name; it compiles.
    pub path: String,
    /// What they are: a MIME type or a word as `file`; empty if nobody says.
    pub kind: String,
    /// What they are for.
    pub description: Localized,
    matcher: Matcher,
}

impl ArtifactPattern {
    /// Whether it speaks of a file: of its name alone, whatever folder it is in.
    pub fn matches(&self, filename: &str) -> bool {
        let name = filename.rsplit('/').next().unwrap_or(filename);
        self.matcher.0.as_ref().is_some_and(|matcher| matcher.is_match(name))
    }

    /// The MIME type of the files, if the document says one.
    pub fn content_type(&self) -> Option<&str> {
        self.kind.contains('/').then_some(&self.kind)
    }

    /// What is noted of such a file: what it is for, or else what it is called. A pattern
    /// without a name says nothing.
    pub fn note(&self) -> &str {
        match self.description.main() {
            "" if self.name.main() == self.path => "",
            "" => self.name.main(),
            description => description,
        }
    }
}

/// A pattern that is compiled; none if it cannot be, which is a fault of its document.
#[derive(Clone, Debug)]
struct Matcher(Option<Regex>);

/// Patterns are what they say.
impl PartialEq for Matcher {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_ref().map(Regex::as_str) == other.0.as_ref().map(Regex::as_str)
    }
}

impl Eq for Matcher {}

/// Reads `artifacts`: a list of patterns, or the older text with commas.
pub(super) fn read(path: &str, value: &Value, report: &mut Report) -> Vec<ArtifactPattern> {
    let mut patterns = Vec::new();
    match value {
        Value::Array(list) => {
            if list.len() > MAX_PATTERNS {
                let problem = format!("has {} patterns: it may have up to 256", list.len());
                report.fault(path, problem);
            }
            for (index, value) in list.iter().take(MAX_PATTERNS).enumerate() {
                patterns.extend(read_pattern(element_path(path, index), value, report));
            }
        }
        Value::String(text) => {
            if !text.is_empty() {
                report.note(path, "one text with commas is the older form: use a list of objects");
            }
            let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
            for word in words.take(MAX_PATTERNS) {
                patterns.push(plain(path, word, report));
            }
        }
        Value::Object(map) if map.is_empty() => {}
        other => report.fault(path, format!("{} is no list: use a list of objects", quote(other))),
    }
    patterns
}

fn read_pattern(path: String, value: &Value, report: &mut Report) -> Option<ArtifactPattern> {
    if let Value::String(word) = value {
        report.note(&path, "a text is the older form: use an object with name, path and type");
        return Some(plain(&path, word, report));
    }
    let mut section = Section::open(path, value, report)?;
    let name = section.localized("name", report);
    let kind = section.text("type", report);
    if kind.is_none() {
        report.note(&section.path("type"), "is missing: it is told from the file's content");
    }
    let description = section.localized("description", report);
    let pattern = section.get("path");
    let place = section.path("path");
    let pattern = match pattern {
        Some(Value::String(pattern)) => pattern.clone(),
        Some(other) => {
            report.fault(&place, format!("{} is no regular expression", quote(other)));
            return None;
        }
        None => {
            section.missing("path", "a regular expression for file names", report);
            return None;
        }
    };
    let matcher = compile(&place, &pattern, report);
    let name = if name.is_empty() {
        report.note(&section.path("name"), "is missing: the pattern stands for it");
        Localized::plain(&pattern)
    } else {
        name
    };
    section.finish(report);
    let kind = kind.unwrap_or_default();
    Some(ArtifactPattern { name, path: pattern, kind, description, matcher })
}

fn plain(path: &str, pattern: &str, report: &mut Report) -> ArtifactPattern {
    ArtifactPattern {
        name: Localized::plain(pattern),
        path: pattern.to_owned(),
        kind: String::new(),
        description: Localized::default(),
        matcher: compile(path, pattern, report),
    }
}

fn compile(path: &str, pattern: &str, report: &mut Report) -> Matcher {
    let compiled = match check(pattern) {
        Ok(compiled) => Some(compiled),
        Err(fault) => {
            report.fault(path, fault);
            None
        }
    };
    Matcher(compiled)
}

fn check(pattern: &str) -> Result<Regex, String> {
    if pattern.is_empty() {
        return Err("is empty and would match every file: use a regular expression".to_owned());
    }
    if pattern.len() > MAX_PATTERN {
        let bytes = pattern.len();
        return Err(format!("has {bytes} bytes: a pattern may have up to {MAX_PATTERN}"));
    }
    RegexBuilder::new(pattern).size_limit(MAX_COMPILED).build().map_err(|error| {
        // The last line of its message is the reason; those before draw the place.
        let message = error.to_string();
        let reason = message.lines().last().unwrap_or_default().trim();
        let reason = reason.strip_prefix("error: ").unwrap_or(reason);
        let advice = match pattern.starts_with('*') {
            true => "; for any file, write .* and not *",
            false => "",
        };
        format!("{} is no regular expression: {reason}{advice}", quote_text(pattern))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read_all(value: &Value) -> (Vec<ArtifactPattern>, Report) {
        let mut report = Report::of("test");
        let patterns = read("artifacts", value, &mut report);
        (patterns, report)
    }

    #[test]
    fn patterns_are_read_in_all_forms() {
        let (patterns, report) = read_all(&json!([
            {"name": {"en": "Report"}, "path": ".*\\.json$", "type": "application/json"},
            "\\d+_žluť\\.(?i)xml",
        ]));
        assert_eq!(patterns[0].name.main(), "Report");
        assert_eq!(patterns[0].kind, "application/json");
        assert_eq!(patterns[1].path, "\\d+_žluť\\.(?i)xml");
        assert_eq!(report.finish().unwrap().len(), 1);
        let (patterns, _) = read_all(&json!("a\\.csv, b\\.csv"));
        assert_eq!(patterns.len(), 2);
        assert_eq!(patterns[1].name.main(), "b\\.csv");
        assert_eq!(read_all(&json!([])).0, []);
    }

    #[test]
    fn what_cannot_match_is_a_fault() {
        let (_, report) = read_all(&json!([
            {"name": "a", "path": "*.json", "type": "file"},
            {"name": "b", "type": "file"},
            {"name": "c", "path": "a(?=b)", "type": "file"},
            {"name": "d", "path": "(\\w{400}){400}", "type": "file"},
            {"name": "e", "path": "x".repeat(513), "type": "file"},
            {"name": "f", "path": "", "type": "file"},
            7,
        ]));
        let faults = report.finish().unwrap_err().faults;
        let faults: Vec<_> = faults.iter().map(ToString::to_string).collect();
        assert_eq!(
            faults[0],
            "artifacts[0].path: \"*.json\" is no regular expression: repetition operator missing \
             expression; for any file, write .* and not *"
        );
        assert_eq!(
            faults[1],
            "artifacts[1].path: is missing: give a regular expression for file names"
        );
        assert!(faults[2].contains("look-around"), "{}", faults[2]);
        assert!(faults[3].contains("size limit"), "{}", faults[3]);
        assert!(faults[4].contains("has 513 bytes"), "{}", faults[4]);
        assert!(faults[5].contains("is empty"), "{}", faults[5]);
        assert_eq!(faults[6], "artifacts[6]: 7 is no object: use {…}");
    }

    #[test]
    fn the_number_of_patterns_is_bounded() {
        let (patterns, report) = read_all(&json!(vec!["a"; 300]));
        assert_eq!(patterns.len(), MAX_PATTERNS);
        let error = report.finish().unwrap_err().to_string();
        assert!(error.contains("artifacts: has 300 patterns: it may have up to 256"), "{error}");
    }
}
