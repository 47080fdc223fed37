//! Metrics: what a scrape says, and what a real Prometheus makes of it with the rules and the
//! dashboard that are delivered.

use std::{collections::BTreeSet, fs, path::PathBuf};

use multiflexi_fixture::{
    AgentOptions, SchedulerOptions, Stack, eventually, http,
    metrics::{endpoint, scrape, value},
    postgres::Postgres,
    prometheus::{Prometheus, promtool},
};
use serde_json::Value;

fn watched() -> (SchedulerOptions, AgentOptions) {
    let arguments = vec!["--metrics".to_owned(), "127.0.0.1:0".to_owned()];
    let scheduler =
        SchedulerOptions { arguments: arguments.clone(), ..SchedulerOptions::default() };
    (scheduler, AgentOptions { arguments, ..AgentOptions::default() })
}

fn stack() -> Stack {
    let (scheduler, agent) = watched();
    Stack::with(scheduler, agent)
}

/// A file that is delivered.
fn delivered(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../deploy").join(name)
}

#[test]
fn metrics_are_off_unless_an_address_is_named() {
    let stack = Stack::start();
    let said = stack.scheduler.log.find("line that says it is ready", |line| {
        let line: Value = serde_json::from_str(line).ok()?;
        (line["message"] == "the scheduler is ready").then(|| line["metrics"].clone())
    });
    assert_eq!(said, "off");
}

#[test]
fn a_scrape_counts_what_has_happened() {
    let stack = stack();
    let (_, well) = stack.run("echo 1234567890; echo 12345 > file");
    assert_eq!(well.code, 0, "{}", well.stderr);
    let (_, badly) = stack.run("exit 7");
    assert_eq!(badly.code, 7, "{}", badly.stderr);
    let scraped = scrape(&stack.scheduler.log);
    for (metric, expected) in [
        ("multiflexi_jobs_submitted_total", 2.0),
        ("multiflexi_jobs_total", 2.0),
        ("multiflexi_jobs_success_total", 1.0),
        ("multiflexi_jobs_failed_total", 1.0),
        ("multiflexi_jobs_running", 0.0),
        ("multiflexi_attempts_ended_total{state=\"succeeded\"}", 1.0),
        ("multiflexi_attempts_ended_total{state=\"failed\"}", 1.0),
        ("multiflexi_attempts_ended_total{state=\"lost\"}", 0.0),
        ("multiflexi_job_duration_seconds_count", 2.0),
        ("multiflexi_job_wait_seconds_count", 2.0),
        ("multiflexi_job_start_seconds_count", 2.0),
        ("multiflexi_job_end_to_end_seconds_count", 2.0),
        ("multiflexi_artifacts_total", 1.0),
        ("multiflexi_artifact_bytes_total", 6.0),
        ("multiflexi_agents_connected", 1.0),
        ("multiflexi_slots", 8.0),
        ("multiflexi_database_up", 1.0),
        ("multiflexi_store_errors_total", 0.0),
        ("multiflexi_companies_total", 1.0),
        ("multiflexi_grpc_requests_total{method=\"JobService/CreateJobs\",code=\"OK\"}", 2.0),
    ] {
        assert_eq!(value(&scraped, metric), Some(expected), "{metric} in {scraped}");
    }
    let stored = value(&scraped, "multiflexi_log_stored_bytes_total");
    assert!(stored >= Some(11.0), "{stored:?}");
    assert_eq!(stored, value(&scraped, "multiflexi_log_received_bytes_total"));
    let scraped = scrape(&stack.agent.log);
    for (metric, expected) in [
        ("multiflexi_agent_connected", 1.0),
        ("multiflexi_agent_attempts_launched_total", 2.0),
        ("multiflexi_agent_attempts_ended_total{cause=\"exited\"}", 2.0),
        ("multiflexi_agent_artifacts_total", 1.0),
        ("multiflexi_agent_slots_busy", 0.0),
    ] {
        assert_eq!(value(&scraped, metric), Some(expected), "{metric} in {scraped}");
    }
}

#[test]
fn what_waits_and_what_runs_is_in_the_scrape_of_every_scheduler() {
    let (scheduler, mut agent) = watched();
    agent.slots = 1;
    let stack = Stack::with(scheduler, agent);
    let gate = stack.folder().join("gate");
    let long =
        stack.script(&format!("while [ ! -e {} ]; do sleep 0.05; done", gate.display()), &[]);
    let first = stack.queued(long);
    eventually("it runs", || (stack.show(first)["state"] == "running").then_some(()));
    stack.queued(long);
    stack.cli.json(["job:create", "--template", &long.to_string(), "--delay", "1h"]);
    let scraped = eventually("the scrape has them", || {
        let scraped = scrape(&stack.scheduler.log);
        let turn = value(&scraped, "multiflexi_database_waiting_jobs{for=\"turn\"}");
        let time = value(&scraped, "multiflexi_database_waiting_jobs{for=\"time\"}");
        (turn == Some(1.0) && time == Some(1.0)).then_some(scraped)
    });
    assert_eq!(value(&scraped, "multiflexi_database_jobs{state=\"queued\"}"), Some(2.0));
    assert_eq!(value(&scraped, "multiflexi_database_jobs{state=\"running\"}"), Some(1.0));
    assert_eq!(value(&scraped, "multiflexi_slots_busy"), Some(1.0));
    assert_eq!(value(&scraped, "multiflexi_jobs_running"), Some(1.0));
    assert!(value(&scraped, "multiflexi_database_oldest_waiting_seconds") > Some(0.0));
    assert_eq!(value(&scrape(&stack.agent.log), "multiflexi_agent_slots_busy"), Some(1.0));
    fs::write(gate, "").unwrap();
}

#[test]
fn output_that_is_stored_more_than_once_is_counted_once() {
    let stack = stack();
    let gate = stack.folder().join("gate");
    let wait = format!("while [ ! -e {} ]; do sleep 0.05; done", gate.display());
    let job = stack.queued(stack.script(&format!("echo first; {wait}; echo second"), &[]));
    let stored = "multiflexi_log_stored_bytes_total";
    eventually("the beginning is stored", || {
        (value(&scrape(&stack.scheduler.log), stored)? > 0.0).then_some(())
    });
    fs::write(gate, "").unwrap();
    stack.ended(job);
    let scraped = scrape(&stack.scheduler.log);
    let received = value(&scraped, "multiflexi_log_received_bytes_total");
    assert_eq!(value(&scraped, stored), received, "{scraped}");
}

#[test]
fn labels_are_few_and_name_no_job_and_no_company() {
    let stack = stack();
    let (_, ran) = stack.run("echo 1 > secret-name.csv");
    assert_eq!(ran.code, 0);
    // Whoever calls what is no method makes no name here.
    let no_method = http::get_any(stack.scheduler.address, "/made/up");
    assert!(no_method.is_none_or(|answer| !answer.contains("up")));
    let scraped = scrape(&stack.scheduler.log) + &scrape(&stack.agent.log);
    let labels: BTreeSet<&str> = scraped
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| Some(line.split_once('{')?.1.rsplit_once('}')?.0))
        .flat_map(|labels| labels.split(','))
        .filter_map(|label| Some(label.split_once('=')?.0))
        .collect();
    let known =
        ["cause", "code", "for", "kind", "le", "method", "program", "result", "state", "version"];
    assert!(labels.iter().all(|label| known.contains(label)), "{labels:?}");
    assert!(!scraped.contains("Acme") && !scraped.contains("secret-name"), "{scraped}");
}

#[test]
fn only_scrapes_are_answered() {
    let stack = stack();
    let address = endpoint(&stack.scheduler.log);
    assert_eq!(http::get(address, "/"), None);
    assert!(http::get_any(address, "/").unwrap().contains("/metrics"));
    assert!(
        http::get(address, "/metrics").unwrap().contains("# TYPE multiflexi_jobs_total counter")
    );
}

#[test]
fn a_metrics_address_that_is_taken_is_said_in_a_sentence() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let folder = tempfile::tempdir().unwrap();
    let output = std::process::Command::new(multiflexi_fixture::programs::scheduler())
        .args(["--listen", "127.0.0.1:0", "--metrics", &address, "--data-dir"])
        .arg(folder.path().join("data"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success());
    assert!(said.contains(&address) && said.contains("--metrics"), "{said}");
}

#[test]
#[ignore = "needs PostgreSQL: apt-get install postgresql"]
fn a_database_that_is_away_is_told_and_what_was_counted_is_still_there() {
    let mut postgres = Postgres::start();
    let (mut scheduler, agent) = watched();
    scheduler.environment = postgres.database().environment;
    let stack = Stack::with(scheduler, agent);
    let (_, ran) = stack.run("exit 0");
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let up = |expected: f64| {
        eventually("the scrape says whether the database is there", || {
            let scraped = scrape(&stack.scheduler.log);
            (value(&scraped, "multiflexi_database_up")? == expected).then_some(scraped)
        })
    };
    assert_eq!(value(&up(1.0), "multiflexi_database_jobs{state=\"queued\"}"), Some(0.0));
    postgres.stop();
    let scraped = up(0.0);
    assert_eq!(value(&scraped, "multiflexi_database_jobs{state=\"queued\"}"), None);
    assert_eq!(value(&scraped, "multiflexi_jobs_success_total"), Some(1.0));
    postgres.start_again();
    up(1.0);
}

/// The rules, with nothing to wait for.
fn rules_at_once() -> String {
    let rules = fs::read_to_string(delivered("prometheus/multiflexi.rules.yml")).unwrap();
    let at_once = |line: &str| match line.split_once("for: ") {
        Some((indent, _)) if indent.trim().is_empty() => format!("{indent}for: 0s\n"),
        _ => format!("{line}\n"),
    };
    rules.lines().map(at_once).collect()
}

fn prometheus(stack: &Stack, rules: &str) -> Prometheus {
    let targets = [
        ("multiflexi-scheduler", endpoint(&stack.scheduler.log)),
        ("multiflexi-agent", endpoint(&stack.agent.log)),
    ];
    let prometheus = Prometheus::start(&targets, rules);
    eventually("both are scraped", || (prometheus.value("sum(up)")? == 2.0).then_some(()));
    prometheus
}

#[test]
#[ignore = "needs Prometheus: apt-get install prometheus"]
fn the_rules_are_valid_and_each_fires_when_it_should_and_not_before() {
    let deploy = delivered("prometheus");
    promtool(&deploy, &["check", "rules", "multiflexi.rules.yml"]);
    promtool(&deploy, &["check", "config", "prometheus.yml"]);
    // `test rules` runs through hours of made-up samples; the real durations hold there.
    let tests = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    promtool(&tests, &["test", "rules", "rules.test.yml"]);
    let rules = fs::read_to_string(deploy.join("multiflexi.rules.yml")).unwrap();
    let tested = fs::read_to_string(tests.join("rules.test.yml")).unwrap();
    for alert in rules.lines().filter_map(|line| line.split_once("- alert: ")) {
        let name = format!("alertname: {}\n", alert.1);
        assert!(tested.matches(&name).count() >= 2, "{} is not tested both ways", alert.1);
    }
}

#[test]
#[ignore = "needs Prometheus: apt-get install prometheus"]
fn prometheus_scrapes_both_programs_and_all_rules_are_evaluated() {
    let stack = stack();
    let (_, ran) = stack.run("echo 1 > file");
    assert_eq!(ran.code, 0);
    let prometheus = prometheus(&stack, &rules_at_once());
    let seen = |expression: &str, expected: f64| {
        eventually(expression, || (prometheus.value(expression)? == expected).then_some(()));
    };
    seen("multiflexi_jobs_total", 1.0);
    seen("multiflexi_agent_artifacts_total", 1.0);
    seen("count(process_cpu_seconds_total)", 2.0);
    seen("count by (program) (multiflexi_build_info{program=\"agent\"})", 1.0);
    let rules = eventually("all rules were evaluated", || {
        let rules = prometheus.rules()?;
        rules.iter().all(|rule| rule["health"] == "ok").then_some(rules)
    });
    assert!(rules.len() > 15, "{rules:?}");
    // The linter knows no PHP MultiFlexi, which calls three gauges as counters are called.
    let folder = tempfile::tempdir().unwrap();
    for log in [&stack.scheduler.log, &stack.agent.log] {
        let scraped = scrape(log);
        let scraped: String = scraped
            .lines()
            .filter(|line| {
                !["applications", "companies", "runtemplates"]
                    .iter()
                    .any(|name| line.contains(&format!("multiflexi_{name}_total")))
            })
            .map(|line| format!("{line}\n"))
            .collect();
        fs::write(folder.path().join("scraped"), scraped).unwrap();
        promtool_check_metrics(folder.path());
    }
}

fn promtool_check_metrics(folder: &std::path::Path) {
    let scraped = fs::File::open(folder.join("scraped")).unwrap();
    let output = std::process::Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(scraped)
        .output()
        .expect("promtool comes with Prometheus: apt-get install prometheus");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.is_empty(), "{said}");
}

#[test]
#[ignore = "needs Prometheus: apt-get install prometheus"]
fn jobs_that_fail_and_a_scheduler_that_is_gone_fire_their_alerts() {
    let mut stack = stack();
    let prometheus = prometheus(&stack, &rules_at_once());
    let none_failed = "sum(multiflexi_attempts_ended_total)";
    eventually("what is before was scraped", || {
        (prometheus.value(none_failed)? == 0.0).then_some(())
    });
    for quiet in ["MultiFlexiJobsFailing", "MultiFlexiSchedulerDown", "MultiFlexiNoAgents"] {
        assert!(!prometheus.fires(quiet), "{quiet}");
    }
    let template = stack.script("exit 1", &[]).to_string();
    stack.cli.json(["job:create", "--template", &template, "--count", "10", "--queue"]);
    eventually("the alert of failing jobs fires", || {
        prometheus.fires("MultiFlexiJobsFailing").then_some(())
    });
    stack.scheduler.kill();
    for alert in ["MultiFlexiSchedulerDown", "MultiFlexiAgentNotConnected"] {
        eventually(alert, || prometheus.fires(alert).then_some(()));
    }
}

#[test]
#[ignore = "needs Prometheus: apt-get install prometheus"]
fn every_expression_of_the_dashboard_has_an_answer() {
    let stack = stack();
    let prometheus = prometheus(&stack, "groups: []");
    let template = stack.script("echo 1; echo 1 > file", &[]);
    let id = template.to_string();
    let words = ["action:create", "--template", &id, "--kind", "Sleep", "--on", "always"];
    assert_eq!(stack.cli.run(words.into_iter().chain(["--set", "seconds=0"])).code, 0);
    stack.ended(stack.queued(template));
    assert_ne!(stack.cli.run(["job:show", "999999"]).code, 0);
    let dashboard = fs::read_to_string(delivered("grafana/multiflexi.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&dashboard).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let expressions: Vec<String> = panels
        .iter()
        .filter_map(|panel| panel["targets"].as_array())
        .flatten()
        .map(|target| target["expr"].as_str().unwrap().replace("$__rate_interval", "1m"))
        .collect();
    assert!(expressions.len() > 40, "{expressions:?}");
    for expression in expressions {
        eventually(&expression, || match prometheus.query(&expression)? {
            Ok(series) => (!series.is_empty()).then_some(()),
            Err(error) => panic!("{expression}: {error}"),
        });
    }
}
