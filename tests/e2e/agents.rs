//! Agents that stop, are killed, are replaced: their jobs go on.

use std::fs;

use multiflexi_fixture::{Lines, Stack, eventually, processes};
use rustix::process::Signal;

/// A job that prints numbered lines until it is told to stop; its id and its lines.
fn counting(stack: &Stack) -> (i64, std::process::Child, Lines, std::path::PathBuf) {
    let stop = stack.folder().join("stop");
    let script = format!(
        "i=0; until [ -e '{}' ]; do i=$((i+1)); echo $i; sleep 0.02; done; echo last; echo $i > n",
        stop.display()
    );
    let job = stack.job(stack.script(&script, &[]));
    let mut run = stack.cli.start(["job:run", &job.to_string()]);
    let lines = Lines::of(run.stdout.take().unwrap());
    lines.at_least(3);
    (job, run, lines, stop)
}

/// Ends the job of [`counting`] and checks that its follower saw every line once.
fn finish(
    stack: &Stack,
    job: i64,
    mut run: std::process::Child,
    lines: &Lines,
    stop: &std::path::Path,
) {
    let seen = lines.so_far().len();
    lines.at_least(seen + 3);
    fs::File::create(stop).unwrap();
    assert!(run.wait().unwrap().success());
    let lines = lines.at_least(usize::MAX);
    let (last, numbers) = lines.split_last().unwrap();
    assert_eq!(last, "last");
    for (index, line) in numbers.iter().enumerate() {
        assert_eq!(*line, (index + 1).to_string());
    }
    let shown = stack.show(job);
    assert_eq!((&shown["state"], &shown["attempt"]), (&"succeeded".into(), &1.into()));
    let artifacts = stack.cli.json(["artifact:list", "--job", &job.to_string()]);
    assert_eq!(artifacts["artifacts"].as_array().unwrap().len(), 3);
}

#[test]
fn a_job_outlives_the_kill_of_its_session_and_a_new_program() {
    let mut stack = Stack::start();
    let (job, run, lines, stop) = counting(&stack);
    let supervisor = stack.agent.supervisor().unwrap();
    for _ in 0..3 {
        stack.agent.kill_session();
        let seen = lines.so_far().len();
        stack.agent.start_again();
        lines.at_least(seen + 3);
    }
    assert_eq!(stack.agent.supervisor(), Some(supervisor), "the supervisor has stayed");
    finish(&stack, job, run, &lines, &stop);
}

#[test]
fn sighup_hands_the_jobs_over_to_the_next_session() {
    let mut stack = Stack::start();
    let (job, run, lines, stop) = counting(&stack);
    processes::signal(stack.agent.pid(), Signal::HUP);
    assert_eq!(stack.agent.wait().code(), Some(0));
    stack.agent.start_again();
    finish(&stack, job, run, &lines, &stop);
}

#[test]
fn sigterm_drains_and_a_second_one_cancels() {
    let mut stack = Stack::start();
    let (job, run, lines, stop) = counting(&stack);
    processes::signal(stack.agent.pid(), Signal::TERM);
    let waiting = stack.queued(stack.script("echo never here", &[]));
    let seen = lines.so_far().len();
    lines.at_least(seen + 3);
    assert_eq!(stack.show(waiting)["state"], "queued", "a draining agent takes no more");
    finish(&stack, job, run, &lines, &stop);
    assert_eq!(stack.agent.wait().code(), Some(0), "it has stopped by itself");
    stack.cli.run(["job:cancel", &waiting.to_string()]);

    fs::remove_file(&stop).unwrap();
    stack.agent.start_again();
    let (job, mut run, _, _) = counting(&stack);
    processes::signal(stack.agent.pid(), Signal::TERM);
    stack.agent.log.find("drain", |line| line.contains("Drain").then_some(()));
    processes::signal(stack.agent.pid(), Signal::TERM);
    assert_eq!(stack.agent.wait().code(), Some(0));
    assert_eq!(run.wait().unwrap().code(), Some(109));
    assert_eq!(stack.show(job)["state"], "cancelled");
    assert_eq!(processes::of_jobs(stack.agent.folder()), [0; 0]);
}

#[test]
fn a_drain_that_takes_too_long_cancels() {
    let mut stack = Stack::with(
        Default::default(),
        multiflexi_fixture::AgentOptions {
            arguments: vec!["--drain".to_owned(), "200ms".to_owned()],
            ..Default::default()
        },
    );
    let (job, mut run, _, _) = counting(&stack);
    assert_eq!(stack.agent.terminate().code(), Some(0));
    assert_eq!(run.wait().unwrap().code(), Some(109));
    assert_eq!(stack.show(job)["state"], "cancelled");
}

#[test]
fn a_job_ends_while_its_agent_is_alone_and_is_known_afterwards() {
    let mut stack = Stack::start();
    let (job, mut run, lines, stop) = counting(&stack);
    stack.scheduler.kill();
    stack.agent.kill_session();
    fs::File::create(stop).unwrap();
    eventually("the job has ended", || {
        processes::of_jobs(stack.agent.folder()).is_empty().then_some(())
    });
    stack.scheduler.restart();
    stack.agent.start_again();
    assert!(run.wait().unwrap().success());
    let lines = lines.at_least(usize::MAX);
    assert_eq!(lines.last().unwrap(), "last");
    assert_eq!(stack.show(job)["attempts"].as_array().unwrap().len(), 1);
}

#[test]
fn a_killed_supervisor_loses_the_job_but_not_its_output_and_a_retry_follows() {
    let stack = Stack::start();
    let once = stack.folder().join("once");
    let script = format!(
        "echo attempt $MULTIFLEXI_ATTEMPT; echo kept > file; if [ ! -e '{0}' ]; then touch '{0}'; \
         echo ready; sleep 600; fi",
        once.display()
    );
    let retry = ["--max-attempts", "2", "--retry-on", "lost", "--retry-backoff", "none"];
    let job = stack.job(stack.script(&script, &retry));
    let mut run = stack.cli.start(["job:run", &job.to_string()]);
    let lines = Lines::of(run.stdout.take().unwrap());
    lines.at_least(2);
    processes::signal(stack.agent.supervisor().unwrap(), Signal::KILL);
    assert!(run.wait().unwrap().success());
    assert_eq!(lines.at_least(usize::MAX), ["attempt 1", "ready", "attempt 2"]);
    let shown = stack.show(job);
    assert_eq!(shown["attempts"][0]["state"], "lost");
    assert_eq!(shown["attempts"][1]["state"], "succeeded");
    let words = ["artifact:list", "--job", &job.to_string(), "--attempt", "1"];
    let artifacts = stack.cli.json(words);
    assert_eq!(artifacts["artifacts"].as_array().unwrap().len(), 3, "{artifacts}");
    let processes = processes::of_jobs(stack.agent.folder());
    assert_eq!(processes, [0; 0], "the first attempt's sleep was killed");
}

#[test]
fn a_stale_agent_changes_nothing_and_its_processes_are_killed() {
    let stack = Stack::start();
    let script = "echo attempt $MULTIFLEXI_ATTEMPT; [ $MULTIFLEXI_ATTEMPT = 2 ] || exec sleep 600";
    let retry = ["--max-attempts", "2", "--retry-on", "lost", "--retry-backoff", "none"];
    let lost_after = ["--lost-after", "300ms"];
    let job = stack.queued(stack.script(script, &[&retry[..], &lost_after].concat()));
    eventually("its output is here", || {
        (stack.cli.run(["job:logs", &job.to_string()]).text() == "attempt 1\n").then_some(())
    });
    let stale = processes::of_jobs(stack.agent.folder());
    assert_eq!(stale.len(), 1);
    processes::signal(stack.agent.pid(), Signal::STOP);
    let other = multiflexi_fixture::Agent::start(
        &stack.folder().join("other"),
        &stack.scheduler.url(),
        multiflexi_fixture::AgentOptions { name: "other".to_owned(), ..Default::default() },
    );
    stack.cli.wait_for_state(job, "succeeded");
    processes::signal(stack.agent.pid(), Signal::CONT);
    eventually("the stale attempt's process is gone", || {
        processes::of_jobs(stack.agent.folder()).is_empty().then_some(())
    });
    let shown = stack.show(job);
    assert_eq!((&shown["state"], &shown["agent"]), (&"succeeded".into(), &"other".into()));
    assert_eq!(shown["attempts"][0]["state"], "lost");
    let first = stack.cli.run(["job:logs", &job.to_string(), "--attempt", "1"]);
    assert_eq!(first.text(), "attempt 1\n", "it stays readable under its own number");
    drop(other);
}

#[test]
fn output_that_does_not_fit_while_the_scheduler_is_away_goes_as_the_template_says() {
    let mut stack = Stack::with(
        Default::default(),
        multiflexi_fixture::AgentOptions {
            arguments: ["--job-spool-mib", "1"].map(str::to_owned).into(),
            ..Default::default()
        },
    );
    let go = stack.folder().join("go");
    let script = format!(
        "echo ready; until [ -e '{}' ]; do sleep 0.02; done; seq 1 1000000; echo $? > code",
        go.display()
    );
    let [block, both, fail] = ["block", "head_tail", "fail"].map(|overflow| {
        let job = stack.queued(stack.script(&script, &["--overflow", overflow]));
        eventually("it runs", || {
            let logs = stack.cli.run(["job:logs", &job.to_string()]).text();
            (logs == "ready\n").then_some(())
        });
        job
    });
    stack.scheduler.kill();
    fs::File::create(go).unwrap();
    // One of the three processes stays: the one that waits in its writes.
    eventually("the others have ended", || {
        let left = processes::of_jobs(stack.agent.folder());
        // `sh` and `seq` of the job that blocks.
        (left.len() == 2).then_some(())
    });
    stack.scheduler.restart();
    let output = |job: i64| stack.cli.run(["job:logs", &job.to_string(), "--follow"]).stdout;
    let whole = output(block);
    assert_eq!(stack.show(block)["state"], "succeeded");
    assert_eq!(whole.len(), 6 + 6_888_896, "every byte, once there was room");
    let ends = String::from_utf8(output(both)).unwrap();
    assert_eq!(stack.show(both)["state"], "succeeded");
    assert!(ends.starts_with("ready\n1\n2\n") && ends.ends_with("999999\n1000000\n"));
    assert!(ends.len() < 3_000_000, "{} bytes", ends.len());
    output(fail);
    let failed = stack.show(fail);
    assert_eq!(failed["state"], "failed");
    assert!(failed["trouble"].as_str().unwrap().contains("did not fit into the spool"), "{failed}");
}
