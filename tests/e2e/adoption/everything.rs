//! What can be read comes, and the rest is named.

use multiflexi_fixture::{Cli, postgres::Postgres, search};
use serde_json::Value;

use super::{Adoption, HOSTILE, SECRET, assert_says, by_id, counts};

#[test]
#[ignore = "needs MariaDB: apt-get install mariadb-server"]
fn what_can_be_read_comes_and_the_rest_is_named() {
    everything_comes(&Adoption::new(HOSTILE));
}

#[test]
#[ignore = "needs MariaDB and PostgreSQL: apt-get install mariadb-server postgresql"]
fn what_can_be_read_comes_into_postgresql_too() {
    let mut server = Postgres::start();
    let environment = server.database().environment;
    everything_comes(&Adoption { environment, ..Adoption::new(HOSTILE) });
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
    assert!(first("schedules").contains("run template 31 \"Nightly"), "{left:#}");
    assert!(left["schedules"]["hint"].as_str().unwrap().contains("--with-schedules"));
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
    assert_eq!(template["active"], false, "as it is there");
    assert_eq!(template["schedule"]["interval"], "n");
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
