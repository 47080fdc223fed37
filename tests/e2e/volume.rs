//! Much of everything. Marked as ignored: `just volume` runs them, on the release
//! build, as an unoptimised one takes minutes.

use std::{io::Read as _, process::Command};

use multiflexi_fixture::{Agent, Cli, Scheduler, Stack, eventually, processes};
use sha2::{Digest as _, Sha256};

/// Largest resident memory that output may cost a process.
const MEMORY: u64 = if cfg!(debug_assertions) { 96 } else { 64 } << 20;

fn hash_of(mut pipe: impl std::io::Read) -> (u64, Vec<u8>) {
    let (mut hash, mut bytes) = (Sha256::new(), 0);
    let mut buffer = vec![0; 1024 * 1024];
    loop {
        let read = pipe.read(&mut buffer).unwrap();
        if read == 0 {
            return (bytes, hash.finalize().to_vec());
        }
        hash.update(&buffer[..read]);
        bytes += read as u64;
    }
}

/// 1 GiB of text.
const GIBIBYTE: &str =
    "yes 'the quick brown fox jumps over the lazy dog, again and again' | head -c 1073741824";

#[test]
#[ignore = "1 GiB: `just volume` runs it on the release build"]
fn a_gibibyte_of_output_arrives_whole_and_costs_no_memory() {
    let stack = Stack::start();
    let job = stack.job(stack.script(GIBIBYTE, &[]));
    let mut run = stack.cli.start(["job:run", &job.to_string()]);
    let (bytes, hash) = hash_of(run.stdout.take().unwrap());
    assert!(run.wait().unwrap().success());
    assert_eq!(bytes, 1 << 30);
    let mut expected = Command::new("sh")
        .args(["-c", GIBIBYTE])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    assert_eq!(hash, hash_of(expected.stdout.take().unwrap()).1);
    expected.wait().unwrap();
    let mut logs = stack.cli.start(["job:logs", &job.to_string()]);
    assert_eq!(hash_of(logs.stdout.take().unwrap()).1, hash);
    logs.wait().unwrap();
    let pids = [stack.scheduler.pid(), stack.agent.pid(), stack.agent.supervisor().unwrap()];
    for (name, pid) in ["scheduler", "session", "supervisor"].into_iter().zip(pids) {
        let (now, most) = processes::memory(pid);
        println!("{name}: {} MiB, at most {} MiB", now >> 20, most >> 20);
        assert!(most < MEMORY, "the {name} had {most} bytes");
    }
}

#[test]
#[ignore = "100 MiB in one line: `just volume` runs it on the release build"]
fn a_line_of_a_hundred_mebibytes_arrives_whole() {
    let stack = Stack::start();
    let job = stack.job(stack.script("head -c 104857600 /dev/zero | tr '\\0' x", &[]));
    let mut run = stack.cli.start(["job:run", &job.to_string(), "--timestamps"]);
    let mut output = Vec::new();
    run.stdout.take().unwrap().read_to_end(&mut output).unwrap();
    assert!(run.wait().unwrap().success());
    assert_eq!(output.iter().filter(|byte| **byte == b'x').count(), 104_857_600);
    assert_eq!(output.iter().filter(|byte| **byte == b'\n').count(), 1);
}

#[test]
#[ignore = "10,000 jobs: `just volume` runs it on the release build"]
fn ten_thousand_jobs_all_succeed_with_both_output_artifacts() {
    let stack = Stack::start();
    let template = stack.template("/bin/true", "", &[]).to_string();
    let words = ["job:create", "--template", &template, "--count", "10000"];
    let jobs = stack.cli.json(words)["job_ids"].as_array().unwrap().len();
    assert_eq!(jobs, 10_000);
    assert_eq!(stack.cli.run(["queue:process"]).code, 0, "it waits for what it has queued");
    let counts = stack.cli.json(["queue:status"]);
    assert_eq!(counts["jobs"], serde_json::json!({ "succeeded": 10_000 }));
    let list = stack.cli.json(["artifact:list", "--all"]);
    let mut names = std::collections::BTreeMap::<(i64, String), u32>::new();
    for artifact in list["artifacts"].as_array().unwrap() {
        let name = artifact["filename"].as_str().unwrap().to_owned();
        *names.entry((artifact["job_id"].as_i64().unwrap(), name)).or_default() += 1;
    }
    assert_eq!(names.len(), 20_000);
    assert!(names.values().all(|count| *count == 1));
    assert!(names.keys().all(|(_, name)| name == "stdout.txt" || name == "stderr.txt"));
}

/// A filesystem of so many MiB; unmounted when this is dropped.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn new(mebibytes: u32) -> Self {
        let folder = tempfile::Builder::new().prefix("mf-disk-").tempdir().unwrap();
        let size = format!("size={mebibytes}M");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(folder.path())
            .status();
        assert!(mounted.is_ok_and(|status| status.success()), "it needs root to mount a tmpfs");
        Self(folder)
    }

    fn resize(&self, mebibytes: u32) {
        let size = format!("remount,size={mebibytes}M");
        let resized = Command::new("mount").args(["-o", &size]).arg(self.0.path()).status();
        assert!(resized.is_ok_and(|status| status.success()));
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.0.path()).status();
    }
}

#[test]
#[ignore = "mounts a small tmpfs: `just volume` runs it, as root"]
fn a_full_disk_under_the_scheduler_stops_only_what_needs_room_and_loses_nothing() {
    let disk = SmallDisk::new(24);
    let folder = tempfile::tempdir().unwrap();
    let scheduler = Scheduler::start(&disk.0.path().join("data"), Default::default());
    let _agent = Agent::start(folder.path(), &scheduler.url(), Default::default());
    let cli = Cli::new(&scheduler.url());
    cli.create(["company:create", "--name", "Acme"]);
    cli.create([
        "application:create",
        "--name",
        "sh",
        "--executable",
        "sh",
        "--cmdparams",
        "-c {S}",
    ]);
    let template = |script: &str| {
        let variable = format!("S={script}");
        let words = ["runtemplate:create", "--name", "t", "--app", "1", "--company", "1", "--env"];
        cli.create(words.into_iter().chain([variable.as_str()])).to_string()
    };
    // 40 MB of output that cannot be compressed, on a disk of 24.
    let large = template("head -c 40000000 /dev/urandom > f; tee g < f | sha256sum >&2; cat f");
    let small = template("echo small");
    let job = cli.create(["job:create", "--template", &large, "--queue"]).to_string();
    eventually("the job says what it waits for", || {
        let trouble = cli.json(["job:show", &job])["trouble"].as_str().map(str::to_owned);
        trouble.filter(|trouble| trouble.contains("no room left"))
    });
    let other = cli.create(["job:create", "--template", &small]).to_string();
    let answer = cli.run(["job:run", &other]);
    assert_eq!((answer.code, answer.text().as_str()), (0, "small\n"), "{}", answer.stderr);

    disk.resize(300);
    let hash = cli.run(["job:logs", &job, "--follow", "--stream", "stderr"]).stderr;
    assert_eq!(cli.json(["job:show", &job])["state"], "succeeded");
    let output = cli.run(["job:logs", &job, "--stream", "stdout"]).stdout;
    let found: String = Sha256::digest(&output).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hash.split_whitespace().next(), Some(found.as_str()));
    let artifacts = cli.json(["artifact:list", "--job", &job]);
    assert_eq!(artifacts["artifacts"].as_array().unwrap().len(), 4, "{artifacts}");
}

#[test]
#[ignore = "mounts a small tmpfs: `just volume` runs it, as root"]
fn a_scheduler_stops_though_the_output_of_a_lost_job_cannot_be_stored() {
    let disk = SmallDisk::new(24);
    let folder = tempfile::tempdir().unwrap();
    let scheduler = Scheduler::start(&disk.0.path().join("data"), Default::default());
    let mut agent = Agent::start(folder.path(), &scheduler.url(), Default::default());
    let cli = Cli::new(&scheduler.url());
    cli.create(["company:create", "--name", "Acme"]);
    cli.create([
        "application:create",
        "--name",
        "sh",
        "--executable",
        "sh",
        "--cmdparams",
        "-c {S}",
    ]);
    let words = ["runtemplate:create", "--name", "t", "--app", "1", "--company", "1"];
    let more = ["--lost-after", "100ms", "--env", "S=head -c 60000000 /dev/urandom; sleep 600"];
    cli.create(words.into_iter().chain(more));
    let job = cli.create(["job:create", "--template", "1", "--queue"]).to_string();
    eventually("the job says what it waits for", || {
        let reasons = cli.run(["job:why", &job]).text();
        reasons.contains("no room left").then_some(())
    });
    agent.kill_all();
    // It is given up, and what is here of its output would have to be stored first.
    let tries = || {
        let lines = scheduler.log.so_far();
        lines.iter().filter(|line| line.contains("output cannot be stored")).count()
    };
    let before = tries();
    // An error that stays the same is logged once by whoever tries.
    eventually("the scheduler tries to store it", || (tries() > before).then_some(()));
    processes::signal(scheduler.pid(), rustix::process::Signal::TERM);
    eventually("the scheduler has stopped", || {
        (!processes::is_alive(scheduler.pid())).then_some(())
    });
}

#[test]
#[ignore = "mounts a small tmpfs: `just volume` runs it, as root"]
fn a_full_disk_under_an_agent_is_said_and_each_job_does_as_its_policy_says() {
    let disk = SmallDisk::new(32);
    let folder = tempfile::tempdir().unwrap();
    let scheduler = Scheduler::start(&folder.path().join("data"), Default::default());
    let _agent = Agent::start(&disk.0.path().join("agent"), &scheduler.url(), Default::default());
    let cli = Cli::new(&scheduler.url());
    cli.create(["company:create", "--name", "Acme"]);
    let words = ["application:create", "--name", "sh", "--executable", "sh", "--cmdparams"];
    cli.create(words.into_iter().chain(["-c {S}"]));
    // Each waits for its sign, so that nothing is written before the disk is full.
    let sign = folder.path().join("sign");
    let job = |overflow: &str, script: &str| {
        let wait = format!("while [ ! -e {} ]; do sleep 0.05; done", sign.display());
        let variable = format!("S={wait}; {script}");
        let words = ["runtemplate:create", "--name", overflow, "--app", "1", "--company", "1"];
        let more = ["--overflow", overflow, "--env", variable.as_str()];
        let template = cli.create(words.into_iter().chain(more)).to_string();
        cli.create(["job:create", "--template", &template, "--queue"])
    };
    let show = |job: i64| cli.json(["job:show", &job.to_string()]);
    let random = folder.path().join("random");
    let made = Command::new("sh")
        .arg("-c")
        .arg(format!("head -c 20000000 /dev/urandom > {}", random.display()))
        .status();
    assert!(made.unwrap().success());
    let cat = format!("cat {}", random.display());
    let patient = job("block", &cat);
    let ended = job("fail", &format!("trap 'exit 3' TERM; {cat} {cat}; sleep 600"));
    let goes_on = job("head_tail", &format!("{cat}; touch {}/done", folder.path().display()));
    for job in [patient, ended, goes_on] {
        cli.wait_for_state(job, "running");
    }
    let ballast = disk.0.path().join("ballast");
    let filled = Command::new("dd")
        .arg("if=/dev/zero")
        .arg(format!("of={}", ballast.display()))
        .stderr(std::process::Stdio::null())
        .status();
    assert!(!filled.unwrap().success(), "dd fills the disk");
    std::fs::write(&sign, "").unwrap();

    for job in [patient, goes_on] {
        eventually("it is said what the job waits for", || {
            let why = cli.run(["job:why", &job.to_string()]).text();
            why.contains("disk takes no more of its output").then_some(())
        });
    }
    assert!(show(patient)["trouble"].as_str().unwrap().contains("No space left"));
    let failed = cli.wait_for_state(ended, "failed");
    assert!(failed["trouble"].as_str().unwrap().contains("the agent's disk was full"), "{failed}");
    eventually("the job that goes on has gone on", || {
        folder.path().join("done").exists().then_some(())
    });
    assert_eq!(show(patient)["state"], "running");

    std::fs::remove_file(&ballast).unwrap();
    for job in [patient, goes_on] {
        cli.wait_for_state(job, "succeeded");
    }
    let output = cli.run(["job:logs", &patient.to_string(), "--stream", "stdout"]).stdout;
    assert!(
        output == std::fs::read(&random).unwrap(),
        "every byte of the job that waited is there"
    );
    assert!(show(patient)["trouble"].is_null());
    let shown = show(goes_on);
    assert!(
        shown["trouble"].as_str().unwrap().contains("bytes of its output were dropped"),
        "{shown}"
    );
    assert_eq!(cli.run(["job:verify", &goes_on.to_string()]).code, 0);
}

#[test]
#[ignore = "ten thousand jobs: `just volume` runs it on the release build"]
fn ten_jobs_of_one_company_do_not_wait_for_ten_thousand_of_another() {
    let stack = Stack::start();
    let many = stack.template("/bin/true", "", &[]).to_string();
    let other = stack.cli.create(["company:create", "--name", "Other"]).to_string();
    let words = ["runtemplate:create", "--name", "few", "--app", "1", "--company", &other];
    let few = stack.cli.create(words).to_string();
    stack.cli.json(["job:create", "--template", &many, "--count", "10000", "--queue"]);
    let made = stack.cli.json(["job:create", "--template", &few, "--count", "10", "--queue"]);
    for job in made["job_ids"].as_array().unwrap() {
        stack.cli.wait_for_state(job.as_i64().unwrap(), "succeeded");
    }
    let status = stack.cli.json(["queue:status"]);
    let waiting = status["waiting"].as_i64().unwrap();
    println!("{waiting} jobs of the other company still wait");
    assert!(waiting > 5000, "the ten waited for most of the others: {status}");
}
