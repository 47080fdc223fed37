//! The middle and the end of many times.

use std::time::Duration;

/// The median and the 99th percentile (nearest rank), in milliseconds; zeros if
/// there are no times.
pub fn p50_p99(mut times: Vec<Duration>) -> [f64; 2] {
    times.sort_unstable();
    [50, 99].map(|percent| {
        let rank = (times.len() * percent).div_ceil(100);
        let time = times.get(rank.saturating_sub(1)).copied().unwrap_or_default();
        time.as_secs_f64() * 1000.0
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_rank() {
        let times = |range: std::ops::RangeInclusive<u64>| range.rev().map(Duration::from_millis);
        assert_eq!(p50_p99(times(1..=200).collect()), [100.0, 198.0]);
        assert_eq!(p50_p99(times(1..=3).collect()), [2.0, 3.0]);
        assert_eq!(p50_p99(Vec::new()), [0.0, 0.0]);
    }
}
