//! How the runs of a run template went: how long they took, how many succeeded, and what is
//! longer than usual. Robust numbers: one run that hung does not spoil them.

use std::time::Duration;

/// Runs that are needed before anything is longer than usual.
const ENOUGH: usize = 5;

/// How many deviations beyond the median are longer than usual.
const DEVIATIONS: f64 = 4.0;

/// The median absolute deviation of what is normally distributed is so much less than its
/// standard deviation.
const NORMAL: f64 = 1.4826;

/// Beyond the median by less than this part of it is never longer than usual, nor by less
/// than a second: what always takes the same varies by chance.
const LEAST: f64 = 0.2;

/// A run that has ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Run {
    /// How long its process ran; none if it was not launched.
    pub took: Option<Duration>,
    /// Whether it ended well.
    pub well: bool,
}

/// Numbers about runs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Performance {
    /// How many of them ended well, of all.
    pub succeeded: usize,
    /// How many there are.
    pub runs: usize,
    /// Half of those that ended well took at most so long.
    pub p50: Option<Duration>,
    /// 95 of 100 of those that ended well took at most so long.
    pub p95: Option<Duration>,
    /// What takes more is longer than usual; none while too few have ended well.
    pub usual: Option<Duration>,
    /// How many of the newest, one after the other, ended as the newest did.
    pub streak: usize,
}

/// Sums up runs, the newest first.
pub fn performance(runs: &[Run]) -> Performance {
    let mut took: Vec<Duration> =
        runs.iter().filter(|run| run.well).filter_map(|run| run.took).collect();
    took.sort_unstable();
    Performance {
        succeeded: runs.iter().filter(|run| run.well).count(),
        runs: runs.len(),
        p50: percentile(&took, 50),
        p95: percentile(&took, 95),
        usual: usual(&took),
        streak: runs.iter().take_while(|run| run.well == runs[0].well).count(),
    }
}

/// The smallest of `sorted` that so many of a hundred are not above.
fn percentile(sorted: &[Duration], percent: usize) -> Option<Duration> {
    sorted.get((sorted.len() * percent).div_ceil(100).max(1) - 1).copied()
}

fn usual(sorted: &[Duration]) -> Option<Duration> {
    if sorted.len() < ENOUGH {
        return None;
    }
    let median = percentile(sorted, 50)?;
    let mut deviations: Vec<Duration> = sorted.iter().map(|took| took.abs_diff(median)).collect();
    deviations.sort_unstable();
    let deviation = percentile(&deviations, 50)?;
    let least = median.mul_f64(LEAST).max(Duration::from_secs(1));
    Some(median + deviation.mul_f64(NORMAL * DEVIATIONS).max(least))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(seconds: &[u64]) -> Vec<Run> {
        let run = |took: &u64| Run { took: Some(Duration::from_secs(*took)), well: true };
        seconds.iter().map(run).collect()
    }

    #[test]
    fn one_run_that_hung_does_not_spoil_the_numbers() {
        let found = performance(&runs(&[10, 11, 9, 10, 12, 10, 9, 11, 10, 3600]));
        assert_eq!(found.p50, Some(Duration::from_secs(10)));
        assert_eq!(found.p95, Some(Duration::from_secs(3600)));
        let usual = found.usual.unwrap();
        assert!((12..30).contains(&usual.as_secs()), "{usual:?}");
    }

    #[test]
    fn what_always_takes_the_same_may_vary_a_little() {
        let found = performance(&runs(&[100; 20]));
        assert_eq!(found.usual, Some(Duration::from_secs(120)));
        let short = Run { took: Some(Duration::from_millis(5)), well: true };
        assert_eq!(performance(&[short; 9]).usual, Some(Duration::from_millis(1005)));
    }

    #[test]
    fn too_few_runs_say_nothing() {
        assert_eq!(performance(&[]), Performance::default());
        let few = performance(&runs(&[1, 2, 3, 4]));
        assert_eq!((few.usual, few.p50), (None, Some(Duration::from_secs(2))));
    }

    #[test]
    fn only_runs_that_ended_well_tell_how_long_one_takes() {
        let failed = Run { took: Some(Duration::from_secs(1)), well: false };
        let never = Run { took: None, well: false };
        let all = [vec![failed, never, failed], runs(&[60; 6])].concat();
        let found = performance(&all);
        assert_eq!((found.succeeded, found.runs, found.streak), (6, 9, 3));
        assert_eq!(found.p50, Some(Duration::from_secs(60)));
    }
}
