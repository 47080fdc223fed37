//! Random numbers from a seed: the same seed makes the same schedule of faults.

use std::time::Duration;

/// SplitMix64: a few lines, and the same on every machine and version.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// From a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `limit`.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit.max(1)
    }

    /// A duration between two, short ones much more often than long ones.
    pub fn duration(&mut self, least: Duration, most: Duration) -> Duration {
        let share = self.below(1_000_000) as f64 / 1e6;
        // The logarithm is spread evenly.
        let (least, most) = (least.as_secs_f64().max(1e-3), most.as_secs_f64().max(1e-3));
        Duration::from_secs_f64(least * (most / least).powf(share))
    }
}
