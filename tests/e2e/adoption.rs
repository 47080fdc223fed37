//! What a PHP MultiFlexi has is brought here, from a MariaDB of the test's own.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use multiflexi_fixture::{
    Agent, AgentOptions, Answer, Cli, Scheduler, SchedulerOptions, eventually, mariadb::MariaDb,
    postgres::Postgres, programs, search,
};
use serde_json::Value;
use tempfile::TempDir;

/// A database of an older version with everything in it that can be wrong.
const HOSTILE: &str = include_str!("adoption.sql");

/// What no report, no listing and no file may hold.
const SECRET: &str = "hunter2";

/// A source, and a place for a scheduler that imports from it.
struct Adoption {
    folder: TempDir,
    source: MariaDb,
    database: Vec<(String, String)>,
}

impl Adoption {
    fn new(script: &str) -> Self {
        let source = MariaDb::start();
        source.database("flexi", script);
        source.run("CREATE USER reader@localhost IDENTIFIED BY 'pass word/:@'");
        source.run("GRANT SELECT ON flexi.* TO reader@localhost");
        let folder = tempfile::Builder::new().prefix("mf-adopt-").tempdir().unwrap();
        Self { folder, source, database: Vec::new() }
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
            .envs(self.database.iter().map(|(name, value)| (name, value)));
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
        let environment = self.database.clone();
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

macro_rules! assert_says {
    ($report:expr, $($list:literal $kind:literal $id:literal $text:literal),+ $(,)?) => {
        $(assert!(
            says(&$report, $list, $kind, $id, $text),
            "{} {} {}: {}\n{:#}", $list, $kind, $id, $text, $report[$list]
        );)+
    };
}

#[test]
#[ignore = "needs MariaDB: apt-get install mariadb-server"]
fn what_can_be_read_comes_and_the_rest_is_named() {
    everything_comes(&Adoption::new(HOSTILE));
}

#[test]
#[ignore = "needs MariaDB and PostgreSQL: apt-get install mariadb-server postgresql"]
fn what_can_be_read_comes_into_postgresql_too() {
    let mut server = Postgres::start();
    let database = server.database().environment;
    everything_comes(&Adoption { database, ..Adoption::new(HOSTILE) });
}

fn everything_comes(adoption: &Adoption) {
    let dry = adoption.import(&["--dry-run"]);
    assert!(!adoption.data().exists(), "a dry run makes nothing");
    let report = adoption.import(&[]);
    let mut said = dry;
    let made = said.as_object_mut().unwrap().remove("new_database");
    assert!(made.is_some_and(|made| made.is_string()));
    said["dry_run"] = false.into();
    // Files that are renamed are found when they are written.
    let artifacts = |report: &Value| {
        let remarks = report["remarks"].as_array().unwrap();
        Value::from_iter(remarks.iter().filter(|remark| remark["kind"] != "artifact").cloned())
    };
    let whole = artifacts(&report);
    said["remarks"] = artifacts(&said);
    assert_eq!(said, {
        let mut report = report.clone();
        report["remarks"] = whole;
        report
    });

    assert_eq!(counts(&report, "company"), [4, 4, 0, 0, 0]);
    assert_eq!(counts(&report, "application"), [3, 2, 0, 0, 1]);
    assert_eq!(counts(&report, "credential_type"), [3, 2, 1, 0, 0]);
    assert_eq!(counts(&report, "credential"), [4, 3, 0, 0, 1]);
    assert_eq!(counts(&report, "run_template"), [5, 3, 0, 0, 2]);
    assert_eq!(counts(&report, "action"), [4, 2, 0, 0, 2]);
    assert_eq!(counts(&report, "job"), [8, 4, 0, 0, 4]);
    assert_eq!(counts(&report, "artifact"), [4, 4, 0, 0, 0]);
    assert_eq!(report["ids"].as_array().unwrap().len(), 0, "ids that are free stay");
    assert_says!(
        report,
        "skipped" "application" 22 "quote that is not closed",
        "skipped" "credential" 53 "company 99 was not imported",
        "skipped" "run_template" 33 "application 22 was not imported",
        "skipped" "run_template" 34 "company 99 was not imported",
        "skipped" "job" 63 "it has not ended",
        "skipped" "job" 64 "it has not begun",
        "skipped" "job" 65 "no run template",
        "skipped" "job" 66 "run template 33 was not imported",
        "remarks" "company" 11 "1BAD",
        "remarks" "company" 11 "ZERO",
        "remarks" "company" 11 "HUGE",
        "remarks" "company" 12 "it is called \"company 12\" here",
        "remarks" "company" 13 "(13)",
        "remarks" "company" 14 "it has no slug here",
        "remarks" "application" 21 "COUNT",
        "remarks" "application" 23 "no shell runs here",
        "remarks" "application" 23 "version",
        "remarks" "credential" 52 "BANK_TOKEN is encrypted there",
        "remarks" "credential" 52 "it has no type here",
        "remarks" "run_template" 31 "BAD-NAME",
        "remarks" "run_template" 31 "../up",
        "remarks" "run_template" 31 "credential 53 was not imported",
        "remarks" "run_template" 32 "of another company",
        "remarks" "run_template" 32 "JSON document",
        "remarks" "job" 61 "1BAD",
        "remarks" "job" 62 "its environment cannot be read",
        "remarks" "job" 68 "its environment cannot be read",
        "remarks" "job" 68 "it ends before it begins",
    );
    let left = &report["not_brought"];
    let first = |what: &str| left[what]["items"][0].as_str().unwrap().to_owned();
    assert!(first("schedules").contains("31") && first("schedules").contains("0 2 * * *"));
    assert!(first("actions").contains("WebHook") && !first("actions").contains("Sleep"));
    assert!(first("executors").contains("Docker") && left["users"]["count"] == 1);
    let source = report["of_the_source"].to_string();
    for part in ["MyISAM", "latin1", "no table app_produces", "has no column", "no UTF-8"] {
        assert!(source.contains(part), "{part}: {source}");
    }
    let differs = report["differences"].as_array().unwrap();
    let of = |variable: &str| {
        let mut all = differs.iter().filter(|one| one["run_template"] == 31);
        all.find(|one| one["variable"] == variable).unwrap_or_else(|| panic!("{variable}"))
    };
    assert_eq!(
        (&of("GREETING")["there"], &of("GREETING")["here"]),
        (&"company".into(), &"template".into())
    );
    assert_eq!(
        (&of("BANK_TOKEN")["there"], &of("BANK_TOKEN")["here"]),
        (&"***".into(), &"***".into())
    );
    assert_eq!(of("APP_PASSWORD")["here"], "***");

    let (scheduler, cli) = adoption.scheduler();
    it_is_here(&cli);
    drop(scheduler);
    let (files, found) = search(adoption.folder.path(), SECRET);
    assert!(files > 0 && found.is_empty(), "{found:?}");
}

/// What of the hostile database is shown by the command line.
fn it_is_here(cli: &Cli) {
    let companies = by_id(&cli.json(["company:list"]));
    assert_eq!(companies[&11]["name"], "Café \"Olé\" & Söhne's");
    assert_eq!(companies[&11]["slug"], "caf-");
    let company = cli.json(["company:show", "11"]);
    assert_eq!(company["environment"]["EMOJI"], "🐎 \"quoted\" 'and' {GREETING}");
    assert_eq!(company["environment"]["APP_PASSWORD"], "***");
    let application = cli.json(["application:show", "21"]);
    assert_eq!(application["uuid"], "aaaaaaaa-1111-4111-8111-111111111111");
    assert_eq!(application["cmdparams"], "{GREETING} 'a b'");
    let template = cli.json(["runtemplate:show", "31"]);
    assert_eq!(template["name"], "Nightly \"echo\"");
    assert_eq!(template["environment"]["GREETING"], "template");
    assert_eq!(template["environment"]["BANK_TOKEN"], "***", "its credential has it too");
    assert_eq!(template["environment"]["APP_PASSWORD"], "***");
    assert!(template["files"].to_string().contains("a b.pem"), "{template:#}");
    let actions = cli.json(["action:list", "--template", "32"]);
    let [hook, issue] = &actions["actions"].as_array().unwrap()[..] else { panic!("{actions}") };
    assert!(hook["kind"] == "WebHook" && hook["on"] == "success", "{hook}");
    assert_eq!(hook["settings"]["uri"], "https://example.org/***");
    assert!(issue["kind"] == "RedmineIssue" && issue["on"] == "fail", "{issue}");
    assert_eq!(issue["settings"]["token"], "***");
    assert_eq!(issue["settings"]["project_id"], "books");
    let runs = &template["runs"];
    assert_eq!((&runs["succeeded"], &runs["failed"]), (&1.into(), &2.into()), "{template:#}");
    let credential = cli.json(["credential:show", "51"]);
    assert_eq!(
        (&credential["type"], &credential["variables"]),
        (&"Bank".into(), &serde_json::json!(["BANK_PORT", "BANK_TOKEN"]))
    );
    assert_eq!(credential["run_template_ids"], serde_json::json!([31]));
    assert_eq!(cli.json(["credential:show", "52"])["name"], "bank (52)");

    let job = cli.json(["job:show", "61"]);
    assert_eq!((&job["state"], &job["exit_code"]), (&"succeeded".into(), &0.into()));
    assert_eq!(job["environment"]["GREETING"], "Žluťoučký \"kůň\" '; DROP TABLE job;--");
    assert_eq!(job["environment"]["APP_PASSWORD"], "***");
    assert!(job["created"].as_str().unwrap().starts_with("2025-03-01T10:00:00"), "{job:#}");
    assert!(job["started"].as_str().unwrap().starts_with("2025-03-01T10:00:05"));
    assert!(job["ended"].as_str().unwrap().starts_with("2025-03-01T10:00:15"));
    let attempt = &job["attempts"][0];
    assert_eq!(attempt["command"][2], "echo *** \"x\"");
    let logs = cli.run(["job:logs", "61"]);
    assert_eq!(
        logs.stdout,
        "první\n".bytes().chain(*b"\xff\x00\xfe\n").chain(*b"fourth\n").collect::<Vec<_>>()
    );
    assert_eq!(logs.stderr, "second\n");
    assert!(cli.run(["job:why", "61"]).text().contains("it is job 61 of old"));
    for job in ["61", "62", "67", "68"] {
        let verified = cli.run(["job:verify", job]);
        assert_eq!(verified.code, 0, "{}{}", verified.text(), verified.stderr);
    }
    let large = cli.run(["job:logs", "62"]);
    let line = |n: usize| format!("{n}{}\n", " ž".repeat(20_000));
    let odd: String = (1..=80).filter(|n| n % 2 == 1).map(line).collect();
    assert_eq!(large.text(), odd);
    let job = cli.json(["job:show", "62"]);
    assert_eq!((&job["exit_code"], &job["severity"]), (&3.into(), &"warning".into()));
    let job = cli.json(["job:show", "67"]);
    assert!(job["state"] == "failed" && job["trouble"].as_str().unwrap().contains("exit code"));
    let artifacts = cli.json(["artifact:list", "--job", "61"]);
    let names: Vec<_> = by_id(&artifacts).values().map(|one| one["filename"].clone()).collect();
    assert_eq!(names, ["result.json", "result.json (2)", "x", "stdout.txt", "stderr.txt"]);
    let content = |job: &str, name: &str| {
        let all = by_id(&cli.json(["artifact:list", "--job", job]));
        let found = all.values().find(|one| one["filename"] == name).unwrap().clone();
        let id = found["id"].to_string();
        cli.run(["artifact:get", &id, "--output", "-"]).text()
    };
    assert_eq!(content("61", "result.json"), "{\"café\": true}");
    let large = content("62", "large.txt");
    assert!(large == "0123456789".repeat(600_000), "{} bytes", large.len());
}

#[test]
#[ignore = "needs MariaDB: apt-get install mariadb-server"]
fn an_import_beside_a_running_scheduler_disturbs_no_job_and_can_be_used_at_once() {
    let adoption = Adoption::new(HOSTILE);
    let (scheduler, cli) = adoption.scheduler();
    let folder = adoption.folder.path();
    let _agent = Agent::start(&folder.join("agent"), &scheduler.url(), AgentOptions::default());
    let go = folder.join("go");
    let script = format!("-c 'until [ -e {} ]; do sleep 0.02; done; echo on'", go.display());
    let words = ["application:create", "--name", "Waits", "--executable", "sh", "--cmdparams"];
    cli.create(words.into_iter().chain([script.as_str()]));
    cli.create(["company:create", "--name", "Acme"]);
    cli.create(["runtemplate:create", "--name", "Waits", "--app", "1", "--company", "1"]);
    let waits = cli.create(["job:create", "--template", "1", "--queue"]);
    cli.wait_for_state(waits, "running");

    let report = adoption.import(&[]);
    assert_eq!(counts(&report, "run_template")[1], 3, "{report:#}");

    let brought = cli.create(["job:create", "--template", "32"]);
    let run = cli.run(["job:run", &brought.to_string()]);
    assert_eq!((run.code, run.text()), (0, "company a b\n".to_owned()), "{}", run.stderr);
    fs::File::create(go).unwrap();
    cli.wait_for_state(waits, "succeeded");
    assert_eq!(cli.run(["job:logs", &waits.to_string()]).text(), "on\n");
}

#[test]
#[ignore = "needs MariaDB: apt-get install mariadb-server"]
fn an_import_is_repeated_without_change_and_brings_only_what_is_new_or_changed() {
    let adoption = Adoption::new(HOSTILE);
    adoption.import(&[]);
    let database = adoption.data().join("multiflexi.db");
    let before = fs::read(&database).unwrap();
    let kinds = ["company", "application", "credential_type", "credential", "run_template", "job"];
    let nothing_changes = |more: &[&str]| {
        let again = adoption.import(more);
        for kind in kinds {
            let [read, created, unchanged, changed, skipped] = counts(&again, kind);
            assert_eq!((created, changed), (0, 0), "{kind}: {again:#}");
            assert_eq!(read, unchanged + skipped, "{kind}");
        }
    };
    nothing_changes(&["--dry-run"]);
    nothing_changes(&[]);
    assert!(fs::read(&database).unwrap() == before, "the database is the same, byte by byte");

    let (mut scheduler, cli) = adoption.scheduler();
    let update = |words: &[&str]| assert_eq!(cli.run(words).code, 0, "{words:?}");
    update(&["runtemplate:update", "31", "--env", "GREETING=ours"]);
    update(&["company:update", "12", "--name", "Ours"]);
    update(&["runtemplate:delete", "32", "--cascade"]);
    scheduler.terminate();
    adoption.source.run(
        "USE flexi; UPDATE configuration SET value = 'theirs' WHERE name = 'GREETING'; \
         UPDATE configuration SET value = 'new' WHERE name = 'BANK_TOKEN'; \
         INSERT INTO configuration (app_id, company_id, name, value, runtemplate_id) \
             VALUES (21, 11, 'ADDED', 'x', 31); \
         DELETE FROM configuration WHERE name = 'NULLED'; \
         UPDATE apps SET cmdparams = '{GREETING}' WHERE id = 21; \
         UPDATE credata SET value = 'hunter2-changed' WHERE credential_id = 51 AND name = 'BANK_TOKEN'; \
         DELETE FROM runtplcreds WHERE runtemplate_id = 31; \
         UPDATE job SET `end` = '2025-03-03 11:00:00', exitcode = 0 WHERE id = 63; \
         INSERT INTO company (id, name, slug) VALUES (15, 'New', 'new')",
    );
    let dry = adoption.import(&["--dry-run"]);
    let report = adoption.import(&[]);
    assert_eq!(dry["counts"], report["counts"]);
    assert_eq!(counts(&report, "company"), [5, 1, 4, 0, 0]);
    assert_eq!(counts(&report, "application"), [3, 0, 1, 1, 1]);
    assert_eq!(counts(&report, "credential"), [4, 0, 2, 1, 1]);
    assert_eq!(counts(&report, "run_template"), [5, 0, 1, 1, 3]);
    assert_eq!(counts(&report, "job"), [8, 1, 4, 0, 3]);
    assert_says!(
        report,
        "kept" "run_template" 31 "GREETING",
        "changed" "run_template" 31 "ADDED, BANK_TOKEN, NULLED",
        "changed" "application" 21 "definition",
        "changed" "credential" 51 "BANK_TOKEN",
        "skipped" "run_template" 32 "deleted here",
    );
    let (mut scheduler, cli) = adoption.scheduler();
    let template = cli.json(["runtemplate:show", "31"]);
    assert_eq!(template["environment"]["GREETING"], "ours");
    assert_eq!(template["environment"]["ADDED"], "x");
    assert!(template["environment"].get("NULLED").is_none());
    assert_eq!(cli.json(["credential:show", "51"])["run_template_ids"], serde_json::json!([]));
    assert_eq!(cli.json(["company:show", "12"])["name"], "Ours");
    // Its own id is below those that were given out since.
    let moved = report["ids"].as_array().unwrap();
    let job = moved.iter().find(|one| one["kind"] == "job" && one["from"] == 63).unwrap();
    assert_eq!(cli.json(["job:show", &job["to"].to_string()])["state"], "succeeded");
    assert_eq!(cli.run(["secret:rotate-key"]).code, 0);
    scheduler.terminate();
    let again = adoption.import(&[]);
    assert_eq!(counts(&again, "run_template"), [5, 0, 2, 0, 3], "it is read with the new key");
    assert_says!(again, "kept" "run_template" 31 "GREETING");
}

#[test]
#[ignore = "needs MariaDB: apt-get install mariadb-server"]
fn an_import_that_is_killed_is_ended_by_the_next() {
    let adoption = Adoption::new(HOSTILE);
    // It gets as far as the output of the first job, and no further.
    let lock =
        adoption.source.session("LOCK TABLES flexi.job_output_lines WRITE; SELECT 'locked';");
    let mut import = adoption.command(&adoption.url(), &[]).spawn().unwrap();
    eventually("the import waits", || {
        let waiting = "SELECT COUNT(*) FROM information_schema.PROCESSLIST \
             WHERE USER = 'reader' AND STATE LIKE 'Waiting for table%'";
        (adoption.source.run(waiting).trim() == "1").then_some(())
    });
    import.kill().unwrap();
    import.wait().unwrap();
    drop(lock);
    let report = adoption.import(&[]);
    assert_eq!(counts(&report, "company"), [4, 0, 4, 0, 0]);
    assert_eq!(counts(&report, "run_template"), [5, 0, 3, 0, 2]);
    assert_eq!(counts(&report, "job"), [8, 4, 0, 0, 4]);
    assert_eq!(counts(&report, "artifact"), [4, 4, 0, 0, 0]);
    let again = adoption.import(&[]);
    assert_eq!(counts(&again, "job"), [8, 0, 4, 0, 4]);
    let (_scheduler, cli) = adoption.scheduler();
    assert_eq!(by_id(&cli.json(["job:list"])).len(), 4);
}

#[test]
#[ignore = "needs MariaDB: apt-get install mariadb-server"]
fn what_is_here_already_is_never_merged_by_its_name() {
    let adoption = Adoption::new(HOSTILE);
    let (mut scheduler, cli) = adoption.scheduler();
    for _ in 0..70 {
        cli.create(["company:create", "--name", &format!("filler {}", fastest())]);
    }
    cli.create(["company:create", "--name", "Café \"Olé\" & Söhne's", "--slug", "mine"]);
    let file = adoption.folder.path().join("another.app.json");
    let another = serde_json::json!({
        "name": "Another", "executable": "true", "description": "", "environment": {},
        "uuid": "AAAAAAAA-1111-4111-8111-111111111111",
    });
    fs::write(&file, another.to_string()).unwrap();
    cli.create(["application:create", "--name", "First", "--executable", "true"]);
    let known = cli.json(["application:import-json", file.to_str().unwrap()]);
    let known = known["applications"][0]["id"].as_i64().unwrap();
    scheduler.terminate();
    // This one's definition is on this host: it says more than the rows.
    let file = adoption.folder.path().join("odd.app.json");
    let odd = serde_json::json!({
        "name": "Odd", "executable": "php", "description": "from its file", "environment": {},
    });
    fs::write(&file, odd.to_string()).unwrap();
    let file = file.to_str().unwrap();
    adoption.source.run(&format!("UPDATE flexi.apps SET deffile = '{file}' WHERE id = 23"));
    let report = adoption.import(&[]);
    assert_eq!(counts(&report, "company"), [4, 3, 0, 0, 1]);
    assert_says!(
        report,
        "skipped" "company" 11 "not imported from there",
        "skipped" "credential" 51 "company 11 was not imported",
        "skipped" "run_template" 31 "company 11 was not imported",
        "skipped" "job" 61 "run template 31 was not imported",
        "remarks" "application" 21 "already, by its UUID",
        "remarks" "application" 23 "taken from the file",
    );
    let (_scheduler, cli) = adoption.scheduler();
    assert_eq!(cli.json(["application:show", "23"])["description"], "from its file");
    let moved = report["ids"].as_array().unwrap();
    assert!(moved.iter().any(|one| one["from"] == 21 && one["to"] == known), "{moved:?}");
    assert!(moved.iter().any(|one| one["kind"] == "company" && one["from"] == 12));
}

/// A number of its own.
fn fastest() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

#[test]
#[ignore = "needs MariaDB: apt-get install mariadb-server"]
fn what_keeps_an_import_from_beginning_is_one_clear_sentence() {
    let adoption = Adoption::new(HOSTILE);
    adoption.source.database("other", "CREATE TABLE job (id INT)");
    adoption.source.run(
        "CREATE USER nobody@localhost IDENTIFIED BY 'x'; \
         CREATE USER half@localhost IDENTIFIED BY 'x'; \
         GRANT SELECT ON other.* TO reader@localhost; \
         GRANT SELECT (id) ON flexi.company TO half@localhost; \
         GRANT SELECT ON flexi.apps TO half@localhost; \
         GRANT SELECT ON flexi.job TO half@localhost; \
         GRANT SELECT ON flexi.runtemplate TO half@localhost",
    );
    let refused = |url: &str, part: &str| {
        let answer = adoption.import_from(url, &[]);
        assert_eq!(answer.code, 1, "{part}: {}", answer.stderr);
        assert_eq!(answer.stderr.trim().lines().count(), 1, "{}", answer.stderr);
        assert!(answer.stderr.contains(part), "{part}: {}", answer.stderr);
        assert!(!answer.stderr.contains("wr0ng"), "{}", answer.stderr);
        assert!(!adoption.data().exists(), "nothing of ours is made for {part}");
    };
    let source = &adoption.source;
    refused(&source.url("reader", "wr0ng", "flexi"), "refuses this user with this password");
    refused(&source.url("nobody", "x", "flexi"), "may not read");
    refused(&adoption.url().replace("/flexi", "/other"), "is no database of a MultiFlexi");
    refused("mysql://root:wr0ng@127.0.0.1:1/flexi", "cannot be reached");
    refused("mysql://root:wr0ng@no.such.host.invalid/flexi", "cannot be reached");
    refused("pgsql://root:wr0ng@localhost/flexi", "--from cannot be used");
    let half = adoption.import_from(&source.url("half", "x", "flexi"), &["--dry-run"]);
    assert_eq!(half.code, 0, "{}", half.stderr);
    let said = half.text();
    assert!(said.contains("table company has no column") && said.contains("no table credata"));
    let zone = adoption.import_from(&adoption.url(), &["--time-zone", "Nowhere/Land"]);
    assert!(zone.code == 1 && zone.stderr.contains("knows no such time zone"), "{zone:?}");
}

/// Where a dump of an installation may be, with its own listings: it is no part of this
/// project.
fn upstream() -> Result<PathBuf, String> {
    let folder = match std::env::var_os("MULTIFLEXI_TEST_UPSTREAM") {
        Some(folder) => PathBuf::from(folder),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
    };
    match folder.join("upstream-sample.sql").is_file() {
        true => Ok(folder),
        false => Err("MULTIFLEXI_TEST_UPSTREAM names no folder of upstream-sample.sql".to_owned()),
    }
}

/// What a command of a transcript has printed.
fn printed<'t>(transcript: &'t str, command: &str) -> Vec<&'t str> {
    let mut lines = transcript.lines();
    lines
        .find(|line| line.strip_prefix("$ ") == Some(command))
        .unwrap_or_else(|| panic!("{command}"));
    let output = lines.take_while(|line| !line.starts_with("$ "));
    output.filter(|line| !line.starts_with("+ ")).collect()
}

#[test]
#[ignore = "needs MariaDB: apt-get install mariadb-server"]
fn an_installation_is_here_as_its_own_command_line_lists_it() {
    let folder = match upstream() {
        Ok(folder) => folder,
        Err(reason) => return println!("not run: {reason}"),
    };
    let adoption = Adoption::new(&fs::read_to_string(folder.join("upstream-sample.sql")).unwrap());
    let transcript = fs::read_to_string(folder.join("upstream-sample.txt")).unwrap();
    let report = adoption.import(&[]);
    for kind in ["company", "application", "run_template", "job"] {
        let [read, created, .., skipped] = counts(&report, kind);
        assert!(read == created && skipped == 0 && read > 0, "{kind}: {report:#}");
    }
    let (_scheduler, cli) = adoption.scheduler();

    // Tables: "| 1  | … |".
    let cells = |command: &str| -> Vec<Vec<String>> {
        let rows = printed(&transcript, command).into_iter().filter(|line| line.starts_with("| "));
        let cells = |row: &str| row.split('|').map(|cell| cell.trim().to_owned()).collect();
        rows.skip(1).map(cells).collect()
    };
    let companies = by_id(&cli.json(["company:list"]));
    let listed = cells("multiflexi-cli company:list");
    assert_eq!(listed.len(), companies.len());
    for row in &listed {
        let company = &companies[&row[1].parse().unwrap()];
        assert!(row.contains(&company["name"].as_str().unwrap().to_owned()), "{row:?}");
        assert!(row.contains(&company["slug"].as_str().unwrap().to_owned()), "{row:?}");
    }
    let applications = by_id(&cli.json(["application:list"]));
    let listed = cells("multiflexi-cli application:list");
    assert_eq!(listed.len(), applications.len());
    for row in &listed {
        let application = &applications[&row[1].parse().unwrap()];
        for field in ["name", "executable"] {
            assert!(row.contains(&application[field].as_str().unwrap().to_owned()), "{row:?}");
        }
    }
    let listed = printed(&transcript, "multiflexi-cli run-template:list -f json").join("\n");
    let listed: Vec<Value> = serde_json::from_str(&listed).unwrap();
    assert!(!listed.is_empty());
    for row in &listed {
        let template = cli.json(["runtemplate:show", &row["id"].to_string()]);
        assert_eq!(template["name"], row["name"]);
        assert_eq!(template["application_id"], row["app_id"]);
        assert_eq!(template["company_id"], row["company_id"]);
        assert_eq!(template["retry"]["max_attempts"], row["max_attempts"], "{template:#}");
    }
    let scheduled = report["not_brought"]["schedules"]["items"].to_string();
    for row in listed.iter().filter(|row| row["interv"] != "n") {
        assert!(scheduled.contains(&format!("run template {} ", row["id"])), "{scheduled}");
    }

    // Of jobs, what their own database says besides.
    let jobs = by_id(&cli.json(["job:list"]));
    let known = adoption.source.run("SELECT id, exitcode, runtemplate_id FROM flexi.job");
    let known: Vec<Vec<i64>> = known
        .lines()
        .map(|line| line.split('\t').map(|cell| cell.parse().unwrap()).collect())
        .collect();
    assert_eq!(known.len(), jobs.len());
    for row in &known {
        let job = &jobs[&row[0]];
        assert_eq!((&job["exit_code"], &job["run_template_id"]), (&row[1].into(), &row[2].into()));
        assert_eq!(job["state"], if row[1] == 0 { "succeeded" } else { "failed" });
        let id = row[0].to_string();
        let logs = cli.run(["job:logs", &id]);
        let all = format!("{}{}", logs.text(), logs.stderr);
        for line in printed(&transcript, &format!("multiflexi-executor -j {id}")) {
            assert!(all.contains(line), "job {id}: {line:?} is not in {all:?}");
        }
        let lines = adoption.source.run(&format!(
            "SELECT REPLACE(line, '\\n', '') FROM flexi.job_output_lines WHERE job_id = {id} \
             AND type = 'stdout' ORDER BY seq"
        ));
        assert_eq!(logs.text(), lines, "job {id}");
    }
    let first = printed(&transcript, "multiflexi-cli job:list -f json").join("\n");
    let first = first.split("\n    },").next().unwrap();
    let first: Vec<Value> = serde_json::from_str(&format!("{first}\n    }}]")).unwrap();
    let job = cli.json(["job:show", &first[0]["id"].to_string()]);
    for (name, value) in first[0]["env"].as_object().unwrap() {
        if !name.starts_with("MULTIFLEXI_") {
            assert_eq!(job["environment"][name], *value, "{name}");
        }
    }
    assert_eq!(job["attempts"][0]["command"][2], first[0]["command"]);

    let again = adoption.import(&[]);
    for kind in ["company", "application", "run_template", "job"] {
        let [read, created, unchanged, changed, skipped] = counts(&again, kind);
        assert_eq!((created, changed, skipped, unchanged), (0, 0, 0, read), "{kind}");
    }
}
