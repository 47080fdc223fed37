//! Times between the protocol and the system, which counts microseconds since
//! the Unix epoch.

use std::time::Duration;

use prost_types::{Duration as ProtoDuration, Timestamp};

const MICROS: i64 = 1_000_000;

/// The protocol's form of a time in microseconds since the Unix epoch.
pub fn timestamp(micros: i64) -> Timestamp {
    Timestamp {
        seconds: micros.div_euclid(MICROS),
        nanos: (micros.rem_euclid(MICROS) * 1000) as i32,
    }
}

/// Microseconds since the Unix epoch; a time beyond the range is clamped.
pub fn timestamp_micros(time: &Timestamp) -> i64 {
    time.seconds.saturating_mul(MICROS).saturating_add(i64::from(time.nanos) / 1000)
}

/// The protocol's form of a duration.
pub fn duration(duration: Duration) -> ProtoDuration {
    ProtoDuration {
        seconds: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        nanos: duration.subsec_nanos() as i32,
    }
}

/// The duration, or nothing if it is negative.
pub fn std_duration(duration: &ProtoDuration) -> Option<Duration> {
    let seconds = u64::try_from(duration.seconds).ok()?;
    let nanos = u32::try_from(duration.nanos).ok().filter(|nanos| *nanos < 1_000_000_000)?;
    Some(Duration::new(seconds, nanos))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn timestamps_return_unchanged(micros in -4_000_000_000_000_000i64..4_000_000_000_000_000) {
            prop_assert_eq!(timestamp_micros(&timestamp(micros)), micros);
        }

        #[test]
        fn durations_return_unchanged(micros in 0u64..4_000_000_000_000_000) {
            let time = Duration::from_micros(micros);
            prop_assert_eq!(std_duration(&duration(time)), Some(time));
        }
    }

    #[test]
    fn negative_durations_are_refused() {
        assert_eq!(std_duration(&ProtoDuration { seconds: -1, nanos: 0 }), None);
        assert_eq!(std_duration(&ProtoDuration { seconds: 0, nanos: -1 }), None);
    }
}
