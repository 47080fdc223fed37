//! A database is brought up to date, and moved into another.

use std::{fs, net::TcpListener, path::Path, process::Command, thread};

use multiflexi_fixture::{
    AgentOptions, Answer, SchedulerOptions, Stack, database::Server, eventually, programs,
};
use serde_json::Value;

/// Runs the scheduler's program on a data folder.
pub fn scheduler<'a>(data: &Path, words: impl IntoIterator<Item = &'a str>) -> Answer {
    let mut command = Command::new(programs::scheduler());
    command.arg("--data-dir").arg(data).args(words);
    Answer::of(command.output().unwrap())
}

pub fn refused(answer: &Answer, part: &str) {
    assert_eq!(answer.code, 1, "{}", answer.text());
    assert!(answer.stderr.contains(part), "{}", answer.stderr);
}

pub fn json(answer: &Answer) -> Value {
    assert_eq!(answer.code, 0, "{}", answer.stderr);
    serde_json::from_slice(&answer.stdout).unwrap()
}

#[test]
fn a_dry_run_of_migrate_says_what_is_missing_and_makes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let dry = ["migrate", "--dry-run", "-f", "json"];
    let dry_run = scheduler(&data, dry);
    assert_eq!(dry_run.text().lines().count(), 1, "one object on one line");
    let said = json(&dry_run);
    let newest = said["steps"].as_array().unwrap().len();
    assert!(said["from"] == 0 && said["to"] == newest && newest > 0, "{said}");
    assert!(!data.exists(), "nothing was made");
    let done = scheduler(&data, ["migrate"]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert!(
        done.text().contains(&format!("from version 0 to {newest}: initial")),
        "{}",
        done.text()
    );
    for words in [&["migrate", "--dry-run"][..], &["migrate"]] {
        let said = scheduler(&data, words.iter().copied());
        assert!(said.text().contains(&format!("up to date, version {newest}")), "{}", said.text());
    }
    let foreign = folder.path().join("foreign");
    fs::write(&foreign, "this is no database, and it is long enough to be looked at").unwrap();
    let foreign = foreign.to_str().unwrap();
    refused(
        &scheduler(&data, ["--db-database", foreign, "migrate", "--dry-run"]),
        "cannot be opened: file is not a database: name another with DB_DATABASE",
    );
}

#[test]
fn a_variable_that_is_empty_is_not_set() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let empty = ["DB_DATABASE", "DB_PORT", "DB_HOST", "DB_CONNECTION", "DB_USERNAME"]
        .into_iter()
        .chain(["MULTIFLEXI_ALLOW_PRIVATE_REQUESTS", "MULTIFLEXI_KEEP_AGE", "ZABBIX_INTERVAL"]);
    let mut command = Command::new(programs::scheduler());
    command.arg("--data-dir").arg(&data).arg("migrate").envs(empty.map(|name| (name, "")));
    let done = Answer::of(command.output().unwrap());
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert!(data.join("multiflexi.db").exists(), "{}", done.text());
}

#[test]
fn a_server_that_says_nothing_is_given_up() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port().to_string();
    let from = format!("mysql://me@127.0.0.1:{port}/flexi");
    let words = ["pgsql", "mysql", "sqlite"].map(|connection| {
        let port = (connection != "sqlite").then_some(["--db-port", port.as_str()]);
        let what = match connection {
            "sqlite" => &["import-multiflexi", "--dry-run", "--from", &from][..],
            _ => &["--db-host", "127.0.0.1", "--db-username", "me", "migrate", "--dry-run"],
        };
        let port = port.as_ref().map_or(&[][..], <[_; 2]>::as_slice);
        [&["--db-connection", connection], port, what].concat()
    });
    thread::scope(|scope| {
        for words in &words {
            scope.spawn(|| {
                let answer = scheduler(Path::new("/nowhere"), words.iter().copied());
                refused(&answer, "it says nothing for 10 s");
            });
        }
    });
}

#[test]
fn a_transfer_is_refused_where_something_could_be_lost() {
    let mut stack = Stack::start();
    let data = stack.folder().join("data");
    let new = stack.folder().join("new.db");
    let to = format!("sqlite://{}", new.display());
    let words = ["transfer", "--to", to.as_str()];
    refused(&scheduler(&data, words), "another scheduler uses it");
    stack.scheduler.terminate();

    let own = format!("sqlite://{}", data.join("multiflexi.db").display());
    refused(&scheduler(&data, ["transfer", "--to", &own]), "into itself");
    let nowhere = ["transfer", "--from", "sqlite:///nowhere.db", "--to", &to];
    refused(&scheduler(&data, nowhere), "there is no such file");
    assert!(!new.exists(), "nothing was made");
    let unknown = ["transfer", "--to", "mssql://me:secret@localhost/jobs"];
    let said = scheduler(&data, unknown);
    refused(&said, "name a database as");
    assert!(!said.stderr.contains("secret"), "{}", said.stderr);

    let answer = scheduler(&data, words);
    assert_eq!(answer.code, 0, "{}", answer.stderr);
    refused(&scheduler(&data, words), "is not empty: its table company has 1 rows");
}

#[test]
#[ignore = "needs PostgreSQL: apt-get install postgresql"]
fn everything_goes_to_a_server_and_back_while_a_job_runs() {
    let mut server = Server::start();
    let database = server.database();
    let on_sqlite = || SchedulerOptions {
        environment: vec![("DB_CONNECTION".to_owned(), "sqlite".to_owned())],
        ..SchedulerOptions::default()
    };
    let mut stack = Stack::with(on_sqlite(), AgentOptions::default());
    let data = stack.folder().join("data");
    let sign = stack.folder().join("sign");
    let cli = stack.cli.clone();

    // Output that is an object, files, a secret, a job that fails, and one that is deleted.
    let (large, ran) = stack.run("seq 1 900000; seq 1 600000 > file; echo ž > small");
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let (failed, _) = stack.run("echo out; echo err >&2; exit 3");
    let secret = stack.script("printenv KEY | wc -c", &["--secret", "KEY=our-key"]);
    let (gone, _) = stack.run("true");
    assert_eq!(cli.run(["job:delete", &gone.to_string()]).code, 0);
    let wait =
        format!("echo begun; until [ -e {} ]; do sleep 0.05; done; echo end", sign.display());
    let running = stack.queued(stack.script(&wait, &[]));
    cli.wait_for_state(running, "running");
    stack.scheduler.terminate();

    let moved = json(&scheduler(&data, ["transfer", "--to", &database.url, "-f", "json"]));
    assert!(moved["rows"].as_u64().unwrap() > 20, "{moved}");
    fs::rename(data.join("multiflexi.db"), data.join("old.db")).unwrap();
    let environment = database.environment.clone();
    stack.scheduler.start_with(SchedulerOptions { environment, ..SchedulerOptions::default() });
    let elsewhere = format!("sqlite://{}", stack.folder().join("x.db").display());
    refused(
        &scheduler(&data, ["transfer", "--from", &database.url, "--to", &elsewhere]),
        "stop all its schedulers first",
    );
    fs::write(&sign, "").unwrap();
    cli.wait_for_state(running, "succeeded");
    assert_eq!(cli.run(["job:logs", &running.to_string()]).text(), "begun\nend\n");
    assert!(cli.run(["job:logs", &large.to_string()]).stdout == ran.stdout);
    assert_eq!(cli.json(["job:show", &failed.to_string()])["state"], "failed");
    let verified = cli.json(["job:verify", &large.to_string()]);
    assert_eq!(verified["faults"].as_array().unwrap().len(), 0, "{verified}");
    let next = stack.job(secret);
    let answer = cli.run(["job:run", &next.to_string()]);
    assert_eq!((answer.text().as_str(), next), ("8\n", running + 1), "{}", answer.stderr);
    let before = cli.json(["job:list"]);
    stack.scheduler.terminate();

    let back = format!("sqlite://{}", data.join("multiflexi.db").display());
    eventually("the scheduler is no longer taken for alive", || {
        let answer = scheduler(&data, ["transfer", "--from", &database.url, "--to", &back]);
        (answer.code == 0).then_some(())
    });
    stack.scheduler.start_with(on_sqlite());
    assert_eq!(cli.json(["job:list"]), before);
    assert!(cli.run(["job:logs", &large.to_string()]).stdout == ran.stdout);
}
