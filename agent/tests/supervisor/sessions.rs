//! Sessions that come and go.

use std::process::Command;

use multiflexi_agent::link::{Cause, Request};

use crate::harness::{Supervisor, runs, shell};

#[test]
fn the_next_session_adopts_what_runs_and_what_has_ended() {
    let supervisor = Supervisor::start();
    let mut first = supervisor.connect();
    assert!(first.hello.is_empty());
    let (ended, completion) = first.run("echo over; exit 4");
    let runs = shell("echo begun; sleep 600");
    let key = runs.key;
    first.send(&Request::Launch(vec![runs]));
    first.grown(key);
    drop(first);
    let mut second = supervisor.connect();
    assert_eq!(second.hello.len(), 2);
    for held in &second.hello {
        if held.key == ended {
            assert_eq!(held.ended.as_deref(), Some(&completion));
        } else {
            assert!(held.key == key && held.ended.is_none() && held.started.is_some());
            assert_eq!(held.log_length, 16 + 6);
        }
    }
    second.send(&Request::Cancel(key));
    assert_eq!(second.end(key).cause, Cause::Cancelled);
}

#[test]
fn a_new_session_takes_the_place_of_the_old_one() {
    let supervisor = Supervisor::start();
    let mut first = supervisor.connect();
    let mut second = supervisor.connect();
    assert!(first.try_next().is_none(), "the first session is still served");
    second.run("exit 0");
}

#[test]
fn what_is_held_already_is_not_launched_again() {
    let supervisor = Supervisor::start();
    let mut session = supervisor.connect();
    let launch = shell("echo x >> ran");
    let key = launch.key;
    session.send(&Request::Launch(vec![launch.clone(), launch]));
    session.end(key);
    session.run("exit 0");
    assert_eq!(std::fs::read(supervisor.work(key).join("ran")).unwrap(), b"x\n");
}

#[test]
fn it_ends_when_nothing_is_held_and_nobody_is_connected() {
    let mut supervisor = Supervisor::start();
    let mut session = supervisor.connect();
    let (key, _) = session.run("echo hello > file");
    assert!(supervisor.has_folder(key));
    drop(session);
    let mut session = supervisor.connect();
    session.send(&Request::Forget(key));
    drop(session);
    assert!(supervisor.process.wait().unwrap().success());
    assert!(!supervisor.has_folder(key));
}

#[test]
fn signals_that_end_programs_do_not_end_it_and_still_end_jobs() {
    let mut supervisor = Supervisor::start();
    let mut session = supervisor.connect();
    let launch = shell("echo ready; exec sleep 600");
    let key = launch.key;
    session.send(&Request::Launch(vec![launch]));
    let pid = session.started(key);
    session.grown(key);
    let supervisor_pid = supervisor.process.id().to_string();
    for signal in ["-TERM", "-INT", "-HUP"] {
        Command::new("kill").args([signal, &supervisor_pid]).status().unwrap();
    }
    let (_, completion) = session.run("exit 0");
    assert_eq!(completion.exit_code, Some(0));
    assert!(supervisor.process.try_wait().unwrap().is_none());
    Command::new("kill").args(["-TERM", &pid.to_string()]).status().unwrap();
    let completion = session.end(key);
    assert_eq!((completion.cause, completion.signal), (Cause::Signaled, Some(15)));
}

#[test]
fn a_superseded_attempt_is_killed_and_forgotten_in_silence() {
    let mut supervisor = Supervisor::start();
    let mut session = supervisor.connect();
    let launch = shell("trap '' TERM; echo ready; sleep 600");
    let key = launch.key;
    session.send(&Request::Launch(vec![launch]));
    session.grown(key);
    session.send(&Request::Kill(key));
    let (_, other) = session.run("exit 0");
    assert_eq!(other.exit_code, Some(0));
    drop(session);
    // It ends once the killed attempt is forgotten: the other one is still held.
    let mut session = supervisor.connect();
    while session.hello.iter().any(|held| held.key == key) {
        drop(session);
        session = supervisor.connect();
    }
    for held in session.hello.clone() {
        session.send(&Request::Forget(held.key));
    }
    drop(session);
    assert!(supervisor.process.wait().unwrap().success());
    assert!(!supervisor.has_folder(key));
}

#[test]
fn a_second_supervisor_in_one_folder_is_refused() {
    let supervisor = Supervisor::start();
    let _session = supervisor.connect();
    let output = Command::new(env!("CARGO_BIN_EXE_multiflexi-agent"))
        .args(["supervisor", "--directory"])
        .arg(supervisor.folder())
        .output()
        .unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("another supervisor runs in"), "{said}");
    assert!(matches!(supervisor.connect().hello.as_slice(), []));
}

#[test]
fn the_next_supervisor_kills_what_is_left_and_knows_how_it_was() {
    let mut supervisor = Supervisor::start();
    let mut session = supervisor.connect();
    let (ended, completion) = session.run("echo over; exit 4");
    let launch = shell("setsid sleep 600 & echo $! > pid; echo kept; touch ready; exec sleep 600");
    let running = launch.key;
    session.send(&Request::Launch(vec![launch]));
    session.grown(running);
    let pid_file = supervisor.work(running).join("pid");
    while !supervisor.work(running).join("ready").exists() {
        std::thread::yield_now();
    }
    let pid = std::fs::read_to_string(pid_file).unwrap();
    // A record that was being written when the supervisor was killed.
    let log = supervisor.work(running).with_file_name("log");
    supervisor.kill();
    let whole = std::fs::read(&log).unwrap();
    std::fs::write(&log, [whole.as_slice(), &whole[..10]].concat()).unwrap();

    supervisor.start_again();
    assert!(!runs(&pid), "the job's processes are gone before anybody can connect");
    let session = supervisor.connect();
    assert_eq!(session.hello.len(), 2);
    for held in &session.hello {
        let end = held.ended.as_deref().unwrap();
        if held.key == ended {
            assert_eq!(end, &completion);
        } else {
            assert_eq!((held.key, end.cause, end.streams.as_ref()), (running, Cause::Lost, None));
            assert_eq!((end.log_length, end.has_files), (whole.len() as u64, true));
        }
    }
    assert_eq!(supervisor.text(running, multiflexi_proto::frame::Stream::Stdout), b"kept\n");
}

#[test]
fn an_attempt_of_the_same_name_of_another_agent_is_left_alone() {
    let (mut one, other) = (Supervisor::start(), Supervisor::start());
    let mut launch = shell("echo begun; exec sleep 600");
    launch.key = multiflexi_agent::link::AttemptKey { job_id: 1, attempt: 1, fence: 1 };
    let key = launch.key;
    let mut sessions = [one.connect(), other.connect()];
    for session in &mut sessions {
        session.send(&Request::Launch(vec![launch.clone()]));
        session.grown(key);
    }
    one.kill();
    one.start_again();
    let [_, mut session] = sessions;
    session.send(&Request::Cancel(key));
    assert_eq!(session.end(key).cause, Cause::Cancelled, "it ran until now");
}

#[test]
fn a_log_that_cannot_be_read_is_said_and_keeps_no_other_attempt_from_being_brought() {
    let mut supervisor = Supervisor::start();
    let mut session = supervisor.connect();
    let started = [(); 2].map(|()| {
        let launch = shell("echo kept; exec sleep 600");
        let key = launch.key;
        session.send(&Request::Launch(vec![launch]));
        session.grown(key);
        key
    });
    supervisor.kill();
    let [unreadable, damaged] = started.map(|key| supervisor.work(key).with_file_name("log"));
    std::fs::remove_file(&unreadable).unwrap();
    std::fs::create_dir(&unreadable).unwrap();
    let whole = std::fs::read(&damaged).unwrap();
    std::fs::write(&damaged, [whole.as_slice(), &[0xff; 50]].concat()).unwrap();

    supervisor.start_again();
    let session = supervisor.connect();
    assert_eq!(session.hello.len(), 2);
    for held in &session.hello {
        let end = held.ended.as_deref().unwrap();
        assert_eq!(end.cause, Cause::Lost);
        let (length, said) = match held.key == started[0] {
            true => (0, "the output that was left cannot be read"),
            false => (whole.len() as u64, "the last 50 bytes of its log were no whole record"),
        };
        assert_eq!(end.log_length, length);
        assert!(end.trouble.contains(said), "{}", end.trouble);
    }
}
