//! What a PHP MultiFlexi has is brought here, from a MariaDB of the test's own.

mod again;
mod beside;
mod everything;
mod refused;
mod schedules;
mod upstream;

use std::{collections::BTreeMap, path::PathBuf, process::Command};

use multiflexi_fixture::{Answer, Cli, Scheduler, SchedulerOptions, mariadb::MariaDb, programs};
use serde_json::Value;
use tempfile::TempDir;

/// A database of an older version with everything in it that can be wrong.
const HOSTILE: &str = include_str!("hostile.sql");

/// What no report, no listing and no file may hold.
const SECRET: &str = "hunter2";

/// A source, and a place for a scheduler that imports from it.
struct Adoption {
    folder: TempDir,
    source: MariaDb,
    environment: Vec<(String, String)>,
}

impl Adoption {
    fn new(script: &str) -> Self {
        let source = MariaDb::start();
        source.database("flexi", script);
        source.run("CREATE USER reader@localhost IDENTIFIED BY 'pass word/:@'");
        source.run("GRANT SELECT ON flexi.* TO reader@localhost");
        let folder = tempfile::Builder::new().prefix("mf-adopt-").tempdir().unwrap();
        Self { folder, source, environment: Vec::new() }
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Imports from a URL; the answer of the command.
    fn import_from(&self, url: &str, more: &[&str]) -> Answer {
        Answer::of(self.command(url, more).output().unwrap())
    }

    fn command(&self, url: &str, more: &[&str]) -> Command {
        let mut command = Command::new(programs::scheduler());
        command
            .arg("--data-dir")
            .arg(self.data())
            .args(["import-multiflexi", "--format", "json", "--source", "old"])
            .args(more)
            .env("MULTIFLEXI_IMPORT_FROM", url)
            .envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    fn url(&self) -> String {
        self.source.url("reader", "pass%20word%2F%3A%40", "flexi")
    }

    fn import(&self, more: &[&str]) -> Value {
        let answer = self.import_from(&self.url(), more);
        assert_eq!(answer.code, 0, "{}", answer.stderr);
        assert!(!answer.text().contains(SECRET), "{}", answer.text());
        serde_json::from_slice(&answer.stdout).unwrap()
    }

    fn scheduler(&self) -> (Scheduler, Cli) {
        let environment = self.environment.clone();
        let options = SchedulerOptions { environment, ..SchedulerOptions::default() };
        let scheduler = Scheduler::start(&self.data(), options);
        let cli = Cli::new(&scheduler.url());
        (scheduler, cli)
    }
}

/// The things of a list, by their ids.
fn by_id(list: &Value) -> BTreeMap<i64, Value> {
    let list = list.as_object().and_then(|list| list.values().find(|value| value.is_array()));
    let list = list.and_then(Value::as_array).unwrap();
    list.iter().map(|one| (one["id"].as_i64().unwrap(), one.clone())).collect()
}

fn counts(report: &Value, kind: &str) -> [u64; 5] {
    let counts = &report["counts"][kind];
    ["read", "created", "unchanged", "changed", "skipped"]
        .map(|what| counts[what].as_u64().unwrap_or_default())
}

/// Whether a list of a report says this of a thing.
fn says(report: &Value, list: &str, kind: &str, id: i64, text: &str) -> bool {
    let all = report[list].as_array().unwrap();
    all.iter().any(|remark| {
        let ids = remark["ids"].as_array().unwrap();
        remark["kind"] == kind
            && ids.contains(&id.into())
            && remark["text"].as_str().unwrap().contains(text)
    })
}

/// Each of these is said in its list.
macro_rules! assert_says {
    ($report:expr, $($list:literal $kind:literal $id:literal $text:literal),+ $(,)?) => {
        $(assert!(
            $crate::adoption::says(&$report, $list, $kind, $id, $text),
            "{} {} {}: {}\n{:#}", $list, $kind, $id, $text, $report[$list]
        );)+
    };
}

use assert_says;
