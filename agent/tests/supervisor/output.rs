//! What attempts write.

use multiflexi_agent::link::{Event, Request};
use multiflexi_proto::frame::Stream;
use sha2::{Digest as _, Sha256};

use crate::harness::{Supervisor, shell};

#[test]
fn both_streams_are_kept_apart_and_in_order() {
    let supervisor = Supervisor::start();
    let (key, completion) = supervisor
        .connect()
        .run("for i in 1 2 3; do echo out $i; sleep .05; echo err $i >&2; sleep .05; done");
    let log = supervisor.log(key);
    let text: Vec<_> =
        log.iter().map(|record| String::from_utf8_lossy(&record.data).into_owned()).collect();
    assert_eq!(text, ["out 1\n", "err 1\n", "out 2\n", "err 2\n", "out 3\n", "err 3\n"]);
    assert!(log.is_sorted_by_key(|record| record.time));
    assert_eq!(completion.streams.as_ref().unwrap()[0].bytes, 18);
    assert_eq!(completion.log_length, log.iter().map(|r| 16 + r.data.len() as u64).sum::<u64>());
}

#[test]
fn binary_output_is_kept_byte_for_byte() {
    let supervisor = Supervisor::start();
    let script = "head -c 10000000 /dev/urandom | tee copy; echo done >&2";
    let (key, completion) = supervisor.connect().run(script);
    let copy = std::fs::read(supervisor.work(key).join("copy")).unwrap();
    assert_eq!(copy.len(), 10_000_000);
    assert!(supervisor.text(key, Stream::Stdout) == copy, "the log is not what was written");
    assert_eq!(
        completion.streams.as_ref().unwrap()[0].sha256,
        <[u8; 32]>::from(Sha256::digest(&copy))
    );
    assert_eq!(supervisor.text(key, Stream::Stderr), b"done\n");
    assert!(completion.has_files);
}

#[test]
fn growth_is_announced_once_until_it_was_seen() {
    let supervisor = Supervisor::start();
    let mut session = supervisor.connect();
    let launch = shell("mkfifo a b; echo one; read x < a; echo two; read x < b; echo three");
    let key = launch.key;
    session.send(&Request::Launch(vec![launch]));
    assert_eq!(session.grown(key), 16 + 4);
    for fifo in ["a", "b"] {
        std::fs::write(supervisor.work(key).join(fifo), "\n").unwrap();
    }
    // What was not seen is not announced again.
    let next = session.next();
    assert!(matches!(&next, Event::Ended(ended, _) if *ended == key), "{next:?}");
    session.send(&Request::Seen(key, 16 + 4));
    let all = supervisor.text(key, Stream::Stdout);
    assert_eq!(all, b"one\ntwo\nthree\n");
    // On a busy host the last two lines are found by one read: a record less.
    let length = session.grown(key);
    assert!([16 + 4 + 16 + 10, 16 + 4 + 16 + 4 + 16 + 6].contains(&length), "{length}");
}

#[test]
fn the_environment_has_the_job_and_nothing_of_the_agent() {
    let supervisor = Supervisor::start();
    let mut session = supervisor.connect();
    let mut launch = shell("env; pwd");
    launch.environment = [("GREETING".to_owned(), "a 'b' \"c\"".to_owned())].into();
    let key = launch.key;
    session.send(&Request::Launch(vec![launch]));
    assert_eq!(session.end(key).exit_code, Some(0));
    let text = String::from_utf8(supervisor.text(key, Stream::Stdout)).unwrap();
    let work = supervisor.work(key);
    let work = work.display();
    assert!(text.contains("GREETING=a 'b' \"c\"\n"), "{text}");
    assert!(text.contains(&format!("MULTIFLEXI_TMP={work}\n")), "{text}");
    assert!(text.ends_with(&format!("\n{work}\n")), "{text}");
    assert!(text.contains("\nPATH=") || text.starts_with("PATH="), "{text}");
    assert!(!text.contains("CARGO"), "{text}");
}
