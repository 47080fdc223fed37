//! Which moments a schedule names: the intervals of the PHP MultiFlexi, or a cron expression.
//!
//! Where clocks are put forward, a time of day that does not exist that day is taken at the
//! first moment after the gap; where they are put back, it is taken once. Whatever names more
//! than one time of day goes by the clock on the wall: it leaves the gap out, and comes again
//! in the hour that comes again. A day that a zone leaves out altogether has no moments.

use std::{fmt, str::FromStr, time::Duration};

use chrono::{DateTime, Offset as _, TimeZone as _};
use chrono_tz::Tz;
use croner::{
    Cron,
    parser::{CronParser, Seconds, Year},
};

/// Microseconds of a second.
const SECOND: i64 = 1_000_000;

const HOUR: i64 = 3_600 * SECOND;

const DAY: i64 = 24 * HOUR;

/// The fourth of January 2027: pauses are the same whenever they are asked for.
const SOME_MONDAY: i64 = 1_799_020_800 * SECOND;

/// The longest expression, in bytes.
const LONGEST: usize = 200;

/// An interval of the PHP MultiFlexi, by its code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Interval {
    /// `n`: never by itself.
    #[default]
    None,
    /// `i`: each minute.
    Minute,
    /// `h`: each hour.
    Hour,
    /// `d`: each day at midnight.
    Day,
    /// `w`: each Monday at midnight.
    Week,
    /// `m`: the first of each month at midnight.
    Month,
    /// `y`: the first of January at midnight.
    Year,
    /// `c`: as its cron expression says.
    Cron,
}

impl Interval {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::None,
        Self::Minute,
        Self::Hour,
        Self::Day,
        Self::Week,
        Self::Month,
        Self::Year,
        Self::Cron,
    ];

    /// Its code, one letter.
    pub fn code(self) -> &'static str {
        match self {
            Self::None => "n",
            Self::Minute => "i",
            Self::Hour => "h",
            Self::Day => "d",
            Self::Week => "w",
            Self::Month => "m",
            Self::Year => "y",
            Self::Cron => "c",
        }
    }

    /// How long it is, in seconds, as the PHP MultiFlexi has it; 0 if that is not fixed.
    pub fn seconds(self) -> u32 {
        match self {
            Self::None | Self::Cron => 0,
            Self::Minute => 60,
            Self::Hour => 3_600,
            Self::Day => 86_400,
            Self::Week => 604_800,
            Self::Month => 2_629_743,
            Self::Year => 31_556_926,
        }
    }

    fn expression(self) -> Option<&'static str> {
        match self {
            Self::None | Self::Cron => None,
            Self::Minute => Some("* * * * *"),
            Self::Hour => Some("0 * * * *"),
            Self::Day => Some("0 0 * * *"),
            Self::Week => Some("0 0 * * 1"),
            Self::Month => Some("0 0 1 * *"),
            Self::Year => Some("0 0 1 1 *"),
        }
    }
}

/// What is no rhythm.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RhythmError {
    /// The code.
    #[error(
        "{0:?} is no interval: take n (none), i (minute), h (hour), d (day), w (week), m (month), \
         y (year) or c (cron expression)"
    )]
    Interval(String),
    /// The expression.
    #[error("{expression:?} is no cron expression: {reason}")]
    Cron {
        /// The expression.
        expression: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The interval of an expression, without one.
    #[error("the cron expression is empty: give one such as \"30 6 * * *\"")]
    NoCron,
}

impl FromStr for Interval {
    type Err = RhythmError;

    fn from_str(code: &str) -> Result<Self, RhythmError> {
        Self::ALL
            .into_iter()
            .find(|interval| interval.code() == code)
            .ok_or_else(|| RhythmError::Interval(code.chars().take(40).collect()))
    }
}

/// Which moments a schedule names.
#[derive(Clone, Debug, Default)]
pub struct Rhythm {
    interval: Interval,
    /// The expression as it was said; empty without one.
    said: String,
    cron: Option<Cron>,
}

impl Rhythm {
    /// The moments of an interval; `cron` is the expression of [`Interval::Cron`].
    pub fn new(interval: Interval, cron: &str) -> Result<Self, RhythmError> {
        // On one line, whatever was between its fields.
        let said = match interval {
            Interval::Cron => cron.split_whitespace().collect::<Vec<_>>().join(" "),
            _ => String::new(),
        };
        let cron = match (interval, interval.expression()) {
            (Interval::Cron, _) if said.is_empty() => return Err(RhythmError::NoCron),
            (Interval::Cron, _) => Some(parse(&said)?),
            (_, Some(expression)) => Some(parse(expression)?),
            (_, None) => None,
        };
        Ok(Self { interval, said, cron })
    }

    /// The interval.
    pub fn interval(&self) -> Interval {
        self.interval
    }

    /// The cron expression as it was said; empty if the interval is none of that kind.
    pub fn cron(&self) -> &str {
        &self.said
    }

    /// Whether it names no moment.
    pub fn is_none(&self) -> bool {
        self.cron.is_none()
    }

    /// In words, as a part of a sentence; empty if it names no moment.
    pub fn describe(&self) -> String {
        let said = self.cron.as_ref().map(Cron::describe).unwrap_or_default();
        said.trim_end_matches('.').to_owned()
    }

    /// The longest time between two moments that follow each other: of an expression, among
    /// those around each quarter of a day of one week, and around each half month of a year,
    /// where no clock is changed. None if it names no moment.
    pub fn longest_pause(&self) -> Option<Duration> {
        if let seconds @ 1.. = self.interval.seconds() {
            return Some(Duration::from_secs(seconds.into()));
        }
        let quarters = (0..28).map(|quarter| quarter * 6 * HOUR);
        let times = quarters.chain((1..=24).map(|half| half * 15 * DAY));
        let pauses = times.filter_map(|time| {
            let slot = self.after(SOME_MONDAY + time, Tz::UTC)?;
            u64::try_from(slot - self.before(slot, Tz::UTC)?).ok()
        });
        pauses.max().map(Duration::from_micros)
    }

    /// The first moment after a time, both in microseconds since the Unix epoch.
    pub(super) fn after(&self, time: i64, zone: Tz) -> Option<i64> {
        let cron = self.cron.as_ref()?;
        let (mut from, mut inclusive) = (time, false);
        loop {
            if let Ok(found) = cron.find_next_occurrence(&at(from, zone)?, inclusive) {
                return Some(found.timestamp() * SECOND);
            }
            (from, inclusive) = (behind_long_gap(from, zone, DAY)?, true);
        }
    }

    /// The last moment before a time.
    pub(super) fn before(&self, time: i64, zone: Tz) -> Option<i64> {
        let cron = self.cron.as_ref()?;
        // A moment is a whole second: what is before 7.3 s is 7 s or earlier.
        let (mut until, mut inclusive) = (time, time.rem_euclid(SECOND) != 0);
        loop {
            if let Ok(found) = cron.find_previous_occurrence(&at(until, zone)?, inclusive) {
                return Some(found.timestamp() * SECOND);
            }
            (until, inclusive) = (behind_long_gap(until, zone, -DAY)? - SECOND, true);
        }
    }
}

impl fmt::Display for Rhythm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.interval {
            Interval::Cron => self.said.fmt(f),
            interval => interval.code().fmt(f),
        }
    }
}

/// The whole second that a time is in.
fn at(time: i64, zone: Tz) -> Option<DateTime<Tz>> {
    zone.timestamp_opt(time.div_euclid(SECOND), 0).single()
}

/// When the clocks of a zone next go on after more than two hours, mostly a day, that they have
/// left out, from a time on, or back from it, in ten years: a search that comes to such a time
/// gives up, as it does when there is none left.
fn behind_long_gap(time: i64, zone: Tz, day: i64) -> Option<i64> {
    let offset =
        |time: i64| at(time, zone).map(|time| i64::from(time.offset().fix().local_minus_utc()));
    let left_out = |from: i64, to: i64| Some((offset(to)? - offset(from)?) * SECOND > 2 * HOUR);
    let ends = |step: i64| {
        let (one, other) = (time + step * day, time + (step + 1) * day);
        (one.min(other), one.max(other))
    };
    let (mut before, mut after) =
        (0..3_660).map(ends).find(|(from, to)| left_out(*from, *to) == Some(true))?;
    while after - before > SECOND {
        let middle = before + (after - before) / 2;
        match left_out(before, middle)? {
            true => after = middle,
            false => before = middle,
        }
    }
    Some(after.div_euclid(SECOND) * SECOND)
}

fn parse(expression: &str) -> Result<Cron, RhythmError> {
    let refuse = |reason: String| {
        let expression = expression.chars().take(60).collect();
        Err(RhythmError::Cron { expression, reason })
    };
    if expression.len() > LONGEST {
        return refuse(format!("it is longer than {LONGEST} bytes"));
    }
    // @reboot and the like would be taken apart as if they were fields.
    let known = ["@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"];
    if expression.starts_with('@') && !known.contains(&expression.to_lowercase().as_str()) {
        return refuse(format!("take {}, or five or six fields", known.join(", ")));
    }
    let expression_of = |said: &str| match said {
        "@midnight" => "@daily".to_owned(),
        said => said.to_owned(),
    };
    let parser = CronParser::builder().seconds(Seconds::Optional).year(Year::Disallowed).build();
    match parser.parse(&expression_of(&expression.to_lowercase())) {
        Ok(cron) => Ok(cron),
        Err(error) => refuse(fault(parser, expression).unwrap_or_else(|| error.to_string())),
    }
}

/// The fields of an expression: what each is, and what it takes.
const FIELDS: [(&str, &str); 6] = [
    ("second", "0 to 59"),
    ("minute", "0 to 59"),
    ("hour", "0 to 23"),
    ("day of the month", "1 to 31, or L for the last"),
    ("month", "1 to 12, or JAN to DEC"),
    (
        "day of the week",
        "0 to 7, or SUN to SAT, and 5L for the last Friday, 1#2 for the second Monday",
    ),
];

/// What is wrong with an expression that the parser refuses. The parser does not say which field
/// it is: the first is taken that is refused among stars too.
fn fault(parser: CronParser, expression: &str) -> Option<String> {
    let said: Vec<&str> = expression.split_whitespace().collect();
    let fields = match said.len() {
        5 => &FIELDS[1..],
        6 => &FIELDS[..],
        count => {
            let names = FIELDS[1..].iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
            return Some(format!(
                "it has {count} fields: take five ({names}), or six with the second first"
            ));
        }
    };
    let is_wrong = |place: &usize| {
        let mut alone = vec!["*"; said.len()];
        alone[*place] = said[*place];
        parser.parse(&alone.join(" ")).is_err()
    };
    let place = (0..said.len()).find(is_wrong)?;
    let (name, takes) = fields[place];
    let value: String = said[place].chars().take(40).collect();
    Some(format!("its {name} is {value:?}: take {takes}; also *, */5, 1-5, and several as 1,3"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(expression: &str) -> String {
        Rhythm::new(Interval::Cron, expression).unwrap_err().to_string()
    }

    #[test]
    fn what_is_wrong_with_an_expression_is_said_of_its_field() {
        for (expression, said) in [
            ("60 * * * *", "its minute is \"60\": take 0 to 59"),
            ("* 24 * * *", "its hour is \"24\": take 0 to 23"),
            ("* * 0 * *", "its day of the month is \"0\": take 1 to 31"),
            ("* * * 13 *", "its month is \"13\""),
            ("* * * * 8", "its day of the week is \"8\""),
            ("* * * * someday", "its day of the week is \"someday\""),
            ("99 0 0 * * *", "its second is \"99\""),
            ("*/0 * * * *", "its minute is \"*/0\""),
            ("* * * *", "it has 4 fields: take five (minute, hour, day of the month, month,"),
            ("0 0 0 1 1 * 2027", "it has 7 fields"),
            ("\u{17e} * * * *", "its minute is \"\u{17e}\""),
            ("", "the cron expression is empty"),
            (" \n", "the cron expression is empty"),
        ] {
            let refused = refused(expression);
            assert!(refused.contains(said), "{refused}");
        }
    }

    #[test]
    fn a_day_that_is_left_out_altogether_ends_nothing() {
        let noon = Rhythm::new(Interval::Cron, "0 12 * * *").unwrap();
        // Samoa went from 29 to 31 December 2011.
        let zone = chrono_tz::Pacific::Apia;
        let day =
            |day: u32| zone.with_ymd_and_hms(2011, 12, day, 12, 0, 0).unwrap().timestamp() * SECOND;
        assert_eq!(noon.after(day(28), zone), Some(day(29)));
        assert_eq!(noon.after(day(29), zone), Some(day(31)));
        assert_eq!(noon.before(day(31), zone), Some(day(29)));
        assert_eq!(day(31) - day(29), DAY);
        // One that begins with the day after is not left out.
        let midnight = Rhythm::new(Interval::Day, "").unwrap();
        assert_eq!(midnight.after(day(29), zone), Some(day(29) + DAY / 2));
        let never = Rhythm::new(Interval::Cron, "0 0 30 2 *").unwrap();
        assert_eq!(never.after(day(29), zone), None);
    }

    #[test]
    fn the_longest_pause_is_that_of_a_weekend_or_of_a_year() {
        let hours = |interval, cron| {
            let rhythm = Rhythm::new(interval, cron).unwrap();
            rhythm.longest_pause().map(|pause| pause.as_secs_f64() / 3_600.0)
        };
        assert_eq!(hours(Interval::None, ""), None);
        assert_eq!(hours(Interval::Week, ""), Some(168.0));
        for (cron, pause) in [
            ("*/15 * * * *", 0.25),
            ("30 6 * * *", 24.0),
            ("*/5 8-17 * * MON-FRI", 62.0 + 5.0 / 60.0),
            ("0 6 * 12 *", 24.0 * 335.0),
            ("0 0 1 1 *", 24.0 * 365.0),
        ] {
            assert_eq!(hours(Interval::Cron, cron), Some(pause), "{cron}");
        }
    }

    #[test]
    fn what_it_says_in_words_stands_within_a_sentence() {
        let daily = Rhythm::new(Interval::Cron, "30 2 * * *").unwrap();
        assert_eq!(daily.describe(), "At 02:30");
    }

    #[test]
    fn an_expression_is_kept_on_one_line() {
        let rhythm = Rhythm::new(Interval::Cron, " 30 6\n*\t* \n MON-FRI\n").unwrap();
        assert_eq!(rhythm.cron(), "30 6 * * MON-FRI");
    }
}
