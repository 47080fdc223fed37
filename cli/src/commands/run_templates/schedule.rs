//! How the schedule of a run template looks.

use multiflexi_proto::v1::Schedule;
use serde_json::{Value, json};

use crate::output::json;

/// A schedule, for machines.
pub fn value(schedule: &Schedule) -> Value {
    json!({
        "interval": schedule.interval,
        "cron": json::text(&schedule.cron),
        "description": json::text(&schedule.description),
        "time_zone": schedule.time_zone,
        "not_before": json::time(schedule.not_before.as_ref()),
        "not_after": json::time(schedule.not_after.as_ref()),
        "delay_seconds": json::seconds(schedule.delay.as_ref()),
        "jitter_seconds": json::seconds(schedule.jitter.as_ref()),
        "overlap": schedule.overlap().name(),
        "catch_up": schedule.catch_up,
        "next": json::time(schedule.next.as_ref()),
        "last": json::time(schedule.last.as_ref()),
        "clock_was_ahead": schedule.clock_was_ahead,
    })
}

/// A schedule, for people.
pub fn text(schedule: Option<&Schedule>) -> String {
    let Some(schedule) = schedule.filter(|schedule| schedule.interval != "n") else {
        return "none".to_owned();
    };
    let rhythm = if schedule.cron.is_empty() { &schedule.interval } else { &schedule.cron };
    let mut text = format!("{rhythm} ({}), {}", schedule.description, schedule.time_zone);
    let mut add = |what: &str, value: String| text.push_str(&format!(", {what} {value}"));
    if let Some(from) = &schedule.not_before {
        add("not before", json::zoned(Some(from)));
    }
    if let Some(until) = &schedule.not_after {
        add("not after", json::zoned(Some(until)));
    }
    for (what, shift) in [("delay", &schedule.delay), ("jitter up to", &schedule.jitter)] {
        if let Some(shift) = shift.as_ref().filter(|shift| shift.seconds > 0 || shift.nanos > 0) {
            add(what, json::lasting(shift));
        }
    }
    add("overlap", schedule.overlap().name().to_owned());
    add("catch-up", catch_up(schedule));
    text
}

/// What of the moments is made up for, for people.
pub fn catch_up(schedule: &Schedule) -> String {
    match schedule.catch_up {
        0 => "skip".to_owned(),
        1 => "one".to_owned(),
        most => most.to_string(),
    }
}

/// When the next job starts, for people.
pub fn next(schedule: Option<&Schedule>) -> String {
    json::zoned(schedule.and_then(|schedule| schedule.next.as_ref()))
}

/// Why no job of a run template starts by itself though it has a schedule, for people; empty if
/// nothing is in the way.
pub fn trouble(id: i64, active: bool, schedule: &Schedule) -> String {
    let rhythm = match schedule.cron.as_str() {
        "" => format!("--interval {}", schedule.interval),
        cron => format!("--cron '{cron}'"),
    };
    match (active, schedule.clock_was_ahead) {
        (false, _) => format!("inactive: runtemplate:enable {id} lets it start"),
        (true, true) => format!(
            "its last moment is in the future: the clock was ahead, and nothing starts until then; \
             runtemplate:schedule {id} {rhythm} begins anew"
        ),
        (true, false) => String::new(),
    }
}

/// When the last job started, for people.
pub fn last(schedule: Option<&Schedule>) -> String {
    json::zoned(schedule.and_then(|schedule| schedule.last.as_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_keeps_a_schedule_from_starting_is_said_with_what_helps() {
        let schedule = Schedule { cron: "0 6 * * *".to_owned(), ..Schedule::default() };
        assert_eq!(trouble(3, true, &schedule), "");
        assert_eq!(trouble(3, false, &schedule), "inactive: runtemplate:enable 3 lets it start");
        let ahead = trouble(3, true, &Schedule { clock_was_ahead: true, ..schedule });
        assert!(
            ahead.ends_with("runtemplate:schedule 3 --cron '0 6 * * *' begins anew"),
            "{ahead}"
        );
    }

    #[test]
    fn what_is_caught_up_is_shown_as_it_is_said() {
        let shown = |catch_up| super::catch_up(&Schedule { catch_up, ..Schedule::default() });
        assert_eq!([0, 1, 7].map(shown), ["skip", "one", "7"]);
    }
}
