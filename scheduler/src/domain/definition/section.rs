//! Reads one object of a document, key by key, and notes the keys that nobody read.

use serde_json::{Map, Value};

use super::{
    localized::Localized,
    names::Named,
    report::{Report, element_path, key_path, quote, quote_text},
};

static NOTHING: std::sync::LazyLock<Map<String, Value>> = std::sync::LazyLock::new(Map::new);

/// The entries of a map. `null` is nothing, and so is the empty list that PHP writes
/// for an empty map.
pub(in crate::domain) fn entries<'a>(
    path: &str,
    value: &'a Value,
    report: &mut Report,
) -> Option<&'a Map<String, Value>> {
    match value {
        Value::Object(map) => Some(map),
        Value::Array(list) if list.is_empty() => {
            report.note(path, "an empty list is taken as an empty object: write {}");
            Some(&NOTHING)
        }
        other => {
            report.fault(path, format!("{} is no object: use {{…}}", quote(other)));
            None
        }
    }
}

/// An object that is being read.
pub(in crate::domain) struct Section<'a> {
    path: String,
    map: &'a Map<String, Value>,
    read: Vec<&'static str>,
}

impl<'a> Section<'a> {
    pub(in crate::domain) fn new(path: String, map: &'a Map<String, Value>) -> Self {
        Self { path, map, read: Vec::new() }
    }

    /// An object, or a fault.
    pub(in crate::domain) fn open(
        path: String,
        value: &'a Value,
        report: &mut Report,
    ) -> Option<Self> {
        entries(&path, value, report).map(|map| Self::new(path, map))
    }

    pub(in crate::domain) fn path(&self, key: &str) -> String {
        key_path(&self.path, key)
    }

    pub(in crate::domain) fn get(&mut self, key: &'static str) -> Option<&'a Value> {
        self.read.push(key);
        self.map.get(key).filter(|value| !value.is_null())
    }

    /// Whether a key is there with anything in it.
    pub(in crate::domain) fn has(&self, key: &str) -> bool {
        self.map.get(key).is_some_and(|value| !value.is_null() && value != "")
    }

    /// Says that a key is missing, as the document must have it.
    pub(in crate::domain) fn missing(&self, key: &str, what: &str, report: &mut Report) {
        report.fault(&self.path(key), format!("is missing: give {what}"));
    }

    /// A text; none if it is empty.
    pub(in crate::domain) fn text(
        &mut self,
        key: &'static str,
        report: &mut Report,
    ) -> Option<String> {
        match self.get(key)? {
            Value::String(text) => Some(text.clone()).filter(|text| !text.is_empty()),
            other => {
                report.fault(&self.path(key), format!("{} is no text", quote(other)));
                None
            }
        }
    }

    pub(in crate::domain) fn localized(
        &mut self,
        key: &'static str,
        report: &mut Report,
    ) -> Localized {
        match self.get(key) {
            Some(value) => Localized::read(&self.path(key), value, report),
            None => Localized::default(),
        }
    }

    /// `true` or `false`; the other forms that PHP takes for them are noted.
    pub(in crate::domain) fn flag(
        &mut self,
        key: &'static str,
        report: &mut Report,
    ) -> Option<bool> {
        let value = self.get(key)?;
        let taken = match value {
            Value::Bool(flag) => return Some(*flag),
            Value::Number(number) => number.as_u64().filter(|n| *n < 2).map(|n| n == 1),
            Value::String(text) => super::check::boolean(text),
            _ => None,
        };
        match taken {
            Some(flag) => {
                report.note(&self.path(key), format!("{} is taken as {flag}", quote(value)));
            }
            None => report.fault(
                &self.path(key),
                format!("{} is neither yes nor no: use true or false", quote(value)),
            ),
        }
        taken
    }

    /// One of a few names.
    pub(in crate::domain) fn named<T: Named>(
        &mut self,
        key: &'static str,
        report: &mut Report,
    ) -> Option<T> {
        let text = self.text(key, report)?;
        let named = T::from_name(&text);
        if named.is_none() {
            report.fault(&self.path(key), T::refusal(&text));
        }
        named
    }

    /// A list of texts, or the older one text with commas.
    pub(in crate::domain) fn words(
        &mut self,
        key: &'static str,
        report: &mut Report,
    ) -> Vec<String> {
        let path = self.path(key);
        let trimmed = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        match self.get(key) {
            None => Vec::new(),
            Some(Value::String(text)) => {
                report.note(&path, "one text with commas is the older form: use a list of texts");
                text.split(',').filter_map(trimmed).collect()
            }
            Some(Value::Array(list)) => {
                let mut words = Vec::new();
                for (index, value) in list.iter().enumerate() {
                    match value {
                        Value::String(text) => words.extend(trimmed(text)),
                        other => report.fault(
                            &element_path(&path, index),
                            format!("{} is no text", quote(other)),
                        ),
                    }
                }
                words
            }
            Some(other) => {
                report.fault(&path, format!("{} is no list of texts: use […]", quote(other)));
                Vec::new()
            }
        }
    }

    /// The entries of an object inside this one.
    pub(in crate::domain) fn entries(
        &mut self,
        key: &'static str,
        report: &mut Report,
    ) -> Option<&'a Map<String, Value>> {
        let value = self.get(key)?;
        entries(&self.path(key), value, report)
    }

    /// Notes the keys that nobody read.
    pub(in crate::domain) fn finish(&self, report: &mut Report) {
        for (key, value) in self.map {
            if self.read.contains(&key.as_str()) {
                continue;
            }
            let looks_like_a_variable = self.path.is_empty()
                && value.get("type").is_some()
                && key.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
            let text = if looks_like_a_variable {
                "looks like a variable, but outside of environment it is none; it is kept"
                    .to_owned()
            } else {
                format!("{} is no key that is known here; it is kept", quote_text(key))
            };
            report.note(&self.path(key), text);
        }
    }
}
