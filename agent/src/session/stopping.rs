//! How the agent stops: at once, with its jobs left to the supervisor; when its jobs
//! are done; or when they are cancelled.

use std::time::Duration;

use multiflexi_program::shutdown::Stop;
use tokio::{sync::watch, time::Instant};

use super::{holdings::Holdings, supervisor_link::SupervisorLink};
use crate::link::Request;

/// How long jobs that are cancelled because the agent stops may take beyond their
/// grace period, and how long a scheduler that is away is waited for then.
const CANCEL: Duration = Duration::from_secs(30);

/// What the agent was asked, and until when it has to be done.
#[derive(Debug)]
pub(super) struct Stopping {
    asked: watch::Receiver<Stop>,
    stop: Stop,
    drain: Option<Duration>,
    /// When the next stronger step is taken by itself.
    due: Option<Instant>,
}

impl Stopping {
    pub(super) fn new(asked: watch::Receiver<Stop>, drain: Option<Duration>) -> Self {
        Self { asked, stop: Stop::No, drain, due: None }
    }

    pub(super) fn now(&self) -> Stop {
        self.stop
    }

    /// Waits for the next step: somebody has asked, or time is up. Safe to drop.
    pub(super) async fn next(&mut self) {
        let due = self.due;
        let time_is_up = async {
            match due {
                Some(due) => tokio::time::sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        let stop = self.stop;
        let asked = async {
            // Who could ask is gone: nobody ever will.
            if self.asked.wait_for(|asked| *asked > stop).await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            () = asked => {}
            () = time_is_up => {}
        }
    }

    /// Takes the step that [`next`](Self::next) waited for. `longest` is the longest
    /// grace period of the jobs at hand. False if there is no more time.
    pub(super) fn step(&mut self, longest: Duration) -> bool {
        let asked = *self.asked.borrow_and_update();
        let late = self.due.is_some_and(|due| Instant::now() >= due);
        let next = if asked > self.stop {
            asked
        } else if late && self.stop < Stop::Cancel {
            tracing::warn!("jobs still run at the drain's deadline: they are cancelled");
            Stop::Cancel
        } else {
            return !late;
        };
        self.stop = next;
        self.due = match next {
            Stop::No => None,
            Stop::HandOver => Some(Instant::now() + CANCEL),
            Stop::Drain => self.drain.map(|drain| Instant::now() + drain),
            Stop::Cancel => Some(Instant::now() + longest + CANCEL),
        };
        true
    }

    /// Whether an agent that holds this may go.
    pub(super) fn may_go(&self, holdings: &Holdings) -> bool {
        match self.stop {
            Stop::No => false,
            Stop::HandOver => true,
            Stop::Drain | Stop::Cancel => holdings.is_empty(),
        }
    }

    /// Waits before the scheduler is looked for again, and notes what the supervisor
    /// says meanwhile; false if the agent is to stop instead.
    pub(super) async fn wait_without_scheduler(
        &mut self,
        pause: Duration,
        supervisor: &mut SupervisorLink,
        holdings: &mut Holdings,
    ) -> bool {
        let until = Instant::now() + pause;
        loop {
            if self.may_go(holdings) {
                return false;
            }
            tokio::select! {
                () = tokio::time::sleep_until(until) => return true,
                () = supervisor.keep_up(holdings) => return true,
                () = self.next() => {}
            }
            if !self.step(holdings.longest_grace()) {
                return false;
            }
            if self.stop == Stop::Cancel {
                for key in holdings.running() {
                    supervisor.ask(Request::Cancel(key)).await;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_step_is_stronger_and_a_drain_ends_at_its_deadline() {
        let (say, asked) = watch::channel(Stop::No);
        let mut stopping = Stopping::new(asked, Some(Duration::ZERO));
        assert!(!stopping.may_go(&Holdings::default()));
        say.send_replace(Stop::Drain);
        stopping.next().await;
        assert!(stopping.step(Duration::ZERO));
        assert_eq!(stopping.now(), Stop::Drain);
        assert!(stopping.may_go(&Holdings::default()), "nothing is left to wait for");
        // The deadline comes by itself, and so does the end of patience after it.
        stopping.next().await;
        let grace = Duration::from_secs(5);
        let before = Instant::now();
        assert!(stopping.step(grace));
        assert_eq!(stopping.now(), Stop::Cancel);
        let due = stopping.due.unwrap();
        assert!((before + CANCEL + grace..=Instant::now() + CANCEL + grace).contains(&due));
        stopping.due = Some(before);
        stopping.next().await;
        assert!(!stopping.step(grace));
    }

    #[tokio::test]
    async fn handing_over_waits_for_no_job() {
        let (say, asked) = watch::channel(Stop::HandOver);
        let mut stopping = Stopping::new(asked, None);
        stopping.next().await;
        assert!(stopping.step(Duration::ZERO));
        assert!(stopping.may_go(&Holdings::default()));
        drop(say);
    }
}
