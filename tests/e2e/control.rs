//! Timeout, cancel, and nothing left behind.

use std::{collections::BTreeSet, fs};

use multiflexi_fixture::{Answer, Lines, Stack, eventually, processes};
use rustix::process::Signal;

/// A job that runs; its id and its follower's lines, once it has said `ready`.
fn running(stack: &Stack, script: &str, more: &[&str]) -> (i64, std::process::Child, Lines) {
    let job = stack.job(stack.script(script, more));
    let mut run = stack.cli.start(["job:run", &job.to_string()]);
    let lines = Lines::of(run.stdout.take().unwrap());
    lines.find("ready", |line| (line == "ready").then_some(()));
    (job, run, lines)
}

#[test]
fn cancel_asks_first() {
    let stack = Stack::start();
    let script = "trap 'echo bye; exit 7' TERM; echo ready; while :; do sleep 0.05; done";
    let (job, mut run, lines) = running(&stack, script, &[]);
    let answer = stack.cli.run(["job:cancel", &job.to_string(), "--wait"]);
    assert_eq!(answer.code, 0, "{}", answer.stderr);
    assert_eq!(run.wait().unwrap().code(), Some(109));
    assert_eq!(lines.at_least(2), ["ready", "bye"]);
    let shown = stack.show(job);
    assert_eq!((&shown["state"], &shown["exit_code"]), (&"cancelled".into(), &7.into()));
}

#[test]
fn a_daemon_that_hides_and_ignores_sigterm_is_gone_after_the_grace_period() {
    let stack = Stack::start();
    let pid_file = stack.folder().join("daemon");
    // It leaves the process group and the session, is orphaned, ignores SIGTERM and
    // holds the job's stdout open.
    let script = format!(
        "setsid sh -c 'trap \"\" TERM; echo $$ > {0}.new; mv {0}.new {0}; while :; do sleep 1; done' & \
         until [ -e {0} ]; do sleep 0.02; done; echo ready; sleep 600",
        pid_file.display()
    );
    let (job, mut run, _) = running(&stack, &script, &["--grace", "300ms"]);
    let daemon: i32 = fs::read_to_string(&pid_file).unwrap().trim().parse().unwrap();
    assert!(processes::is_alive(daemon));
    stack.cli.run(["job:cancel", &job.to_string()]);
    assert_eq!(run.wait().unwrap().code(), Some(109));
    assert!(!processes::is_alive(daemon));
    assert_eq!(processes::of_jobs(stack.agent.folder()), [0; 0]);
    let leftovers = &stack.show(job)["attempts"][0]["leftovers"];
    let named = leftovers.as_array().unwrap().iter().any(|left| left["pid"] == daemon);
    assert!(named, "the daemon is named: {leftovers}");
}

#[test]
fn a_daemon_that_outlives_its_job_does_not_hang_it_and_is_named() {
    let stack = Stack::start();
    let (job, answer) = stack.run("setsid sleep 600 & echo done");
    assert_eq!((answer.code, answer.text().as_str()), (0, "done\n"));
    assert_eq!(processes::of_jobs(stack.agent.folder()), [0; 0]);
    let leftovers = &stack.show(job)["attempts"][0]["leftovers"];
    assert_eq!(leftovers[0]["name"], "sleep", "{leftovers}");
    assert!(answer.stderr.contains("left sleep"), "{}", answer.stderr);
}

#[test]
fn a_timeout_is_an_end_of_its_own() {
    let stack = Stack::start();
    let job = stack.job(stack.script("echo begun; sleep 600", &["--timeout", "200ms"]));
    let answer = stack.cli.run(["job:run", &job.to_string()]);
    assert_eq!((answer.code, answer.text().as_str()), (110, "begun\n"));
    let shown = stack.show(job);
    assert_eq!((&shown["state"], &shown["signal"]), (&"timed_out".into(), &15.into()));
    assert_eq!(processes::of_jobs(stack.agent.folder()), [0; 0]);
}

#[test]
fn a_waiting_job_is_cancelled_at_once() {
    let mut stack = Stack::start();
    stack.agent.terminate();
    let job = stack.queued(stack.script("echo never", &[]));
    stack.cli.run(["job:cancel", &job.to_string()]);
    let shown = stack.show(job);
    assert_eq!((&shown["state"], &shown["attempt"]), (&"cancelled".into(), &0.into()));
    let again = stack.cli.run(["job:cancel", &job.to_string()]);
    assert_eq!(again.code, 77, "{}", again.stderr);
}

#[test]
fn ctrl_c_detaches_or_cancels_as_the_user_says() {
    let stack = Stack::start();
    let interrupt = |what: &str| {
        let job = stack.job(stack.script("echo ready; sleep 600", &[]));
        let mut run = stack.cli.start(["job:run", &job.to_string(), "--on-interrupt", what]);
        let lines = Lines::of(run.stdout.take().unwrap());
        assert_eq!(lines.at_least(1), ["ready"]);
        processes::signal(i32::try_from(run.id()).unwrap(), Signal::INT);
        (job, run.wait().unwrap().code())
    };
    let (job, code) = interrupt("detach");
    assert_eq!((code, &stack.show(job)["state"]), (Some(108), &"running".into()));
    stack.cli.run(["job:cancel", &job.to_string(), "--wait"]);
    let (job, code) = interrupt("cancel");
    assert_eq!((code, &stack.show(job)["state"]), (Some(109), &"cancelled".into()));
}

#[test]
fn ctrl_c_leaves_open_whether_jobs_are_created_and_says_how_to_find_out() {
    let stack = Stack::start();
    let template = stack.script("true", &[]).to_string();
    let words = ["job:create", "--template", &template, "--count", "3"];
    // Nobody answers, and somebody may.
    assert!(processes::signal(stack.scheduler.pid(), Signal::STOP));
    let create = stack.cli.start(words);
    let pid = i32::try_from(create.id()).unwrap();
    eventually("it minds Ctrl-C", || {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"))?;
        let caught = u64::from_str_radix(caught.trim(), 16).unwrap();
        (caught & (1 << (Signal::INT.as_raw() - 1)) != 0).then_some(())
    });
    assert!(processes::signal(pid, Signal::INT));
    let answer = Answer::of(create.wait_with_output().unwrap());
    assert!(processes::signal(stack.scheduler.pid(), Signal::CONT));
    assert_eq!(answer.code, 108, "{}", answer.stderr);
    let (_, name) = answer.stderr.split_once("--request-id ").unwrap();
    let name = name.split_whitespace().next().unwrap();
    let again = stack.cli.json(words.into_iter().chain(["--request-id", name]));
    let listed = stack.cli.json(["job:list", "--template", &template]);
    let listed = listed["jobs"].as_array().unwrap().len();
    assert_eq!((again["job_ids"].as_array().unwrap().len(), listed), (3, 3));

    // Those that wait are removed only if that is said.
    let ended = stack.cli.run(["job:delete", "--template", &template]);
    assert_eq!((ended.code, ended.text()), (0, "removed 0 jobs\n".to_owned()));
    assert!(ended.stderr.contains("--state loaded"), "{}", ended.stderr);
    let all = stack.cli.run(["job:delete", "--template", &template, "--state", "loaded"]);
    assert_eq!((all.text(), all.stderr), ("removed 3 jobs\n".to_owned(), String::new()));
}

#[test]
fn more_jobs_than_slots_wait_for_their_turn() {
    let stack = Stack::with(
        Default::default(),
        multiflexi_fixture::AgentOptions { slots: 2, ..Default::default() },
    );
    let go = stack.folder().join("go");
    let template =
        stack.script(&format!("until [ -e '{}' ]; do sleep 0.02; done", go.display()), &[]);
    let words = ["job:create", "--template", &template.to_string(), "--count", "6", "--queue"];
    let jobs = stack.cli.json(words);
    let jobs: Vec<i64> =
        jobs["job_ids"].as_array().unwrap().iter().filter_map(|id| id.as_i64()).collect();
    eventually("two jobs run", || {
        (stack.cli.json(["queue:status"])["jobs"]["running"] == 2).then_some(())
    });
    assert_eq!(stack.cli.json(["queue:status"])["waiting"], 4);
    fs::File::create(go).unwrap();
    for job in jobs {
        assert_eq!(stack.ended(job)["state"], "succeeded");
    }
}

#[test]
fn a_leftover_that_is_named_by_a_secret_is_not_told() {
    let stack = Stack::start();
    let script = "cp $(command -v sleep) ./$TOKEN; cp ./$TOKEN ./long-$LONG; \
                  setsid ./$TOKEN 600 & setsid ./long-$LONG 600 & \
                  until grep -q $TOKEN /proc/[0-9]*/comm && grep -q long- /proc/[0-9]*/comm; \
                  do :; done 2>/dev/null";
    let more = ["--secret", "TOKEN=Tok-en_12345", "--secret", "LONG=one-that-is-cut"];
    let job = stack.job(stack.script(script, &more));
    let answer = stack.cli.run(["job:run", &job.to_string()]);
    assert_eq!(answer.code, 0, "{}", answer.stderr);
    let shown = stack.show(job);
    let names = shown["attempts"][0]["leftovers"].as_array().unwrap().iter();
    let names: BTreeSet<&str> = names.map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["***", "long-***"].into());
    assert!(!answer.stderr.contains("Tok-en") && answer.stderr.contains("left ***"));
}

#[test]
fn whoever_waits_is_told_why_and_can_say_how_long() {
    let stack = Stack::start();
    stack.cli.json(["queue:pause"]);
    let job = stack.job(stack.script("true", &[])).to_string();
    let paused = |line: &str| line.contains("waiting: the queue is paused").then_some(());
    let answer = stack.cli.run(["job:run", &job, "--wait-at-most", "1s"]);
    assert_eq!(answer.code, 107, "{}", answer.stderr);
    assert!(answer.stderr.contains(&format!("job {job} goes on")), "{}", answer.stderr);

    stack.job(stack.script("true", &[]));
    let mut process = stack.cli.start(["queue:process"]);
    let lines = Lines::of(process.stderr.take().unwrap());
    lines.find("why the queue waits", paused);
    processes::signal(i32::try_from(process.id()).unwrap(), Signal::INT);
    lines.find("what is left", |line| line.contains("the jobs go on").then_some(()));
    assert_eq!(process.wait().unwrap().code(), Some(108));

    let job = stack.job(stack.script("true", &[])).to_string();
    let mut run = stack.cli.start(["job:run", &job]);
    let lines = Lines::of(run.stderr.take().unwrap());
    lines.find("why the job waits", paused);
    stack.cli.json(["queue:resume"]);
    assert_eq!(run.wait().unwrap().code(), Some(0));
}
