//! `demo` and `dev`: the whole system in one command.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    process::{Command, Stdio},
};

use multiflexi_fixture::{Cli, Lines, Scheduler, SchedulerOptions, processes, programs};
use rustix::process::Signal;

#[test]
fn the_demo_takes_a_job_through_its_life_and_says_what_to_type_next() {
    let output = Command::new(programs::cli()).arg("demo").output().unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    for word in ["invoice 3: 333 EUR", "succeeded", "invoices.csv", "text/csv", "stdout.txt"] {
        assert!(stdout.contains(word), "{word:?} is not in {stdout}");
    }
    assert!(stderr.contains("multiflexi-cli job:create"), "{stderr}");
}

#[test]
fn a_data_folder_that_others_can_look_into_shows_them_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    fs::create_dir(&data).unwrap();
    fs::set_permissions(&data, fs::Permissions::from_mode(0o755)).unwrap();
    let scheduler = Scheduler::start(&data, SchedulerOptions::default());
    Cli::new(&scheduler.url()).create(["company:create", "--name", "Acme"]);
    for entry in fs::read_dir(&data).unwrap() {
        let entry = entry.unwrap();
        let metadata = entry.metadata().unwrap();
        let shown = metadata.permissions().mode() & 0o077 != 0;
        assert!(!shown || metadata.len() == 0, "{}", entry.path().display());
    }
    assert!(data.join("multiflexi.db").exists());
}

#[test]
fn dev_says_where_it_listens_and_stays_until_sigterm() {
    let folder = tempfile::tempdir().unwrap();
    let mut dev = Command::new(programs::cli())
        .args(["dev", "--listen", "127.0.0.1:0", "--slots", "3", "--data-dir"])
        .arg(folder.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = Lines::of(dev.stdout.take().unwrap());
    let url = lines.find("endpoint", |line| {
        line.split_whitespace().find(|word| word.starts_with("http://")).map(str::to_owned)
    });
    let cli = Cli::new(&url);
    assert_eq!(cli.json(["agent:list"])["agents"][0]["slots"], 3);
    cli.create(["company:create", "--name", "Acme"]);
    cli.create([
        "application:create",
        "--name",
        "a",
        "--executable",
        "sleep",
        "--cmdparams",
        "600",
    ]);
    cli.create(["runtemplate:create", "--name", "t", "--app", "1", "--company", "1"]);
    cli.create(["job:create", "--template", "1", "--queue"]);
    cli.wait_for_state(1, "running");
    processes::signal(i32::try_from(dev.id()).unwrap(), Signal::TERM);
    assert_eq!(dev.wait().unwrap().code(), Some(0));
    assert_eq!(lines.so_far().len(), 1, "one line, and no more");
    assert_eq!(processes::of_jobs(&folder.path().join("agent")), [0; 0]);
    multiflexi_fixture::eventually("the supervisor has gone too", || {
        multiflexi_fixture::supervisor(&folder.path().join("agent")).is_none().then_some(())
    });
}
