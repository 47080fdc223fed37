//! What is known of a job that has ended, and texts that speak of it: in them `{NAME}` stands
//! for a fact, written so that it stays one value where it stands.

use std::collections::BTreeMap;

/// Something that is known of a job, or is known not to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// A text.
    Text(String),
    /// A number.
    Number(i64),
    /// There is none, such as the exit code of a process that a signal has ended.
    None,
}

impl From<String> for Fact {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for Fact {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

impl<T: Into<Self>> From<Option<T>> for Fact {
    fn from(known: Option<T>) -> Self {
        known.map_or(Self::None, Into::into)
    }
}

/// Where a text is to stand, which says how facts are written in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Within {
    /// A text for people: as they are.
    Text,
    /// JSON, within the quotes of a string; numbers, and `null` for what is not there, also
    /// without.
    Json,
    /// A URL, or a form.
    Url,
    /// A text with markup: what begins some is written so that it is none.
    Markup,
}

/// What is known of a job, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts(BTreeMap<String, Fact>);

impl<const N: usize> From<[(&str, Fact); N]> for Facts {
    fn from(facts: [(&str, Fact); N]) -> Self {
        Self(facts.into_iter().map(|(name, fact)| (name.to_owned(), fact)).collect())
    }
}

impl Facts {
    /// Adds one, in place of one of that name.
    pub fn set(&mut self, name: &str, fact: impl Into<Fact>) {
        self.0.insert(name.to_owned(), fact.into());
    }

    /// One as a text; empty if there is none.
    pub fn text(&self, name: &str) -> String {
        self.0.get(name).map(|fact| fact.within(Within::Text)).unwrap_or_default()
    }

    /// One for a document.
    pub fn json(&self, name: &str) -> serde_json::Value {
        match self.0.get(name) {
            Some(Fact::Text(text)) => text.clone().into(),
            Some(Fact::Number(number)) => (*number).into(),
            Some(Fact::None) | None => serde_json::Value::Null,
        }
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Fact)> {
        self.0.iter().map(|(name, fact)| (name.as_str(), fact))
    }

    /// Replaces `{NAME}` by what is known, in one pass. What is in braces and is no fact
    /// stays as it is, and so does `${NAME}`: it is left to whoever reads the text.
    pub fn fill(&self, text: &str, within: Within) -> String {
        let mut filled = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(open) = rest.find('{') {
            let (before, from) = rest.split_at(open);
            filled.push_str(before);
            let name = from[1..].split_once('}').map(|(name, _)| name);
            let name = name.filter(|_| !before.ends_with('$'));
            match name.and_then(|name| Some((name, self.0.get(name)?))) {
                Some((name, fact)) => {
                    filled.push_str(&fact.within(within));
                    rest = &from[name.len() + 2..];
                }
                None => {
                    filled.push('{');
                    rest = &from[1..];
                }
            }
        }
        filled + rest
    }
}

impl Fact {
    /// As a text that stands there.
    pub fn within(&self, within: Within) -> String {
        match (self, within) {
            (Self::Text(text), Within::Text) => text.clone(),
            (Self::Text(text), Within::Json) => {
                let quoted = serde_json::Value::from(text.as_str()).to_string();
                quoted[1..quoted.len() - 1].to_owned()
            }
            (Self::Text(text), Within::Url) => {
                url::form_urlencoded::byte_serialize(text.as_bytes())
                    .collect::<String>()
                    .replace('+', "%20")
            }
            (Self::Text(text), Within::Markup) => {
                text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
            }
            (Self::Number(number), _) => number.to_string(),
            (Self::None, Within::Json) => "null".to_owned(),
            (Self::None, _) => String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn facts() -> Facts {
        Facts::from([
            ("JOB_ID", 7.into()),
            ("EXIT_CODE", Fact::None),
            ("COMPANY_NAME", "A & \"B\"".to_owned().into()),
        ])
    }

    #[test]
    fn facts_stand_in_texts_as_it_is_written_there() {
        let text = "{COMPANY_NAME}: {JOB_ID} {EXIT_CODE} ${JOB_ID} {OTHER} {JOB_ID";
        assert_eq!(facts().fill(text, Within::Text), "A & \"B\": 7  ${JOB_ID} {OTHER} {JOB_ID");
        let json = r#"{"who": "{COMPANY_NAME}", "job": {JOB_ID}, "code": {EXIT_CODE}}"#;
        let filled: serde_json::Value =
            serde_json::from_str(&facts().fill(json, Within::Json)).unwrap();
        assert_eq!(filled, serde_json::json!({"who": "A & \"B\"", "job": 7, "code": null}));
        let url = facts().fill("https://e.org/?c={COMPANY_NAME}&j={JOB_ID}", Within::Url);
        assert_eq!(url, "https://e.org/?c=A%20%26%20%22B%22&j=7");
        assert_eq!(facts().fill("<b>{COMPANY_NAME}", Within::Markup), "<b>A &amp; \"B\"");
    }

    proptest! {
        /// Whatever a fact is, it stays one string of the JSON, or one part of the URL.
        #[test]
        fn a_fact_never_leaves_its_place(value in any::<String>()) {
            let facts = Facts::from([("F", value.clone().into()), ("G", 1.into())]);
            let json = facts.fill(r#"{"a": "{F}", "b": [{G}]}"#, Within::Json);
            let json: serde_json::Value = serde_json::from_str(&json).unwrap();
            prop_assert_eq!(json, serde_json::json!({"a": value.as_str(), "b": [1]}));
            let url = url::Url::parse(&facts.fill("https://e.org/a/?f={F}&g={G}", Within::Url));
            let pairs: Vec<_> = url.unwrap().query_pairs().into_owned().collect();
            prop_assert_eq!(&pairs[0], &("f".to_owned(), value));
            prop_assert_eq!(pairs.len(), 2);
        }

        /// One pass: what a fact says is not read again, and nothing else is changed.
        #[test]
        fn what_is_no_fact_stays(text in "[{}$A-C ]{0,30}") {
            let filled = Facts::from([("A", "{B}".to_owned().into())]).fill(&text, Within::Text);
            prop_assert_eq!(&Facts::default().fill(&text, Within::Text), &text);
            if !text.contains("{A}") {
                prop_assert_eq!(filled, text);
            }
        }
    }
}
