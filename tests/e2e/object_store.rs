//! Logs and artifacts in a bucket, on a server that speaks S3.

use std::{fs, process::Command};

use multiflexi_fixture::{
    AgentOptions, SchedulerOptions, Stack, eventually, objects, programs,
    proxy::{Mode, Proxy},
    s3::S3,
};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// What is in every URL of these tests.
const URL: &str = "s3://logs/of/us";

fn options(environment: Vec<(String, String)>) -> SchedulerOptions {
    let arguments = vec!["--object-store".to_owned(), URL.to_owned()];
    SchedulerOptions { arguments, environment, ..SchedulerOptions::default() }
}

fn with_bucket() -> S3 {
    let server = S3::start();
    server.bucket("logs");
    server
}

fn hash(content: &[u8]) -> String {
    Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// 20 MiB of random text on stdout, and 20 MiB of random bytes in a file; their hashes on
/// stderr.
const TWENTY: &str = "head -c 15728640 /dev/urandom | base64 -w 99 > text; cat text; \
     sha256sum < text >&2; rm text; head -c 20971520 /dev/urandom > large; sha256sum < large >&2";

/// Checks what a job of [`TWENTY`] has left.
fn check_twenty(stack: &Stack, job: i64) {
    let id = job.to_string();
    let answer = stack.cli.run(["job:logs", &id]);
    let told: Vec<&str> =
        answer.stderr.lines().filter_map(|line| line.strip_suffix("  -")).collect();
    assert_eq!(told.len(), 2, "{}", answer.stderr);
    assert!(answer.stdout.len() > 20 * 1024 * 1024);
    assert_eq!(hash(&answer.stdout), told[0]);
    let list = stack.cli.json(["artifact:list", "--job", &id]);
    let large = list["artifacts"].as_array().unwrap().iter().find(|one| one["filename"] == "large");
    let large = large.unwrap_or_else(|| panic!("no large in {list}"));
    assert_eq!(large["failed"], false, "{large}");
    let got = stack.cli.run(["artifact:get", &large["id"].to_string(), "--output", "-"]);
    assert_eq!((got.stdout.len(), hash(&got.stdout).as_str()), (20 * 1024 * 1024, told[1]));
    let verified = stack.cli.json(["job:verify", &id]);
    assert_eq!(verified["faults"].as_array().unwrap().len(), 0, "{verified}");
}

#[test]
#[ignore = "needs an S3 server: cargo install --locked s3s-fs@0.14.1 --features binary"]
fn output_and_artifacts_return_unchanged_and_leave_no_object_when_they_are_deleted() {
    let server = with_bucket();
    let stack = Stack::with(options(server.environment()), AgentOptions::default());
    let job = stack.job(stack.script(TWENTY, &[]));
    let ran = stack.cli.run(["job:run", &job.to_string()]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    check_twenty(&stack, job);
    assert!(server.objects("logs", "of/us").len() >= 10);
    assert!(!stack.folder().join("data/objects").exists(), "nothing is on the disk");
    let log = stack.scheduler.log.so_far().join("\n");
    assert!(log.contains(URL) && !log.contains("not-a-secret"), "{log}");
    assert_eq!(stack.cli.run(["job:delete", &job.to_string()]).code, 0);
    assert_eq!(server.objects("logs", "of/us"), [""; 0]);
}

#[test]
#[ignore = "needs an S3 server: cargo install --locked s3s-fs@0.14.1 --features binary"]
fn the_end_of_a_log_is_read_without_its_beginning() {
    let server = with_bucket();
    let proxy = Proxy::start(server.address).unwrap();
    let environment = S3::environment_at(&proxy.url());
    let stack = Stack::with(options(environment), AgentOptions::default());
    let (job, answer) = stack.run("seq 1 2000000; date -u +%FT%T.%NZ >&2; echo end");
    assert_eq!(answer.code, 0, "{}", answer.stderr);
    let (job, since) = (job.to_string(), answer.stderr.lines().next().unwrap());
    let before = proxy.received();
    let end = stack.cli.run(["job:logs", &job, "--stream", "stdout", "--since", since]);
    assert!(end.stdout.ends_with(b"end\n"), "{}", end.stderr);
    let read = proxy.received() - before;
    let stored: u64 = server
        .objects("logs", "of/us")
        .iter()
        .map(|name| fs::metadata(server.folder("logs/of/us").join(name)).unwrap().len())
        .sum();
    assert!(read < stored / 2, "{read} of {stored} bytes were read for the end");
}

/// Runs jobs while the store is taken away and given back; checks that all is there, once.
fn outage(take_away: impl FnOnce(&mut S3, &Proxy), give_back: impl FnOnce(&mut S3, &Proxy)) {
    let mut server = with_bucket();
    let proxy = Proxy::start(server.address).unwrap();
    let mut environment = S3::environment_at(&proxy.url());
    environment.push(("AWS_TIMEOUT".to_owned(), "2s".to_owned()));
    let mut stack = Stack::with(options(environment), AgentOptions::default());
    let go = stack.folder().join("go");
    // One that has stored some and goes on, one that writes all of it meanwhile, and one that
    // has a file meanwhile.
    let wait = format!("until [ -e '{}' ]; do sleep 0.05; done", go.display());
    let count = |more: &str| format!("seq 1 800000; {wait}; seq 800001 1600000; {more}");
    let counting = stack.queued(stack.script(&count(""), &[]));
    eventually("output is stored", || (!server.objects("logs", "of/us").is_empty()).then_some(()));
    take_away(&mut server, &proxy);
    let twenty = stack.queued(stack.script(TWENTY, &[]));
    let file = stack.queued(stack.script("seq 1 1600000 > file", &[]));
    fs::File::create(go).unwrap();
    for (job, what) in [(counting, "output"), (twenty, "output"), (file, "\"file\"")] {
        let why = eventually("the job says what it waits for", || {
            let why = stack.cli.run(["job:why", &job.to_string()]).text();
            (why.contains("is away") && why.contains("cannot be stored")).then_some(why)
        });
        assert!(why.contains(what) && why.contains("s3://logs/of/us"), "{why}");
        assert!(stack.show(job)["ended"].is_null(), "nothing is ended that is not stored");
    }
    let small = stack.queued(stack.script("echo small", &[]));
    assert_eq!(stack.ended(small)["state"], "succeeded", "what needs no object goes on");
    stack.agent.kill_session();
    stack.agent.start_again();
    give_back(&mut server, &proxy);
    stack.scheduler.restart();
    let expected: String = (1..=1_600_000).map(|number| format!("{number}\n")).collect();
    for job in [counting, twenty, file] {
        let ended = stack.ended(job);
        assert_eq!(ended["state"], "succeeded", "{ended}");
        assert_eq!(ended["attempts"].as_array().unwrap().len(), 1);
        assert!(ended["trouble"].is_null(), "{ended}");
    }
    let counted = stack.cli.run(["job:logs", &counting.to_string()]).text();
    assert!(counted == expected, "{} bytes instead of {}", counted.len(), expected.len());
    check_twenty(&stack, twenty);
    let list = stack.cli.json(["artifact:list", "--job", &file.to_string()]);
    let files =
        list["artifacts"].as_array().unwrap().iter().filter(|one| one["filename"] == "file");
    let files: Vec<&Value> = files.collect();
    assert_eq!(files.len(), 1, "{list}");
    assert_eq!(files[0]["sha256"], hash(expected.as_bytes()));
    let counted = stack.cli.json(["retention:apply", "--dry-run"]);
    assert_eq!((&counted["objects"], &counted["missing_objects"]), (&0.into(), &0.into()));
}

#[test]
#[ignore = "needs an S3 server: cargo install --locked s3s-fs@0.14.1 --features binary"]
fn jobs_run_on_while_the_store_is_away_and_nothing_is_lost_or_twice() {
    outage(|server, _| server.stop(), |server, _| server.start_again());
}

#[test]
#[ignore = "needs an S3 server: cargo install --locked s3s-fs@0.14.1 --features binary"]
fn a_network_that_is_cut_loses_nothing_either() {
    outage(|_, proxy| proxy.set(Mode::Cut), |_, proxy| proxy.set(Mode::Pass));
}

#[test]
#[ignore = "needs an S3 server: cargo install --locked s3s-fs@0.14.1 --features binary"]
fn a_store_that_swallows_everything_is_not_waited_for_without_end() {
    outage(|_, proxy| proxy.set(Mode::BlackHole), |_, proxy| proxy.set(Mode::Pass));
}

/// What a scheduler says that does not start.
fn refusal(data: &std::path::Path, url: &str, environment: &[(String, String)]) -> String {
    let output = Command::new(programs::scheduler())
        .arg("--data-dir")
        .arg(data)
        .args(["--listen", "127.0.0.1:0", "--object-store", url])
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    let last = said.lines().last().unwrap_or_default().to_owned();
    assert!(last.starts_with("error: "), "{said}");
    last
}

#[test]
#[ignore = "needs an S3 server: cargo install --locked s3s-fs@0.14.1 --features binary"]
fn a_store_that_cannot_be_used_is_named_with_what_to_do() {
    let server = with_bucket();
    let folder = tempfile::tempdir().unwrap();
    let with = |name: &str, value: &str| {
        let mut environment = server.environment();
        environment.retain(|(known, _)| known != name);
        environment.push((name.to_owned(), value.to_owned()));
        environment
    };
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for (url, environment, words) in [
        (
            URL,
            with("AWS_SECRET_ACCESS_KEY", "wrong"),
            ["access is refused", "AWS_SECRET_ACCESS_KEY"],
        ),
        (URL, with("AWS_ACCESS_KEY_ID", "nobody"), ["access is refused", "AWS_ACCESS_KEY_ID"]),
        ("s3://other/a", server.environment(), ["no such bucket", "create it"]),
        (
            URL,
            with("AWS_ENDPOINT_URL", &format!("http://{free}")),
            ["cannot be reached", "refused"],
        ),
        (
            URL,
            with("AWS_ENDPOINT_URL", "http://nowhere.invalid"),
            ["cannot be reached", "nowhere.invalid"],
        ),
        (URL, with("AWS_ALLOW_HTTP", "false"), ["not encrypted", "AWS_ALLOW_HTTP=true"]),
    ] {
        let said = refusal(folder.path(), url, &environment);
        for word in words.into_iter().chain([url]) {
            assert!(said.contains(word), "{word:?} is not in {said}");
        }
        assert!(!said.contains("not-a-secret"), "{said}");
    }
    assert!(!folder.path().join("multiflexi.db").exists(), "nothing was made");
}

#[test]
#[ignore = "needs an S3 server: cargo install --locked s3s-fs@0.14.1 --features binary"]
fn another_store_is_refused_until_everything_was_copied_there() {
    let server = with_bucket();
    let mut stack = Stack::start();
    let (job, ran) = stack.run("seq 1 600000; seq 1 600000 > file");
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    stack.scheduler.terminate();
    let data = stack.folder().join("data");
    let said = refusal(&data, URL, &server.environment());
    let old = data.join("objects");
    assert!(said.contains(&old.display().to_string()) && said.contains("objects copy"), "{said}");
    assert_eq!(server.objects("logs", ""), [""; 0], "nothing was written");

    let copy = || {
        let output = Command::new(programs::scheduler())
            .args(["objects", "copy", "--from", old.to_str().unwrap(), "--to", URL])
            .envs(server.environment())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}");
        said
    };
    let count = objects(&old).len();
    assert!(copy().contains(&format!("{count} objects")));
    assert!(copy().contains(&format!("{count} were there already")));
    assert_eq!(server.objects("logs", "of/us"), objects(&old));
    fs::remove_dir_all(&old).unwrap();
    stack.scheduler.start_with(options(server.environment()));
    let verified = stack.cli.json(["job:verify", &job.to_string()]);
    assert_eq!(verified["faults"].as_array().unwrap().len(), 0, "{verified}");
    assert!(stack.cli.run(["job:logs", &job.to_string()]).stdout == ran.stdout);

    let other = tempfile::tempdir().unwrap();
    let said = refusal(other.path(), URL, &server.environment());
    assert!(said.contains("belongs to another database"), "{said}");
}

#[test]
#[ignore = "needs an S3 server: cargo install --locked s3s-fs@0.14.1 --features binary"]
fn orphans_on_both_sides_are_found_and_what_others_keep_there_stays() {
    let server = with_bucket();
    let stack = Stack::with(options(server.environment()), AgentOptions::default());
    let (job, _) = stack.run("seq 1 600000; seq 1 600000 > file");
    let place = server.folder("logs/of/us");
    let then = std::time::SystemTime::now() - std::time::Duration::from_secs(2 * 24 * 3600);
    let put = |name: &str| {
        let file = place.join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, "old").unwrap();
        fs::File::options().write(true).open(&file).unwrap().set_modified(then).unwrap();
    };
    let orphans: Vec<String> = (0..1200).map(|start| format!("logs/99/1/{start:020}-3")).collect();
    orphans.iter().for_each(|name| put(name));
    put("logs/2024/01/access.log");
    let all = server.objects("logs", "of/us");
    let lost = all.iter().find(|name| name.starts_with(&format!("artifacts/{job}/"))).unwrap();
    fs::remove_file(place.join(lost)).unwrap();
    let counted = stack.cli.json(["retention:apply", "--dry-run"]);
    assert_eq!(counted["objects"], 1200, "more than one page of a list: {counted}");
    assert_eq!(
        (&counted["missing_objects"], &counted["missing_job_ids"][0]),
        (&1.into(), &job.into())
    );
    assert_eq!(stack.cli.json(["retention:apply"])["objects"], 1200);
    let left = server.objects("logs", "of/us");
    assert!(left.contains(&"logs/2024/01/access.log".to_owned()));
    assert!(!left.iter().any(|name| name.starts_with("logs/99/")), "{left:?}");
    let verified = stack.cli.run(["job:verify", &job.to_string()]);
    assert_eq!(verified.code, 74);
    assert!(verified.text().contains("is not in the object store"), "{}", verified.text());
}
