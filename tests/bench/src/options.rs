//! What is measured, how much of it, and where.

use std::{fmt, path::PathBuf};

use clap::{Parser, ValueEnum};

use crate::generator::Generator;

/// Measures the machine's limits and, beside them, what MultiFlexi reaches.
#[derive(Clone, Debug, Parser)]
#[command(name = "multiflexi-bench", version, about)]
pub struct Options {
    /// Only this part; may be given more than once [default: all but databases, schedules,
    /// growth and million]
    #[arg(long, value_name = "PART")]
    only: Vec<Part>,
    /// Jobs of the parts batch and single
    #[arg(long, default_value_t = 5_000, value_name = "N",
        value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub jobs: u32,
    /// Jobs of the part growth; at least two rounds of 2,000
    #[arg(long, default_value_t = 100_000, value_name = "N",
        value_parser = clap::value_parser!(u32).range(4_000..))]
    pub growth_jobs: u32,
    /// Finished jobs of the part million
    #[arg(long, default_value_t = 1_000_000, value_name = "N",
        value_parser = clap::value_parser!(u32).range(1_000..))]
    pub million_jobs: u32,
    /// Size of the outputs and artifacts, in MiB
    #[arg(long, default_value_t = 1024, value_name = "N",
        value_parser = clap::value_parser!(u64).range(1..=1_048_576))]
    pub mib: u64,
    /// Runs of the part latency
    #[arg(long, default_value_t = 200, value_name = "N",
        value_parser = clap::value_parser!(u32).range(1..))]
    pub runs: u32,
    /// Run templates of the part schedules
    #[arg(long, default_value_t = 2_000, value_name = "N",
        value_parser = clap::value_parser!(u32).range(1..=20_000))]
    pub templates: u32,
    /// How many jobs the agent runs at once
    #[arg(long, default_value_t = 8, value_name = "N",
        value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub slots: u32,
    /// Also writes the numbers to this file as JSON; `-` is stdout, and the table
    /// then goes to stderr
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Where everything is stored while it runs: the disk that is measured
    #[arg(long, default_value_os_t = std::env::temp_dir(), value_name = "DIR")]
    pub dir: PathBuf,
    /// What the measured jobs run.
    #[command(subcommand)]
    pub generator: Option<Generator>,
}

/// A part of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// What the machine allows, without any code of the system
    Limits,
    /// Many jobs, submitted in one call
    Batch,
    /// Many jobs, submitted one by one
    Single,
    /// From submitting a job to its first output at a follower
    Latency,
    /// A job that writes much text
    Stdout,
    /// A job that leaves a large file
    Artifact,
    /// Connected and without work
    Idle,
    /// The batch on SQLite, PostgreSQL and MariaDB, in turns; needs the programs of both servers
    Databases,
    /// Many run templates whose schedules are due at one instant
    Schedules,
    /// Whether many finished jobs make the next ones slower; takes minutes
    Growth,
    /// Lists and deletions among a million finished jobs; takes minutes
    Million,
}

impl Part {
    const DEFAULT: [Self; 7] = [
        Self::Limits,
        Self::Batch,
        Self::Single,
        Self::Latency,
        Self::Stdout,
        Self::Artifact,
        Self::Idle,
    ];

    /// Its name on the command line and in the report.
    pub fn name(self) -> &'static str {
        match self {
            Self::Limits => "limits",
            Self::Batch => "batch",
            Self::Single => "single",
            Self::Latency => "latency",
            Self::Stdout => "stdout",
            Self::Artifact => "artifact",
            Self::Idle => "idle",
            Self::Databases => "databases",
            Self::Schedules => "schedules",
            Self::Growth => "growth",
            Self::Million => "million",
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Options {
    /// The parts to run, in an order in which the limits come first.
    pub fn parts(&self) -> Vec<Part> {
        let asked = |part: &Part| match self.only.as_slice() {
            [] => Part::DEFAULT.contains(part),
            only => only.contains(part),
        };
        Part::value_variants().iter().copied().filter(asked).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_come_first_and_growth_only_when_asked_for() {
        let parts = |words: &[&str]| Options::parse_from([&["bench"], words].concat()).parts();
        assert_eq!(parts(&[]), Part::DEFAULT);
        let only = ["--only", "growth", "--only", "limits", "--only", "limits"];
        assert_eq!(parts(&only), [Part::Limits, Part::Growth]);
    }
}
