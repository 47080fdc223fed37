//! How arguments are read: ids, times, durations.

use std::{
    ops::{Bound, RangeBounds},
    time::Duration,
};

use chrono::{
    DateTime, Datelike as _, Local, NaiveDate, NaiveDateTime, TimeDelta, TimeZone as _, Utc,
};
use clap::builder::{PossibleValuesParser, TypedValueParser};

/// Reads an id.
pub fn id(text: &str) -> Result<i64, String> {
    match text.parse::<i64>() {
        Ok(id) if id > 0 => Ok(id),
        _ => Err("an id is a whole number from 1 on".to_owned()),
    }
}

/// Reads a whole number in a range.
pub fn number<T>(range: impl RangeBounds<i64>) -> impl TypedValueParser<Value = T>
where
    T: TryFrom<i64> + Clone + Send + Sync + 'static,
{
    let bound = |bound: Bound<&i64>, beyond: i64| match bound {
        Bound::Included(bound) => Some(*bound),
        Bound::Excluded(bound) => Some(bound + beyond),
        Bound::Unbounded => None,
    };
    let (least, most) = (bound(range.start_bound(), 1), bound(range.end_bound(), -1));
    move |text: &str| {
        let read: Option<i64> = text.parse().ok();
        let within = |number: &i64| {
            least.is_none_or(|least| *number >= least) && most.is_none_or(|most| *number <= most)
        };
        let read = read.filter(within).and_then(|number| T::try_from(number).ok());
        read.ok_or_else(|| match (least, most) {
            (Some(least), Some(most)) => format!("take a whole number, {least} to {most}"),
            (Some(least), None) => format!("take a whole number from {least} on"),
            _ => "take a whole number".to_owned(),
        })
    }
}

/// Reads a variable.
pub fn variable(text: &str) -> Result<(String, String), String> {
    pair(text).ok_or_else(|| "a variable looks like NAME=VALUE".to_owned())
}

/// The two sides of the first equals sign, of which the left is not empty.
pub(super) fn pair(text: &str) -> Option<(String, String)> {
    let (name, value) = text.split_once('=').filter(|(name, _)| !name.is_empty())?;
    Some((name.to_owned(), value.to_owned()))
}

/// Reads a time: RFC 3339, or a local date with or without a time.
pub fn time(text: &str) -> Result<DateTime<Utc>, String> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Ok(time.to_utc());
    }
    let formats =
        ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M"];
    let local = formats.iter().find_map(|format| NaiveDateTime::parse_from_str(text, format).ok());
    let midnight = || NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0);
    local
        .or_else(midnight)
        .and_then(|time| Local.from_local_datetime(&time).earliest())
        .map(|time| time.to_utc())
        .ok_or_else(|| {
            "a time looks like 2026-01-31, \"2026-01-31 13:00\" or 2026-01-31T13:00:00Z".to_owned()
        })
}

/// Reads a time, or how long ago it was.
pub fn since(text: &str) -> Result<DateTime<Utc>, String> {
    if let Ok(ago) = duration(text) {
        let ago = TimeDelta::from_std(ago).ok();
        let then = ago.and_then(|ago| Utc::now().checked_sub_signed(ago));
        // The protocol's times begin with the year 1.
        let then = then.filter(|then| then.year() > 0);
        return then.ok_or_else(|| "that is too long ago".to_owned());
    }
    time(text).map_err(|error| format!("{error}, or 5m (ago)"))
}

/// A time as the protocol has it.
pub fn timestamp(time: DateTime<Utc>) -> prost_types::Timestamp {
    let nanos = i32::try_from(time.timestamp_subsec_nanos()).unwrap_or_default();
    prost_types::Timestamp { seconds: time.timestamp(), nanos }
}

/// Reads a duration.
pub fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text)
        .map_err(|error| format!("{error}; a duration looks like 30s, 5m or 1h 30m"))
}

/// One of the values of an enumeration of the protocol, by the name that `name` gives it.
/// Its first value means that nothing was said: nobody can say it.
pub fn named<T>(name: fn(T) -> &'static str) -> impl TypedValueParser<Value = T>
where
    T: TryFrom<i32> + Copy + Send + Sync + 'static,
{
    named_of(name, |_| true)
}

/// The same, of those only that are `meant`.
pub fn named_of<T>(
    name: fn(T) -> &'static str,
    meant: fn(T) -> bool,
) -> impl TypedValueParser<Value = T>
where
    T: TryFrom<i32> + Copy + Send + Sync + 'static,
{
    let values = move || (1..).map_while(|number| T::try_from(number).ok());
    let all = move || values().filter(move |value| meant(*value));
    // What is parsed is one of the names: the first is never taken in its place.
    PossibleValuesParser::new(all().map(name)).try_map(move |said| {
        all().find(|value| name(*value) == said).ok_or("there is no such value")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_can_be_said_in_many_ways() {
        let time = since("2026-01-31T13:00:00Z").unwrap();
        assert_eq!(time.timestamp(), 1_769_864_400);
        assert_eq!(since("2026-01-31T14:00:00+01:00").unwrap(), time);
        assert!(since("2026-01-31").is_ok() && since("2026-01-31 13:00").is_ok());
        let then = since("5m").unwrap();
        let ago = Utc::now() - then;
        assert!((300..310).contains(&ago.num_seconds()), "{ago}");
        assert!(since("yesterday").is_err());
        for long in ["300000y", "3000y", "500000000000y"] {
            assert!(since(long).unwrap_err().contains("too long ago"), "{long}");
        }
    }

    #[test]
    fn variables_may_hold_anything_after_the_first_equals_sign() {
        assert_eq!(variable("A=b=c\n"), Ok(("A".to_owned(), "b=c\n".to_owned())));
        assert_eq!(variable("A="), Ok(("A".to_owned(), String::new())));
        assert!(variable("A").is_err());
        assert!(variable("=b").is_err());
    }
}
