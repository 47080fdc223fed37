//! A model of an agent: what it promises, without processes and files.

use std::collections::{BTreeMap, BTreeSet};

use multiflexi_scheduler::domain::ids::AttemptKey;

/// From the scheduler.
#[derive(Clone, Debug)]
pub enum ToAgent {
    Offer(AttemptKey),
    Start(AttemptKey),
    Cancel(AttemptKey),
    Withdraw(AttemptKey),
    Acknowledge(AttemptKey),
}

/// From the agent.
#[derive(Clone, Debug)]
pub enum ToScheduler {
    Accept(AttemptKey),
    Started(AttemptKey),
    /// With its exit code; none if it was cancelled.
    Completed(AttemptKey, Option<i32>),
}

/// What the supervisor has: it outlives the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Process {
    Runs,
    Ended(Option<i32>),
}

#[derive(Debug, Default)]
pub struct Agent {
    accepted: BTreeSet<AttemptKey>,
    pub held: BTreeMap<AttemptKey, Process>,
    /// Every launch there ever was, in order.
    pub launched: Vec<AttemptKey>,
}

impl Agent {
    /// Deals with a message; what it answers.
    pub fn told(&mut self, message: &ToAgent) -> Vec<ToScheduler> {
        match *message {
            ToAgent::Offer(key) if self.held.contains_key(&key) => vec![],
            ToAgent::Offer(key) => {
                self.accepted.insert(key);
                vec![ToScheduler::Accept(key)]
            }
            ToAgent::Start(key) if self.accepted.remove(&key) => {
                self.held.insert(key, Process::Runs);
                self.launched.push(key);
                vec![ToScheduler::Started(key)]
            }
            ToAgent::Start(_) => vec![],
            ToAgent::Cancel(key) if self.accepted.remove(&key) => {
                self.held.insert(key, Process::Ended(None));
                vec![ToScheduler::Completed(key, None)]
            }
            ToAgent::Cancel(key) => self.end(key, None),
            ToAgent::Withdraw(key) | ToAgent::Acknowledge(key) => {
                self.accepted.remove(&key);
                self.held.remove(&key);
                vec![]
            }
        }
    }

    /// A process ends, if it runs.
    pub fn end(&mut self, key: AttemptKey, code: Option<i32>) -> Vec<ToScheduler> {
        match self.held.get_mut(&key) {
            Some(process @ Process::Runs) => {
                *process = Process::Ended(code);
                vec![ToScheduler::Completed(key, code)]
            }
            _ => vec![],
        }
    }

    /// The connection is gone.
    pub fn disconnected(&mut self) {
        self.accepted.clear();
    }

    /// What it says again once it is connected: the ends that are not acknowledged.
    pub fn reconnected(&self) -> Vec<ToScheduler> {
        let ended = self.held.iter().filter_map(|(key, process)| match process {
            Process::Ended(code) => Some(ToScheduler::Completed(*key, *code)),
            Process::Runs => None,
        });
        ended.collect()
    }

    pub fn running(&self) -> Vec<AttemptKey> {
        let runs = self.held.iter().filter(|(_, process)| **process == Process::Runs);
        runs.map(|(key, _)| *key).collect()
    }
}
