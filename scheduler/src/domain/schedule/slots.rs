//! Slots that are due: which are in time, which were missed, and which of these are caught up.

use std::time::Duration;

use super::Schedule;

/// A slot that is decided so much later at most is in time; later it was missed, as happens
/// when no scheduler runs.
pub const LATE: Duration = Duration::from_secs(60);

/// The slots of a schedule that are due, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Due {
    /// The first and the last of those that were missed and are not caught up.
    pub missed: Option<(i64, i64)>,
    /// Those that were missed and are caught up.
    pub caught_up: Vec<i64>,
    /// Those that are in time.
    pub in_time: Vec<i64>,
    /// The next one, which is not due; none if the schedule is over.
    pub next: Option<i64>,
}

impl Schedule {
    /// The first slot after a time, both in microseconds since the Unix epoch.
    pub fn after(&self, time: i64) -> Option<i64> {
        let time = self.not_before.map_or(time, |from| time.max(from - 1));
        self.rhythm
            .after(time, self.zone)
            .filter(|slot| self.not_after.is_none_or(|end| *slot <= end))
    }

    /// The last slot before a time that is not before `first`.
    fn before(&self, time: i64, first: i64) -> Option<i64> {
        let first = self.not_before.map_or(first, |from| first.max(from));
        let time = self.not_after.map_or(time, |until| time.min(until.saturating_add(1)));
        self.rhythm.before(time, self.zone).filter(|slot| *slot >= first)
    }

    /// What is due at `now`, if `next` is the first slot that was not decided yet.
    pub fn due(&self, next: i64, now: i64) -> Due {
        let late = i64::try_from(LATE.as_micros()).unwrap_or(i64::MAX);
        let in_time_from = next.max(now.saturating_sub(late));
        let mut due = Due { next: self.after(now.max(next - 1)), ..Due::default() };
        let mut slot = self.after(in_time_from - 1);
        while let Some(time) = slot.filter(|time| *time <= now) {
            due.in_time.push(time);
            slot = self.after(time);
        }
        // Backwards: there may be millions, and only the newest count.
        let mut late = self.before(in_time_from, next);
        while let Some(time) = late {
            if due.caught_up.len() as u64 >= u64::from(self.catch_up) {
                due.missed = Some((next, time));
                break;
            }
            due.caught_up.push(time);
            late = self.before(time, next);
        }
        due.caught_up.reverse();
        due
    }
}
