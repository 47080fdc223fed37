//! What is printed for people: nothing in it commands the terminal, and it says what is so.

use std::fs;

use multiflexi_fixture::Stack;

/// A value that would colour what follows, and overwrite what is before.
const COMMANDS: &str = "\u{1b}[31mred\rover\u{9b}2J";

/// The same, as people see it.
const SEEN: &str = "\\u{1b}[31mred\\rover\\u{9b}2J";

#[test]
fn what_a_value_tells_a_terminal_is_spelled_out_and_output_stays_as_it_is() {
    let stack = Stack::start();
    let value = format!("ESC={COMMANDS}");
    let template = stack.script("printf %s \"$ESC\"; exit 3", &["--env", &value]).to_string();
    let create = ["job:create", "--template", &template, "--env", &value];
    let job = stack.cli.create(create).to_string();
    assert_eq!(stack.cli.run(["job:run", &job]).text(), COMMANDS);
    assert_eq!(stack.cli.run(["job:logs", &job]).text(), COMMANDS);
    stack.cli.run(["company:update", "1", "--env", &value, "--env", "LINES=one\nA=2"]);
    for words in [
        &["job:env", &job][..],
        &["job:show", &job],
        &["job:show", &job, "--fields", "environment"],
        &["runtemplate:show", &template],
        &["company:show", "1"],
    ] {
        let shown = stack.cli.run(words).text();
        assert!(!shown.contains(['\u{1b}', '\r', '\u{9b}']), "{words:?}: {shown:?}");
        let is_json = words.contains(&"--fields");
        assert!(is_json || shown.contains(SEEN), "{words:?}: {shown:?}");
    }
    let company = stack.cli.run(["company:show", "1"]).text();
    let second = company.lines().find(|line| line.ends_with(" A=2")).unwrap();
    let first = company.lines().find(|line| line.contains("LINES=one")).unwrap();
    assert_eq!(second.find("A=2"), Some(first.find("LINES").unwrap() + 2), "{company}");
    // Machines get every value as it is.
    assert_eq!(stack.cli.json(["company:show", "1"])["environment"]["ESC"], COMMANDS);
    let file = stack.folder().join("bad.json");
    fs::write(&file, format!("{{ \"{}[31m\": 1 }}", "\\u001b")).unwrap();
    for command in ["application:import-json", "application:validate-json"] {
        let answer = stack.cli.run([command, file.to_str().unwrap()]);
        let said = answer.text() + &answer.stderr;
        assert!(!said.contains('\u{1b}'), "{said:?}");
    }
    let refused = stack.cli.run(["company:create", "--name", "x", "--slug", COMMANDS]);
    assert!(refused.code == 65 && !refused.stderr.contains('\u{1b}'), "{refused:?}");
}

#[test]
fn one_is_one_and_a_duration_is_as_it_was_said() {
    let stack = Stack::start();
    let more = ["--timeout", "10min", "--keep-age", "90d", "--keep-count", "1"];
    let retries = ["--max-attempts", "2", "--retry-min-gap", "1s", "--retry-max-gap", "1h"];
    let template = stack.script("exit 0", &[more.as_slice(), &retries].concat()).to_string();
    let said = |words: &[&str]| {
        let answer = stack.cli.run(words);
        answer.text() + &answer.stderr
    };
    let shown = said(&["runtemplate:show", &template]);
    for part in ["10m\n", "backoff from 1s to 1h", "for 90 days, 1 job\n", "grace", " 10s\n"] {
        assert!(shown.contains(part), "{part:?} is not in: {shown}");
    }
    said(&["runtemplate:schedule", &template, "--interval", "d", "--jitter", "90s"]);
    let shown = said(&["runtemplate:schedule", &template]);
    assert!(shown.contains("1m 30s") && shown.contains("0s"), "{shown}");
    let created = said(&["job:create", "--template", &template, "--count", "1"]);
    assert!(created.starts_with("created 1 job,"), "{created}");
    assert!(said(&["job:verify", "1"]).contains("0 attempts, 0 artifacts"));
    let dry = said(&["job:delete", "1", "--dry-run"]);
    assert_eq!(dry, "1 job would be removed\n");
    let order = said(&["job:list", "--order", "id asc"]);
    assert!(order.contains("loaded"), "{order}");
    assert_eq!(said(&["company:list", "--order", "name asc", "-q"]), "1\n");
    let tls = stack.cli.run(["--server", "https://h:7780", "job:list"]);
    assert!(tls.code == 64 && tls.stderr.contains("TLS, which is not supported yet"), "{tls:?}");
}
