//! The command line's own habits.

use std::fs;

use multiflexi_fixture::Stack;

#[test]
fn the_seeds_workflow_example_works_as_printed() {
    let stack = Stack::start();
    let template = stack.script("echo in CI", &[]).to_string();
    let output = stack.folder().join("github_output");
    fs::write(&output, "before=1\n").unwrap();
    let company = stack.company.to_string();
    let words = ["job:create", "--template", &template, "--company", &company];
    let created = stack.cli.command(words).env("GITHUB_OUTPUT", &output).output().unwrap();
    assert!(created.status.success());
    let written = fs::read_to_string(&output).unwrap();
    let job = written.strip_prefix("before=1\njob_id=").unwrap().trim();
    assert_eq!(stack.cli.run(["job:run", job]).text(), "in CI\n");
}

#[test]
fn a_request_id_makes_creating_idempotent() {
    let stack = Stack::start();
    let template = stack.script("exit 0", &[]).to_string();
    let words = ["job:create", "--template", &template, "--request-id", "nightly", "--count", "3"];
    let first = stack.cli.json(words);
    assert_eq!(stack.cli.json(words), first);
    assert_eq!(first["job_ids"].as_array().unwrap().len(), 3);
    assert_eq!(stack.cli.json(["job:list"])["jobs"].as_array().unwrap().len(), 3);
}

#[test]
fn lists_are_paged_and_filtered() {
    let stack = Stack::start();
    let template = stack.script("exit 3", &[]).to_string();
    stack.cli.json(["job:create", "--template", &template, "--count", "25"]);
    let page = stack.cli.json(["job:list", "--limit", "10"]);
    assert_eq!(page["jobs"].as_array().unwrap().len(), 10);
    let token = page["next_page_token"].as_str().unwrap();
    let next = stack.cli.json(["job:list", "--limit", "10", "--page-token", token]);
    assert!(next["jobs"][0]["id"].as_i64() < page["jobs"][9]["id"].as_i64());
    assert_eq!(stack.cli.json(["job:list", "--all"])["jobs"].as_array().unwrap().len(), 25);
    stack.cli.run(["job:run", "7"]);
    let failed = stack.cli.json(["job:list", "--state", "failed"]);
    assert_eq!(failed["jobs"].as_array().unwrap().len(), 1);
    assert_eq!(failed["jobs"][0]["id"], 7);
}

#[test]
fn the_queue_is_processed_and_waited_for() {
    let stack = Stack::start();
    let template = stack.script("exit 0", &[]).to_string();
    stack.cli.json(["job:create", "--template", &template, "--count", "20"]);
    let answer = stack.cli.json(["queue:process"]);
    assert_eq!(answer["queued"], 20);
    assert_eq!(stack.cli.json(["queue:status"])["jobs"]["succeeded"], 20);
}

#[test]
fn environment_files_are_read_and_flags_win() {
    let stack = Stack::start();
    let file = stack.folder().join("env");
    fs::write(&file, format!("MULTIFLEXI_SERVER={}\n", stack.scheduler.url())).unwrap();
    let list = |words: &[&str]| {
        let mut command = stack.cli.command(words);
        command.env_remove("MULTIFLEXI_SERVER").output().unwrap().status.code()
    };
    let file = file.to_str().unwrap();
    assert_eq!(list(&["--environment", file, "company:list"]), Some(0));
    let other = ["--environment", file, "--server", "http://127.0.0.1:1", "company:list"];
    assert_eq!(list(&other), Some(69));
    assert_eq!(list(&["--environment", "/no/such/file", "company:list"]), Some(64));
}

#[test]
fn completions_know_the_commands() {
    let stack = Stack::start();
    for shell in ["bash", "zsh", "fish"] {
        let script = stack.cli.run(["completion", shell]).text();
        assert!(script.contains("job:run") || script.contains("job\\:run"), "{shell}");
    }
}

#[test]
fn a_closed_pipe_is_no_failure() {
    let stack = Stack::start();
    let (job, _) = stack.run("seq 1 1000000");
    let mut logs = stack.cli.start(["job:logs", &job.to_string()]);
    let mut first = [0; 2];
    std::io::Read::read_exact(logs.stdout.as_mut().unwrap(), &mut first).unwrap();
    drop(logs.stdout.take());
    assert_eq!(logs.wait().unwrap().code(), Some(0));
}

#[test]
fn agents_are_listed_with_what_they_do() {
    let mut stack = Stack::start();
    let agents = stack.cli.json(["agent:list"]);
    assert_eq!(agents["agents"][0]["name"], "agent");
    assert_eq!(agents["agents"][0]["connected"], true);
    assert_eq!(agents["agents"][0]["slots"], 8);
    assert_eq!(stack.agent.terminate().code(), Some(0));
    let gone = multiflexi_fixture::eventually("the agent is gone", || {
        let agents = stack.cli.json(["agent:list"]);
        (agents["agents"][0]["connected"] == false).then_some(agents)
    });
    assert_eq!(gone["agents"].as_array().unwrap().len(), 1);
}
