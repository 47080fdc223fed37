//! Retries, and the answer to why a job is where it is.

use std::fs;

use multiflexi_fixture::{Stack, eventually};

#[test]
fn a_job_that_fails_is_tried_again_and_each_attempt_keeps_its_own() {
    let stack = Stack::start();
    let script = "echo try $MULTIFLEXI_ATTEMPT; echo $MULTIFLEXI_ATTEMPT > n; \
                  [ $MULTIFLEXI_ATTEMPT = 3 ] || exit 75";
    let more = ["--max-attempts", "5", "--retry-on", "exit:75", "--retry-min-gap", "50ms"];
    let job = stack.job(stack.script(script, &more));
    let answer = stack.cli.run(["job:run", &job.to_string()]);
    assert_eq!(answer.text(), "try 1\ntry 2\ntry 3\n");
    assert_eq!(answer.code, 0, "job:run ends with the last attempt: {}", answer.stderr);
    let shown = stack.show(job);
    assert_eq!((&shown["state"], &shown["attempt"]), (&"succeeded".into(), &3.into()));
    let states: Vec<_> = shown["attempts"].as_array().unwrap().iter().collect();
    assert_eq!(states.len(), 3);
    assert!(states[0]["state"] == "failed" && states[0]["retry_due"].is_string());
    assert!(states[2]["state"] == "succeeded" && states[2]["retry_due"].is_null());
    for attempt in ["1", "2", "3"] {
        let job = job.to_string();
        let words = ["artifact:list", "--job", &job, "--attempt", attempt];
        assert_eq!(stack.cli.json(words)["artifacts"].as_array().unwrap().len(), 3);
        let logs = stack.cli.run(["job:logs", &job, "--attempt", attempt]);
        assert_eq!(logs.text(), format!("try {attempt}\n"));
    }
}

#[test]
fn only_what_is_named_is_tried_again_and_not_for_ever() {
    let stack = Stack::start();
    let run = |script: &str, more: &[&str]| {
        let job = stack.job(stack.script(script, more));
        let code = stack.cli.run(["job:run", &job.to_string()]).code;
        (code, stack.show(job)["attempt"].as_i64().unwrap())
    };
    let twice = ["--max-attempts", "2", "--retry-backoff", "none"];
    assert_eq!(run("exit 3", &twice), (3, 2));
    let lost = [&twice[..], &["--retry-on", "lost"]].concat();
    assert_eq!(run("exit 3", &lost), (3, 1));
    let late = [&twice[..], &["--retry-on", "timed_out", "--timeout", "100ms"]].concat();
    assert_eq!(run("sleep 60", &late), (110, 2));
    let bad = stack.cli.run([
        "runtemplate:create",
        "--name",
        "n",
        "--app",
        "1",
        "--company",
        "1",
        "--max-attempts",
        "2",
        "--retry-on",
        "rain",
    ]);
    assert!(bad.code == 65 && bad.stderr.contains("\"rain\""), "{}", bad.stderr);
}

#[test]
fn a_job_that_waits_for_its_retry_can_be_cancelled_or_run_at_once() {
    let stack = Stack::start();
    let template = stack.script("exit 1", &["--max-attempts", "9", "--retry-min-gap", "1h"]);
    let job = stack.queued(template);
    let waits = |attempt: i64| {
        eventually("it waits for its retry", || {
            let shown = stack.show(job);
            (shown["state"] == "queued" && shown["attempt"] == attempt).then_some(())
        });
    };
    waits(1);
    let why = stack.cli.run(["job:why", &job.to_string()]).text();
    assert!(why.contains("the next is due at"), "{why}");
    let mut run = stack.cli.start(["job:run", &job.to_string()]);
    waits(2);
    assert_eq!(stack.cli.run(["job:cancel", &job.to_string()]).code, 0);
    assert_eq!(run.wait().unwrap().code(), Some(109));
    assert_eq!(stack.show(job)["state"], "cancelled");
}

fn why(stack: &Stack, job: i64) -> String {
    stack.cli.run(["job:why", &job.to_string()]).text()
}

#[test]
fn why_is_answered_in_every_state() {
    let mut stack = Stack::with(
        Default::default(),
        multiflexi_fixture::AgentOptions { slots: 1, ..Default::default() },
    );
    let go = stack.folder().join("go");
    let script = format!("until [ -e '{}' ]; do sleep 0.02; done", go.display());
    let template = stack.script(&script, &[]);
    let loaded = stack.job(template);
    assert!(why(&stack, loaded).contains("nobody has asked"), "{}", why(&stack, loaded));
    let running = stack.queued(template);
    stack.cli.wait_for_state(running, "running");
    assert!(why(&stack, running).contains("it runs on agent agent"), "{}", why(&stack, running));
    let second = stack.queued(template);
    let third = stack.queued(template);
    let said = why(&stack, third);
    assert!(said.contains("1 slot of 1 connected agent"), "{said}");
    assert!(said.contains("ahead of it: 1 job"), "{said}");
    stack.cli.run(["job:cancel", &second.to_string()]);
    let said = why(&stack, second);
    assert!(said.contains("cancel") && said.contains("asked by"), "{said}");
    stack.agent.kill_session();
    stack.cli.wait_for_state(running, "unreachable");
    let said = why(&stack, running);
    assert!(said.contains("is gone since") && said.contains("lost if"), "{said}");
    assert!(why(&stack, third).contains("no agent is connected"), "{}", why(&stack, third));
    stack.agent.start_again();
    fs::File::create(go).unwrap();
    for job in [running, third] {
        assert_eq!(stack.ended(job)["state"], "succeeded");
    }
    let events = stack.cli.json(["job:why", &running.to_string()]);
    let what: Vec<&str> =
        events["events"].as_array().unwrap().iter().filter_map(|e| e["what"].as_str()).collect();
    let expected = ["created", "offered", "started", "unreachable", "regained", "succeeded"];
    assert_eq!(what, expected);
}

#[test]
fn what_is_stored_can_be_verified_and_damage_is_named() {
    let stack = Stack::start();
    let (job, _) = stack.run("seq 1 300000; seq 1 300000 > file; echo small > small");
    let verified = stack.cli.json(["job:verify", &job.to_string()]);
    assert_eq!((&verified["attempts"], &verified["artifacts"]), (&1.into(), &4.into()));
    assert_eq!(verified["faults"].as_array().unwrap().len(), 0);
    let objects = stack.folder().join("data/objects");
    let mut damaged = 0;
    for folder in ["logs", "artifacts"] {
        damaged += damage(&objects.join(folder));
    }
    assert!(damaged >= 2);
    let answer = stack.cli.run(["job:verify", &job.to_string()]);
    assert_eq!(answer.code, 74, "{}", answer.stderr);
    let said = answer.text();
    assert!(said.contains("the output of attempt 1") && said.contains("\"file\""), "{said}");
}

/// Changes one byte in the middle of each file.
fn damage(folder: &std::path::Path) -> usize {
    let mut count = 0;
    for entry in fs::read_dir(folder).unwrap().flatten() {
        if entry.path().is_dir() {
            count += damage(&entry.path());
        } else {
            let mut bytes = fs::read(entry.path()).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 0xff;
            fs::write(entry.path(), bytes).unwrap();
            count += 1;
        }
    }
    count
}

#[test]
fn an_exit_code_that_the_application_calls_permanent_is_tried_again_only_by_its_number() {
    let stack = Stack::start();
    let document = serde_json::json!({
        "name": "Import", "description": "Imports.", "executable": "sh",
        "cmdparams": "-c 'exit {CODE}'",
        "environment": {"CODE": {"type": "integer", "defval": "0"}},
        "exitCodes": {
            "2": {"description": "the account is closed", "severity": "error", "retry": false},
            "3": {"description": "the bank is closed", "severity": "error"}
        }
    });
    let file = stack.folder().join("definition.json");
    fs::write(&file, document.to_string()).unwrap();
    let imported = stack.cli.json(["application:import-json", file.to_str().unwrap()]);
    let application = imported["applications"][0]["id"].to_string();
    let exits = |code: &str, more: &[&str]| {
        let (variable, company) = (format!("CODE={code}"), stack.company.to_string());
        let words = ["runtemplate:create", "--name", "t", "--app", &application, "--company"];
        let words = words.into_iter().chain([company.as_str(), "--env", variable.as_str()]);
        let twice = ["--max-attempts", "2", "--retry-backoff", "none"];
        let template = stack.cli.create(words.chain(twice).chain(more.iter().copied()));
        let job = stack.job(template).to_string();
        assert_eq!(stack.cli.run(["job:run", &job]).code.to_string(), code);
        let attempts = stack.cli.json(["job:show", &job])["attempt"].as_i64().unwrap();
        (attempts, stack.cli.run(["job:why", &job]).text())
    };
    let (attempts, why) = exits("2", &[]);
    assert_eq!(attempts, 1, "{why}");
    assert!(why.contains("not retried") && why.contains("--retry-on exit:2"), "{why}");
    assert_eq!(exits("2", &["--retry-on", "failed", "--retry-on", "exit:2"]).0, 2);
    let (attempts, why) = exits("3", &[]);
    assert_eq!(attempts, 2, "nothing is said of it: {why}");
    assert!(!why.contains("not retried"), "{why}");
}
