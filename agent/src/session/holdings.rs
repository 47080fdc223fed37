//! What the agent has: offers, accepted attempts, processes that run, and ends that
//! are not acknowledged.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use multiflexi_proto::v1;

use super::telemetry::{self, Load};
use crate::link::{AttemptKey, Completion, Event, Held, Launch, Started};

/// How far an attempt is.
#[derive(Clone, Debug)]
pub(super) enum Phase {
    /// Accepted; is launched when the scheduler says so.
    Accepted(Box<Launch>),
    /// With the supervisor.
    Launched,
    /// Its process has ended.
    Ended(Box<Completion>),
    /// Its final record is made; it waits to be acknowledged.
    Completed(Box<v1::Completion>),
}

/// One attempt.
#[derive(Clone, Debug)]
pub(super) struct Holding {
    pub(super) phase: Phase,
    pub(super) started: Option<Started>,
    pub(super) log_length: u64,
    /// What it waits for on this host; empty if it does not.
    pub(super) waits: String,
    /// Time between SIGTERM and SIGKILL.
    pub(super) grace: Duration,
    /// What of its output is lost, as far as this connection knows.
    lost: Option<v1::LostOutput>,
}

/// Everything that the agent has.
#[derive(Debug, Default)]
pub(super) struct Holdings {
    /// Offers that it has no slot for yet.
    pub(super) offers: VecDeque<Launch>,
    held: HashMap<AttemptKey, Holding>,
    /// Attempts that take a slot: accepted or launched, and not ended.
    busy: usize,
    /// Attempts that wait for their host.
    waiting: usize,
}

impl Phase {
    fn takes_slot(&self) -> bool {
        matches!(self, Self::Accepted(_) | Self::Launched)
    }
}

impl Holdings {
    /// Attempts that take a slot.
    pub(super) fn busy(&self) -> usize {
        self.busy
    }

    /// How much there is.
    pub(super) fn load(&self) -> Load {
        Load { busy: self.busy, offers: self.offers.len(), waiting: self.waiting }
    }

    /// Notes what an attempt waits for; nothing if that is empty.
    fn set_waits(&mut self, key: AttemptKey, reason: &str) {
        if let Some(holding) = self.held.get_mut(&key) {
            self.waiting += usize::from(!reason.is_empty());
            self.waiting -= usize::from(!holding.waits.is_empty());
            reason.clone_into(&mut holding.waits);
        }
    }

    /// What of an attempt's output is lost.
    pub(super) fn lost(&self, key: AttemptKey) -> Option<v1::LostOutput> {
        self.held.get(&key)?.lost.clone()
    }

    /// Notes what of an attempt's output is lost, also in its final record: that, if it is
    /// made.
    pub(super) fn set_lost(
        &mut self,
        key: AttemptKey,
        lost: Option<v1::LostOutput>,
    ) -> Option<v1::Completion> {
        let holding = self.held.get_mut(&key)?;
        holding.lost = lost;
        let Phase::Completed(completion) = &mut holding.phase else { return None };
        completion.lost_output = holding.lost.clone();
        Some((**completion).clone())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    pub(super) fn get(&self, key: AttemptKey) -> Option<&Holding> {
        self.held.get(&key)
    }

    /// Attempts that have left the scheduler's hands for the supervisor's.
    pub(super) fn launched(&self) -> impl Iterator<Item = (AttemptKey, &Holding)> {
        let launched = |holding: &Holding| !matches!(holding.phase, Phase::Accepted(_));
        self.held.iter().filter(move |(_, one)| launched(one)).map(|(key, one)| (*key, one))
    }

    /// Attempts whose process may run, or is about to.
    pub(super) fn running(&self) -> Vec<AttemptKey> {
        let runs = self.held.iter().filter(|(_, holding)| holding.phase.takes_slot());
        runs.map(|(key, _)| *key).collect()
    }

    /// The longest grace period of what runs.
    pub(super) fn longest_grace(&self) -> Duration {
        let runs = self.held.values().filter(|holding| holding.phase.takes_slot());
        runs.map(|holding| holding.grace).max().unwrap_or_default()
    }

    /// Puts an attempt into a phase; one that is new is added.
    pub(super) fn set(&mut self, key: AttemptKey, phase: Phase) {
        let takes = phase.takes_slot();
        let took = match self.held.get_mut(&key) {
            Some(holding) => std::mem::replace(&mut holding.phase, phase).takes_slot(),
            None => {
                let grace = match &phase {
                    Phase::Accepted(launch) => Duration::from_millis(launch.grace_ms),
                    _ => Duration::ZERO,
                };
                let (started, log_length, waits) = (None, 0, String::new());
                let lost = None;
                self.held.insert(key, Holding { phase, started, log_length, waits, grace, lost });
                false
            }
        };
        self.busy += usize::from(takes);
        self.busy -= usize::from(took);
    }

    pub(super) fn remove(&mut self, key: AttemptKey) -> Option<Holding> {
        let holding = self.held.remove(&key)?;
        self.busy -= usize::from(holding.phase.takes_slot());
        self.waiting -= usize::from(!holding.waits.is_empty());
        Some(holding)
    }

    /// Takes the launch of an attempt that was accepted; it is launched from now on.
    pub(super) fn launch(&mut self, key: AttemptKey) -> Option<Launch> {
        let holding = self.held.get_mut(&key)?;
        match std::mem::replace(&mut holding.phase, Phase::Launched) {
            Phase::Accepted(launch) => Some(*launch),
            other => {
                holding.phase = other;
                None
            }
        }
    }

    /// Drops an offer that was not accepted; true if there was one.
    pub(super) fn drop_offer(&mut self, key: AttemptKey) -> bool {
        let before = self.offers.len();
        self.offers.retain(|offer| offer.key != key);
        self.offers.len() < before
    }

    /// The connection is gone: what was not launched is no longer ours.
    pub(super) fn drop_unlaunched(&mut self) {
        self.offers.clear();
        self.held.retain(|_, holding| !matches!(holding.phase, Phase::Accepted(_)));
        self.busy = self.held.values().filter(|holding| holding.phase.takes_slot()).count();
        self.waiting = self.held.values().filter(|holding| !holding.waits.is_empty()).count();
    }

    /// Notes what the supervisor says. Ends are noted with their phase.
    pub(super) fn note(&mut self, event: &Event) {
        match event {
            Event::Hello { held, .. } => held.iter().for_each(|held| self.adopt(held)),
            Event::Started(key, started) => {
                if let Some(holding) = self.held.get_mut(key) {
                    holding.started = Some(*started);
                }
            }
            Event::LogGrew(key, length) => self.grew(*key, *length),
            Event::Waits(key, reason) => self.set_waits(*key, reason),
            Event::Ended(key, completion) => {
                if self.held.contains_key(key) {
                    telemetry::ended(*key, completion);
                    self.set(*key, Phase::Ended(completion.clone()));
                    self.grew(*key, completion.log_length);
                }
            }
        }
    }

    fn grew(&mut self, key: AttemptKey, length: u64) {
        if let Some(holding) = self.held.get_mut(&key) {
            holding.log_length = holding.log_length.max(length);
        }
    }

    fn adopt(&mut self, held: &Held) {
        telemetry::adopted(held);
        let phase = match &held.ended {
            Some(completion) => Phase::Ended(completion.clone()),
            None => Phase::Launched,
        };
        self.set(held.key, phase);
        if let Some(holding) = self.held.get_mut(&held.key) {
            holding.started = held.started;
            holding.log_length = held.log_length;
            holding.grace = Duration::from_millis(held.grace_ms);
        }
        self.set_waits(held.key, &held.waits);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(job_id: i64) -> AttemptKey {
        AttemptKey { job_id, attempt: 1, fence: 1 }
    }

    fn launch(job_id: i64) -> Launch {
        Launch {
            key: key(job_id),
            command: vec![],
            environment: Default::default(),
            timeout_ms: None,
            grace_ms: 0,
            quota: Default::default(),
            secrets: Vec::new(),
            required_files: Vec::new(),
            files: Vec::new(),
        }
    }

    #[test]
    fn slots_are_taken_from_accepting_to_the_end() {
        let mut holdings = Holdings::default();
        holdings.set(key(1), Phase::Accepted(Box::new(launch(1))));
        holdings.set(key(2), Phase::Accepted(Box::new(launch(2))));
        assert_eq!(holdings.busy(), 2);
        assert!(holdings.launch(key(1)).is_some());
        assert!(holdings.launch(key(1)).is_none(), "it is launched once");
        assert_eq!(holdings.busy(), 2);
        holdings.drop_unlaunched();
        assert_eq!(holdings.busy(), 1);
        assert!(holdings.get(key(2)).is_none());
        holdings.note(&Event::Waits(key(1), "room".to_owned()));
        holdings.note(&Event::Waits(key(1), "more room".to_owned()));
        assert_eq!(holdings.load().waiting, 1);
        holdings.note(&Event::Waits(key(1), String::new()));
        assert_eq!(holdings.load().waiting, 0);
        let completed = v1::Completion::default();
        holdings.set(key(1), Phase::Completed(Box::new(completed)));
        assert_eq!(holdings.busy(), 0);
        assert!(holdings.remove(key(1)).is_some() && holdings.is_empty());
    }
}
