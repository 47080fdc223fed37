//! Output that does not fit into the spool while the scheduler is away.

use multiflexi_agent::link::{Cause, Launch, Overflow, Quota, Request};
use multiflexi_proto::frame::Stream;

use crate::harness::{Supervisor, shell};

/// Bytes that may wait.
const QUOTA: u64 = 1024 * 1024;

fn limited(script: &str, overflow: Overflow) -> Launch {
    let quota = Quota { attempt_bytes: QUOTA, agent_bytes: 64 * QUOTA, overflow };
    Launch { quota, ..shell(script) }
}

#[test]
fn a_job_that_blocks_waits_until_there_is_room_and_loses_nothing() {
    let supervisor = Supervisor::start();
    let mut session = supervisor.connect();
    let launch = limited("seq 1 400000; touch done", Overflow::Block);
    let key = launch.key;
    session.send(&Request::Launch(vec![launch]));
    // It is full when growth stops: what is announced next is only seen after room.
    let mut length = session.grown(key);
    while length < QUOTA {
        session.send(&Request::Seen(key, length));
        length = session.grown(key);
    }
    assert!(!supervisor.work(key).join("done").exists(), "it waits in its writes");
    while length < 4 * QUOTA {
        session.send(&Request::Durable(key, length));
        session.send(&Request::Seen(key, length));
        match session.grown_or_ended(key) {
            Some(grown) => length = grown,
            None => break,
        }
    }
    let completion = session.ended.take().unwrap_or_else(|| session.end(key));
    assert_eq!((completion.cause, completion.exit_code), (Cause::Exited, Some(0)));
    let expected: String = (1..=400_000).map(|number| format!("{number}\n")).collect();
    assert!(supervisor.text(key, Stream::Stdout) == expected.as_bytes());
}

#[test]
fn a_job_that_goes_on_keeps_the_beginning_and_the_end() {
    let supervisor = Supervisor::start();
    let mut session = supervisor.connect();
    let launch = limited("seq 1 1000000", Overflow::HeadTail);
    let key = launch.key;
    session.send(&Request::Launch(vec![launch]));
    let completion = session.end(key);
    assert_eq!((completion.cause, completion.exit_code), (Cause::Exited, Some(0)));
    assert!(completion.trouble.contains("were dropped"), "{}", completion.trouble);
    let stdout = String::from_utf8(supervisor.text(key, Stream::Stdout)).unwrap();
    assert!(stdout.starts_with("1\n2\n3\n") && stdout.ends_with("999999\n1000000\n"));
    let kept = stdout.len() as u64;
    assert!((QUOTA..3 * QUOTA).contains(&kept), "{kept} bytes are kept");
    assert_eq!(completion.streams.unwrap()[0].bytes, kept, "what is counted is what is kept");
    let stderr = String::from_utf8(supervisor.text(key, Stream::Stderr)).unwrap();
    let dropped = 6_888_896 - kept;
    assert!(stderr.contains(&format!("{dropped} bytes of output were dropped here")), "{stderr}");
}

#[test]
fn a_job_that_may_not_overflow_is_ended_and_says_why() {
    let supervisor = Supervisor::start();
    let mut session = supervisor.connect();
    let launch = limited("yes", Overflow::Fail);
    let key = launch.key;
    session.send(&Request::Launch(vec![launch]));
    let completion = session.end(key);
    assert_eq!((completion.cause, completion.signal), (Cause::OutputLimit, Some(15)));
    assert!(completion.trouble.contains("1048576 bytes of it"), "{}", completion.trouble);
}

#[test]
fn the_quota_of_all_jobs_holds_too() {
    let supervisor = Supervisor::start();
    let mut session = supervisor.connect();
    let quota = Quota { attempt_bytes: 64 * QUOTA, agent_bytes: QUOTA, overflow: Overflow::Fail };
    let launch = Launch { quota, ..shell("yes") };
    let key = launch.key;
    session.send(&Request::Launch(vec![launch]));
    assert_eq!(session.end(key).cause, Cause::OutputLimit);
    session.send(&Request::Forget(key));
    let (_, next) = session.run("echo there is room again");
    assert_eq!(next.cause, Cause::Exited);
}
