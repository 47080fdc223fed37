//! Lists of everything: filtered, sorted and paged by the scheduler.

use std::fs;

use multiflexi_fixture::{
    AgentOptions, SchedulerOptions, Stack, Terminal, programs, terminal::PROMPT,
};
use serde_json::Value;

/// One field of the things in a list.
fn field(list: &Value, name: &str) -> Vec<String> {
    let things = list.as_object().unwrap().values().find_map(Value::as_array).unwrap();
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    things.iter().map(|thing| text(&thing[name])).collect()
}

fn names(stack: &Stack, words: &[&str]) -> Vec<String> {
    field(&stack.cli.json(words), "name")
}

#[test]
fn companies_and_applications_are_filtered_and_sorted() {
    let stack = Stack::start();
    for name in ["beta_1", "100% beta", "gamma"] {
        stack.cli.create(["company:create", "--name", name]);
    }
    let named = |text| names(&stack, &["company:list", "--name", text]);
    assert_eq!(named("BETA"), ["beta_1", "100% beta"]);
    assert_eq!(named("%"), ["100% beta"]);
    assert_eq!(named("_"), ["beta_1"]);
    assert_eq!(named("nothing"), [""; 0]);
    let newest = names(&stack, &["company:list", "--order", "id desc", "--limit", "2"]);
    assert_eq!(newest, ["gamma", "100% beta"]);
    let created = names(&stack, &["company:list", "--order", "created", "--limit", "2"]);
    assert_eq!(created, ["Acme", "beta_1"]);
    let file = stack.folder().join("one.multiflexi.app.json");
    let definition = r#"{ "name": "Invoices", "description": "d", "executable": "abra-import",
        "environment": {}, "tags": ["bank"] }"#;
    fs::write(&file, definition).unwrap();
    assert_eq!(
        stack.cli.run([Into::into("application:import-json"), file.into_os_string()]).code,
        0
    );
    stack.cli.create(["application:create", "--name", "Other", "--executable", "true"]);
    let applications = |words: &[&str]| names(&stack, &[&["application:list"], words].concat());
    assert_eq!(applications(&["--tag", "Bank"]), ["Invoices"]);
    assert_eq!(applications(&["--executable", "abra-import"]), ["Invoices"]);
    assert_eq!(applications(&["--name", "OTHER"]), ["Other"]);
    assert_eq!(applications(&["--name", "other", "--tag", "bank"]), [""; 0]);
    assert_eq!(applications(&["--order", "name desc"]), ["Other", "Invoices"]);
}

#[test]
fn run_templates_are_filtered_by_what_there_is() {
    let stack = Stack::start();
    let application = stack.script("exit 0", &[]);
    let application = stack.cli.json(["runtemplate:show", &application.to_string()]);
    let application = application["application_id"].to_string();
    let other = stack.cli.create(["company:create", "--name", "Other"]).to_string();
    let words = ["runtemplate:create", "--name", "Nightly", "--app", &application];
    stack.cli.create(words.into_iter().chain(["--company", &other]));
    stack.script("exit 0", &[]);
    let list = |words: &[&str]| names(&stack, &[&["runtemplate:list"], words].concat());
    assert_eq!(list(&["--company", &other]), ["Nightly"]);
    assert_eq!(list(&["--app", &application]), ["template", "Nightly"]);
    assert_eq!(list(&["--app", &application, "--order", "name"]), ["Nightly", "template"]);
    assert_eq!(list(&["--name", "NIGHT"]), ["Nightly"]);
    // What there is not is no empty list.
    for option in ["--company", "--app"] {
        let unknown = stack.cli.run(["runtemplate:list", option, "99"]);
        assert_eq!(unknown.code, 66, "{option}: {}", unknown.stderr);
        assert!(unknown.stderr.contains("99"), "{}", unknown.stderr);
    }
    assert_eq!(stack.cli.run(["artifact:list", "--job", "99"]).code, 66);
}

#[test]
fn agents_are_filtered_by_state_and_label() {
    let arguments = ["--label", "os=debian", "--label", "disk="].map(str::to_owned).into();
    let options = AgentOptions { arguments, ..AgentOptions::default() };
    let mut stack = Stack::with(SchedulerOptions::default(), options);
    let list = |stack: &Stack, words: &[&str]| {
        field(&stack.cli.json([&["agent:list"], words].concat()), "labels")
    };
    let one = [r#"{"disk":"","os":"debian"}"#];
    assert_eq!(list(&stack, &["--state", "connected"]), one);
    assert_eq!(list(&stack, &["--state", "away"]), [""; 0]);
    assert_eq!(list(&stack, &["--label", "os", "--label", "disk="]), one);
    assert_eq!(list(&stack, &["--label", "os=alpine"]), [""; 0]);
    assert_eq!(list(&stack, &["--label", "arch"]), [""; 0]);
    stack.agent.kill_session();
    multiflexi_fixture::eventually("the agent is away", || {
        (list(&stack, &["--state", "away"]) == one).then_some(())
    });
    assert_eq!(list(&stack, &["--state", "connected"]), [""; 0]);
}

#[test]
fn artifacts_of_all_jobs_are_listed_newest_first() {
    let stack = Stack::start();
    stack.run("echo 1 > one.csv");
    let (second, _) = stack.run("echo '{}' > two.json; mkfifo pipe");
    let list =
        |words: &[&str]| field(&stack.cli.json([&["artifact:list"], words].concat()), "filename");
    let all = stack.cli.json(["artifact:list"]);
    let jobs = field(&all, "job_id");
    assert!(jobs[0] == second.to_string() && jobs.is_sorted_by(|a, b| a >= b), "{jobs:?}");
    assert_eq!(list(&["--content-type", "text/csv"]), ["one.csv"]);
    assert_eq!(list(&["--content-type", "text/plain", "--name", "stdout"]).len(), 2);
    assert_eq!(list(&["--name", "TWO"]), ["two.json"]);
    assert_eq!(list(&["--state", "failed"]), ["pipe"]);
    let job = second.to_string();
    let of_job = list(&["--job", &job, "--order", "name", "--state", "stored"]);
    assert_eq!(of_job, ["stderr.txt", "stdout.txt", "two.json"]);
    let by_name = stack.cli.run(["artifact:list", "--order", "name"]);
    assert!(by_name.code == 65 && by_name.stderr.contains("name a job"), "{}", by_name.stderr);
}

#[test]
fn a_page_token_is_good_for_its_own_list_only() {
    let stack = Stack::start();
    stack.cli.create(["company:create", "--name", "Other"]);
    let template = stack.script("exit 0", &[]).to_string();
    for seconds in ["seconds=0", "seconds=1"] {
        let words = ["action:create", "--template", &template, "--kind", "Sleep"];
        stack.cli.create(words.into_iter().chain(["--on", "fail", "--set", seconds]));
    }
    let page = stack.cli.json(["action:list", "--limit", "1"]);
    let token = page["next_page_token"].as_str().unwrap();
    assert_eq!(stack.cli.json(["action:list", "--page-token", token])["actions"][0]["id"], 2);
    for filter in ["--template", "--state"] {
        let value = if filter == "--state" { "failed" } else { &template };
        let other = stack.cli.run(["action:list", "--page-token", token, filter, value]);
        assert!(other.code == 65 && other.stderr.contains("another list"), "{}", other.stderr);
    }
    stack.cli.json(["job:create", "--template", &template, "--count", "2"]);
    let [first, second] = [&[][..], &["--order", "id desc"]];
    for (one, other) in [(first, second), (second, first)] {
        let page = stack.cli.json([&["job:list", "--limit", "1"], one].concat());
        let token = page["next_page_token"].as_str().unwrap();
        let next = stack.cli.json([&["job:list", "--page-token", token], other].concat());
        assert_eq!(field(&next, "id"), ["1"], "the newest first is what nobody has to say");
    }
    for (list, filter) in [
        ("company:list", ["--order", "name"]),
        ("job:list", ["--state", "loaded"]),
        ("job:list", ["--order", "id"]),
    ] {
        let page = stack.cli.json([list, "--limit", "1"]);
        let token = page["next_page_token"].as_str().unwrap();
        let next = [list, "--limit", "1", "--page-token", token];
        assert_eq!(field(&stack.cli.json(next), "id").len(), 1);
        let other = stack.cli.run(next.iter().chain(&filter));
        assert_eq!(other.code, 65, "{list}: {}", other.stderr);
        assert!(other.stderr.contains("another list"), "{list}: {}", other.stderr);
        let elsewhere = stack.cli.run(["application:list", "--page-token", token]);
        assert_eq!(elsewhere.code, 65, "{list}: {}", elsewhere.stderr);
        let foreign = stack.cli.run([list, "--page-token", "nonsense"]);
        assert!(foreign.code == 65 && foreign.stderr.contains("\"nonsense\""));
        let order = stack.cli.run([list, "--order", "colour"]);
        assert!(order.code == 65 && order.stderr.contains("colour"), "{}", order.stderr);
    }
}

#[test]
fn a_page_behind_which_there_is_nothing_is_the_last() {
    let stack = Stack::start();
    stack.cli.create(["company:create", "--name", "Other"]);
    let template = stack.script("exit 0", &[]).to_string();
    stack.cli.json(["job:create", "--template", &template, "--count", "2"]);
    for _ in 0..2 {
        let words = ["action:create", "--template", &template, "--kind", "Stop", "--on", "fail"];
        stack.cli.create(words);
    }
    for list in ["company:list", "job:list", "action:list"] {
        for order in [&[][..], &["--order", "created"]] {
            if list == "action:list" && !order.is_empty() {
                continue;
            }
            let words = |limit| [&[list, "--limit", limit], order].concat();
            let all = stack.cli.json(words("2"));
            assert!(all["next_page_token"].is_null(), "{list}: {all}");
            assert_eq!(field(&all, "id").len(), 2);
            assert_eq!(stack.cli.run(words("2")).stderr, "");
            let one = stack.cli.json(words("1"));
            let next = [words("1"), vec!["--page-token", one["next_page_token"].as_str().unwrap()]];
            let next = stack.cli.json(next.concat());
            assert!(next["next_page_token"].is_null(), "{list}: {next}");
            assert_eq!([field(&one, "id"), field(&next, "id")].concat(), field(&all, "id"));
        }
    }
}

#[test]
fn a_terminal_without_a_window_gets_a_table_with_whole_words() {
    let stack = Stack::start();
    stack.cli.create(["company:create", "--name", "A company with a long name"]);
    let url = stack.scheduler.url();
    let mut terminal = Terminal::start("sh", |command| {
        command.env("MULTIFLEXI_SERVER", &url).env("CLI", programs::cli());
        command.env_remove("NO_COLOR");
    });
    terminal.wait_for(PROMPT);
    terminal.press("stty cols 0 rows 0; $CLI company:list\n");
    terminal.wait_for("A company with a long name");
}
