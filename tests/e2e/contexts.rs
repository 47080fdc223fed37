//! Contexts: schedulers under names.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::Path,
    process::Command,
};

use multiflexi_fixture::{Answer, Stack, programs};
use serde_json::{Value, json};

/// A command of a user whose contexts are in this folder.
fn command(folder: &Path, program: &str, words: &[&str]) -> Command {
    let mut command = Command::new(programs::named(program));
    command.args(words).env_remove("MULTIFLEXI_SERVER").env_remove("MULTIFLEXI_CONTEXT");
    command.env("MULTIFLEXI_CONTEXT_FILE", folder.join("contexts.toml"));
    command
}

fn run(folder: &Path, words: &[&str]) -> Answer {
    Answer::of(command(folder, "multiflexi-cli", words).output().unwrap())
}

fn json(folder: &Path, words: &[&str]) -> Value {
    let answer = run(folder, &[words, &["-f", "json"]].concat());
    assert_eq!(answer.code, 0, "{words:?}: {}", answer.stderr);
    serde_json::from_slice(&answer.stdout).unwrap()
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn a_context_is_made_used_changed_and_deleted() {
    let folder = folder();
    let folder = folder.path();
    assert_eq!(json(folder, &["context:list"])["contexts"], json!([]));
    let made = run(folder, &["context:set", "prod", "--server", "http://prod:7780"]);
    assert_eq!(made.text(), "created context prod: http://prod:7780\n", "{}", made.stderr);
    run(folder, &["context:set", "test.1", "--server", "http://test:7780"]);
    run(folder, &["context:use", "test.1"]);
    run(folder, &["context:set", "prod", "--server", "http://other:7780"]);
    let listed = json(folder, &["context:list"]);
    let prod = json!({ "name": "prod", "server": "http://other:7780", "in_use": false });
    let test = json!({ "name": "test.1", "server": "http://test:7780", "in_use": true });
    assert_eq!(listed["contexts"], json!([prod, test]));
    assert_eq!(json(folder, &["context:show", "prod"]), prod);
    assert_eq!(run(folder, &["context:list", "-q"]).text(), "prod\ntest.1\n");
    let mode = fs::metadata(folder.join("contexts.toml")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let deleted = run(folder, &["context:delete", "test.1"]);
    assert_eq!(deleted.text(), "deleted context test.1; no context is in use now\n");
    assert_eq!(json(folder, &["context:list"])["contexts"], json!([prod]));
    for words in [["context:use", "test.1"], ["context:delete", "test.1"]] {
        let missing = run(folder, &words);
        assert_eq!(missing.code, 66);
        assert!(missing.stderr.contains("\"test.1\"") && missing.stderr.contains("prod"));
    }
    for words in [
        &["context:set", "a b", "--server", "http://h:1"][..],
        &["context:set", "a", "--server", "h:1"],
        &["context:set", "a"],
    ] {
        assert_eq!(run(folder, words).code, 64, "{words:?}");
    }
}

#[test]
fn who_names_the_scheduler_comes_in_this_order() {
    let folder = folder();
    let folder = folder.path();
    for name in ["option", "variable", "used"] {
        let server = format!("http://{name}:1");
        assert_eq!(run(folder, &["context:set", name, "--server", &server]).code, 0);
    }
    let asked = |words: &[&str], variables: &[(&str, &str)]| {
        let words = [&["context:show", "--fields", "server", "-f", "json"], words].concat();
        let mut command = command(folder, "multiflexi-cli", &words);
        let output = command.envs(variables.iter().copied()).output().unwrap();
        serde_json::from_slice::<Value>(&output.stdout).unwrap()["server"].clone()
    };
    assert_eq!(asked(&[], &[]), "http://127.0.0.1:7780");
    run(folder, &["context:use", "used"]);
    assert_eq!(asked(&[], &[]), "http://used:1");
    let context = ("MULTIFLEXI_CONTEXT", "variable");
    assert_eq!(asked(&[], &[context]), "http://variable:1");
    let server = ("MULTIFLEXI_SERVER", "http://server:1");
    assert_eq!(asked(&[], &[context, server]), "http://server:1");
    let empty = [("MULTIFLEXI_CONTEXT", ""), ("MULTIFLEXI_SERVER", "")];
    assert_eq!(asked(&[], &empty), "http://used:1");
    let option = ["--context", "option"];
    assert_eq!(asked(&option, &[context, server]), "http://option:1");
    let both = [&option[..], &["--server", "http://flag:1"]].concat();
    assert_eq!(asked(&both, &[context, server]), "http://flag:1");
}

#[test]
fn every_program_asks_the_scheduler_of_its_context() {
    let stack = Stack::start();
    let job = stack.job(stack.script("echo of a context", &[])).to_string();
    let folder = stack.folder();
    run(folder, &["context:set", "mine", "--server", &stack.scheduler.url()]);
    for (program, words) in [
        ("multiflexi-cli", &["job:run", &job][..]),
        ("multiflexi-job2script", &[&job]),
        ("multiflexi-job2env", &[&job]),
    ] {
        let words = [words, &["--context", "mine"]].concat();
        let answer = Answer::of(command(folder, program, &words).output().unwrap());
        assert_eq!(answer.code, 0, "{program}: {}", answer.stderr);
        assert!(answer.text().contains("of a context"), "{program}: {}", answer.text());
    }
    run(folder, &["context:use", "mine"]);
    assert_eq!(json(folder, &["job:show", &job])["state"], "succeeded");
}

#[test]
fn what_people_write_into_the_file_stays() {
    let folder = folder();
    let (file, real) = (folder.path().join("contexts.toml"), folder.path().join("real.toml"));
    let written = "# mine\ncontexts.a.server = \"http://a:1\"\n\n[contexts.b] # old\n\
                   server = 'http://b:1'\nowner = \"me\"\n";
    fs::write(&real, written).unwrap();
    symlink(&real, &file).unwrap();
    assert_eq!(run(folder.path(), &["context:use", "a"]).code, 0);
    run(folder.path(), &["context:set", "b", "--server", "http://new:1"]);
    run(folder.path(), &["context:set", "c", "--server", "http://c:1"]);
    assert!(fs::symlink_metadata(&file).unwrap().is_symlink());
    let now = fs::read_to_string(&real).unwrap();
    for kept in ["# mine", "# old", "owner = \"me\""] {
        assert!(now.contains(kept), "{now}");
    }
    assert_eq!(run(folder.path(), &["context:list", "-q"]).text(), "a\nb\nc\n", "{now}");
    let shown = json(folder.path(), &["context:show"]);
    assert_eq!(shown["server"], "http://a:1");
}

#[test]
fn a_broken_file_is_named_with_its_line_and_never_written() {
    let folder = folder();
    let folder = folder.path();
    let file = folder.join("contexts.toml");
    for (text, line, reason) in [
        ("# one\n\ncurrent = prod\n", 3, ""),
        ("current = 5\n", 1, "current"),
        ("current = 'a'\n[contexts.a]\nserver = 7\n", 3, "\"a\""),
        ("\n[contexts.a]\nservers = 'http://a:1'\n", 2, "server = "),
        ("\ncontexts = 5\n", 2, "contexts"),
    ] {
        fs::write(&file, text).unwrap();
        for words in [
            &["job:list"][..],
            &["context:list"],
            &["context:use", "a"],
            &["context:set", "a", "--server", "http://a:1"],
            &["context:delete", "a"],
        ] {
            let answer = run(folder, words);
            assert_eq!(answer.code, 64, "{words:?}: {}", answer.stderr);
            let place = format!("{} is broken in line {line}: ", file.display());
            assert!(answer.stderr.contains(&place), "{text}: {}", answer.stderr);
            assert!(answer.stderr.contains(reason), "{text}: {}", answer.stderr);
            assert!(answer.stderr.contains("hint: mend that line"), "{}", answer.stderr);
        }
        assert_eq!(fs::read_to_string(&file).unwrap(), text);
    }
    // Who names a scheduler needs no file.
    let answer = run(folder, &["job:list", "--server", "http://127.0.0.1:1"]);
    assert_eq!(answer.code, 69, "{}", answer.stderr);
}

#[test]
fn the_file_is_where_settings_of_users_are() {
    let folder = folder();
    let set = |variables: &[(&str, &Path)]| {
        let words = ["context:set", "a", "--server", "http://a:1"];
        let mut command = command(folder.path(), "multiflexi-cli", &words);
        for name in ["MULTIFLEXI_CONTEXT_FILE", "XDG_CONFIG_HOME", "HOME"] {
            command.env_remove(name);
        }
        Answer::of(command.envs(variables.iter().copied()).output().unwrap())
    };
    let (home, settings) = (folder.path().join("home"), folder.path().join("settings"));
    assert_eq!(set(&[("HOME", &home)]).code, 0);
    assert!(home.join(".config/multiflexi/contexts.toml").is_file());
    assert_eq!(set(&[("HOME", &home), ("XDG_CONFIG_HOME", &settings)]).code, 0);
    assert!(settings.join("multiflexi/contexts.toml").is_file());
    let nowhere = set(&[]);
    assert_eq!(nowhere.code, 73);
    assert!(nowhere.stderr.contains("MULTIFLEXI_CONTEXT_FILE"), "{}", nowhere.stderr);
}
