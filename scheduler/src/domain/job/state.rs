//! The job's state machine. Every writing statement of the store takes its guard
//! from [`Transition::from`] and its new state from [`Transition::to`], so that
//! this table is the only place that says what may follow what.

use std::{fmt, str::FromStr};

/// Where a job, and the attempt that it is on, is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum State {
    /// Created, waits to be run.
    Loaded,
    /// Waits for a slot on an agent.
    Queued,
    /// Held out to an agent, until the offer's deadline.
    Offered,
    /// On an agent that accepted it.
    Running,
    /// On an agent whose connection is gone, until the template's `lost_after`.
    Unreachable,
    /// The process has ended; output and artifacts are being stored.
    Finishing,
    /// Ended with exit code 0.
    Succeeded,
    /// Ended otherwise.
    Failed,
    /// Ended because somebody asked for it.
    Cancelled,
    /// Ended because it ran longer than allowed.
    TimedOut,
    /// Its agent did not come back.
    Lost,
}

impl State {
    /// Every state, in the order of a job's life.
    pub const ALL: [Self; 11] = [
        Self::Loaded,
        Self::Queued,
        Self::Offered,
        Self::Running,
        Self::Unreachable,
        Self::Finishing,
        Self::Succeeded,
        Self::Failed,
        Self::Cancelled,
        Self::TimedOut,
        Self::Lost,
    ];

    /// What a job is in while an agent has it, or may have it.
    pub const ON_AGENT: [Self; 4] =
        [Self::Offered, Self::Running, Self::Unreachable, Self::Finishing];

    /// How a job can have ended.
    pub const ENDED: [Self; 5] =
        [Self::Succeeded, Self::Failed, Self::Cancelled, Self::TimedOut, Self::Lost];

    /// How a job can have ended that has not succeeded.
    pub const UNSUCCESSFUL: [Self; 4] = [Self::Failed, Self::Cancelled, Self::TimedOut, Self::Lost];

    /// What a job may be in when it is deleted: it is on no agent.
    pub const REMOVABLE: [Self; 7] = [
        Self::Loaded,
        Self::Queued,
        Self::Succeeded,
        Self::Failed,
        Self::Cancelled,
        Self::TimedOut,
        Self::Lost,
    ];

    /// Whether a job in this state has ended.
    pub fn is_terminal(self) -> bool {
        self >= Self::Succeeded
    }

    /// The name that the database holds.
    pub fn name(self) -> &'static str {
        match self {
            Self::Loaded => "loaded",
            Self::Queued => "queued",
            Self::Offered => "offered",
            Self::Running => "running",
            Self::Unreachable => "unreachable",
            Self::Finishing => "finishing",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::TimedOut => "timed_out",
            Self::Lost => "lost",
        }
    }

    /// The state after `transition`, or why there is none.
    pub fn apply(self, transition: Transition) -> Result<Self, Refused> {
        if transition.from().contains(&self) {
            Ok(transition.to())
        } else {
            Err(Refused { state: self, transition })
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for State {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|state| state.name() == name)
            .ok_or_else(|| format!("{name:?} is no state of a job"))
    }
}

/// What can happen to a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transition {
    /// It is put into the queue: for its first attempt, or for another.
    Queue,
    /// It is held out to an agent, under a new fence.
    Offer,
    /// The offer was refused or not accepted in time: back to the queue.
    Withdraw,
    /// The agent accepted the offer.
    Start,
    /// The agent is back and has not launched what it accepted: back to the queue.
    Return,
    /// The agent's connection is gone.
    LoseContact,
    /// The agent is back and still has it.
    Regain,
    /// The process has ended; artifacts are on their way.
    Finish,
    /// The attempt's final record, log and artifacts are stored.
    End(Outcome),
    /// The attempt has ended, and the job's next one is due later.
    Retry,
    /// It is cancelled while no agent has accepted it.
    CancelWaiting,
    /// The agent did not come back in time.
    GiveUp,
}

pub use super::run_end::Outcome;

impl Transition {
    /// The states in which it can happen.
    pub fn from(self) -> &'static [State] {
        use State::{
            Cancelled, Failed, Finishing, Loaded, Lost, Offered, Queued, Running, Succeeded,
            TimedOut, Unreachable,
        };
        match self {
            Self::Queue => &[Loaded, Succeeded, Failed, Cancelled, TimedOut, Lost],
            Self::Offer => &[Queued],
            Self::Withdraw | Self::Start => &[Offered],
            Self::Return => &[Running, Unreachable],
            Self::LoseContact => &[Running, Finishing],
            Self::Regain | Self::GiveUp => &[Unreachable],
            Self::Finish => &[Running, Unreachable],
            Self::End(_) | Self::Retry => &[Running, Unreachable, Finishing],
            Self::CancelWaiting => &[Loaded, Queued, Offered],
        }
    }

    /// The state that follows.
    pub fn to(self) -> State {
        match self {
            Self::Queue | Self::Withdraw | Self::Return | Self::Retry => State::Queued,
            Self::Offer => State::Offered,
            Self::Start | Self::Regain => State::Running,
            Self::LoseContact => State::Unreachable,
            Self::Finish => State::Finishing,
            Self::End(outcome) => outcome.state(),
            Self::CancelWaiting => State::Cancelled,
            Self::GiveUp => State::Lost,
        }
    }
}

/// A transition that the job's state does not allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a job that is {state} cannot take {transition:?}")]
pub struct Refused {
    /// The state.
    pub state: State,
    /// What should have happened.
    pub transition: Transition,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_transition() -> impl Strategy<Value = Transition> {
        prop_oneof![
            Just(Transition::Queue),
            Just(Transition::Offer),
            Just(Transition::Withdraw),
            Just(Transition::Start),
            Just(Transition::Return),
            Just(Transition::LoseContact),
            Just(Transition::Regain),
            Just(Transition::Finish),
            prop_oneof![
                Just(Outcome::Succeeded),
                Just(Outcome::Failed),
                Just(Outcome::Cancelled),
                Just(Outcome::TimedOut),
                Just(Outcome::Lost),
            ]
            .prop_map(Transition::End),
            Just(Transition::Retry),
            Just(Transition::CancelWaiting),
            Just(Transition::GiveUp),
        ]
    }

    proptest! {
        /// An ended job leaves its state only by being queued again, and the end
        /// of a job is always preceded by an offer or a cancel.
        #[test]
        fn terminal_is_terminal(events in proptest::collection::vec(any_transition(), 0..60)) {
            let mut state = State::Loaded;
            let mut offered = false;
            for event in events {
                let Ok(next) = state.apply(event) else { continue };
                if state.is_terminal() {
                    prop_assert_eq!(event, Transition::Queue);
                    offered = false;
                }
                offered |= next == State::Offered;
                if next.is_terminal() && event != Transition::CancelWaiting {
                    prop_assert!(offered, "{} ended by {:?} without an offer", state, event);
                }
                state = next;
            }
        }
    }

    #[test]
    fn names_return_unchanged() {
        for state in State::ALL {
            assert_eq!(state.name().parse(), Ok(state));
        }
        assert!("asleep".parse::<State>().is_err());
    }

    #[test]
    fn every_state_but_the_terminal_ones_has_a_way_out() {
        let ways: Vec<Transition> = vec![
            Transition::Queue,
            Transition::Offer,
            Transition::Withdraw,
            Transition::Start,
            Transition::GiveUp,
            Transition::CancelWaiting,
            Transition::End(Outcome::Failed),
        ];
        for state in State::ALL {
            assert!(ways.iter().any(|way| state.apply(*way).is_ok()), "{state} is a dead end");
        }
    }
}
