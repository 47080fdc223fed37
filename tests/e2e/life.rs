//! The life of a job, from its creation to its artifacts, and again.

use std::{fs, io::Write as _};

use multiflexi_fixture::{Lines, Stack};
use serde_json::Value;

#[test]
fn a_job_runs_and_everything_about_it_is_on_record() {
    let stack = Stack::start();
    let template = stack
        .script("echo hello $WHO; echo oops >&2; echo 1,2 > table.csv", &["--env", "WHO=world"]);
    let job = stack.job(template);
    assert_eq!(stack.show(job)["state"], "loaded");
    let answer = stack.cli.run(["job:run", &job.to_string()]);
    assert_eq!((answer.code, answer.text().as_str()), (0, "hello world\n"));
    assert_eq!(answer.stderr, "oops\n");

    let shown = stack.show(job);
    assert_eq!(shown["state"], "succeeded");
    assert_eq!(shown["exit_code"], 0);
    assert_eq!(shown["meaning"], "success");
    assert_eq!(shown["company_name"], "Acme");
    let attempt = &shown["attempts"][0];
    assert_eq!(attempt["number"], 1);
    assert_eq!(attempt["command"][0], "sh");
    assert!(attempt["pid"].as_i64().unwrap() > 1, "{attempt}");
    assert!(attempt["peak_memory_bytes"].as_i64().unwrap() > 0, "{attempt}");
    assert!(attempt["user_cpu_seconds"].is_number(), "{attempt}");
    assert_eq!(attempt["stdout"]["size_bytes"], 12);
    for time in ["created", "queued", "started", "ended"] {
        assert!(shown[time].as_str().unwrap().ends_with('Z'), "{time}: {shown}");
    }
    let took = |of: &Value, name: &str| of[name].as_f64().unwrap_or_else(|| panic!("{name}: {of}"));
    let [queued, run, total] =
        ["queued_seconds", "run_seconds", "total_seconds"].map(|name| took(&shown, name));
    // The parts are added as floating point numbers.
    assert!(queued >= 0.0 && run > 0.0 && total > queued + run - 1e-6, "{shown}");
    assert_eq!((took(attempt, "queued_seconds"), took(attempt, "run_seconds")), (queued, run));
    let loaded = stack.show(stack.job(template));
    assert!(loaded["run_seconds"].is_null() && loaded["total_seconds"].is_null(), "{loaded}");
}

#[test]
fn the_jobs_variables_win_and_the_systems_win_over_them() {
    let stack = Stack::start();
    let template = stack.script(
        "echo $A $B $MULTIFLEXI_JOB_ID $MULTIFLEXI_COMPANY_NAME; cd \"$MULTIFLEXI_TMP\" && ls | wc -l",
        &["--env", "A=template", "--env", "B=template"],
    );
    let create = ["job:create", "--template", &template.to_string(), "--env", "B=job", "--env"];
    let more = ["MULTIFLEXI_JOB_ID=99", "--env", "MULTIFLEXI_TMP=/nowhere"];
    let job = stack.cli.create(create.into_iter().chain(more));
    let answer = stack.cli.run(["job:run", &job.to_string()]);
    assert_eq!(answer.text(), format!("template job {job} Acme\n0\n"));
    let env = stack.cli.json(["job:env", &job.to_string()]).to_string();
    assert!(!env.contains("nowhere"), "what the process has is told: {env}");
}

#[test]
fn running_a_finished_job_again_makes_its_second_attempt() {
    let stack = Stack::start();
    let (job, first) = stack.run("echo attempt $MULTIFLEXI_ATTEMPT; echo $MULTIFLEXI_ATTEMPT > n");
    let second = stack.cli.run(["job:run", &job.to_string()]);
    assert_eq!(first.text() + &second.text(), "attempt 1\nattempt 2\n");
    let shown = stack.show(job);
    assert_eq!(shown["attempt"], 2);
    assert_eq!(shown["attempts"].as_array().unwrap().len(), 2);
    for number in ["1", "2"] {
        let logs = stack.cli.run(["job:logs", &job.to_string(), "--attempt", number]);
        assert_eq!(logs.text(), format!("attempt {number}\n"));
        let job = job.to_string();
        let list = stack.cli.json(["artifact:list", "--job", &job, "--attempt", number]);
        assert_eq!(list["artifacts"].as_array().unwrap().len(), 3, "{list}");
    }
}

#[test]
fn a_job_that_runs_already_is_followed_and_not_run_twice() {
    let stack = Stack::start();
    let go = stack.folder().join("go");
    let script =
        format!("echo once; until [ -e '{}' ]; do sleep 0.02; done; echo end", go.display());
    let job = stack.queued(stack.script(&script, &[]));
    stack.cli.wait_for_state(job, "running");
    let mut follower = stack.cli.start(["job:run", &job.to_string()]);
    let lines = Lines::of(follower.stdout.take().unwrap());
    assert_eq!(lines.at_least(1), ["once"]);
    fs::File::create(&go).unwrap().flush().unwrap();
    assert!(follower.wait().unwrap().success());
    assert_eq!(lines.at_least(2), ["once", "end"]);
    assert_eq!(stack.show(job)["attempts"].as_array().unwrap().len(), 1);
}

#[test]
fn a_job_waits_for_an_agent_that_comes_later() {
    let mut stack = Stack::start();
    stack.agent.terminate();
    let job = stack.queued(stack.script("echo at last", &[]));
    assert_eq!(stack.show(job)["state"], "queued");
    stack.agent.start_again();
    assert_eq!(stack.ended(job)["state"], "succeeded");
}

#[test]
fn a_run_template_counts_how_its_jobs_ended_and_keeps_the_count() {
    let stack = Stack::start();
    let template = stack.script("exit $CODE", &["--env", "CODE=0"]);
    let id = template.to_string();
    let runs = || stack.cli.json(["runtemplate:show", &id])["runs"].clone();
    assert!(runs()["succeeded"] == 0 && runs()["last_ended"].is_null(), "{}", runs());
    for code in ["0", "0", "3"] {
        let variable = format!("CODE={code}");
        let create = ["job:create", "--template", &id, "--env", &variable, "--queue"];
        stack.ended(stack.cli.create(create));
    }
    let waiting = stack.job(template);
    stack.cli.json(["job:cancel", &waiting.to_string()]);
    let counted = runs();
    let of = |name: &str| counted[name].as_i64().unwrap();
    assert_eq!([of("succeeded"), of("failed"), of("cancelled")], [2, 1, 1]);
    assert!(counted["last_ended"].as_str().unwrap().ends_with('Z'));
    stack.cli.json(["job:delete", &waiting.to_string()]);
    assert_eq!(runs(), counted, "deleting a job lowers nothing");
    let listed = stack.cli.run(["runtemplate:list"]).text();
    let row: Vec<&str> = listed.lines().last().unwrap().split_whitespace().collect();
    assert_eq!(row[row.len() - 4..row.len() - 2], ["2", "1"], "{listed}");
}
