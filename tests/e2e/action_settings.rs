//! What actions are told: how it is said, and what is refused.

use std::fs;

use multiflexi_fixture::{
    Answer, SchedulerOptions, Stack, eventually,
    receiver::{Manner, Receiver},
};
use serde_json::Value;

/// What followed the end of a new job, once all of it is done.
fn followed(stack: &Stack, template: i64) -> Vec<Value> {
    let job = stack.queued(template);
    stack.ended(job);
    eventually("all that follows is done", || {
        let actions = stack.show(job)["actions"].as_array().unwrap().clone();
        actions.iter().all(|action| action["ended"].is_string()).then_some(actions)
    })
}

#[test]
fn a_secret_comes_from_the_environment_or_a_file_and_another_answer_is_no_success() {
    let arguments = ["--allow-private-requests", "127.0.0.0/8"].map(str::to_owned).into();
    let stack =
        Stack::with(SchedulerOptions { arguments, ..Default::default() }, Default::default());
    let receiver = Receiver::start().unwrap();
    receiver.set(Manner::Answer(201, r#"{"issue": {"id": 34}}"#.to_owned()));
    let template = stack.script("exit 0", &[]);
    let id = template.to_string();
    let file = stack.folder().join("subject");
    fs::write(&file, "from a file\n").unwrap();
    let (url, file) = (format!("url={}", receiver.url()), format!("subject={}", file.display()));
    let words = ["action:create", "--template", &id, "--kind", "RedmineIssue", "--on", " Always"];
    let words = words.into_iter().chain(["--set", &url, "--set", "project_id=1", "-q"]);
    let mut command = stack.cli.command(words.chain(["--secret", "token", "--file", &file]));
    let created = Answer::of(command.env("TOKEN", "hunter2-of-redmine").output().unwrap());
    assert_eq!(created.code, 0, "{}", created.stderr);
    let action = stack.cli.json(["action:show", created.text().trim()]);
    assert_eq!((&action["on"], &action["settings"]["token"]), (&"always".into(), &"***".into()));

    let done = followed(&stack, template);
    assert_eq!(done[0]["state"], "succeeded", "{done:?}");
    let told = receiver.told();
    assert_eq!(told[0].headers["x-redmine-api-key"], "hunter2-of-redmine");
    assert!(told[0].body.contains("\"from a file\""), "{}", told[0].body);

    // Something else answers there.
    receiver.set(Manner::Answer(200, "ok".to_owned()));
    let done = followed(&stack, template);
    assert!(done[0]["state"] == "failed" && done[0]["tries"] == 1, "{done:?}");
    let outcome = done[0]["outcome"].as_str().unwrap();
    assert!(outcome.contains("answered 200 without an issue's id"), "{outcome}");
}

#[test]
fn what_makes_no_sense_is_refused_at_the_door() {
    let stack = Stack::start();
    let template = stack.script("exit 0", &[]).to_string();
    let refused = |code: i32, kind: &str, more: &[&str], said: &str| {
        let words = ["action:create", "--template", &template, "--kind", kind];
        let answer = stack.cli.run(words.into_iter().chain(more.iter().copied()));
        assert_eq!(answer.code, code, "{}", answer.stderr);
        assert!(answer.stderr.contains(said), "{said}: {}", answer.stderr);
    };
    let words = "success, fail, always or a condition";
    for (on, said) in [
        ("", words),
        ("Succes", words),
        ("success || exit == 3", "success, fail and always stand alone"),
        ("exit in 5..2", "can never hold"),
        ("exit == 300", "can never hold"),
    ] {
        refused(65, "Stop", &["--on", on], said);
    }
    let always = ["--on", "always", "--set"];
    let with = |more: &[&'static str]| [&always[..], more].concat();
    refused(65, "Reschedule", &with(&["delay=0"]), "take 1 second or more");
    refused(64, "WebHook", &with(&["uri"]), "a setting looks like NAME=VALUE");
    let twice = with(&["uri=http://a/", "--set", "uri=http://b/"]);
    refused(64, "WebHook", &twice, "uri is given twice");
    let gaps = with(&["uri=http://a/", "--set", "retry_min_gap=5h"]);
    refused(65, "WebHook", &gaps, "no pause is longer than retry_max_gap, 1h");
    let next = format!("run_template_id={}", stack.script("exit 0", &[]));
    let outside = ["--on", "always", "--set", &next, "--set", "variables=X=@file:../../etc/passwd"];
    refused(65, "ChainRuntemplate", &outside, "is no file that a job leaves");
    let listed = stack.cli.json(["action:list", "--template", &template]);
    assert_eq!(listed["actions"].as_array().unwrap().len(), 0);
}
