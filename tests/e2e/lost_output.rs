//! Output that is lost, on an agent or in the object store: its job ends all the same, keeps
//! what there is, and says what is missing.

use std::{
    fs,
    io::{Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
};

use multiflexi_fixture::{
    AgentOptions, SchedulerOptions, Stack, eventually,
    metrics::{scrape, value},
};
use serde_json::Value;

/// Bytes of a record before its data.
const HEADER: u64 = 16;

/// A system whose scheduler serves metrics.
fn stack() -> Stack {
    let arguments = vec!["--metrics".to_owned(), "127.0.0.1:0".to_owned()];
    let scheduler = SchedulerOptions { arguments, ..SchedulerOptions::default() };
    Stack::with(scheduler, AgentOptions::default())
}

/// A file for which scripts wait.
struct Sign(PathBuf);

impl Sign {
    fn new(stack: &Stack) -> Self {
        Self(stack.folder().join("sign"))
    }

    fn wait(&self) -> String {
        format!("until [ -e {} ]; do sleep 0.05; done", self.0.display())
    }

    fn give(&self) {
        fs::write(&self.0, "").unwrap();
    }
}

/// The folder of a job's first attempt on its agent.
fn attempt(stack: &Stack, job: i64) -> PathBuf {
    stack.folder().join(format!("agent/attempts/{job}-1-1"))
}

/// Runs `script`, which waits for its sign after its first line. Ends it while no session of
/// the agent is there, lets its spool be damaged, and waits for the job's end.
fn damaged(stack: &mut Stack, script: &str, more: &[&str], damage: impl FnOnce(&Path)) -> Value {
    let sign = Sign::new(stack);
    let script = format!("echo kept; {}; {script}", sign.wait());
    let job = stack.queued(stack.script(&script, more));
    let attempt = attempt(stack, job);
    let spool = attempt.join("log");
    eventually("the first line is in the spool", || {
        fs::metadata(&spool).is_ok_and(|spool| spool.len() > 0).then_some(())
    });
    stack.agent.kill_session();
    sign.give();
    eventually("its process has ended", || attempt.join("ended").exists().then_some(()));
    damage(&spool);
    stack.agent.start_again();
    // It may be tried again: the end of an attempt is not its own.
    let ended = eventually("it has ended for good", || {
        let shown = stack.show(job);
        (!shown["ended"].is_null()).then_some(shown)
    });
    eventually("its agent may forget it", || (!attempt.exists()).then_some(()));
    fs::remove_file(&sign.0).unwrap();
    ended
}

/// What is said of a job whose output is not whole, and that the next one is not touched.
fn says_so(stack: &Stack, shown: &Value, lost: &str) {
    assert_eq!((&shown["state"], &shown["exit_code"]), (&"failed".into(), &0.into()), "{shown}");
    assert_eq!(shown["meaning"], "its output is not whole");
    assert_eq!((&shown["severity"], &shown["attempt"]), (&"error".into(), &1.into()), "{shown}");
    let trouble = shown["trouble"].as_str().unwrap();
    assert!(trouble.contains("its output is not whole") && trouble.contains(lost), "{trouble}");
    let job = shown["id"].to_string();
    let why = stack.cli.run(["job:why", &job]).text();
    assert!(why.contains("it failed: exit code 0 (its output is not whole)"), "{why}");
    assert!(why.contains(lost), "{why}");
    let verified = stack.cli.run(["job:verify", &job]);
    assert_eq!(verified.code, 74, "{}", verified.text());
    let (next, answer) = stack.run("echo next");
    assert_eq!((answer.code, answer.text().as_str()), (0, "next\n"), "{}", answer.stderr);
    assert_eq!(stack.cli.run(["job:verify", &next.to_string()]).code, 0);
    let scraped = scrape(&stack.scheduler.log);
    assert!(value(&scraped, "multiflexi_output_lost_total") >= Some(1.0), "{scraped}");
}

#[test]
fn a_spool_that_was_cut_off_ends_its_job_with_what_there_was() {
    let mut stack = stack();
    let first = HEADER + "kept\n".len() as u64;
    let mut whole = 0;
    // Its work is done, so it is not tried again, though failures are.
    let retried = ["--max-attempts", "3", "--retry-backoff", "none"];
    let shown = damaged(&mut stack, "echo gone", &retried, |spool| {
        let file = fs::File::options().write(true).open(spool).unwrap();
        whole = file.metadata().unwrap().len();
        file.set_len(whole - 1).unwrap();
    });
    says_so(&stack, &shown, &format!("its log is lost from byte {first} to byte {whole}"));
    let trouble = shown["trouble"].as_str().unwrap();
    assert!(trouble.contains("stdout has 5 bytes here and had 10 on the agent"), "{trouble}");
    let logs = stack.cli.run(["job:logs", &shown["id"].to_string()]);
    assert_eq!(logs.text(), "kept\n", "{}", logs.stderr);
}

#[test]
fn a_spool_that_is_gone_ends_its_job_as_it_ended() {
    let mut stack = stack();
    let shown =
        damaged(&mut stack, "echo gone; exit 7", &[], |spool| fs::remove_file(spool).unwrap());
    assert_eq!((&shown["state"], &shown["exit_code"]), (&"failed".into(), &7.into()), "{shown}");
    let trouble = shown["trouble"].as_str().unwrap();
    assert!(trouble.contains("the file is not there any more"), "{trouble}");
    assert_eq!(shown["meaning"], "failure");
}

#[test]
fn output_that_was_overwritten_is_not_taken_for_what_the_job_has_written() {
    let mut stack = stack();
    let shown = damaged(&mut stack, "echo gone", &[], |spool| {
        let mut file = fs::File::options().write(true).open(spool).unwrap();
        // Of the second line: the scheduler may have the first already.
        file.seek(SeekFrom::Start(HEADER + 5 + HEADER)).unwrap();
        file.write_all(b"GONE").unwrap();
    });
    says_so(&stack, &shown, "stdout is not the same here as on the agent");
}

#[test]
fn lost_output_is_tried_again_if_the_run_template_says_so() {
    let mut stack = stack();
    let retried = ["--max-attempts", "2", "--retry-backoff", "none", "--retry-on", "output_lost"];
    let shown = damaged(&mut stack, "echo gone", &retried, |spool| {
        fs::write(spool, "").unwrap();
    });
    assert_eq!((&shown["state"], &shown["attempt"]), (&"succeeded".into(), &2.into()), "{shown}");
    assert_eq!(shown["attempts"][0]["state"], "failed");
    let why = stack.cli.run(["job:why", &shown["id"].to_string()]).text();
    assert!(why.contains("output_lost is retried"), "{why}");
}

#[test]
fn a_stored_chunk_that_is_gone_holds_up_neither_its_job_nor_its_agent() {
    let mut stack = stack();
    let sign = Sign::new(&stack);
    // Random bytes, so that what is stored cannot be small.
    let script = format!("head -c 3000000 /dev/urandom; {}; echo end >&2", sign.wait());
    let job = stack.queued(stack.script(&script, &[]));
    let chunks = stack.folder().join(format!("data/objects/logs/{job}/1"));
    let chunk = eventually("a chunk is stored", || {
        fs::read_dir(&chunks).ok()?.flatten().map(|found| found.path()).find(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.contains('-') && !name.contains('#')
        })
    });
    let name = chunk.file_name().unwrap().to_string_lossy().into_owned();
    let (start, length) = name.split_once('-').unwrap();
    let [start, length] = [start, length].map(|number| number.parse::<u64>().unwrap());
    // Until it is on record, its agent would send it again.
    eventually("the chunk is on record", || {
        let stored = value(&scrape(&stack.scheduler.log), "multiflexi_log_stored_bytes_total");
        (stored >= Some((start + length) as f64)).then_some(())
    });
    stack.scheduler.kill();
    fs::remove_file(&chunk).unwrap();
    stack.scheduler.restart();
    let (_, answer) = stack.run("echo other");
    assert_eq!((answer.code, answer.text().as_str()), (0, "other\n"), "{}", answer.stderr);
    sign.give();
    // It is read to where it breaks off, wherever that is.
    stack.cli.run(["job:logs", &job.to_string(), "--follow"]);
    let shown = stack.cli.wait_for_state(job, "failed");
    let lost = format!("its log is lost from byte {start} to byte {}", start + length);
    says_so(&stack, &shown, &lost);
    let written = &shown["attempts"][0]["stdout"]["size_bytes"];
    assert_eq!(written, 3_000_000, "what was written is on record: {shown}");
}
