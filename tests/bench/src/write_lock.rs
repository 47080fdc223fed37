//! How long the scheduler's transactions hold the write lock, as it measures that itself.

use anyhow::Context as _;
use multiflexi_fixture::{
    SchedulerOptions,
    metrics::{self, Histogram},
};

use crate::{
    options::Part,
    report::{Measure, Report, Target},
    system::System,
};

/// Milliseconds that no transaction may hold it.
const MOST: f64 = 100.0;

/// A scheduler that tells.
pub fn watched() -> SchedulerOptions {
    let arguments = vec!["--metrics".to_owned(), "127.0.0.1:0".to_owned()];
    SchedulerOptions { arguments, ..SchedulerOptions::default() }
}

/// How long all transactions up to now have held it, in seconds.
pub fn read(system: &System) -> anyhow::Result<Histogram> {
    let scraped = metrics::scrape(&system.scheduler().log);
    let found = Histogram::of(&scraped, "multiflexi_store_lock_seconds");
    found.context("the scheduler does not say how long it holds the write lock")
}

/// Reports the transactions of a time.
pub fn report(held: &Histogram, when: &str, report: &mut Report) {
    let mut add = |what: &str, value: f64, unit: &'static str, target: Option<Target>| {
        let measure = Measure::new(Part::Million, &format!("{what} {when}"), value, unit);
        report.add(match target {
            Some(target) => measure.target(target),
            None => measure,
        });
    };
    add("transactions", held.count(), "", None);
    for (what, share) in
        [("write lock held, p50 under,", 0.5), ("write lock held, p99 under,", 0.99)]
    {
        add(what, held.under(share) * 1000.0, "ms", Some(Target::AtMost(MOST)));
    }
    let over = held.above(MOST / 1000.0);
    add("write lock held for over 100 ms", over, "", Some(Target::AtMost(0.0)));
}

/// Reports the longest of all, and shows what the scheduler says of those that were long.
pub fn longest(system: &System, report: &mut Report) -> anyhow::Result<()> {
    let log = &system.scheduler().log;
    let longest = metrics::value(&metrics::scrape(log), "multiflexi_store_lock_longest_seconds");
    let longest = longest.context("the scheduler does not say what the longest was")? * 1000.0;
    let measure = Measure::new(Part::Million, "write lock held, longest of all", longest, "ms");
    report.add(measure.target(Target::AtMost(MOST)));
    for line in log.so_far().iter().filter(|line| line.contains("held its locks for longer")) {
        eprintln!("{line}");
    }
    Ok(())
}
