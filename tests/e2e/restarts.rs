//! A scheduler that is killed in the middle.

use std::{collections::BTreeMap, fs};

use multiflexi_fixture::{Stack, eventually};

#[test]
fn two_hundred_jobs_end_once_each_though_the_scheduler_is_killed() {
    let mut stack = Stack::start();
    let folder = stack.folder().join("runs");
    fs::create_dir(&folder).unwrap();
    let script = format!(
        "echo begin; echo $$ > {}/$MULTIFLEXI_JOB_ID.$MULTIFLEXI_ATTEMPT; sleep 0.1; echo end",
        folder.display()
    );
    let template = stack.script(&script, &[]).to_string();
    let words = ["job:create", "--template", &template, "--count", "200", "--queue"];
    let jobs = stack.cli.json(words);
    let jobs: Vec<i64> =
        jobs["job_ids"].as_array().unwrap().iter().filter_map(|id| id.as_i64()).collect();
    for goal in [20, 80] {
        eventually("some jobs have ended", || {
            let done = stack.cli.json(["queue:status"])["jobs"]["succeeded"].as_i64();
            (done.unwrap_or(0) >= goal).then_some(())
        });
        stack.scheduler.restart();
    }
    let mut states = BTreeMap::<String, u32>::new();
    for job in jobs {
        let shown = stack.ended(job);
        *states.entry(shown["state"].as_str().unwrap().to_owned()).or_default() += 1;
        let attempts = shown["attempts"].as_array().unwrap();
        assert_eq!(attempts.len(), 1, "{shown}");
        let ran = |attempt: u32| fs::exists(folder.join(format!("{job}.{attempt}"))).unwrap();
        assert!(ran(1) && !ran(2), "{shown}");
        let logs = stack.cli.run(["job:logs", &job.to_string()]);
        assert_eq!(logs.text(), "begin\nend\n", "job {job}");
    }
    assert_eq!(states, BTreeMap::from([("succeeded".to_owned(), 200)]));
}

#[test]
fn a_follower_goes_on_over_a_restart() {
    let mut stack = Stack::start();
    let go = stack.folder().join("go");
    let script =
        format!("seq 1 1000; until [ -e '{}' ]; do sleep 0.02; done; seq 1001 2000", go.display());
    let job = stack.job(stack.script(&script, &[]));
    let mut run = stack.cli.start(["job:run", &job.to_string()]);
    let lines = multiflexi_fixture::Lines::of(run.stdout.take().unwrap());
    lines.at_least(1000);
    stack.scheduler.restart();
    fs::File::create(go).unwrap();
    assert!(run.wait().unwrap().success());
    let expected: Vec<String> = (1..=2000).map(|number: u32| number.to_string()).collect();
    assert_eq!(lines.at_least(2000), expected);
}

#[test]
fn sigterm_stops_the_scheduler_cleanly() {
    let mut stack = Stack::start();
    stack.run("echo kept");
    assert_eq!(stack.scheduler.terminate().code(), Some(0));
    stack.scheduler.restart();
    assert_eq!(stack.cli.run(["job:logs", "1"]).text(), "kept\n");
}

#[test]
fn output_that_an_agent_cannot_read_is_said_and_holds_up_nobody_else() {
    let mut stack = Stack::start();
    let sign = stack.folder().join("sign");
    let wait = format!("until [ -e {} ]; do sleep 0.05; done", sign.display());
    let damaged = stack.queued(stack.script(&format!("{wait}; echo one; sleep 600"), &[]));
    stack.cli.wait_for_state(damaged, "running");
    let other = stack.queued(stack.script(&format!("{wait}; echo two"), &[]));
    stack.cli.wait_for_state(other, "running");
    stack.scheduler.kill();
    fs::write(&sign, "").unwrap();
    let spool = stack.folder().join(format!("agent/attempts/{damaged}-1-1/log"));
    eventually("the agent keeps it", || {
        fs::metadata(&spool).is_ok_and(|spool| spool.len() > 0).then_some(())
    });
    let size = usize::try_from(fs::metadata(&spool).unwrap().len()).unwrap();
    fs::write(&spool, vec![0xff; size]).unwrap();

    stack.scheduler.restart();
    eventually("it is said", || {
        let why = stack.cli.run(["job:why", &damaged.to_string()]).text();
        why.contains("the rest of its output is lost").then_some(())
    });
    stack.cli.wait_for_state(other, "succeeded");
    let (_, answer) = stack.run("echo three");
    assert_eq!((answer.code, answer.text().as_str()), (0, "three\n"), "{}", answer.stderr);
    // Its process goes on until somebody ends it.
    assert_eq!(stack.cli.run(["job:cancel", &damaged.to_string()]).code, 0);
    let trouble = stack.cli.wait_for_state(damaged, "cancelled")["trouble"].to_string();
    assert!(trouble.contains("its log is lost from byte 0"), "{trouble}");
}
