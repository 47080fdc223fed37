//! What waits to be said to the scheduler. It is gathered by kind, so that a busy
//! agent says much in few messages, and never blocks: the loop that fills it goes
//! on reading while the scheduler is slow.

use std::{collections::VecDeque, time::Duration};

use multiflexi_proto::v1::{
    Accept, AttemptKey, Completed, Completion, ConnectRequest, Finishing, GoingAway, Heartbeat,
    Refuse, Started, StartedAttempt, Waiting, connect_request::Message,
};
use tokio::time::Instant;

/// Most final records in one message, which keeps it far below the largest size.
const MOST_COMPLETIONS: usize = 512;

/// A process that runs for longer than this is told of; the end of one that does not tells
/// its beginning too, and the scheduler has one thing less to record.
const SOON: Duration = Duration::from_millis(50);

/// Messages that are not sent yet.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    pub(super) accepted: Vec<AttemptKey>,
    pub(super) refused: Vec<Refuse>,
    pub(super) started: Vec<StartedAttempt>,
    /// Processes that have just begun.
    begun: Vec<StartedAttempt>,
    /// When the first of these is to be told of.
    begun_due: Option<Instant>,
    /// Oldest first: the newest about an attempt counts.
    pub(super) waiting: VecDeque<Waiting>,
    pub(super) finishing: Vec<AttemptKey>,
    pub(super) completed: Vec<Completion>,
    pub(super) heartbeat: bool,
    pub(super) going_away: bool,
}

impl Outbox {
    /// A process has begun.
    pub(super) fn begin(&mut self, started: StartedAttempt) {
        self.begun_due.get_or_insert_with(|| Instant::now() + SOON);
        self.begun.push(started);
    }

    /// Waits until those that have begun are to be told of; for ever if there are none.
    pub(super) async fn begun_long_enough(&self) {
        match self.begun_due {
            Some(due) => tokio::time::sleep_until(due).await,
            None => std::future::pending().await,
        }
    }

    /// Tells of those that have begun.
    pub(super) fn tell_begun(&mut self) {
        self.begun_due = None;
        self.started.append(&mut self.begun);
    }

    /// A final record, which tells also what was not said yet of how the attempt came there.
    pub(super) fn complete(&mut self, completion: Completion) {
        for started in [&mut self.started, &mut self.begun] {
            started.retain(|started| started.key != completion.key);
        }
        if self.begun.is_empty() {
            self.begun_due = None;
        }
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

    fn started(job: i64) -> StartedAttempt {
        StartedAttempt { key: Some(key(job)), pid: 7, started: None }
    }

    #[tokio::test]
    async fn what_has_begun_is_told_unless_it_ends_soon() {
        let mut outbox = Outbox::default();
        for job in [1, 2] {
            outbox.begin(started(job));
        }
        assert!(outbox.is_empty() && outbox.next().is_none());
        outbox.complete(Completion { key: Some(key(1)), ..Completion::default() });
        outbox.begun_long_enough().await;
        outbox.tell_begun();
        let expected = Message::Started(Started { attempts: vec![started(2)] });
        assert_eq!(said(&mut outbox)[0], expected);
        outbox.begin(started(3));
        outbox.complete(Completion { key: Some(key(3)), ..Completion::default() });
        assert_eq!(outbox.begun_due, None, "nothing is left to be told");
    }

    #[test]
    fn an_end_says_also_what_was_not_said_of_its_beginning() {
        let mut outbox = Outbox::default();
        let started = [1, 2].map(started);
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
