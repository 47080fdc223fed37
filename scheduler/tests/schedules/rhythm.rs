//! The slots of a schedule, one after the other, beside the independent calculation.

use chrono::{TimeZone as _, Utc};
use chrono_tz::Tz;
use multiflexi_scheduler::domain::schedule::{
    Due, Interval, Rhythm, RhythmError, Schedule, ScheduleError, zone,
};
use proptest::prelude::*;

use crate::oracle::Oracle;

const SECOND: i64 = 1_000_000;

/// Zones whose clocks change by an hour, in the other half of the year, and by half an hour.
pub const ZONES: [Tz; 3] =
    [chrono_tz::Europe::Prague, chrono_tz::America::New_York, chrono_tz::Australia::Lord_Howe];

fn schedule(expression: &str, zone: Tz) -> Schedule {
    Schedule { rhythm: Rhythm::new(Interval::Cron, expression).unwrap(), ..Schedule::none(zone) }
}

fn at(year: i32, month: u32, day: u32, hour: u32) -> i64 {
    Utc.with_ymd_and_hms(year, month, day, hour, 0, 0).unwrap().timestamp()
}

/// All slots from one time to another, in seconds.
fn slots(schedule: &Schedule, from: i64, to: i64) -> Vec<i64> {
    let mut next = schedule.after(from * SECOND - 1);
    let mut slots = Vec::new();
    while let Some(slot) = next.filter(|slot| *slot <= to * SECOND) {
        slots.push(slot / SECOND);
        next = schedule.after(slot);
    }
    slots
}

fn field(range: std::ops::RangeInclusive<u32>) -> impl Strategy<Value = String> + Clone {
    let (first, last) = (*range.start(), *range.end());
    let value = first..=last;
    prop_oneof![
        3 => Just("*".to_owned()),
        3 => value.clone().prop_map(|value| value.to_string()),
        1 => (2..=(last - first) / 2 + 1).prop_map(|step| format!("*/{step}")),
        1 => (value.clone(), value.clone()).prop_map(|(a, b)| format!("{}-{}", a.min(b), a.max(b))),
        1 => (value.clone(), value).prop_map(|(a, b)| format!("{a},{b}")),
    ]
}

fn expression() -> impl Strategy<Value = String> {
    let month_day = prop_oneof![5 => field(1..=28), 1 => Just("L".to_owned())];
    let week_day = prop_oneof![
        5 => field(0..=6),
        1 => (0..=6_u32, 1..=4_u32).prop_map(|(day, nth)| format!("{day}#{nth}")),
        1 => Just("FRI#L".to_owned()),
        1 => Just("MON-FRI".to_owned()),
    ];
    let hour = prop_oneof![2 => field(0..=23), 2 => field(0..=4)];
    let month = prop_oneof![3 => Just("*".to_owned()), 1 => Just("MAR-NOV".to_owned())];
    (field(0..=59), hour, month_day, month, week_day)
        .prop_map(|(m, h, d, n, w)| format!("{m} {h} {d} {n} {w}"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Three weeks around the changes of the clocks, in each zone.
    #[test]
    fn slots_are_those_of_an_independent_calculation(
        expression in expression(),
        zone in prop::sample::select(ZONES.to_vec()),
        spring in any::<bool>(),
    ) {
        let month = if spring { 3 } else { 10 };
        let (from, to) = (at(2026, month, 5, 0), at(2026, month + 1, 8, 0));
        let expected: Vec<i64> =
            Oracle::new(&expression).fires(zone, from, to).into_iter().collect();
        prop_assert_eq!(slots(&schedule(&expression, zone), from, to), expected, "{}", expression);
    }

    /// However late it is looked, what is missed, caught up and in time are all slots.
    #[test]
    fn what_is_due_leaves_no_slot_out(
        expression in expression(),
        zone in prop::sample::select(ZONES.to_vec()),
        catch_up in 0..40_u32,
        late in 0..(40 * 24 * 3600_i64),
        millis in 0..1000_i64,
    ) {
        let from = at(2026, 10, 3, 0);
        let schedule = Schedule { catch_up, ..schedule(&expression, zone) };
        let Some(next) = schedule.after(from * SECOND) else { return Ok(()) };
        let now = next + late * SECOND + millis * 1000;
        let Due { missed, caught_up, in_time, next: following } = schedule.due(next, now);
        let all = slots(&schedule, next / SECOND, now.div_euclid(SECOND));
        let all: Vec<i64> = all.into_iter().map(|slot| slot * SECOND).collect();
        let known = [caught_up.clone(), in_time.clone()].concat();
        let (before, after) = all.split_at(all.len() - known.len());
        prop_assert_eq!(after, &known[..]);
        prop_assert_eq!(missed, before.first().copied().zip(before.last().copied()));
        prop_assert!(in_time.iter().all(|slot| now - slot <= 60 * SECOND));
        prop_assert!(caught_up.iter().all(|slot| now - slot > 60 * SECOND));
        prop_assert!(missed.is_none() || caught_up.len() == catch_up as usize);
        prop_assert_eq!(following, schedule.after(now));
    }
}

#[test]
fn seconds_are_taken_too() {
    let (from, to) = (at(2026, 10, 24, 22), at(2026, 10, 25, 4));
    for expression in ["*/7 * * * * *", "15 30 2 * * *", "0 59 2,3 * * *"] {
        for zone in ZONES {
            let expected: Vec<i64> =
                Oracle::new(expression).fires(zone, from, to).into_iter().collect();
            assert_eq!(slots(&schedule(expression, zone), from, to), expected, "{expression}");
        }
    }
}

#[test]
fn intervals_are_those_of_the_php_multiflexi() {
    let prague = chrono_tz::Europe::Prague;
    let expected = [
        ("i", "* * * * *"),
        ("h", "0 * * * *"),
        ("d", "0 0 * * *"),
        ("w", "0 0 * * 1"),
        ("m", "0 0 1 * *"),
        ("y", "0 0 1 1 *"),
    ];
    let (from, to) = (at(2025, 12, 30, 0), at(2026, 2, 3, 0));
    for (code, expression) in expected {
        let rhythm = Rhythm::new(code.parse().unwrap(), "").unwrap();
        let interval = Schedule { rhythm, ..Schedule::none(prague) };
        assert_eq!(slots(&interval, from, to), slots(&schedule(expression, prague), from, to));
    }
    assert!(Schedule::none(prague).after(0).is_none());
    let names = ["@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"];
    for name in names {
        assert!(schedule(name, prague).after(0).is_some(), "{name}");
    }
}

#[test]
fn what_is_no_schedule_is_refused_with_what_is_wrong() {
    for bad in [
        "",
        "61 * * * *",
        "* * * *",
        "* * * * * * *",
        "nonsense",
        "@reboot",
        "@every 5m",
        "*/0 * * * *",
        "5-1 * * * *",
        "* * * * MOO",
        "\u{0}",
        "* * * * * ; rm",
        "L * * * *",
    ] {
        let refused = Rhythm::new(Interval::Cron, bad).unwrap_err().to_string();
        assert!(refused.contains("cron expression"), "{bad:?}: {refused}");
    }
    assert!(Rhythm::new(Interval::Cron, &"* ".repeat(10_000)).is_err());
    assert!(matches!("x".parse::<Interval>(), Err(RhythmError::Interval(_))));
    let never = schedule("0 0 30 2 *", chrono_tz::UTC).check(0).unwrap_err();
    assert!(never.to_string().contains("0 0 30 2 *"), "{never}");
    assert!(matches!(zone("Mars/Olympus"), Err(ScheduleError::Zone(_))));
    assert_eq!(zone("europe/prague").unwrap(), chrono_tz::Europe::Prague);
}

#[test]
fn nothing_is_before_its_begin_or_after_its_end() {
    let daily = schedule("0 12 * * *", chrono_tz::UTC);
    let (from, until) = (at(2026, 5, 3, 12), at(2026, 5, 5, 12));
    let bounded =
        Schedule { not_before: Some(from * SECOND), not_after: Some(until * SECOND), ..daily };
    assert_eq!(
        slots(&bounded, at(2026, 4, 1, 0), at(2026, 6, 1, 0)),
        [from, at(2026, 5, 4, 12), until]
    );
    let late = bounded.due(from * SECOND, at(2026, 7, 1, 0) * SECOND);
    assert_eq!((late.caught_up, late.next), (vec![until * SECOND], None));
}

#[test]
fn jitter_spreads_and_stays_what_it_is() {
    let hour = std::time::Duration::from_secs(3600);
    let jittered = Schedule { delay: hour, jitter: hour, ..schedule("0 0 * * *", chrono_tz::UTC) };
    let slot = at(2026, 1, 1, 0) * SECOND;
    let starts: Vec<i64> = (0..1000).map(|seed| jittered.start(slot, seed) - slot).collect();
    assert!(starts.iter().all(|start| (3600 * SECOND..=7200 * SECOND).contains(start)));
    let early = starts.iter().filter(|start| **start < 5400 * SECOND).count();
    assert!((400..600).contains(&early), "{early} of 1000 are in the first half");
    assert_eq!(jittered.start(slot, 7), starts[7] + slot);
}
