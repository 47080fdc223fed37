//! A database is copied while it is used, and gone back to.

use std::{fs, path::Path};

use multiflexi_fixture::{Answer, Stack, eventually, processes};
use serde_json::Value;

use crate::transfer::{json, refused, scheduler};

fn restore(data: &Path, from: &Path) -> Answer {
    scheduler(data, ["restore", "--from", from.to_str().unwrap()])
}

#[test]
fn a_backup_of_a_running_scheduler_is_gone_back_to_and_what_ran_is_lost() {
    let mut stack = Stack::start();
    let data = stack.folder().join("data");
    let backup = stack.folder().join("backup");
    let sign = stack.folder().join("sign");
    let cli = stack.cli.clone();

    let (large, ran) = stack.run("seq 1 900000; seq 1 600000 > file");
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let secret = stack.script("printenv KEY | wc -c", &["--secret", "KEY=our-key"]);
    // Its output goes on after the backup, and so much that its agent removes what is stored.
    let wait = format!("until [ -e {} ]; do sleep 0.05; done", sign.display());
    let script = format!("echo 1; {wait}; seq 2 2000000; echo $$; sleep 600");
    let running = stack.queued(stack.script(&script, &[]));
    cli.wait_for_state(running, "running");

    let words = ["backup", "--to", backup.to_str().unwrap(), "--with-keys", "-f", "json"];
    let said = json(&scheduler(&data, words));
    assert_eq!((&said["missing_objects"], &said["keys_elsewhere"]), (&0.into(), &false.into()));
    assert!(said["objects"]["copied"].as_u64().unwrap() > 0, "{said}");
    refused(&scheduler(&data, words), "name a new folder for each backup");
    refused(&restore(&data, &backup), "move the database away");

    // What comes after is forgotten.
    fs::write(&sign, "").unwrap();
    let pid = eventually("all of its output is stored", || {
        let text = cli.run(["job:logs", &running.to_string()]).text();
        let last = text.contains("\n2000000\n").then(|| text.lines().last().unwrap().to_owned());
        last.and_then(|last| last.parse::<i32>().ok()).filter(|pid| *pid != 2_000_000)
    });
    let (later, _) = stack.run("echo later");
    stack.scheduler.terminate();
    fs::rename(&data, stack.folder().join("moved")).unwrap();

    let back = restore(&data, &backup);
    assert_eq!(back.code, 0, "{}", back.stderr);
    assert!(back.text().contains("is as it was in"), "{}", back.text());
    stack.scheduler.restart();
    // Its agent ends it: parts of its output are nowhere any more.
    cli.wait_for_state(running, "lost");
    eventually("its process has ended", || (!processes::is_alive(pid)).then_some(()));
    assert!(cli.run(["job:logs", &large.to_string()]).stdout == ran.stdout);
    let verified = cli.json(["job:verify", &large.to_string()]);
    assert_eq!(verified["faults"].as_array().unwrap().len(), 0, "{verified}");
    assert_eq!(cli.run(["job:show", &later.to_string()]).code, 66, "it was after the backup");
    let new = stack.job(secret);
    assert!(new > later + 900_000, "{new} is far from {later}, which agents may know");
    assert_eq!(cli.run(["job:run", &new.to_string()]).text(), "8\n");
}

#[test]
fn what_is_no_whole_backup_is_refused_and_leaves_nothing() {
    let mut stack = Stack::start();
    let data = stack.folder().join("data");
    let backup = stack.folder().join("backup");
    let (_, ran) = stack.run("seq 1 900000");
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let _ = stack.script("true", &["--secret", "KEY=our-key"]);
    let words = ["backup", "--to", backup.to_str().unwrap()];
    let said = scheduler(&data, words);
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert!(said.text().contains("the keys of its secrets are not in it"), "{}", said.text());
    stack.scheduler.terminate();
    fs::rename(&data, stack.folder().join("moved")).unwrap();

    let empty = stack.folder().join("empty");
    fs::create_dir(&empty).unwrap();
    refused(&restore(&data, &empty), "it is no backup");
    let copy = backup.join("multiflexi.db");
    let whole = fs::read(&copy).unwrap();
    let mut damaged = whole.clone();
    damaged[4096..].iter_mut().for_each(|byte| *byte = byte.wrapping_add(1));
    fs::write(&copy, &damaged).unwrap();
    let said = restore(&data, &backup);
    assert_eq!(said.code, 1, "{}", said.text());
    assert!(said.stderr.contains("damaged") && said.stderr.lines().count() == 1, "{}", said.stderr);
    let left = fs::read_dir(&data).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(left.collect::<Vec<_>>(), ["multiflexi.db.lock"]);
    fs::write(&copy, &whole).unwrap();

    // An object that is lost is said.
    let object = find(&backup.join("objects"), |name| !name.starts_with("multiflexi"));
    fs::remove_file(object).unwrap();
    let said =
        json(&scheduler(&data, ["restore", "--from", backup.to_str().unwrap(), "-f", "json"]));
    assert_eq!(said["missing_objects"], 1, "{said}");
    stack.scheduler.restart();
    let jobs: Value = stack.cli.json(["job:list"]);
    assert_eq!(jobs["jobs"].as_array().unwrap().len(), 1, "{jobs}");
}

/// A file below a folder whose name is wanted.
fn find(folder: &Path, wanted: fn(&str) -> bool) -> std::path::PathBuf {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut found = entries.filter_map(|path| match path.is_dir() {
        true => Some(find(&path, wanted)),
        false => wanted(path.file_name()?.to_str()?).then_some(path),
    });
    found.next().expect("there is one")
}
