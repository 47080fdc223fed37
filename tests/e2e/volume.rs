//! Much of everything. Marked as ignored: `just volume` runs them, on the release
//! build, as an unoptimised one takes minutes.

use std::io::Read as _;

use multiflexi_fixture::{Stack, processes};
use sha2::{Digest as _, Sha256};

/// Largest resident memory that output may cost a process.
const MEMORY: u64 = 64 * 1024 * 1024;

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
#[ignore = "1 GiB: run it on the release build with `just volume`"]
fn a_gibibyte_of_output_arrives_whole_and_costs_no_memory() {
    let stack = Stack::start();
    let job = stack.job(stack.script(GIBIBYTE, &[]));
    let mut run = stack.cli.start(["job:run", &job.to_string()]);
    let (bytes, hash) = hash_of(run.stdout.take().unwrap());
    assert!(run.wait().unwrap().success());
    assert_eq!(bytes, 1 << 30);
    let mut expected =
        std::process::Command::new("sh").args(["-c", GIBIBYTE])
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
#[ignore = "100 MiB in one line: run it on the release build with `just volume`"]
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
#[ignore = "10,000 jobs: run it on the release build with `just volume`"]
fn ten_thousand_jobs_all_succeed_with_both_output_artifacts() {
    let stack = Stack::start();
    let template = stack.template("/bin/true", "", &[]).to_string();
    let words = ["job:create", "--template", &template, "--count", "10000", "--queue"];
    let jobs = stack.cli.json(words)["job_ids"].as_array().unwrap().len();
    assert_eq!(jobs, 10_000);
    assert_eq!(stack.cli.run(["queue:process"]).code, 0);
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
