//! What was measured, beside the machine's limit and the target: as a table for
//! people and as JSON for programs.

use std::{fs, io::Write as _, path::Path};

use anyhow::Context as _;
use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;

use crate::options::{Options, Part};

/// What is to be reached.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// As much as this, in the measure's unit.
    AtLeast(f64),
    /// No more than this, in the measure's unit.
    AtMost(f64),
    /// So many percent of the machine's limit.
    ShareAtLeast(f64),
}

/// One number.
#[derive(Clone, Debug, Serialize)]
pub struct Measure {
    part: &'static str,
    what: String,
    value: f64,
    unit: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<&'static str>,
    /// Percent of the limit that were reached, if it was measured in this run.
    #[serde(skip_serializing_if = "Option::is_none")]
    share: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<Target>,
}

impl Measure {
    /// A number of a part.
    pub fn new(part: Part, what: &str, value: f64, unit: &'static str) -> Self {
        let what = what.to_owned();
        Self { part: part.name(), what, value, unit, limit: None, share: None, target: None }
    }

    /// With the machine's limit that it stands beside: what that measure is called.
    pub fn limit(self, what: &'static str) -> Self {
        Self { limit: Some(what), ..self }
    }

    /// With its target.
    pub fn target(self, target: Target) -> Self {
        Self { target: Some(target), ..self }
    }

    /// Whether the target is reached; none if there is none, or if the limit that
    /// it is a share of was not measured.
    fn reached(&self) -> Option<bool> {
        Some(match self.target? {
            Target::AtLeast(least) => self.value >= least,
            Target::AtMost(most) => self.value <= most,
            Target::ShareAtLeast(least) => self.share? >= least,
        })
    }

    fn row(&self) -> [String; 5] {
        let target = match self.target {
            Some(Target::AtLeast(least)) => format!("≥ {}", number(least)),
            Some(Target::AtMost(most)) => format!("≤ {}", number(most)),
            Some(Target::ShareAtLeast(least)) => format!("≥ {least:.0} % of limit"),
            None => String::new(),
        };
        let mark = match self.reached() {
            Some(true) => " ✓",
            Some(false) => " ✗",
            None => "",
        };
        [
            self.part.to_owned(),
            self.what.clone(),
            format!("{} {}", number(self.value), self.unit),
            self.share.map_or_else(String::new, |share| format!("{share:.0} %")),
            format!("{target}{mark}"),
        ]
    }
}

/// Where and how it was measured.
#[derive(Clone, Debug, Serialize)]
struct Machine {
    processors: usize,
    /// Of the last minute, before anything was measured: others' work falsifies
    /// every number.
    load: f64,
    slots: u32,
    debug_build: bool,
}

impl Machine {
    fn new(options: &Options) -> Self {
        let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        Self {
            processors: std::thread::available_parallelism().map_or(0, usize::from),
            load: load.split_whitespace().next().and_then(|load| load.parse().ok()).unwrap_or(0.0),
            slots: options.slots,
            debug_build: cfg!(debug_assertions),
        }
    }
}

/// All that was measured.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    machine: Machine,
    measures: Vec<Measure>,
}

impl Report {
    /// An empty one.
    pub fn new(options: &Options) -> Self {
        Self { machine: Machine::new(options), measures: Vec::new() }
    }

    /// Adds a number; its limit, if it was measured, is there already.
    pub fn add(&mut self, mut measure: Measure) {
        let limit = self.measures.iter().find(|other| Some(other.what.as_str()) == measure.limit);
        measure.share = limit.map(|limit| 100.0 * measure.value / limit.value);
        self.measures.push(measure);
    }

    /// Prints the table to stdout and writes the JSON; if that goes to stdout, the
    /// table goes to stderr.
    pub fn print(&self, json: Option<&Path>) -> anyhow::Result<()> {
        let table = self.table();
        let Some(file) = json else { return out(&table) };
        let mut text = serde_json::to_string_pretty(self)?;
        text.push('\n');
        if file == Path::new("-") {
            eprint!("{table}");
            return out(&text);
        }
        out(&table)?;
        fs::write(file, text).with_context(|| format!("--json {}", file.display()))
    }

    fn table(&self) -> String {
        let mut table = Table::new();
        table.load_style(presets::ASCII_MARKDOWN).force_no_tty();
        table.set_header(["part", "measure", "result", "of limit", "target"]);
        for measure in &self.measures {
            table.add_row(measure.row());
        }
        for column in [2, 3] {
            if let Some(column) = table.column_mut(column) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        let Machine { processors, load, slots, debug_build } = self.machine;
        let debug =
            if debug_build { "; a debug build, which says nothing about speed" } else { "" };
        format!("{table}\n\n{processors} processors, load {load} before, {slots} slots{debug}\n")
    }
}

fn out(text: &str) -> anyhow::Result<()> {
    Ok(std::io::stdout().lock().write_all(text.as_bytes())?)
}

/// A number with about three digits, and thousands apart.
fn number(value: f64) -> String {
    match value.abs() {
        small if small < 0.995 => format!("{value:.3}"),
        small if small < 9.95 => format!("{value:.2}"),
        small if small < 99.5 => format!("{value:.1}"),
        _ => thousands(&format!("{value:.0}")),
    }
}

fn thousands(digits: &str) -> String {
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_about_three_digits() {
        let all = [0.0, 0.4567, 2.5, 12.34, 123.4, 1_234.5, 1_234_567.0].map(number);
        assert_eq!(all, ["0.000", "0.457", "2.50", "12.3", "123", "1,234", "1,234,567"]);
    }

    #[test]
    fn a_measure_stands_beside_its_limit_and_target() {
        use clap::Parser as _;
        let mut report = Report::new(&Options::parse_from(["bench"]));
        report.add(Measure::new(Part::Limits, "spawns", 3000.0, "spawns/s"));
        let jobs = Measure::new(Part::Batch, "jobs", 1800.0, "jobs/s");
        report.add(jobs.limit("spawns").target(Target::ShareAtLeast(50.0)));
        let row = report.measures[1].row();
        assert_eq!(row, ["batch", "jobs", "1,800 jobs/s", "60 %", "≥ 50 % of limit ✓"]);
        let late = Measure::new(Part::Latency, "first", 7.0, "ms").target(Target::AtMost(6.0));
        assert_eq!(late.row()[4], "≤ 6.00 ✗");
    }
}
