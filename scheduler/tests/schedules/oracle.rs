//! When a schedule fires, found out without the code under test: by walking through all
//! minutes, or seconds, of a time, and looking at the clock on the wall.

use std::{collections::BTreeSet, ops::RangeInclusive};

use chrono::{DateTime, Datelike as _, Days, LocalResult, NaiveDate, TimeZone as _, Timelike as _};
use chrono_tz::Tz;

/// Which values of a field are meant.
#[derive(Clone, Debug)]
struct Values {
    set: u64,
    any: bool,
}

impl Values {
    fn read(text: &str, range: RangeInclusive<u32>, names: &[&str]) -> Self {
        let number = |text: &str| {
            let upper = text.to_uppercase();
            let named = names.iter().position(|name| *name == upper);
            named.map_or_else(|| text.parse().unwrap(), |at| at as u32 + *range.start())
        };
        let mut set = 0;
        for part in text.split(',') {
            let (values, step) = part
                .split_once('/')
                .map_or((part, 1), |(values, step)| (values, step.parse::<usize>().unwrap()));
            let (first, last) = match values.split_once('-') {
                _ if values == "*" => (*range.start(), *range.end()),
                Some((first, last)) => (number(first), number(last)),
                None => (number(values), number(values)),
            };
            for value in (first..=last).step_by(step) {
                set |= 1 << value;
            }
        }
        Self { set, any: text == "*" }
    }

    fn has(&self, value: u32) -> bool {
        self.set & (1 << value) != 0
    }

    fn only(&self) -> Option<u32> {
        (self.set.count_ones() == 1).then(|| self.set.trailing_zeros())
    }
}

/// Which days are meant.
#[derive(Clone, Debug)]
struct Daily {
    month: Values,
    month_day: Option<Values>,
    last_day: bool,
    week_day: Option<Values>,
    /// A weekday, and which of the month: 0 for the last.
    nth: Option<(u32, u32)>,
}

impl Daily {
    fn has(&self, day: NaiveDate) -> bool {
        if !self.month.has(day.month()) {
            return false;
        }
        let week_day = day.weekday().num_days_from_sunday();
        let is_last = |date: NaiveDate, days| (date + Days::new(days)).month() != date.month();
        let by_month_day = match &self.month_day {
            _ if self.last_day => Some(is_last(day, 1)),
            Some(values) if !values.any => Some(values.has(day.day())),
            _ => None,
        };
        let by_week_day = match (&self.week_day, self.nth) {
            (_, Some((which, 0))) => Some(which == week_day && is_last(day, 7)),
            (_, Some((which, nth))) => Some(which == week_day && day.day().div_ceil(7) == nth),
            (Some(values), _) if !values.any => Some(values.has(week_day)),
            _ => None,
        };
        match (by_month_day, by_week_day) {
            // As cron has always had it: either, if both are said.
            (Some(month_day), Some(week_day)) => month_day || week_day,
            (one, other) => one.or(other).unwrap_or(true),
        }
    }
}

/// An expression.
#[derive(Clone, Debug)]
pub struct Oracle {
    second: Values,
    with_seconds: bool,
    minute: Values,
    hour: Values,
    day: Daily,
}

impl Oracle {
    /// Reads an expression of five or six fields.
    pub fn new(expression: &str) -> Self {
        const MONTHS: [&str; 12] =
            ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
        const DAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];
        let fields: Vec<&str> = expression.split_whitespace().collect();
        let with_seconds = fields.len() == 6;
        let (second, rest) =
            if with_seconds { (fields[0], &fields[1..]) } else { ("0", &fields[..]) };
        let [minute, hour, month_day, month, week_day] = rest else { panic!("{expression}") };
        let nth = week_day.split_once('#').map(|(which, nth)| {
            let which = Values::read(which, 0..=6, &DAYS).only().unwrap();
            (which, if nth == "L" { 0 } else { nth.parse().unwrap() })
        });
        let mut days = nth.is_none().then(|| Values::read(week_day, 0..=7, &DAYS));
        if let Some(days) = &mut days
            && days.has(7)
        {
            days.set |= 1;
        }
        Self {
            second: Values::read(second, 0..=59, &[]),
            with_seconds,
            minute: Values::read(minute, 0..=59, &[]),
            hour: Values::read(hour, 0..=23, &[]),
            day: Daily {
                month: Values::read(month, 1..=12, &MONTHS),
                last_day: *month_day == "L",
                month_day: (*month_day != "L").then(|| Values::read(month_day, 1..=31, &[])),
                week_day: days,
                nth,
            },
        }
    }

    /// The moments from a time to another, both included, in seconds since the Unix epoch.
    pub fn fires(&self, zone: Tz, from: i64, to: i64) -> BTreeSet<i64> {
        match (self.hour.only(), self.minute.only(), self.second.only()) {
            (Some(hour), Some(minute), Some(second)) => {
                self.once_a_day(zone, (hour, minute, second), from, to)
            }
            _ => self.by_the_wall(zone, from, to),
        }
    }

    /// Each day that is meant has it once.
    fn once_a_day(&self, zone: Tz, time: (u32, u32, u32), from: i64, to: i64) -> BTreeSet<i64> {
        let day = |time| zone.timestamp_opt(time, 0).unwrap().date_naive();
        let (mut date, last) = (day(from) - Days::new(1), day(to) + Days::new(1));
        let mut fires = BTreeSet::new();
        while date <= last {
            if self.day.has(date) {
                let wall = date.and_hms_opt(time.0, time.1, time.2).unwrap();
                fires.insert(match zone.from_local_datetime(&wall) {
                    LocalResult::Single(time) => time.timestamp(),
                    LocalResult::Ambiguous(first, _) => first.timestamp(),
                    // It does not exist: the first second whose wall clock is later.
                    LocalResult::None => {
                        let is_later = |time: &DateTime<Tz>| time.naive_local() > wall;
                        let mut second = wall.and_utc().timestamp() - 15 * 3600;
                        while !is_later(&zone.timestamp_opt(second, 0).unwrap()) {
                            second += 1;
                        }
                        second
                    }
                });
            }
            date = date + Days::new(1);
        }
        fires.into_iter().filter(|time| (from..=to).contains(time)).collect()
    }

    fn by_the_wall(&self, zone: Tz, from: i64, to: i64) -> BTreeSet<i64> {
        let step = if self.with_seconds { 1 } else { 60 };
        let mut fires = BTreeSet::new();
        let mut last_day = None;
        let mut time = from + (-from).rem_euclid(step);
        while time <= to {
            let wall = zone.timestamp_opt(time, 0).unwrap();
            if self.second.has(wall.second())
                && self.minute.has(wall.minute())
                && self.hour.has(wall.hour())
            {
                let date = wall.date_naive();
                let is_meant = match last_day {
                    Some((day, is_meant)) if day == date => is_meant,
                    _ => self.day.has(date),
                };
                last_day = Some((date, is_meant));
                if is_meant {
                    fires.insert(time);
                }
            }
            time += step;
        }
        fires
    }
}
