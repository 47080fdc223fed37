//! What a schedule does in a time to come, by the code that does it.

use std::time::Duration;

use super::{Open, Schedule, Verdict};

/// A time in which no scheduler runs: from the first to before the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Downtime {
    /// When it begins.
    pub from: i64,
    /// When it is over.
    pub to: i64,
}

/// What becomes of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// Its job starts then.
    Fires(i64),
    /// It was missed, and its job starts then.
    CaughtUp(i64),
    /// It is left out because of the run before.
    Skipped(&'static str),
    /// It was missed, as all were from this one on.
    Missed(i64),
}

/// A slot, and what becomes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The slot; of several that were missed, the last.
    pub slot: i64,
    /// What becomes of it.
    pub what: What,
}

/// What is assumed.
#[derive(Clone, Debug)]
pub struct Preview<'a> {
    /// The first time.
    pub from: i64,
    /// The last time.
    pub to: i64,
    /// When no scheduler runs, in order.
    pub down: &'a [Downtime],
    /// How long each job runs.
    pub run_time: Duration,
    /// Which run template it is.
    pub seed: i64,
    /// Most entries.
    pub most: usize,
}

/// A job that was made.
struct Run {
    start: i64,
    end: i64,
}

impl Schedule {
    /// What becomes of the slots of a time.
    pub fn preview(&self, asked: &Preview<'_>) -> Vec<Entry> {
        let run_time = i64::try_from(asked.run_time.as_micros()).unwrap_or(i64::MAX);
        let mut entries = Vec::new();
        let mut runs: Vec<Run> = Vec::new();
        let mut next = self.after(asked.from - 1);
        while let Some(slot) = next.filter(|slot| *slot <= asked.to) {
            if entries.len() >= asked.most {
                break;
            }
            let down = asked.down.iter().find(|down| (down.from..down.to).contains(&slot));
            let now = down.map_or(slot, |down| down.to);
            let due = self.due(slot, now);
            next = due.next;
            if let Some((first, last)) = due.missed {
                entries.push(Entry { slot: last, what: What::Missed(first) });
            }
            let late = due.caught_up.iter().map(|slot| (*slot, true));
            for (slot, caught_up) in late.chain(due.in_time.iter().map(|slot| (*slot, false))) {
                runs.retain(|run| run.end > now);
                let open = Open {
                    waits: runs.iter().any(|run| run.start > now),
                    runs: runs.iter().any(|run| run.start <= now),
                };
                let what = match self.overlap.decide(open) {
                    Verdict::Leave(why) => What::Skipped(why),
                    verdict => {
                        if verdict == Verdict::Replace {
                            runs.clear();
                        }
                        let mut start = self.start(slot, asked.seed).max(now);
                        if self.overlap.is_exclusive() {
                            start = runs.iter().map(|run| run.end).fold(start, i64::max);
                        }
                        runs.push(Run { start, end: start.saturating_add(run_time) });
                        if caught_up { What::CaughtUp(start) } else { What::Fires(start) }
                    }
                };
                entries.push(Entry { slot, what });
            }
        }
        entries.truncate(asked.most);
        entries
    }
}
