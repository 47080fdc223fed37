//! The values that JSON and tables share: times, hashes, sizes.

use chrono::{DateTime, Local, Offset as _, SecondsFormat, Utc};
use multiflexi_program::counted;
use multiflexi_proto::std_duration;
use prost_types::{Duration, Timestamp};
use serde_json::Value;

/// The seconds of a day.
const DAY: u64 = 86_400;

fn utc(time: &Timestamp) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp(time.seconds, u32::try_from(time.nanos).ok()?)
}

/// A time for machines: RFC 3339, UTC, microseconds. Null if there is none.
pub fn time(time: Option<&Timestamp>) -> Value {
    time.and_then(utc).map(|time| stamp(&time).into()).unwrap_or_default()
}

/// A time in RFC 3339.
pub fn stamp(time: &DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Micros, true)
}

/// The stamp of a protocol's time.
pub fn stamp_of(time: Option<&Timestamp>) -> String {
    time.and_then(utc).map(|time| stamp(&time)).unwrap_or_default()
}

/// A time for people, where they are.
pub fn local(time: Option<&Timestamp>) -> String {
    let local = time.and_then(utc).map(|time| time.with_timezone(&Local));
    local.map(|time| time.format("%Y-%m-%d %H:%M:%S").to_string()).unwrap_or_default()
}

/// A time for people, where they are, with its offset from UTC: for times that are also said
/// elsewhere by another clock.
pub fn zoned(time: Option<&Timestamp>) -> String {
    let local = time.and_then(utc).map(|time| time.with_timezone(&Local));
    local.map(|time| time.format("%Y-%m-%d %H:%M:%S %:z").to_string()).unwrap_or_default()
}

/// A time with the offset from UTC that another has, which is RFC 3339; in UTC if it is not.
pub fn in_offset_of(other: &str, time: Option<&Timestamp>) -> String {
    let offset = DateTime::parse_from_rfc3339(other).map(|other| *other.offset());
    let offset = offset.unwrap_or_else(|_| Utc.fix());
    let there = time.and_then(utc).map(|time| time.with_timezone(&offset));
    there.map(|time| time.to_rfc3339_opts(SecondsFormat::Secs, false)).unwrap_or_default()
}

/// Seconds; null if there is none.
pub fn seconds(duration: Option<&Duration>) -> Value {
    duration.map(|time| as_seconds(time).into()).unwrap_or_default()
}

/// A duration in seconds.
pub fn as_seconds(duration: &Duration) -> f64 {
    duration.seconds as f64 + f64::from(duration.nanos) / 1e9
}

/// Seconds for people, to the millisecond; empty if there are none.
pub fn rounded(duration: Option<&Duration>) -> String {
    duration.map(|time| format!("{:.3}", as_seconds(time))).unwrap_or_default()
}

/// How long something takes or may take, for people, as they say it: `10m`, `90 days`.
pub fn lasting(duration: &Duration) -> String {
    let time = std_duration(duration).unwrap_or_default();
    // What is longer has months of 30.44 days there.
    let days = time.as_secs() / DAY;
    let rest = time - std::time::Duration::from_secs(days * DAY);
    match (days, rest.is_zero()) {
        (0, _) => humantime::format_duration(rest).to_string(),
        (_, true) => counted(days, "day"),
        (_, false) => format!("{} {}", counted(days, "day"), humantime::format_duration(rest)),
    }
}

/// A hash in hexadecimal; null if there is none.
pub fn hash(bytes: &[u8]) -> Value {
    if bytes.is_empty() { Value::Null } else { hexadecimal(bytes).into() }
}

/// Bytes in hexadecimal.
pub fn hexadecimal(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Text; null if it is empty.
pub fn text(text: &str) -> Value {
    if text.is_empty() { Value::Null } else { text.into() }
}

/// An id; null for none.
pub fn id(id: i64) -> Value {
    if id == 0 { Value::Null } else { id.into() }
}

/// A size for people.
pub fn size(bytes: i64) -> String {
    indicatif::BinaryBytes(bytes.unsigned_abs()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_microseconds_and_utc() {
        let at = Timestamp { seconds: 1_700_000_000, nanos: 123_456_000 };
        assert_eq!(time(Some(&at)), "2023-11-14T22:13:20.123456Z");
        assert_eq!(time(None), Value::Null);
    }

    #[test]
    fn a_time_beside_another_has_its_offset() {
        let at = Timestamp { seconds: 1_700_000_000, nanos: 0 };
        let beside = |other| in_offset_of(other, Some(&at));
        assert_eq!(beside("2026-12-02T02:00:00+01:00"), "2023-11-14T23:13:20+01:00");
        assert_eq!(beside(""), "2023-11-14T22:13:20+00:00");
        assert_eq!(in_offset_of("", None), "");
        // Whatever zone the host is in, it says which.
        let zoned = zoned(Some(&at));
        let read = DateTime::parse_from_str(&zoned, "%Y-%m-%d %H:%M:%S %:z");
        assert_eq!(read.map(|time| time.timestamp()), Ok(at.seconds), "{zoned}");
    }

    #[test]
    fn durations_are_seconds() {
        let time = Duration { seconds: 2, nanos: 876_544_000 };
        assert_eq!(seconds(Some(&time)), 2.876_544);
        assert_eq!(rounded(Some(&time)), "2.877");
        assert_eq!((seconds(None), rounded(None)), (Value::Null, String::new()));
    }

    #[test]
    fn people_read_how_long_as_they_say_it() {
        for text in ["0s", "1s 500ms", "10m", "1h", "1 day", "90 days", "400 days 12h 30s"] {
            let said = multiflexi_proto::duration(humantime::parse_duration(text).unwrap());
            assert_eq!(lasting(&said), text);
        }
    }

    #[test]
    fn what_is_absent_is_null() {
        assert_eq!(hash(&[]), Value::Null);
        assert_eq!(hash(&[0, 255]), "00ff");
        assert_eq!(text(""), Value::Null);
        assert_eq!(id(0), Value::Null);
    }
}
