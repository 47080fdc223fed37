//! Schedules: when jobs of a run template start by themselves. A schedule names moments,
//! its *slots*; what becomes of one that is due is decided here, for the scheduler that
//! fires it and for the preview alike.

mod policy;
mod preview;
mod rhythm;
mod slots;

use std::time::Duration;

use chrono::{SecondsFormat, TimeZone as _};
use chrono_tz::Tz;

pub use policy::{Open, Overlap, Verdict};
pub use preview::{Downtime, Entry, Preview, What};
pub use rhythm::{Interval, Rhythm, RhythmError};
pub use slots::{Due, LATE};

/// The most missed slots that can be caught up at once.
pub const MAX_CATCH_UP: u32 = 1_000;

/// The longest delay and jitter.
pub const MAX_SHIFT: Duration = Duration::from_secs(366 * 24 * 3600);

/// When jobs of a run template start by themselves. Times are microseconds since the Unix
/// epoch.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// Which moments.
    pub rhythm: Rhythm,
    /// Where its days and hours are.
    pub zone: Tz,
    /// No slot is before.
    pub not_before: Option<i64>,
    /// No slot is after.
    pub not_after: Option<i64>,
    /// How long after its slot a job starts.
    pub delay: Duration,
    /// How much later at most, spread by run template and slot.
    pub jitter: Duration,
    /// What happens while a run before has not ended.
    pub overlap: Overlap,
    /// How many slots that were missed are caught up, the newest.
    pub catch_up: u32,
}

/// What a schedule cannot be told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// The rhythm.
    #[error(transparent)]
    Rhythm(#[from] RhythmError),
    /// The time zone.
    #[error("{0:?} is no time zone: take a name such as Europe/Prague, or UTC")]
    Zone(String),
    /// Start and end.
    #[error("the schedule ends before it begins: --not-after has to be later than --not-before")]
    Ends,
    /// Delay or jitter.
    #[error("the {0} is longer than a year")]
    Shift(&'static str),
    /// The number of slots that are caught up.
    #[error("{0} missed slots cannot be caught up: take 0 to {MAX_CATCH_UP}")]
    CatchUp(u32),
    /// Several slots at once, of which only one could run.
    #[error(
        "{0} missed slots are caught up at once, and with --overlap {1} no more than one of them \
         would run: take --overlap allow, or --catch-up one"
    )]
    CatchUpOverlaps(u32, Overlap),
    /// No slot at all.
    #[error("{0} never comes: no such day exists")]
    Never(String),
}

/// Reads the name of a time zone, in whatever case.
pub fn zone(name: &str) -> Result<Tz, ScheduleError> {
    Tz::from_str_insensitive(name).map_err(|_| ScheduleError::Zone(name.chars().take(60).collect()))
}

/// A time by the clock on the wall, with its distance to UTC; `time` is in microseconds since
/// the Unix epoch.
pub fn local(time: i64, zone: Tz) -> String {
    let time = zone.timestamp_micros(time).single();
    time.map(|time| time.to_rfc3339_opts(SecondsFormat::Secs, false)).unwrap_or_default()
}

impl Schedule {
    /// One that starts nothing.
    pub fn none(zone: Tz) -> Self {
        Self {
            rhythm: Rhythm::default(),
            zone,
            not_before: None,
            not_after: None,
            delay: Duration::ZERO,
            jitter: Duration::ZERO,
            overlap: Overlap::default(),
            catch_up: 1,
        }
    }

    /// Refuses what contradicts itself. `now` is the present.
    pub fn check(&self, now: i64) -> Result<(), ScheduleError> {
        if self.not_after.zip(self.not_before).is_some_and(|(until, from)| until < from) {
            return Err(ScheduleError::Ends);
        }
        for (name, shift) in [("delay", self.delay), ("jitter", self.jitter)] {
            if shift > MAX_SHIFT {
                return Err(ScheduleError::Shift(name));
            }
        }
        if self.catch_up > MAX_CATCH_UP {
            return Err(ScheduleError::CatchUp(self.catch_up));
        }
        if self.catch_up > 1 && self.overlap != Overlap::Allow {
            return Err(ScheduleError::CatchUpOverlaps(self.catch_up, self.overlap));
        }
        if !self.rhythm.is_none() && self.rhythm.after(now, self.zone).is_none() {
            return Err(ScheduleError::Never(self.rhythm.to_string()));
        }
        Ok(())
    }

    /// When the job of a slot starts, if it is made in time. `seed` tells run templates apart
    /// whose slots are the same.
    pub fn start(&self, slot: i64, seed: i64) -> i64 {
        let bytes = [seed.to_be_bytes(), slot.to_be_bytes()].concat();
        let share = f64::from(crc32fast::hash(&bytes)) / f64::from(u32::MAX);
        let shift = self.delay + self.jitter.mul_f64(share);
        slot.saturating_add(i64::try_from(shift.as_micros()).unwrap_or(i64::MAX))
    }
}
