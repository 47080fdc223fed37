//! Followers never hold up a job or each other, and miss nothing.

use std::{fs::File, io::Read as _, thread};

use multiflexi_fixture::{Stack, processes};
use rustix::process::Signal;

#[test]
fn a_follower_that_stands_still_delays_nobody_and_misses_nothing() {
    let stack = Stack::start();
    let go = stack.folder().join("go");
    // 30 MB: far more than all buffers between the job and a stopped follower.
    let script =
        format!("echo begun; until [ -e '{}' ]; do sleep 0.02; done; seq 1 4000000", go.display());
    let job = stack.queued(stack.script(&script, &[]));
    let follow = || {
        let mut follower = stack.cli.start(["job:logs", &job.to_string(), "--follow"]);
        let mut stdout = follower.stdout.take().unwrap();
        let mut begun = [0; 6];
        stdout.read_exact(&mut begun).unwrap();
        (follower, stdout)
    };
    let (mut still, mut still_stdout) = follow();
    let (mut quick, mut quick_stdout) = follow();
    let still_pid = i32::try_from(still.id()).unwrap();
    assert!(processes::signal(still_pid, Signal::STOP));
    File::create(go).unwrap();

    let mut quick_output = Vec::new();
    quick_stdout.read_to_end(&mut quick_output).unwrap();
    assert!(quick.wait().unwrap().success());
    assert_eq!(stack.show(job)["state"], "succeeded", "the job has not waited either");
    assert_eq!(quick_output.len(), 30_888_896);

    assert!(processes::signal(still_pid, Signal::CONT));
    let mut still_output = Vec::new();
    still_stdout.read_to_end(&mut still_output).unwrap();
    assert!(still.wait().unwrap().success());
    assert!(still_output == quick_output, "the stopped follower has missed something");
}

#[test]
fn a_hundred_followers_see_the_same() {
    let stack = Stack::start();
    let go = stack.folder().join("go");
    let script =
        format!("until [ -e '{}' ]; do sleep 0.02; done; seq 1 2000; echo end", go.display());
    let job = stack.queued(stack.script(&script, &[]));
    let followers: Vec<_> = (0..100)
        .map(|_| {
            let cli = stack.cli.clone();
            thread::spawn(move || cli.run(["job:logs", &job.to_string(), "--follow"]))
        })
        .collect();
    File::create(go).unwrap();
    for follower in followers {
        let answer = follower.join().unwrap();
        assert_eq!((answer.code, answer.stdout.len()), (0, 8897));
    }
}
