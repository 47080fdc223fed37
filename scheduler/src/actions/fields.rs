//! What actions are told: fields, each with what it takes, read once and trusted then. What
//! a field has that is secret is stored sealed, and never shown.

use std::{collections::BTreeMap, time::Duration};

use crate::{
    domain::{
        environment::Variables,
        retry::{Backoff, RetryPolicy},
    },
    requests,
};

/// Longest time that an action can be told: a year.
const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

/// Most bytes of a text that an action can be told.
const MAX_TEXT: usize = 64 * 1024;

/// Shortest secret that is looked for in other texts.
const SHORTEST_SECRET: usize = 4;

/// Shortest part of a URL's path that could be a secret by itself.
const TELLING: usize = 8;

/// What a field takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// The id of a thing.
    Id,
    /// Whole seconds, or a duration such as 1h.
    Seconds,
    /// A duration, such as 90s or 2h, between these two.
    Duration(Duration, Duration),
    /// A whole number from 1 to this one.
    Count(i64),
    /// A text in one line.
    Text,
    /// A text of any number of lines.
    Lines,
    /// The URL of what is asked over HTTP.
    Url,
    /// The URL of a site, below which something is asked.
    Site,
    /// Headers of a request, `Name: value`, a line each.
    Headers,
    /// The method of a request.
    Method,
    /// One of these words.
    OneOf(&'static [&'static str]),
}

impl Takes {
    /// In a word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::Seconds => "seconds",
            Self::Duration(..) => "duration",
            Self::Count(_) => "count",
            Self::Text => "text",
            Self::Lines => "lines",
            Self::Url | Self::Site => "url",
            Self::Headers => "headers",
            Self::Method => "method",
            Self::OneOf(_) => "word",
        }
    }

    /// Reads a value; the error is a sentence that does not quote it.
    fn read(self, value: &str) -> Result<Value, String> {
        let number = |range: std::ops::RangeInclusive<i64>, sentence: &str| {
            let read = value.parse().ok().filter(|number| range.contains(number));
            read.map(Value::Number).ok_or_else(|| sentence.to_owned())
        };
        let text = || Value::Text(value.to_owned());
        if value.len() > MAX_TEXT {
            return Err(format!("it has {} bytes, and {MAX_TEXT} are the most", value.len()));
        }
        match self {
            Self::Id => number(1..=i64::MAX, "it takes an id, a whole number from 1 on"),
            Self::Seconds => {
                let seconds = value.parse().ok().map(Duration::from_secs);
                let read = seconds.or_else(|| humantime::parse_duration(value).ok());
                read.filter(|time| *time <= YEAR).map(Value::Time).ok_or_else(|| {
                    "it takes seconds, or a duration such as 1h, up to 365 days".to_owned()
                })
            }
            Self::Count(most) => number(1..=most, &format!("it takes a whole number, 1 to {most}")),
            Self::Duration(least, most) => {
                let read = humantime::parse_duration(value).ok();
                let read = read.filter(|time| (least..=most).contains(time));
                read.map(Value::Time).ok_or_else(|| {
                    let [least, most] = [least, most].map(humantime::format_duration);
                    format!("it takes a duration such as 90s or 2h, from {least} to {most}")
                })
            }
            Self::Text if value.chars().any(char::is_control) => {
                Err("it takes one line of text".to_owned())
            }
            Self::Text | Self::Lines => Ok(text()),
            Self::Url | Self::Site => requests::url(value).map(|_| text()),
            Self::Headers => match headers(value) {
                Ok(_) => Ok(text()),
                Err(sentence) => Err(sentence),
            },
            Self::Method => requests::check_method(value).map(|()| text()),
            Self::OneOf(words) if words.contains(&value) => Ok(text()),
            Self::OneOf(words) => Err(format!("it takes one of {}", words.join(", "))),
        }
    }
}

/// Reads headers, a line each; the error is a sentence.
pub(super) fn headers(text: &str) -> Result<Vec<(String, String)>, String> {
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    lines
        .map(|line| {
            let wrong = || "it takes headers, a line each, such as X-Token: secret".to_owned();
            let (name, value) = line.split_once(':').ok_or_else(wrong)?;
            let (name, value) = (name.trim(), value.trim());
            requests::check_header(name, value)?;
            Ok((name.to_owned(), value.to_owned()))
        })
        .collect()
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
    /// What it is if nobody says; without that somebody has to. Empty for nothing.
    pub default: Option<&'static str>,
    /// Whether its value is never shown.
    pub secret: bool,
}

impl Field {
    /// One that somebody has to say.
    pub const fn required(name: &'static str, about: &'static str, takes: Takes) -> Self {
        Self { name, about, takes, default: None, secret: false }
    }

    /// One that nobody has to say.
    pub const fn optional(name: &'static str, about: &'static str, takes: Takes) -> Self {
        Self::required(name, about, takes).or("")
    }

    /// What it is if nobody says.
    pub const fn or(self, default: &'static str) -> Self {
        Self { default: Some(default), ..self }
    }

    /// Its value is never shown.
    pub const fn secret(self) -> Self {
        Self { secret: true, ..self }
    }
}

/// The longest that a try can be told to take.
const LONGEST_TRY: Duration = Duration::from_secs(300);

/// A day.
const DAY: Duration = Duration::from_secs(24 * 3600);

/// What every kind can be told that reaches beyond this database: how long a try may take,
/// and when it is tried again. With what is the default it is tried for a day.
pub(super) const TRIES: [Field; 5] = [
    Field::optional(
        "timeout",
        "how long a try may take",
        Takes::Duration(Duration::from_millis(100), LONGEST_TRY),
    )
    .or("15s"),
    Field::optional("max_attempts", "how many times it is tried at most", Takes::Count(1000))
        .or("32"),
    Field::optional(
        "retry_backoff",
        "how the pause before the next try grows",
        Takes::OneOf(&["none", "fixed", "linear", "exponential"]),
    )
    .or("exponential"),
    Field::optional(
        "retry_min_gap",
        "the first pause",
        Takes::Duration(Duration::from_millis(10), DAY),
    )
    .or("10s"),
    Field::optional(
        "retry_max_gap",
        "the longest pause",
        Takes::Duration(Duration::from_millis(10), DAY),
    )
    .or("1h"),
];

/// What an action cannot be told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{sentence}")]
pub struct SettingError {
    /// The field.
    pub field: String,
    /// What is wrong with its value.
    sentence: String,
}

impl SettingError {
    /// What is wrong with a field, as a sentence.
    pub fn new(field: &str, sentence: impl Into<String>) -> Self {
        Self { field: field.to_owned(), sentence: sentence.into() }
    }
}

#[derive(Clone, PartialEq, Eq)]
enum Value {
    Number(i64),
    Time(Duration),
    Text(String),
}

/// What an action is told, as its fields have it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Settings {
    values: BTreeMap<&'static str, Value>,
    secrets: Vec<String>,
}

impl std::fmt::Debug for Settings {
    /// What they are may be secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.values.keys()).finish()
    }
}

impl Settings {
    /// The number of a field; 0 if the kind has no such field, or nobody said.
    pub fn number(&self, field: &str) -> i64 {
        match self.values.get(field) {
            Some(Value::Number(number)) => *number,
            _ => 0,
        }
    }

    /// The text of a field; empty if the kind has no such field, or nobody said.
    pub fn text(&self, field: &str) -> &str {
        match self.values.get(field) {
            Some(Value::Text(text)) => text,
            _ => "",
        }
    }

    /// The duration of a field; none if the kind has no such field.
    pub fn duration(&self, field: &str) -> Option<Duration> {
        match self.values.get(field) {
            Some(Value::Time(time)) => Some(*time),
            _ => None,
        }
    }

    /// Whether one of its texts speaks of a fact.
    pub fn mentions(&self, fact: &str) -> bool {
        let fact = format!("{{{fact}}}");
        self.values.values().any(|value| matches!(value, Value::Text(text) if text.contains(&fact)))
    }

    /// How often it is tried, and after which pauses, if the kind can be told.
    pub fn retry(&self) -> Option<RetryPolicy> {
        let backoff: Backoff = self.text("retry_backoff").parse().ok()?;
        Some(RetryPolicy {
            max_attempts: u32::try_from(self.number("max_attempts")).ok()?,
            on: Vec::new(),
            backoff,
            min_gap: self.duration("retry_min_gap")?,
            max_gap: self.duration("retry_max_gap")?,
        })
    }

    /// Refuses pauses between tries of which the first is longer than the longest.
    pub(super) fn check_retry(&self, kind: &str) -> Result<(), SettingError> {
        let gaps = self.duration("retry_min_gap").zip(self.duration("retry_max_gap"));
        let Some((min, max)) = gaps.filter(|(min, max)| min > max) else { return Ok(()) };
        let [min, max] = [min, max].map(humantime::format_duration);
        let sentence = format!(
            "retry_min_gap of {kind} is {min}, and no pause is longer than retry_max_gap, {max}"
        );
        Err(SettingError::new("retry_min_gap", sentence))
    }

    /// A text for people without the secrets that it contains.
    pub fn without_secrets(&self, text: &str) -> String {
        let mask = crate::domain::job::MASK;
        self.secrets.iter().fold(text.to_owned(), |text, secret| text.replace(secret, mask))
    }
}

/// A site without who asks it, and without what its URL says besides.
pub(super) fn site(url: &url::Url) -> String {
    let who = !url.username().is_empty() || url.password().is_some();
    let mask = crate::domain::job::MASK;
    let who = if who { format!("{mask}@") } else { String::new() };
    let more = if url.query().is_some() { format!("?{mask}") } else { String::new() };
    let server = &url[url::Position::BeforeHost..url::Position::AfterPort];
    format!("{}://{who}{server}{}{more}", url.scheme(), url.path())
}

/// The parts of a secret that a text could repeat: of a URL what is not the server, of a site
/// who asks it and what its URL says besides, of headers each value.
fn secrets(takes: Takes, value: &str) -> Vec<String> {
    let mut parts = vec![value.to_owned()];
    match takes {
        Takes::Site => {
            parts.clear();
            if let Ok(url) = requests::url(value) {
                // A token may stand where a user does.
                parts.push(url.password().unwrap_or(url.username()).to_owned());
                parts.extend(url.query().map(str::to_owned));
                parts.extend(url.query_pairs().map(|(_, value)| value.into_owned()));
            }
        }
        Takes::Url => {
            if let Ok(url) = requests::url(value) {
                parts.push(url.to_string());
                parts.push(url[url::Position::BeforePath..].trim_start_matches('/').to_owned());
                let segments = url.path_segments().into_iter().flatten();
                parts.extend(segments.filter(|it| it.len() >= TELLING).map(str::to_owned));
                parts.extend(url.query_pairs().map(|(_, value)| value.into_owned()));
                parts.extend(url.password().map(str::to_owned));
            }
        }
        Takes::Headers => {
            for (_, value) in headers(value).unwrap_or_default() {
                parts.extend(value.rsplit(' ').next().map(str::to_owned));
                parts.push(value);
            }
        }
        _ => {}
    }
    parts.retain(|part| part.len() >= SHORTEST_SECRET);
    parts
}

/// Reads what a kind of action is told.
pub(super) fn read<'f>(
    kind: &str,
    fields: impl Iterator<Item = &'f Field>,
    given: &Variables,
) -> Result<Settings, SettingError> {
    let fields: Vec<&Field> = fields.collect();
    let unknown = |name: &&String| fields.iter().all(|field| field.name != **name);
    if let Some(name) = given.keys().find(unknown) {
        let name: String = name.chars().take(40).collect();
        let known: Vec<&str> = fields.iter().map(|field| field.name).collect();
        let sentence = match known[..] {
            [] => format!("{name:?} is no setting of {kind}: it takes no settings"),
            _ => format!("{name:?} is no setting of {kind}: it takes {}", known.join(", ")),
        };
        return Err(SettingError::new(&name, sentence));
    }
    let mut settings = Settings::default();
    for field in fields {
        let Field { name, takes, .. } = *field;
        let said = given.get(name).map(String::as_str).filter(|value| !value.is_empty());
        let value = match (said.or(field.default), field.default) {
            (Some(""), _) => continue,
            (Some(value), _) => value,
            (None, _) => {
                let sentence = format!("{name} is missing, and {kind} needs it: {}", field.about);
                return Err(SettingError::new(name, sentence));
            }
        };
        match takes.read(value) {
            Ok(read) => drop(settings.values.insert(name, read)),
            Err(sentence) => {
                let value: String = value.chars().take(40).collect();
                let sentence = match field.secret {
                    true => format!("{name} of {kind} is not what it takes: {sentence}"),
                    false => format!("{name} of {kind} is {value:?}: {sentence}"),
                };
                return Err(SettingError::new(name, sentence));
            }
        }
        if field.secret {
            settings.secrets.extend(secrets(takes, value));
        }
    }
    // The longer first: one may contain another.
    settings.secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    Ok(settings)
}
