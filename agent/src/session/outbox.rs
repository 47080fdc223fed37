//! What waits to be said to the scheduler. It is gathered by kind, so that a busy
//! agent says much in few messages, and never blocks: the loop that fills it goes
//! on reading while the scheduler is slow.

use std::collections::VecDeque;

use multiflexi_proto::v1::{
    Accept, AttemptKey, Completed, Completion, ConnectRequest, Finishing, GoingAway, Heartbeat,
    Refuse, Started, StartedAttempt, Waiting, connect_request::Message,
};

/// Most final records in one message, which keeps it far below the largest size.
const MOST_COMPLETIONS: usize = 512;

/// Messages that are not sent yet.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    pub(super) accepted: Vec<AttemptKey>,
    pub(super) refused: Vec<Refuse>,
    pub(super) started: Vec<StartedAttempt>,
    /// Oldest first: the newest about an attempt counts.
    pub(super) waiting: VecDeque<Waiting>,
    pub(super) finishing: Vec<AttemptKey>,
    pub(super) completed: Vec<Completion>,
    pub(super) heartbeat: bool,
    pub(super) going_away: bool,
}

impl Outbox {
    /// A final record, which tells also what was not said yet of how the attempt came there.
    pub(super) fn complete(&mut self, completion: Completion) {
        self.started.retain(|started| started.key != completion.key);
        self.finishing.retain(|key| completion.key.as_ref() != Some(key));
        self.completed.push(completion);
    }

    /// The next message, if there is something to say.
    pub(super) fn next(&mut self) -> Option<ConnectRequest> {
        let message = if self.going_away {
            self.going_away = false;
            Message::GoingAway(GoingAway {})
        } else if !self.accepted.is_empty() {
            Message::Accept(Accept { keys: std::mem::take(&mut self.accepted) })
        } else if let Some(refuse) = self.refused.pop() {
            Message::Refuse(refuse)
        } else if !self.started.is_empty() {
            Message::Started(Started { attempts: std::mem::take(&mut self.started) })
        } else if let Some(waiting) = self.waiting.pop_front() {
            Message::Waiting(waiting)
        } else if !self.finishing.is_empty() {
            Message::Finishing(Finishing { keys: std::mem::take(&mut self.finishing) })
        } else if !self.completed.is_empty() {
            let rest = self.completed.len().saturating_sub(MOST_COMPLETIONS);
            let completions = self.completed.split_off(rest);
            Message::Completed(Completed { completions })
        } else if self.heartbeat {
            self.heartbeat = false;
            Message::Heartbeat(Heartbeat {})
        } else {
            return None;
        };
        Some(ConnectRequest { message: Some(message) })
    }

    /// Whether there is nothing to say.
    pub(super) fn is_empty(&self) -> bool {
        self.accepted.is_empty()
            && self.refused.is_empty()
            && self.started.is_empty()
            && self.waiting.is_empty()
            && self.finishing.is_empty()
            && self.completed.is_empty()
            && !self.heartbeat
            && !self.going_away
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(job_id: i64) -> AttemptKey {
        AttemptKey { job_id, attempt: 1, fence: 1 }
    }

    fn said(outbox: &mut Outbox) -> Vec<Message> {
        std::iter::from_fn(|| outbox.next()?.message).collect()
    }

    #[test]
    fn an_end_says_also_what_was_not_said_of_its_beginning() {
        let mut outbox = Outbox::default();
        let started =
            [1, 2].map(|job| StartedAttempt { key: Some(key(job)), pid: 7, started: None });
        outbox.started.extend(started);
        outbox.finishing.push(key(1));
        let end = Completion { key: Some(key(1)), pid: 7, ..Completion::default() };
        outbox.complete(end.clone());
        let [_, second] = started;
        let expected = [
            Message::Started(Started { attempts: vec![second] }),
            Message::Completed(Completed { completions: vec![end] }),
        ];
        assert_eq!(said(&mut outbox), expected);
        assert!(outbox.is_empty());
    }
}
