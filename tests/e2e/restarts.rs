//! A scheduler that is killed in the middle.

use std::collections::BTreeMap;

use multiflexi_fixture::{Stack, eventually};

#[test]
fn two_hundred_jobs_end_once_each_though_the_scheduler_is_killed() {
    let mut stack = Stack::start();
    let folder = stack.folder().join("runs");
    std::fs::create_dir(&folder).unwrap();
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
        let ran = |attempt: u32| std::fs::exists(folder.join(format!("{job}.{attempt}"))).unwrap();
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
    std::fs::File::create(go).unwrap();
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
