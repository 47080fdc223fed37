//! A condition on how a job has ended: `exit in 2..5 || state == timed_out`. It is read once,
//! at the door, and what is wrong with it is said with its place.

mod read;
#[cfg(test)]
mod tests;

use std::{fmt, ops::RangeInclusive};

use crate::domain::job::State;

/// How a job has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// Its state.
    pub state: State,
    /// The exit code; none if its process did not exit by itself.
    pub exit: Option<i32>,
    /// Number of the attempt that was its last.
    pub attempt: i32,
}

/// A condition on the end of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    text: String,
    test: Test,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Test {
    Any(Vec<Test>),
    All(Vec<Test>),
    Not(Box<Test>),
    State(Vec<State>),
    Number(Number, Ranges),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Number {
    Exit,
    Attempt,
}

/// Numbers from one to another, both included.
type Ranges = Vec<(i32, i32)>;

/// A text that is no condition.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConditionError {
    /// It cannot be read.
    #[error(
        "the condition cannot be read at character {at}, {}: {wanted}",
        if .found.is_empty() { "its end".to_owned() } else { format!("{:?}", .found) }
    )]
    Unreadable {
        /// Which character, from 1 on.
        at: usize,
        /// What stands there.
        found: String,
        /// What should.
        wanted: String,
    },
    /// No job ends so.
    #[error(
        "the condition, or a part of it, can never hold: exit codes are 0 to 255, attempts begin \
         with 1, and a range goes from the lower number to the higher"
    )]
    Never,
}

impl Condition {
    /// Reads a condition that is new: one that can never hold, or has a part that cannot, is
    /// refused. Those that are stored are only read.
    pub fn accept(text: &str) -> Result<Self, ConditionError> {
        let condition: Self = text.parse()?;
        if condition.test.is_sound() && condition.is_possible() {
            return Ok(condition);
        }
        Err(ConditionError::Never)
    }

    /// Whether it holds for some end. Numbers between two at which it changes are all alike.
    fn is_possible(&self) -> bool {
        let edges = |number: Number| {
            let mut edges = vec![*number.range().start()];
            self.test.edges(number, &mut edges);
            edges.into_iter().filter(move |edge| number.range().contains(edge))
        };
        let exits: Vec<Option<i32>> =
            edges(Number::Exit).map(Some).chain(std::iter::once(None)).collect();
        let attempts: Vec<i32> = edges(Number::Attempt).collect();
        State::ENDED.into_iter().any(|state| {
            exits.iter().any(|&exit| {
                attempts.iter().any(|&attempt| self.holds(End { state, exit, attempt }))
            })
        })
    }

    /// Whether it holds for an end. What asks for the exit code does not hold if there is
    /// none.
    pub fn holds(&self, end: End) -> bool {
        self.test.holds(end)
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl AsRef<str> for Condition {
    fn as_ref(&self) -> &str {
        &self.text
    }
}

impl Number {
    /// What it can be.
    fn range(self) -> RangeInclusive<i32> {
        match self {
            Self::Exit => 0..=255,
            Self::Attempt => 1..=i32::MAX,
        }
    }
}

impl Test {
    /// Whether each comparison in it can hold, taken by itself.
    fn is_sound(&self) -> bool {
        match self {
            Self::Any(tests) | Self::All(tests) => tests.iter().all(Self::is_sound),
            Self::Not(test) => test.is_sound(),
            Self::State(_) => true,
            Self::Number(number, ranges) => {
                let (least, most) = number.range().into_inner();
                ranges.iter().all(|(from, to)| from <= to)
                    && ranges.iter().any(|(from, to)| *from <= most && *to >= least)
            }
        }
    }

    /// The numbers at which it changes.
    fn edges(&self, of: Number, edges: &mut Vec<i32>) {
        match self {
            Self::Any(tests) | Self::All(tests) => {
                tests.iter().for_each(|test| test.edges(of, edges));
            }
            Self::Not(test) => test.edges(of, edges),
            Self::Number(number, ranges) if *number == of => {
                edges.extend(ranges.iter().flat_map(|(from, to)| [*from, to.saturating_add(1)]));
            }
            Self::State(_) | Self::Number(..) => {}
        }
    }

    fn holds(&self, end: End) -> bool {
        match self {
            Self::Any(tests) => tests.iter().any(|test| test.holds(end)),
            Self::All(tests) => tests.iter().all(|test| test.holds(end)),
            Self::Not(test) => !test.holds(end),
            Self::State(states) => states.contains(&end.state),
            Self::Number(number, ranges) => {
                let value = match number {
                    Number::Exit => end.exit,
                    Number::Attempt => Some(end.attempt),
                };
                let within = |value| ranges.iter().any(|(from, to)| (*from..=*to).contains(&value));
                value.is_some_and(within)
            }
        }
    }
}
