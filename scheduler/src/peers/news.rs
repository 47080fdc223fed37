//! What schedulers tell each other: gathered until it is sent, and sent as JSON in pieces
//! that a notification can carry.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::domain::ids::{AgentId, AttemptKey, Fence, JobId, SchedulerId};

/// Most jobs that are named; beyond that everything is looked at.
const MOST_JOBS: usize = 20_000;

/// Entries of one piece: PostgreSQL takes 8,000 bytes, and the longest entry is a reason.
const PIECE: usize = 40;

/// Longest reason that is sent, in characters.
const LONGEST: usize = 80;

/// What has happened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct News {
    /// Something can be claimed.
    pub queued: bool,
    /// A job waits for its time, or a schedule has changed.
    pub delayed: bool,
    /// Agents that are away may be waited for longer or shorter.
    pub patience: bool,
    /// Anything may have happened.
    pub everything: bool,
    /// The sender hears the others from now on, and may have missed anything before.
    pub joined: bool,
    /// Jobs of which something has changed.
    pub jobs: BTreeSet<JobId>,
    /// Attempts whose agent is connected to the sender now.
    pub taken: Vec<AttemptKey>,
    /// Attempts that their agent is to end.
    pub cancels: Vec<(AgentId, AttemptKey)>,
    /// Offers that are no longer there, and why.
    pub withdrawn: Vec<(AttemptKey, String)>,
}

/// A piece of news as it is sent. Absent is what has not happened.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Piece {
    from: i64,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    queued: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    delayed: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    patience: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    everything: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    joined: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    jobs: Vec<i64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    taken: Vec<Key>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    cancels: Vec<(i64, Key)>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    withdrawn: Vec<(Key, String)>,
}

/// Job, attempt and fence.
type Key = (i64, i32, i64);

fn to_key(key: &AttemptKey) -> Key {
    (key.job.0, key.number, key.fence.0)
}

fn from_key((job, number, fence): Key) -> AttemptKey {
    AttemptKey { job: JobId(job), number, fence: Fence(fence) }
}

impl News {
    /// Adds a job of which something has changed.
    pub fn change(&mut self, job: JobId) {
        if self.jobs.len() < MOST_JOBS {
            self.jobs.insert(job);
        } else {
            self.jobs.clear();
            self.everything = true;
        }
    }

    /// Whether nothing has happened.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The pieces in which it is sent.
    pub(super) fn pieces(&self, me: SchedulerId) -> Vec<String> {
        let first = Piece {
            queued: self.queued,
            delayed: self.delayed,
            patience: self.patience,
            everything: self.everything,
            joined: self.joined,
            ..Piece::default()
        };
        let mut pieces = vec![first];
        let jobs: Vec<i64> = self.jobs.iter().map(|job| job.0).collect();
        // A number is short.
        for part in jobs.chunks(8 * PIECE) {
            pieces.push(Piece { jobs: part.into(), ..Piece::default() });
        }
        let taken: Vec<Key> = self.taken.iter().map(to_key).collect();
        for part in taken.chunks(2 * PIECE) {
            pieces.push(Piece { taken: part.into(), ..Piece::default() });
        }
        let cancels: Vec<_> =
            self.cancels.iter().map(|(agent, key)| (agent.0, to_key(key))).collect();
        for part in cancels.chunks(2 * PIECE) {
            pieces.push(Piece { cancels: part.into(), ..Piece::default() });
        }
        let short = |reason: &String| reason.chars().take(LONGEST).collect();
        let withdrawn: Vec<(Key, String)> =
            self.withdrawn.iter().map(|(key, reason)| (to_key(key), short(reason))).collect();
        for part in withdrawn.chunks(PIECE / 4) {
            pieces.push(Piece { withdrawn: part.into(), ..Piece::default() });
        }
        let text = |piece| {
            let piece = Piece { from: me.0, ..piece };
            serde_json::to_string(&piece).unwrap_or_default()
        };
        pieces.into_iter().map(text).collect()
    }

    /// Reads a piece and who sent it; none if it is no news.
    pub(super) fn read(text: &str) -> Option<(SchedulerId, Self)> {
        let piece: Piece = serde_json::from_str(text).ok()?;
        let news = Self {
            queued: piece.queued,
            delayed: piece.delayed,
            patience: piece.patience,
            everything: piece.everything,
            joined: piece.joined,
            jobs: piece.jobs.into_iter().map(JobId).collect(),
            taken: piece.taken.into_iter().map(from_key).collect(),
            cancels: piece
                .cancels
                .into_iter()
                .map(|(agent, key)| (AgentId(agent), from_key(key)))
                .collect(),
            withdrawn: piece
                .withdrawn
                .into_iter()
                .map(|(key, reason)| (from_key(key), reason))
                .collect(),
        };
        Some((SchedulerId(piece.from), news))
    }

    /// Adds what came later.
    pub(super) fn add(&mut self, later: Self) {
        self.queued |= later.queued;
        self.delayed |= later.delayed;
        self.patience |= later.patience;
        self.everything |= later.everything;
        self.joined |= later.joined;
        later.jobs.into_iter().for_each(|job| self.change(job));
        self.taken.extend(later.taken);
        self.cancels.extend(later.cancels);
        self.withdrawn.extend(later.withdrawn);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key() -> impl Strategy<Value = AttemptKey> {
        (any::<i64>(), any::<i32>(), any::<i64>()).prop_map(from_key)
    }

    prop_compose! {
        fn news()(
            flags in any::<[bool; 5]>(),
            jobs in prop::collection::btree_set(any::<i64>().prop_map(JobId), 0..2000),
            taken in prop::collection::vec(key(), 0..300),
            cancels in prop::collection::vec((any::<i64>().prop_map(AgentId), key()), 0..300),
            withdrawn in prop::collection::vec((key(), "[^\\x00]{0,80}"), 0..50),
        ) -> News {
            let [queued, delayed, patience, everything, joined] = flags;
            News { queued, delayed, patience, everything, joined, jobs, taken, cancels, withdrawn }
        }
    }

    proptest! {
        #[test]
        fn what_is_told_is_heard(news in news()) {
            let mut heard = News::default();
            for piece in news.pieces(SchedulerId(7)) {
                prop_assert!(piece.len() < 8000, "{} bytes", piece.len());
                let (from, part) = News::read(&piece).unwrap();
                prop_assert_eq!(from, SchedulerId(7));
                heard.add(part);
            }
            prop_assert_eq!(heard, news);
        }
    }

    #[test]
    fn too_many_jobs_are_everything() {
        let mut news = News::default();
        (0..=MOST_JOBS as i64).for_each(|job| news.change(JobId(job)));
        assert!(news.everything && news.jobs.is_empty());
        assert!(News::default().is_empty());
        assert_eq!(News::read("no news"), None);
    }
}
