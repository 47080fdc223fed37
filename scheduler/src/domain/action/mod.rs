//! Actions: what follows when a job of a run template has ended.

mod condition;
mod facts;

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    str::FromStr,
};

use super::{
    ids::{CompanyId, RunTemplateId},
    job::State,
};

pub use condition::{Condition, ConditionError, End};
pub use facts::{Fact, Facts, Within};

/// Whose an action is, and so which jobs it follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The jobs of a run template.
    RunTemplate(RunTemplateId),
    /// The jobs of all run templates of a company.
    Company(CompanyId),
}

/// After which ends an action follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The job has succeeded.
    Success,
    /// The job has failed, timed out or was lost.
    Fail,
    /// The job has ended, whatever way.
    Always,
    /// This holds for its end.
    When(Condition),
}

impl Mode {
    /// Whether it follows an end. No failure is the end of a job that somebody cancelled.
    pub fn follows(&self, end: End) -> bool {
        match self {
            Self::Success => end.state == State::Succeeded,
            Self::Fail => matches!(end.state, State::Failed | State::TimedOut | State::Lost),
            Self::Always => end.state.is_terminal(),
            Self::When(condition) => condition.holds(end),
        }
    }

    /// The name that the database holds: of a condition, its text.
    pub fn name(&self) -> &str {
        match self {
            Self::Success => "success",
            Self::Fail => "fail",
            Self::Always => "always",
            Self::When(condition) => condition.as_ref(),
        }
    }
}

impl FromStr for Mode {
    type Err = ConditionError;

    fn from_str(name: &str) -> Result<Self, ConditionError> {
        Ok(match name {
            "success" => Self::Success,
            "fail" => Self::Fail,
            "always" => Self::Always,
            condition => Self::When(condition.parse()?),
        })
    }
}

/// How far an action of an ended job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It is to be done: at its time, or after the one before it.
    Pending,
    /// A scheduler does it.
    Running,
    /// It is done.
    Succeeded,
    /// It could not be done.
    Failed,
    /// Somebody has said that it is not to be done.
    Cancelled,
}

impl Progress {
    /// All of them, in their order.
    pub const ALL: [Self; 5] =
        [Self::Pending, Self::Running, Self::Succeeded, Self::Failed, Self::Cancelled];

    /// The name that the database holds.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Progress {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|progress| progress.name() == name);
        found.ok_or_else(|| format!("{name:?} is no state of an action"))
    }
}

/// The way back from `to` to `from`, both named, if a job of `from` that launches one of
/// `to` would so lead to itself. `edges` say which run template's jobs launch which.
pub fn way_back(
    edges: &[(RunTemplateId, RunTemplateId)],
    from: RunTemplateId,
    to: RunTemplateId,
) -> Option<Vec<RunTemplateId>> {
    let mut came_from = HashMap::from([(to, to)]);
    let mut next = VecDeque::from([to]);
    while let Some(at) = next.pop_front() {
        if at == from {
            let mut way = vec![at];
            while let Some(before) = way.last().and_then(|at| came_from.get(at)) {
                if way.last() == Some(before) {
                    break;
                }
                way.push(*before);
            }
            way.reverse();
            return Some(way);
        }
        for (_, target) in edges.iter().filter(|(source, _)| *source == at) {
            came_from.entry(*target).or_insert_with(|| {
                next.push_back(*target);
                at
            });
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn edges(pairs: &[(i64, i64)]) -> Vec<(RunTemplateId, RunTemplateId)> {
        pairs.iter().map(|(from, to)| (RunTemplateId(*from), RunTemplateId(*to))).collect()
    }

    fn way(pairs: &[(i64, i64)], from: i64, to: i64) -> Option<Vec<i64>> {
        let way = way_back(&edges(pairs), RunTemplateId(from), RunTemplateId(to))?;
        Some(way.iter().map(|id| id.0).collect())
    }

    #[test]
    fn a_loop_is_found_and_its_way_named() {
        let known = [(1, 2), (2, 3), (2, 4), (4, 5), (3, 5)];
        assert_eq!(way(&known, 1, 5), None, "two ways to the same are no loop");
        assert_eq!(way(&known, 5, 5), Some(vec![5]));
        assert_eq!(way(&known, 2, 1), Some(vec![1, 2]));
        assert_eq!(way(&known, 5, 1), Some(vec![1, 2, 3, 5]));
        assert_eq!(way(&[], 1, 2), None);
    }

    #[test]
    fn what_follows_on_failure_does_not_follow_a_cancel() {
        let follows = |mode: &Mode, state| mode.follows(End { state, exit: None, attempt: 1 });
        let modes = [Mode::Success, Mode::Fail, Mode::Always];
        for (state, expected) in [
            (State::Succeeded, [true, false, true]),
            (State::Failed, [false, true, true]),
            (State::TimedOut, [false, true, true]),
            (State::Lost, [false, true, true]),
            (State::Cancelled, [false, false, true]),
            (State::Queued, [false, false, false]),
        ] {
            assert_eq!(modes.each_ref().map(|mode| follows(mode, state)), expected, "{state}");
        }
        let when: Mode = "state == cancelled".parse().unwrap();
        assert!(follows(&when, State::Cancelled) && !follows(&when, State::Failed));
        for name in ["success", "fail", "always", "exit == 3"] {
            assert_eq!(name.parse::<Mode>().unwrap().name(), name);
        }
    }

    proptest! {
        /// Edges that were let in one by one never make a loop, whatever was asked for.
        #[test]
        fn what_is_let_in_makes_no_loop(asked in proptest::collection::vec((0_i64..8, 0_i64..8), 0..40)) {
            let mut known = Vec::new();
            for (from, to) in asked {
                if way(&known, from, to).is_none() {
                    known.push((from, to));
                }
            }
            // Without a loop, whoever has no edge to another can be taken away until nobody is left.
            let mut left = known;
            loop {
                let before = left.len();
                let sources: Vec<i64> = left.iter().map(|(from, _)| *from).collect();
                left.retain(|(_, to)| sources.contains(to));
                if left.len() == before { break }
            }
            prop_assert!(left.is_empty(), "{left:?}");
        }
    }
}
