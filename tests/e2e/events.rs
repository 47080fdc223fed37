//! `job:watch`: what happens to jobs, as it happens.

use multiflexi_fixture::{Lines, Stack};
use serde_json::Value;

fn read(lines: &[String]) -> Vec<Value> {
    lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn states(changes: &[Value]) -> Vec<(i64, &str)> {
    changes.iter().map(|c| (c["job_id"].as_i64().unwrap(), c["state"].as_str().unwrap())).collect()
}

#[test]
fn a_watcher_sees_each_state_once_in_order_though_the_scheduler_is_killed() {
    let mut stack = Stack::start();
    let mut watch = stack.cli.start(["job:watch", "--after", "0", "-f", "json"]);
    let lines = Lines::of(watch.stdout.take().unwrap());
    let (well, badly) = (stack.script("true", &[]), stack.script("exit 3", &[]));
    let first = stack.job(well);
    lines.at_least(1);
    stack.cli.run(["job:run", &first.to_string()]);
    lines.at_least(5);
    stack.scheduler.restart();
    let second = stack.queued(badly);
    stack.ended(second);
    let life = ["queued", "offered", "running"];
    let expected: Vec<(i64, &str)> = [(first, "loaded")]
        .into_iter()
        .chain(life.map(|state| (first, state)))
        .chain([(first, "succeeded")])
        .chain(life.map(|state| (second, state)))
        .chain([(second, "failed")])
        .collect();
    let changes = read(&lines.at_least(expected.len()));
    // Artifacts and output may take a moment longer than the process.
    let seen: Vec<_> =
        states(&changes).into_iter().filter(|(_, state)| *state != "finishing").collect();
    assert_eq!(seen[..expected.len().min(seen.len())], expected[..seen.len()], "{changes:?}");
    watch.kill().unwrap();
    watch.wait().unwrap();

    // All of it is there for who comes later, from any cursor on.
    let past = |more: &[&str]| {
        let words = [&["job:watch", "--past-only", "-f", "json"], more].concat();
        let answer = stack.cli.run(words);
        assert_eq!(answer.code, 0, "{}", answer.stderr);
        read(&answer.text().lines().map(ToOwned::to_owned).collect::<Vec<_>>())
    };
    let all = past(&["--after", "0"]);
    assert_eq!(all[..changes.len()], changes[..]);
    let last = all.last().unwrap();
    assert_eq!((&last["state"], &last["exit_code"]), (&"failed".into(), &3.into()));
    let cursor = all[2]["cursor"].to_string();
    assert_eq!(past(&["--after", &cursor]), all[3..]);

    let template = badly.to_string();
    let of_template = past(&["--after", "0", "--template", &template]);
    assert!(of_template.iter().all(|change| change["job_id"] == second), "{of_template:?}");
    let failed = past(&["--after", "0", "--state", "failed"]);
    assert_eq!(states(&failed), [(second, "failed")]);
}

#[test]
fn a_watcher_is_told_what_it_asks_for() {
    let stack = Stack::start();
    let template = stack.script("true", &[]);
    let job = stack.job(template);
    let past = |more: &[&str]| {
        let watch = ["job:watch", "--after", "0", "--past-only"].into_iter();
        let answer = stack.cli.run(watch.chain(more.iter().copied()));
        assert_eq!(answer.code, 0, "{}", answer.stderr);
        answer.text()
    };
    assert_eq!(past(&["-q"]), format!("{job}\n"));
    assert_eq!(past(&["--fields", "state,job_id"]), format!("loaded\t{job}\n"));
    let json = past(&["--fields", "state,job_id", "-f", "json"]);
    assert_eq!(json, format!("{{\"state\":\"loaded\",\"job_id\":{job}}}\n"));
    let watch = ["job:watch", "--after", "0", "--past-only", "--fields", "colour"];
    let unknown = stack.cli.run(watch);
    assert!(unknown.code == 64 && unknown.stderr.contains("\"colour\""), "{}", unknown.stderr);

    stack.cli.json(["runtemplate:delete", &template.to_string(), "--cascade"]);
    let shown = past(&[]);
    let gone = format!("run template {template}, deleted (Acme)\n");
    assert!(shown.lines().count() > 0 && shown.contains(&gone), "{shown}");
}

#[test]
fn a_cursor_of_elsewhere_is_refused() {
    let stack = Stack::start();
    let answer = stack.cli.run(["job:watch", "--after", "7"]);
    assert_eq!(answer.code, 65, "{}", answer.stderr);
    assert!(answer.stderr.contains("7 is no cursor"), "{}", answer.stderr);
    let answer = stack.cli.run(["job:watch", "--past-only"]);
    assert_eq!(answer.code, 64, "{}", answer.stderr);
}

#[test]
fn nobody_waits_for_what_is_not_there() {
    let stack = Stack::start();
    for (option, what) in
        [("--job", "job"), ("--template", "run template"), ("--company", "company")]
    {
        let answer = stack.cli.run(["job:watch", option, "99999"]);
        let said = format!("there is no {what} 99999");
        assert!(answer.code == 66 && answer.stderr.contains(&said), "{}", answer.stderr);
    }
}
