//! What reading found: faults, for which a document is refused, and notes, with
//! which it is taken. Both name the place in the document.

use std::fmt;

use multiflexi_program::counted;
use serde_json::Value;

/// Most faults, and most notes, that are kept: a list that someone reads.
const MOST: usize = 1000;

/// Longest part of an offending value that is quoted, in characters.
const MOST_QUOTED: usize = 80;

/// Something for which a document is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where: `environment.PORT.type`, `artifacts[2].path`, or `$` for the document.
    pub path: String,
    /// What is wrong there, and what is allowed.
    pub problem: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.problem)
    }
}

/// Something that was taken, but that its author should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Where, as in a fault.
    pub path: String,
    /// What was found there, and how it was taken.
    pub text: String,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.text)
    }
}

/// A document that is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", summary(.what, .faults))]
pub struct Invalid {
    /// What it should be; empty if there was no document, but single fields.
    pub what: &'static str,
    /// Everything that is wrong with it; never empty.
    pub faults: Vec<Fault>,
}

impl Invalid {
    /// The same of a document that nobody has seen: it was made of single fields.
    pub(in crate::domain) fn of_fields(self) -> Self {
        Self { what: "", ..self }
    }
}

fn summary(what: &str, faults: &[Fault]) -> String {
    let shown: Vec<String> = faults.iter().take(3).map(Fault::to_string).collect();
    let heading = if what.is_empty() { String::new() } else { format!("this is no {what}: ") };
    let mut text = heading + &shown.join("; ");
    if faults.len() > 3 {
        text.push_str(&format!("; and {}", counted(faults.len() - 3, "more fault")));
    }
    text
}

/// Collects while a document is read.
pub(in crate::domain) struct Report {
    what: &'static str,
    faults: Vec<Fault>,
    notes: Vec<Note>,
    unkept_faults: usize,
    unkept_notes: usize,
}

impl Report {
    /// Of a document that should be a `what`.
    pub(in crate::domain) fn of(what: &'static str) -> Self {
        let (faults, notes) = (Vec::new(), Vec::new());
        Self { what, faults, notes, unkept_faults: 0, unkept_notes: 0 }
    }

    /// What is wrong with a document of which nothing can be read.
    pub(in crate::domain) fn unreadable(&self, problem: String) -> Invalid {
        Invalid { what: self.what, faults: vec![Fault { path: "$".to_owned(), problem }] }
    }

    pub(in crate::domain) fn fault(&mut self, path: &str, problem: impl Into<String>) {
        if self.faults.len() < MOST {
            self.faults.push(Fault { path: whole(path), problem: problem.into() });
        } else {
            self.unkept_faults += 1;
        }
    }

    pub(in crate::domain) fn note(&mut self, path: &str, text: impl Into<String>) {
        if self.notes.len() < MOST {
            self.notes.push(Note { path: whole(path), text: text.into() });
        } else {
            self.unkept_notes += 1;
        }
    }

    /// How many faults there are.
    pub(in crate::domain) fn faults(&self) -> usize {
        self.faults.len() + self.unkept_faults
    }

    /// The notes, unless there are faults.
    pub(in crate::domain) fn finish(mut self) -> Result<Vec<Note>, Invalid> {
        if self.unkept_faults > 0 {
            let problem = format!("{} not listed", counted(self.unkept_faults, "more fault"));
            self.faults.push(Fault { path: whole(""), problem });
        }
        if !self.faults.is_empty() {
            return Err(Invalid { what: self.what, faults: self.faults });
        }
        if self.unkept_notes > 0 {
            let text = format!("{} not listed", counted(self.unkept_notes, "more note"));
            self.notes.push(Note { path: whole(""), text });
        }
        Ok(self.notes)
    }
}

fn whole(path: &str) -> String {
    if path.is_empty() { "$".to_owned() } else { path.to_owned() }
}

/// The path of a key. A key that is no plain word is quoted, so that a dot in it
/// does not look like a level.
pub(in crate::domain) fn key_path(path: &str, key: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '$');
    if key.is_empty() || !key.chars().all(plain) || key.len() > MOST_QUOTED {
        format!("{path}[{}]", quote_text(key))
    } else if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

/// The path of an element of a list.
pub(in crate::domain) fn element_path(path: &str, index: usize) -> String {
    format!("{path}[{index}]")
}

/// A value as a fault quotes it: its JSON, shortened.
pub(in crate::domain) fn quote(value: &Value) -> String {
    match value {
        Value::String(text) => quote_text(text),
        other => shorten(&other.to_string()),
    }
}

/// A text as a fault quotes it.
pub(in crate::domain) fn quote_text(text: &str) -> String {
    format!("{:?}", shorten(text))
}

fn shorten(text: &str) -> String {
    match text.char_indices().nth(MOST_QUOTED) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_unmistakable() {
        assert_eq!(key_path("", "name"), "name");
        assert_eq!(key_path("environment", "PORT"), "environment.PORT");
        assert_eq!(key_path("environment", "a.b\n"), "environment[\"a.b\\n\"]");
        assert_eq!(element_path("artifacts", 2), "artifacts[2]");
    }

    #[test]
    fn long_values_are_shortened_between_characters() {
        let quoted = quote(&Value::String("ž".repeat(100)));
        assert_eq!(quoted, format!("\"{}…\"", "ž".repeat(80)));
        assert_eq!(quote(&serde_json::json!([1, 2])), "[1,2]");
    }

    #[test]
    fn lists_that_nobody_reads_are_cut_and_say_so() {
        let mut report = Report::of("test");
        (0..MOST + 7).for_each(|_| report.fault("", "is wrong"));
        let faults = report.finish().unwrap_err().faults;
        assert_eq!(faults.len(), MOST + 1);
        assert_eq!(faults[MOST].to_string(), "$: 7 more faults not listed");
    }

    #[test]
    fn the_summary_says_how_much_it_leaves_out() {
        let fault = Fault { path: "a".to_owned(), problem: "is b".to_owned() };
        let one = Invalid { what: "test", faults: vec![fault.clone()] };
        assert_eq!(one.to_string(), "this is no test: a: is b");
        let five = Invalid { what: "test", faults: vec![fault; 5] };
        assert!(five.to_string().ends_with("; a: is b; and 2 more faults"), "{five}");
    }
}
