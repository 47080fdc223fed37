//! How much is kept of what ended jobs have left.

use std::time::Duration;

/// Limits of what is kept. A limit of 0 keeps all; one that is absent is somebody
/// else's to say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keep {
    /// How long.
    pub age: Option<Duration>,
    /// How many jobs, the newest.
    pub count: Option<u64>,
    /// How many bytes of output and artifacts, of the newest jobs.
    pub bytes: Option<u64>,
}

impl Keep {
    /// These limits, and for what is absent those.
    pub fn or(self, other: Self) -> Self {
        Self {
            age: self.age.or(other.age),
            count: self.count.or(other.count),
            bytes: self.bytes.or(other.bytes),
        }
    }

    /// The limits that hold: those that are neither absent nor 0.
    pub fn holding(self) -> Self {
        Self {
            age: self.age.filter(|age| !age.is_zero()),
            count: self.count.filter(|count| *count > 0),
            bytes: self.bytes.filter(|bytes| *bytes > 0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_templates_own_word_counts_and_0_keeps_all() {
        let own = Keep { age: Some(Duration::ZERO), count: Some(5), bytes: None };
        let usual = Keep { age: Some(Duration::from_secs(9)), count: Some(9), bytes: Some(9) };
        let holds = own.or(usual).holding();
        assert_eq!(holds, Keep { age: None, count: Some(5), bytes: Some(9) });
    }
}
