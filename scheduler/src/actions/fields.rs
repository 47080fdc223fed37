//! What actions are told: fields, each with what it takes, read once and trusted then.

use std::collections::BTreeMap;

use crate::domain::environment::Variables;

/// Longest time, in seconds, that an action can be told: a year.
const MAX_SECONDS: i64 = 365 * 24 * 3600;

/// What a field takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// The id of a thing.
    Id,
    /// Whole seconds.
    Seconds,
}

impl Takes {
    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::Seconds => "seconds",
        }
    }

    fn read(self, value: &str) -> Result<i64, &'static str> {
        let (range, sentence) = match self {
            Self::Id => (1..=i64::MAX, "it takes an id, a whole number from 1 on"),
            Self::Seconds => (0..=MAX_SECONDS, "it takes whole seconds, 0 to 31536000"),
        };
        value.parse().ok().filter(|number| range.contains(number)).ok_or(sentence)
    }
}

/// Something that a kind of action can be told.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// What it means, for people.
    pub about: &'static str,
    /// What it takes.
    pub takes: Takes,
    /// What it is if nobody says; without that somebody has to.
    pub default: Option<&'static str>,
}

/// What an action cannot be told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{sentence}")]
pub struct SettingError {
    /// The field.
    pub field: String,
    /// What is wrong with its value.
    sentence: String,
}

/// What an action is told, as its fields have it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings(BTreeMap<&'static str, i64>);

impl Settings {
    /// The number of a field; 0 if the kind has no such field.
    pub fn number(&self, field: &str) -> i64 {
        self.0.get(field).copied().unwrap_or_default()
    }
}

/// Reads what a kind of action is told.
pub(super) fn read(
    kind: &str,
    fields: &[Field],
    given: &Variables,
) -> Result<Settings, SettingError> {
    let refuse =
        |field: &str, sentence: String| Err(SettingError { field: field.to_owned(), sentence });
    let unknown = |name: &&String| fields.iter().all(|field| field.name != **name);
    if let Some(name) = given.keys().find(unknown) {
        let name: String = name.chars().take(40).collect();
        let known: Vec<&str> = fields.iter().map(|field| field.name).collect();
        return refuse(
            &name,
            match known[..] {
                [] => format!("{name:?} is no setting of {kind}: it takes no settings"),
                _ => format!("{name:?} is no setting of {kind}: it takes {}", known.join(", ")),
            },
        );
    }
    let mut settings = BTreeMap::new();
    for field in fields {
        let name = field.name;
        let Some(value) = given.get(name).map(String::as_str).or(field.default) else {
            return refuse(
                name,
                format!("{name} is missing, and {kind} needs it: {}", field.about),
            );
        };
        match field.takes.read(value) {
            Ok(number) => drop(settings.insert(name, number)),
            Err(takes) => {
                let value: String = value.chars().take(40).collect();
                return refuse(name, format!("{name} of {kind} is {value:?}: {takes}"));
            }
        }
    }
    Ok(Settings(settings))
}
