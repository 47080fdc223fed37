//! Texts for people: one for all, or one a language.

use serde_json::Value;

use super::report::{Report, key_path, quote, quote_text};

/// A text in one or more languages; empty if the document has none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Localized {
    /// Language and text, in the document's order; a text for all has no language.
    texts: Vec<(String, String)>,
}

impl Localized {
    /// A text for all languages.
    pub fn plain(text: &str) -> Self {
        Self { texts: vec![(String::new(), text.to_owned())] }
    }

    /// The text for a language: `cs_CZ` is content with `cs`, and who has no text of
    /// his own gets the English one, or else the first.
    pub fn get(&self, language: &str) -> &str {
        let base = language.split(['_', '-', '.']).next().unwrap_or_default();
        [language, base, "en"]
            .iter()
            .find_map(|wanted| self.texts.iter().find(|(has, _)| has.eq_ignore_ascii_case(wanted)))
            .or(self.texts.first())
            .map_or("", |(_, text)| text)
    }

    /// The text that stands for the whole where there is room for one.
    pub fn main(&self) -> &str {
        self.get("en")
    }

    /// Whether there is no text.
    pub fn is_empty(&self) -> bool {
        self.texts.iter().all(|(_, text)| text.trim().is_empty())
    }

    /// Languages and their texts, in the document's order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.texts.iter().map(|(language, text)| (language.as_str(), text.as_str()))
    }

    pub(in crate::domain) fn read(path: &str, value: &Value, report: &mut Report) -> Self {
        match value {
            Value::String(text) => Self::plain(text),
            Value::Object(map) => {
                let mut texts = Vec::new();
                for (language, value) in map {
                    let path = key_path(path, language);
                    if !is_language(language) {
                        let language = quote_text(language);
                        report.note(&path, format!("{language} is no code of a language, as en"));
                    }
                    match value {
                        Value::String(text) => texts.push((language.clone(), text.clone())),
                        other => report.fault(&path, format!("{} is no text", quote(other))),
                    }
                }
                Self { texts }
            }
            // PHP writes an empty map so.
            Value::Array(list) if list.is_empty() => {
                report.note(path, "an empty list is taken as no text: leave it out");
                Self::default()
            }
            other => {
                report.fault(
                    path,
                    format!("{} is no text: use a text, or a text a language", quote(other)),
                );
                Self::default()
            }
        }
    }
}

/// `en`, `cs`, `pt-BR`, `sr_Latn`.
fn is_language(code: &str) -> bool {
    let mut parts = code.split(['-', '_']);
    let base = parts.next().unwrap_or_default();
    (2..=3).contains(&base.len())
        && base.bytes().all(|b| b.is_ascii_lowercase())
        && parts.all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(value: &Value) -> Localized {
        let mut report = Report::of("test");
        let localized = Localized::read("name", value, &mut report);
        report.finish().unwrap();
        localized
    }

    #[test]
    fn everyone_gets_a_text() {
        let probe = read(&json!({"cs": "Sonda", "en": "Probe"}));
        assert_eq!(probe.get("cs"), "Sonda");
        assert_eq!(probe.get("cs_CZ.UTF-8"), "Sonda");
        assert_eq!(probe.get("de"), "Probe");
        assert_eq!(probe.main(), "Probe");
        assert_eq!(read(&json!({"sk": "Sonda", "cs": "Sonda!"})).get("de"), "Sonda");
        assert_eq!(read(&json!("Probe")).get("cs"), "Probe");
        assert_eq!(read(&json!([])).get("cs"), "");
        assert!(read(&json!({"en": " "})).is_empty());
    }

    #[test]
    fn other_values_are_faults() {
        let mut report = Report::of("test");
        Localized::read("name", &json!(3), &mut report);
        Localized::read("title", &json!({"en": ["x"], "English": "x"}), &mut report);
        let faults = report.finish().unwrap_err().faults;
        let faults: Vec<_> = faults.iter().map(ToString::to_string).collect();
        assert_eq!(
            faults,
            [
                "name: 3 is no text: use a text, or a text a language",
                "title.en: [\"x\"] is no text"
            ]
        );
    }
}
