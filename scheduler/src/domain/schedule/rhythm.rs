//! Which moments a schedule names: the intervals of the PHP MultiFlexi, or a cron expression.
//!
//! Where clocks are put forward, a time of day that does not exist that day is taken at the
//! first moment after the gap; where they are put back, it is taken once. Whatever names more
//! than one time of day goes by the clock on the wall: it leaves the gap out, and comes again
//! in the hour that comes again.

use std::{fmt, str::FromStr};

use chrono::{DateTime, TimeZone as _};
use chrono_tz::Tz;
use croner::{
    Cron,
    parser::{CronParser, Seconds, Year},
};

/// Microseconds of a second.
const SECOND: i64 = 1_000_000;

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
    /// An expression without its code, or the other way round.
    #[error("a cron expression is said with --cron; the interval c has none without it")]
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
        let said = if interval == Interval::Cron { cron.trim() } else { "" };
        let cron = match (interval, interval.expression()) {
            (Interval::Cron, _) if said.is_empty() => return Err(RhythmError::NoCron),
            (Interval::Cron, _) => Some(parse(said)?),
            (_, Some(expression)) => Some(parse(expression)?),
            (_, None) => None,
        };
        Ok(Self { interval, said: said.to_owned(), cron })
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

    /// In words; empty if it names no moment.
    pub fn describe(&self) -> String {
        self.cron.as_ref().map(Cron::describe).unwrap_or_default()
    }

    /// The first moment after a time, both in microseconds since the Unix epoch.
    pub(super) fn after(&self, time: i64, zone: Tz) -> Option<i64> {
        let cron = self.cron.as_ref()?;
        let found = cron.find_next_occurrence(&at(time, zone)?, false).ok()?;
        Some(found.timestamp() * SECOND)
    }

    /// The last moment before a time.
    pub(super) fn before(&self, time: i64, zone: Tz) -> Option<i64> {
        let cron = self.cron.as_ref()?;
        // A moment is a whole second: what is before 7.3 s is 7 s or earlier.
        let whole = at(time, zone)?;
        let inclusive = time.rem_euclid(SECOND) != 0;
        let found = cron.find_previous_occurrence(&whole, inclusive).ok()?;
        Some(found.timestamp() * SECOND)
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
        Err(error) => refuse(said(&error)),
    }
}

/// What the parser says, in the words of ours.
fn said(error: &croner::errors::CronError) -> String {
    use croner::errors::CronError;
    match error {
        CronError::InvalidPattern(reason)
        | CronError::IllegalCharacters(reason)
        | CronError::ComponentError(reason) => {
            reason.replace("CronPattern", "it").trim_end_matches('.').to_owned()
        }
        CronError::EmptyPattern => "it is empty".to_owned(),
        other => other.to_string(),
    }
}
