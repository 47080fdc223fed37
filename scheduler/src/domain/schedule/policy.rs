//! What becomes of a slot while runs before it have not ended.

use std::{fmt, str::FromStr};

/// What happens to a slot that is due while a run of the schedule before it has not ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overlap {
    /// It is left out.
    #[default]
    Skip,
    /// It waits until that has ended; while one waits, more are left out.
    Queue,
    /// It runs beside.
    Allow,
    /// That is cancelled, and it runs when it has ended.
    Replace,
}

impl Overlap {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Skip, Self::Queue, Self::Allow, Self::Replace];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Skip => "skip",
            Self::Queue => "queue",
            Self::Allow => "allow",
            Self::Replace => "replace",
        }
    }

    /// Whether the jobs of the run template run one at a time because of it.
    pub fn is_exclusive(self) -> bool {
        matches!(self, Self::Queue | Self::Replace)
    }

    /// What becomes of a slot while these are open.
    pub fn decide(self, open: Open) -> Verdict {
        match (self, open) {
            (_, Open { waits: false, runs: false }) | (Self::Allow, _) => Verdict::Run,
            (Self::Skip, Open { runs: true, .. }) => Verdict::Leave("the run before has not ended"),
            (Self::Skip, _) => Verdict::Leave("the run before has not begun"),
            (Self::Queue, Open { waits: true, .. }) => Verdict::Leave("a run waits already"),
            (Self::Queue, _) => Verdict::Run,
            (Self::Replace, _) => Verdict::Replace,
        }
    }
}

impl fmt::Display for Overlap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.name().fmt(f)
    }
}

impl FromStr for Overlap {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|overlap| overlap.name() == name);
        found.ok_or_else(|| {
            let name: String = name.chars().take(40).collect();
            let all = Self::ALL.map(Self::name).join(", ");
            format!("{name:?} is no way to deal with overlaps: take {all}")
        })
    }
}

/// Runs of the schedule that have not ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Open {
    /// One waits.
    pub waits: bool,
    /// One is on an agent.
    pub runs: bool,
}

/// What becomes of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Its job is made.
    Run,
    /// Its job is made, and those that are open are cancelled.
    Replace,
    /// It is left out, and why.
    Leave(&'static str),
}
