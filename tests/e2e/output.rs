//! Output: live, apart, in order, and every byte of it.

use std::{fs::File, process::Stdio};

use multiflexi_fixture::{Agent, AgentOptions, Lines, Stack, proxy::Proxy};

/// A script that waits for a file before it goes on, so that a test can say when.
fn step(stack: &Stack, name: &str) -> (String, std::path::PathBuf) {
    let path = stack.folder().join(name);
    (format!("until [ -e '{}' ]; do sleep 0.02; done", path.display()), path)
}

#[test]
fn each_line_is_seen_when_it_is_written_and_each_stream_is_its_own() {
    let stack = Stack::start();
    let (first, go_first) = step(&stack, "first");
    let (second, go_second) = step(&stack, "second");
    let script = format!(
        "echo out 1; echo err 1 >&2; {first}; echo out 2; echo err 2 >&2; {second}; echo out 3"
    );
    let job = stack.job(stack.script(&script, &[]));
    let mut run = stack.cli.start(["job:run", &job.to_string()]);
    let out = Lines::of(run.stdout.take().unwrap());
    let err = Lines::of(run.stderr.take().unwrap());
    // The job cannot go on before its first lines were seen here.
    assert_eq!(out.at_least(1), ["out 1"]);
    assert_eq!(err.at_least(1), ["err 1"]);
    File::create(go_first).unwrap();
    assert_eq!(out.at_least(2), ["out 1", "out 2"]);
    assert_eq!(err.at_least(2), ["err 1", "err 2"]);
    File::create(go_second).unwrap();
    assert!(run.wait().unwrap().success());
    assert_eq!(out.at_least(3).len(), 3);

    let logs = stack.cli.run(["job:logs", &job.to_string(), "--timestamps"]).text();
    let order: Vec<&str> = logs.lines().map(|line| line.split_once("  ").unwrap().1).collect();
    assert_eq!(order, ["out 1", "err 1", "out 2", "err 2", "out 3"]);
    let only = stack.cli.run(["job:logs", &job.to_string(), "--stream", "stderr"]);
    assert_eq!((only.text().as_str(), only.stderr.as_str()), ("", "err 1\nerr 2\n"));
}

#[test]
fn output_without_a_newline_is_seen_at_once() {
    let stack = Stack::start();
    let (wait, go) = step(&stack, "go");
    let job = stack.job(stack.script(&format!("printf 'name? '; {wait}; echo bob"), &[]));
    let mut run = stack.cli.command(["job:run", &job.to_string()]);
    let mut run = run.stdout(Stdio::piped()).spawn().unwrap();
    let mut prompt = [0; 6];
    std::io::Read::read_exact(run.stdout.as_mut().unwrap(), &mut prompt).unwrap();
    assert_eq!(&prompt, b"name? ");
    File::create(go).unwrap();
    assert!(run.wait().unwrap().success());
}

#[test]
fn binary_output_arrives_byte_for_byte() {
    let stack = Stack::start();
    let script = "i=0; while [ $i -lt 256 ]; do printf \"\\\\$(printf %03o $i)\"; i=$((i+1)); done";
    let (job, answer) = stack.run(script);
    let every_byte: Vec<u8> = (0..=255).collect();
    assert_eq!(answer.stdout, every_byte);
    assert_eq!(stack.cli.run(["job:logs", &job.to_string()]).stdout, every_byte);
}

#[test]
fn output_that_comes_after_the_main_process_is_kept_up_to_the_drain_deadline() {
    let stack = Stack::start();
    let (job, answer) = stack.run("(sleep 0.3; echo late) & echo early");
    assert_eq!((answer.code, answer.text().as_str()), (0, "early\nlate\n"));
    assert_eq!(stack.show(job)["attempts"][0]["leftovers"].as_array().unwrap().len(), 0);
}

#[test]
fn since_and_json_show_a_part_of_it_with_its_times() {
    let stack = Stack::start();
    let (job, _) = stack.run("echo a; echo b >&2");
    let json = stack.cli.run(["job:logs", &job.to_string(), "-f", "json"]).text();
    let records: Vec<serde_json::Value> =
        json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(records[0]["stream"], "stdout");
    assert_eq!(records[1]["text"], "b\n");
    let time = records[1]["time"].as_str().unwrap();
    let since = stack.cli.run(["job:logs", &job.to_string(), "--since", time]);
    assert_eq!((since.text().as_str(), since.stderr.as_str()), ("", "b\n"));
    let future = stack.cli.run(["job:logs", &job.to_string(), "--since", "2099-01-01"]);
    assert_eq!((future.code, future.stdout.len()), (0, 0));
}

#[test]
fn what_is_damaged_on_the_way_is_asked_for_again() {
    let mut stack = Stack::start();
    stack.agent.kill_all();
    let proxy = Proxy::start(stack.scheduler.address).unwrap();
    let folder = stack.folder().join("behind-a-proxy");
    let options = AgentOptions { name: "behind-a-proxy".to_owned(), ..Default::default() };
    let _agent = Agent::start(&folder, &proxy.url(), options);
    proxy.damage(&["sixteen candles", "a crooked sixpence"]);
    let template = stack.script("echo sixteen can''dles; echo a crooked six''pence > file", &[]);
    let job = stack.queued(template).to_string();
    let output = stack.cli.run(["job:logs", &job, "--follow"]);
    assert_eq!(output.text(), "sixteen candles\n");
    assert_eq!(proxy.undamaged(), 0, "both were damaged on their way");
    let shown = stack.cli.json(["job:show", &job]);
    assert!(shown["state"] == "succeeded" && shown["trouble"].is_null(), "{shown}");
    let list = stack.cli.json(["artifact:list", "--job", &job]);
    let files = list["artifacts"].as_array().unwrap().iter();
    let file = files.into_iter().find(|file| file["filename"] == "file").unwrap();
    let id = file["id"].to_string();
    let got = stack.cli.run(["artifact:get", &id, "--output", "-"]);
    assert_eq!(got.text(), "a crooked sixpence\n");
}
