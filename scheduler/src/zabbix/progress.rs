//! How far Zabbix has been told, while it is this scheduler's turn: which events were read,
//! which values wait, and where to go back to when the server goes away.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    discovery::Inventory,
    phases::{self, Phase},
    refused::{Outgoing, Refused},
    sender::{OTHERS, REPEAT},
};
use crate::{
    domain::{ids::JobId, job::State},
    store::{Told, ZabbixCursor},
};

/// What the server took in this time before it went away is sent again.
const REPLAY: Duration = Duration::from_secs(10);

/// How soon events are looked at again that another scheduler may precede.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Events stay in order though the clock was set back by so much, in nanoseconds.
const SET_BACK: i64 = 5_000_000_000;

/// How far it is.
#[derive(Debug)]
pub struct Progress {
    /// As it is recorded.
    pub recorded: ZabbixCursor,
    /// When that was.
    pub recorded_at: Instant,
    /// Events that were read.
    pub read: ZabbixCursor,
    /// There may be events before the next ones that are not committed.
    pub held: bool,
    /// Values that the server refuses.
    pub refused: Refused,
    /// What there is to be watched, as it was told.
    pub inventory: Option<Inventory>,
    /// When to look for that.
    pub look: Instant,
    /// When that was done last.
    pub looked: Instant,
    /// When to tell that again in any case.
    pub repeat: Instant,
    /// How often it was told while the server had no rules for some of it.
    pub rules_unknown: u32,
    /// When to tell how it is.
    pub gauge: Instant,
    /// How often the server was tried since it is away.
    pub tries: u32,
    /// How far it was recorded when, the last times.
    past: VecDeque<(Instant, ZabbixCursor)>,
    /// Attempts whose agent is away: that it is back is no start.
    unreachable: HashSet<(JobId, i32)>,
}

impl From<ZabbixCursor> for Progress {
    fn from(cursor: ZabbixCursor) -> Self {
        let now = Instant::now();
        Self {
            recorded: cursor,
            recorded_at: now,
            read: cursor,
            held: false,
            refused: Refused::default(),
            inventory: None,
            look: now,
            looked: now,
            repeat: now,
            rules_unknown: 0,
            gauge: now,
            tries: 0,
            past: [(now, cursor)].into(),
            unreachable: HashSet::new(),
        }
    }
}

impl Progress {
    /// Whether an event is of a run template that Zabbix may not know yet.
    pub fn is_new(&self, told: &Told) -> bool {
        let known = |id| self.inventory.as_ref().is_some_and(|all| all.has(id));
        told.run_template.as_ref().is_some_and(|template| !known(template.id))
    }

    /// What events say, and how far they are. `traces` has what each job's trace is, of those
    /// that have one.
    pub fn values(
        &mut self,
        events: &[Told],
        host: &str,
        traces: &HashMap<JobId, String>,
    ) -> (Vec<Outgoing>, ZabbixCursor) {
        let (mut cursor, mut values) = (self.read, Vec::new());
        for told in events {
            let after = cursor;
            cursor = next(cursor, told.event.id, told.event.at);
            if told.event.state == State::Unreachable {
                self.unreachable.insert((told.event.job, told.event.attempt));
                continue;
            }
            let Some(template) = &told.run_template else { continue };
            if let Some(phase) = phases::phase(told).filter(|phase| !self.is_back(told, *phase)) {
                let told = (told, traces.get(&told.event.job).map(String::as_str));
                let value = phases::value(phase, told, template, cursor.stamp, host);
                values.push(Outgoing { value, after });
            }
        }
        (values, cursor)
    }

    /// Whether an event says only that an agent is back.
    fn is_back(&mut self, told: &Told, phase: Phase) -> bool {
        self.unreachable.remove(&(told.event.job, told.event.attempt)) && phase == Phase::Started
    }

    /// It was recorded how far Zabbix was told.
    pub fn recorded(&mut self, cursor: ZabbixCursor, now: Instant) {
        (self.recorded, self.recorded_at) = (cursor, now);
        self.past.push_back((now, cursor));
        while self.past.get(1).is_some_and(|(then, _)| *then + REPLAY <= now) {
            self.past.pop_front();
        }
    }

    /// Where to go back to when the server goes away.
    pub fn back(&self) -> ZabbixCursor {
        self.past.front().map_or(self.recorded, |(_, cursor)| self.recorded.min(*cursor))
    }

    /// When there is something to be done next.
    pub fn next(&self, shared: bool) -> Instant {
        let now = Instant::now();
        let times = [
            Some(self.look),
            Some(self.repeat),
            Some(self.gauge),
            self.refused.next(),
            self.held.then(|| now + LOOK_AGAIN),
            shared.then(|| now + OTHERS),
        ];
        times.into_iter().flatten().min().unwrap_or(now + REPEAT)
    }
}

/// The cursor after an event that happened at a time in microseconds.
fn next(before: ZabbixCursor, event: i64, at: i64) -> ZabbixCursor {
    let at = at.saturating_mul(1000);
    let stamp = match before.stamp - at {
        ahead if (0..SET_BACK).contains(&ahead) => before.stamp + 1,
        _ => at,
    };
    ZabbixCursor { event, stamp }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_events_have_the_same_time_and_their_order_is_that_of_the_times() {
        let mut cursor = ZabbixCursor { event: 0, stamp: 0 };
        let mut stamps = Vec::new();
        for (event, at) in (1..).zip([5_000_000, 5_000_000, 4_999_999, 5_000_001]) {
            cursor = next(cursor, event, at);
            stamps.push(cursor.stamp);
        }
        assert_eq!(stamps, [5_000_000_000, 5_000_000_001, 5_000_000_002, 5_000_001_000]);
        // The clock was set back for good.
        assert_eq!(next(cursor, 9, -10_000_000).stamp, -10_000_000_000);
    }

    #[test]
    fn the_last_seconds_before_the_server_went_away_are_sent_again() {
        let mut progress = Progress::from(ZabbixCursor::default());
        let begin = Instant::now();
        for second in 1..=30 {
            let cursor = ZabbixCursor { event: second, stamp: 0 };
            progress.recorded(cursor, begin + Duration::from_secs(second.unsigned_abs()));
        }
        assert_eq!(progress.back().event, 20);
        progress.recorded(ZabbixCursor { event: 12, stamp: 0 }, begin + Duration::from_secs(31));
        assert_eq!(progress.back().event, 12);
    }
}
