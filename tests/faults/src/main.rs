//! Breaks everything while jobs run, and then has an independent checker count what
//! is missing, double or left behind. Exits non-zero if anything is wrong.

mod checker;
mod fault;
mod outages;
mod random;
mod schedule;
mod schedulers;
mod upload;
mod workload;

use std::time::Duration;

use clap::Parser;

/// Breaks everything while jobs run, and checks that nothing is lost.
#[derive(Debug, Parser)]
enum Scenario {
    /// Faults at random, from a seed that is printed and replays them
    Random(schedule::Schedule),
    /// Several schedulers on one PostgreSQL, killed at random
    Schedulers(schedulers::Schedulers),
    /// A large artifact whose upload is cut five times
    Upload {
        /// Its size
        #[arg(long, default_value_t = 1024)]
        mib: u64,
    },
    /// A long job through a new agent program, a scheduler that is down, and a
    /// connection that swallows everything
    Outages {
        /// How long each outage is; the job takes five times as long
        #[arg(long, value_parser = humantime::parse_duration, default_value = "2min")]
        outage: Duration,
    },
}

fn main() -> anyhow::Result<()> {
    match Scenario::parse() {
        Scenario::Random(schedule) => schedule::run(&schedule),
        Scenario::Schedulers(schedulers) => schedulers::run(&schedulers),
        Scenario::Upload { mib } => upload::run(mib),
        Scenario::Outages { outage } => outages::run(outage),
    }
}
