//! Nothing of an attempt stays behind.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use multiflexi_agent::link::{Cause, Request};

use crate::harness::{Supervisor, exists, shell};

/// A script that leaves a daemon which has escaped session and group, ignores
/// SIGTERM and holds stdout open. Its process id is in the file `daemon`.
const DAEMON: &str = "setsid sh -c 'trap \"\" TERM; echo $$ > daemon; exec sleep 600' & \
     while [ ! -s daemon ]; do sleep .01; done; echo ready;";

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn a_daemon_that_ignores_sigterm_is_gone_after_a_cancel() {
    let supervisor = Supervisor::start();
    let mut session = supervisor.connect();
    let mut launch = shell(&format!("{DAEMON} sleep 600"));
    launch.grace_ms = 500;
    let key = launch.key;
    session.send(&Request::Launch(vec![launch]));
    session.grown(key);
    let daemon = read(&supervisor.work(key).join("daemon"));
    assert!(exists(&daemon));
    let asked = Instant::now();
    session.send(&Request::Cancel(key));
    let completion = session.end(key);
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
    assert_eq!(completion.cause, Cause::Cancelled);
    assert_eq!(completion.signal, Some(15), "{completion:?}");
    assert_eq!(completion.leftovers.len(), 1, "{completion:?}");
    assert_eq!(completion.leftovers[0].name, "sleep");
    assert!(!exists(&daemon), "the daemon is in the process table");
}

#[test]
fn a_grandchild_that_holds_the_pipe_cannot_hang_a_job() {
    let supervisor = Supervisor::start();
    let begun = Instant::now();
    let (key, completion) = supervisor.connect().run(&format!("{DAEMON} exit 3"));
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    assert_eq!((completion.cause, completion.exit_code), (Cause::Exited, Some(3)));
    assert_eq!(completion.leftovers.len(), 1, "{completion:?}");
    assert!(!exists(&read(&supervisor.work(key).join("daemon"))));
}

#[test]
fn a_daemon_that_let_go_of_the_pipes_is_named_and_killed() {
    let supervisor = Supervisor::start();
    let script = "(setsid sleep 600 > /dev/null 2>&1 & echo $! > daemon); exit 0";
    let (key, completion) = supervisor.connect().run(script);
    assert_eq!(completion.exit_code, Some(0));
    assert_eq!(completion.leftovers.len(), 1, "{completion:?}");
    assert!(!exists(&read(&supervisor.work(key).join("daemon"))));
}

#[test]
fn a_daemon_without_a_trace_in_its_environment_is_found() {
    let supervisor = Supervisor::start();
    let script = "(cd / && env -i setsid sleep 600 > /dev/null 2>&1 & echo $! > daemon); exit 0";
    let (key, completion) = supervisor.connect().run(script);
    assert_eq!(completion.leftovers.len(), 1, "{completion:?}");
    assert!(!exists(&read(&supervisor.work(key).join("daemon"))));
}

#[test]
fn the_daemon_of_one_job_is_not_the_leftover_of_another() {
    let supervisor = Supervisor::start();
    let mut session = supervisor.connect();
    let long = shell(&format!("{DAEMON} sleep 600"));
    let key = long.key;
    session.send(&Request::Launch(vec![long]));
    session.grown(key);
    let (_, other) = session.run("exit 0");
    assert_eq!(other.leftovers, []);
    assert!(exists(&read(&supervisor.work(key).join("daemon"))));
    session.send(&Request::Kill(key));
}

#[test]
fn a_process_that_ends_on_sigterm_has_its_grace() {
    let supervisor = Supervisor::start();
    let mut session = supervisor.connect();
    let launch = shell("trap 'sleep .2; echo bye; exit 7' TERM; echo ready; sleep 600 & wait");
    let key = launch.key;
    session.send(&Request::Launch(vec![launch]));
    session.grown(key);
    session.send(&Request::Cancel(key));
    let completion = session.end(key);
    assert_eq!((completion.cause, completion.exit_code), (Cause::Cancelled, Some(7)));
    let text = supervisor.text(key, multiflexi_proto::frame::Stream::Stdout);
    assert_eq!(text, b"ready\nbye\n");
}
