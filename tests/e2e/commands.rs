//! The command line's own habits.

use std::{fs, process::Command};

use multiflexi_fixture::{Lines, Stack, programs};

#[test]
fn the_seeds_workflow_example_works_as_printed() {
    let stack = Stack::start();
    let template = stack.script("echo in CI", &[]).to_string();
    let output = stack.folder().join("github_output");
    fs::write(&output, "before=1\n").unwrap();
    let company = stack.company.to_string();
    let words = ["job:create", "--template", &template, "--company", &company];
    let created = stack.cli.command(words).env("GITHUB_OUTPUT", &output).output().unwrap();
    assert!(created.status.success());
    let written = fs::read_to_string(&output).unwrap();
    let job = written.strip_prefix("before=1\njob_id=").unwrap().trim();
    assert_eq!(stack.cli.run(["job:run", job]).text(), "in CI\n");
}

#[test]
fn a_request_id_makes_creating_idempotent() {
    let stack = Stack::start();
    let template = stack.script("exit 0", &[]).to_string();
    let words = ["job:create", "--template", &template, "--request-id", "nightly", "--count", "3"];
    let first = stack.cli.json(words);
    assert_eq!(stack.cli.json(words), first);
    assert_eq!(first["job_ids"].as_array().unwrap().len(), 3);
    assert_eq!(stack.cli.json(["job:list"])["jobs"].as_array().unwrap().len(), 3);
}

#[test]
fn lists_are_paged_and_filtered() {
    let stack = Stack::start();
    let template = stack.script("exit 3", &[]).to_string();
    stack.cli.json(["job:create", "--template", &template, "--count", "25"]);
    let page = stack.cli.json(["job:list", "--limit", "10"]);
    assert_eq!(page["jobs"].as_array().unwrap().len(), 10);
    let token = page["next_page_token"].as_str().unwrap();
    let next = stack.cli.json(["job:list", "--limit", "10", "--page-token", token]);
    assert!(next["jobs"][0]["id"].as_i64() < page["jobs"][9]["id"].as_i64());
    assert_eq!(stack.cli.json(["job:list", "--all"])["jobs"].as_array().unwrap().len(), 25);
    stack.cli.run(["job:run", "7"]);
    let failed = stack.cli.json(["job:list", "--state", "failed"]);
    assert_eq!(failed["jobs"].as_array().unwrap().len(), 1);
    assert_eq!(failed["jobs"][0]["id"], 7);
}

#[test]
fn the_queue_is_processed_and_waited_for() {
    let stack = Stack::start();
    let template = stack.script("exit 0", &[]).to_string();
    stack.cli.json(["job:create", "--template", &template, "--count", "20"]);
    let answer = stack.cli.json(["queue:process"]);
    assert_eq!(answer["queued"], 20);
    assert_eq!(stack.cli.json(["queue:status"])["jobs"]["succeeded"], 20);
    // What waits for its time is not waited for; and the exit code tells.
    stack.cli.json(["job:create", "--template", &template, "--delay", "1h"]);
    let bad = stack.script("exit 3", &[]).to_string();
    stack.cli.json(["job:create", "--template", &bad]);
    let answer = stack.cli.run(["queue:process"]);
    assert!(answer.code == 63 && answer.stderr.contains("1 of 1 job failed"), "{}", answer.stderr);
    // What was queued before is.
    stack.cli.json(["queue:pause"]);
    stack.cli.json(["job:create", "--template", &template, "--count", "3", "--queue"]);
    let answer = stack.cli.run(["queue:process", "--no-wait"]);
    assert_eq!(answer.text(), "queued 0 jobs, and 3 waited already\n");
    let mut process = stack.cli.start(["queue:process"]);
    let lines = Lines::of(process.stderr.take().unwrap());
    lines.find("why it waits", |line| line.contains("the queue is paused").then_some(()));
    stack.cli.json(["queue:resume"]);
    let ended = process.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(0));
    let said = String::from_utf8_lossy(&ended.stdout);
    assert_eq!(said, "queued 0 jobs, and 3 waited already; 0 failed\n");
}

#[test]
fn environment_files_are_read_and_flags_win() {
    let stack = Stack::start();
    let file = stack.folder().join("env");
    fs::write(&file, format!("MULTIFLEXI_SERVER={}\n", stack.scheduler.url())).unwrap();
    let list = |words: &[&str]| {
        let mut command = stack.cli.command(words);
        command.env_remove("MULTIFLEXI_SERVER").output().unwrap().status.code()
    };
    let file = file.to_str().unwrap();
    assert_eq!(list(&["--environment", file, "company:list"]), Some(0));
    let other = ["--environment", file, "--server", "http://127.0.0.1:1", "company:list"];
    assert_eq!(list(&other), Some(69));
    assert_eq!(list(&["--environment", "/no/such/file", "company:list"]), Some(64));
}

#[test]
fn a_closed_pipe_is_no_failure() {
    let stack = Stack::start();
    let (job, _) = stack.run("seq 1 1000000");
    let mut logs = stack.cli.start(["job:logs", &job.to_string()]);
    let mut first = [0; 2];
    std::io::Read::read_exact(logs.stdout.as_mut().unwrap(), &mut first).unwrap();
    drop(logs.stdout.take());
    assert_eq!(logs.wait().unwrap().code(), Some(0));
}

#[test]
fn agents_are_listed_with_what_they_do() {
    let mut stack = Stack::start();
    let agents = stack.cli.json(["agent:list"]);
    assert_eq!(agents["agents"][0]["name"], "agent");
    assert_eq!(agents["agents"][0]["connected"], true);
    assert_eq!(agents["agents"][0]["slots"], 8);
    assert_eq!(stack.agent.terminate().code(), Some(0));
    let gone = multiflexi_fixture::eventually("the agent is gone", || {
        let agents = stack.cli.json(["agent:list"]);
        (agents["agents"][0]["connected"] == false).then_some(agents)
    });
    assert_eq!(gone["agents"].as_array().unwrap().len(), 1);
}

#[test]
fn lists_are_filtered_and_sorted_by_what_is_asked_for() {
    let stack = Stack::start();
    let [good, bad] = ["exit 0", "exit 9"].map(|script| stack.script(script, &[]).to_string());
    for template in [&good, &bad, &good] {
        stack.cli.run(["job:run", &stack.job(template.parse().unwrap()).to_string()]);
    }
    stack.cli.json(["job:create", "--template", &bad]);
    let ids = |words: &[&str]| -> Vec<i64> {
        let list = stack.cli.json(["job:list"].iter().chain(words));
        list["jobs"].as_array().unwrap().iter().map(|job| job["id"].as_i64().unwrap()).collect()
    };
    assert_eq!(ids(&["--exit-code", "9"]), [2]);
    assert_eq!(ids(&["--exit-code", "0"]), [3, 1]);
    assert_eq!(ids(&["--template", &bad, "--order", "id"]), [2, 4]);
    assert_eq!(ids(&["--agent", "agent"]), [3, 2, 1]);
    assert_eq!(ids(&["--order", "ended"]), [1, 2, 3]);
    assert_eq!(ids(&["--ended-since", "1h", "--state", "succeeded"]), [3, 1]);
    assert_eq!(ids(&["--until", "1h"]), [0; 0]);
    let first = stack.cli.json(["job:list", "--order", "ended desc", "--limit", "2"]);
    let token = first["next_page_token"].as_str().unwrap();
    assert_eq!(ids(&["--order", "ended desc", "--limit", "2", "--page-token", token]), [1]);
    let nobody = stack.cli.run(["job:list", "--agent", "nobody"]);
    assert!(nobody.code == 66 && nobody.stderr.contains("nobody"), "{}", nobody.stderr);
    let bad = stack.cli.run(["job:list", "--order", "size"]);
    assert!(bad.code == 65 && bad.stderr.contains("size"), "{}", bad.stderr);
}

#[test]
fn every_command_line_of_the_documentation_works_as_printed() {
    let stack = Stack::start();
    let company = stack.company.to_string();
    let template = stack.script("echo out; echo result > file; exit 0", &[]).to_string();
    let env = stack.folder().join(".env");
    fs::write(&env, format!("MULTIFLEXI_SERVER={}\n", stack.scheduler.url())).unwrap();
    let create = ["job:create", "--template", &template, "--company", &company];
    let job = stack.cli.create(create).to_string();
    stack.cli.run(["job:run", &job]);
    let artifacts = stack.cli.json(["artifact:list", "--job", &job]);
    let artifact = artifacts["artifacts"][0]["id"].to_string();
    let file = stack.folder().join("downloaded");
    let lines: [Vec<&str>; 17] = [
        vec!["job:list"],
        vec!["job:show", &job],
        create.to_vec(),
        vec!["job:run", &job],
        vec!["queue:status"],
        vec!["queue:process"],
        vec!["queue:clear"],
        vec!["artifact:list", "--job", &job],
        vec!["artifact:get", &artifact, "--output", file.to_str().unwrap()],
        vec!["artifact:show", &artifact],
        vec!["runtemplate:list"],
        vec!["runtemplate:show", &template],
        vec!["company:list"],
        vec!["--environment", env.to_str().unwrap(), "job:list"],
        vec!["job:script", &job],
        vec!["job:env-file", &job],
        vec!["job:delete", &job],
    ];
    for line in lines {
        let answer = stack.cli.run(&line);
        assert_eq!(answer.code, 0, "{line:?}: {}", answer.stderr);
    }
    assert!(file.exists());
    let other = stack.cli.create(create).to_string();
    for program in ["multiflexi-job2script", "multiflexi-job2env"] {
        let mut command = Command::new(programs::named(program));
        let made = command.arg(&other).env("MULTIFLEXI_SERVER", stack.scheduler.url());
        let made = made.output().unwrap();
        assert!(made.status.success() && !made.stdout.is_empty(), "{program}");
    }
}

#[test]
fn the_queue_is_paused_resumed_and_cleared() {
    let stack = Stack::start();
    let template = stack.script("exit 1", &[]).to_string();
    stack.cli.json(["queue:pause"]);
    stack.cli.json(["job:create", "--template", &template, "--count", "3", "--queue"]);
    let why = stack.cli.run(["job:why", "1"]).text();
    assert!(why.contains("the queue is paused by"), "{why}");
    let status = stack.cli.json(["queue:status"]);
    assert!(status["waiting"] == 3 && status["companies"][0]["waiting"] == 3, "{status}");
    stack.cli.json(["queue:resume"]);
    for job in 1..=3 {
        stack.cli.wait_for_state(job, "failed");
    }
    assert_eq!(stack.cli.json(["queue:clear", "--older-than", "1h"])["removed"], 0);
    assert_eq!(stack.cli.json(["queue:clear", "--dry-run"])["removed"], 3);
    assert_eq!(stack.cli.json(["job:list"])["jobs"].as_array().unwrap().len(), 3);
    assert_eq!(stack.cli.json(["queue:clear"])["removed"], 3);
    assert_eq!(stack.cli.json(["job:list"])["jobs"].as_array().unwrap().len(), 0);
    let refused = stack.cli.run(["queue:clear", "--state", "running"]);
    let ended = "[possible values: succeeded, failed, cancelled, timed_out, lost]";
    assert!(refused.code == 64 && refused.stderr.contains(ended), "{}", refused.stderr);
}

#[test]
fn a_job_runs_when_its_time_has_come_and_not_beyond_its_limits() {
    let stack = Stack::start();
    let template = stack.script("sleep 60", &["--max-running", "2"]).to_string();
    stack.cli.json(["job:create", "--template", &template, "--count", "3", "--queue"]);
    stack.cli.wait_for_state(1, "running");
    stack.cli.wait_for_state(2, "running");
    let why = stack.cli.run(["job:why", "3"]).text();
    assert!(why.contains("waits for a place") && why.contains("2 jobs at once"), "{why}");
    stack.cli.run(["job:cancel", "1"]);
    stack.cli.wait_for_state(3, "running");
    let quick = stack.script("exit 0", &[]).to_string();
    let later = stack.cli.create(["job:create", "--template", &quick, "--delay", "1h"]);
    let why = stack.cli.run(["job:why", &later.to_string()]).text();
    assert!(why.contains("not to be run before"), "{why}");
    let soon = stack.cli.create(["job:create", "--template", &quick, "--delay", "200ms"]);
    stack.cli.wait_for_state(soon, "succeeded");
    assert_eq!(stack.show(later)["state"], "queued");
    assert_eq!(stack.cli.run(["job:run", &later.to_string()]).code, 0, "whoever asks wants it now");
}

#[test]
fn what_a_run_template_does_not_keep_is_removed_with_all_it_left() {
    let stack = Stack::start();
    let script = "head -c 200000 /dev/urandom > large; echo out";
    let few = stack.script(script, &["--keep-count", "2"]).to_string();
    let old = stack.script("exit 1", &["--keep-age", "1ms"]).to_string();
    let all = stack.script("exit 0", &[]).to_string();
    let bytes = stack.script(script, &["--keep-bytes", "250000"]).to_string();
    for template in [&few, &old, &all, &bytes] {
        for _ in 0..3 {
            let job = stack.cli.create(["job:create", "--template", template, "--queue"]);
            stack.ended(job);
        }
    }
    let objects = || multiflexi_fixture::objects(&stack.folder().join("data/objects")).len();
    assert_eq!(objects(), 6, "six large files");
    let left = |template: &str| {
        stack.cli.json(["job:list", "--template", template])["jobs"].as_array().unwrap().len()
    };
    assert_eq!(stack.cli.json(["retention:apply", "--dry-run"])["jobs"], 1 + 3 + 2);
    assert_eq!((left(&few), left(&old), left(&all), left(&bytes)), (3, 3, 3, 3));
    assert_eq!(stack.cli.json(["retention:apply"])["jobs"], 6);
    assert_eq!((left(&few), left(&old), left(&all), left(&bytes)), (2, 0, 3, 1));
    assert_eq!(objects(), 3);
    assert_eq!(stack.cli.json(["retention:apply"])["jobs"], 0);

    // What a kill has left: an object without a row, two days old.
    let orphan = stack.folder().join("data/objects/logs/99/1/00000000000000000000-6");
    fs::create_dir_all(orphan.parent().unwrap()).unwrap();
    fs::write(&orphan, "orphan").unwrap();
    assert_eq!(stack.cli.json(["retention:apply"])["objects"], 0, "it may get its row yet");
    let file = fs::File::options().write(true).open(&orphan).unwrap();
    let then = std::time::SystemTime::now() - std::time::Duration::from_secs(2 * 24 * 3600);
    file.set_modified(then).unwrap();
    assert_eq!(stack.cli.json(["retention:apply"])["objects"], 1);
    assert!(!orphan.exists());
}

#[test]
fn what_is_printed_can_be_chosen() {
    let stack = Stack::start();
    let template = stack.script("exit 0", &[]).to_string();
    let created = stack.cli.run(["job:create", "--template", &template, "-q"]);
    assert_eq!(created.text(), "1\n");
    stack.cli.run(["job:create", "--template", &template]);
    assert_eq!(stack.cli.run(["job:list", "-q"]).text(), "2\n1\n");
    let list = stack.cli.run(["job:list", "--fields", "state,id"]).text();
    let lines: Vec<Vec<&str>> =
        list.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines, [["STATE", "ID"], ["loaded", "2"], ["loaded", "1"]]);
    let shown = stack.cli.json(["job:show", "1", "--fields", "id,state"]);
    assert_eq!(shown, serde_json::json!({ "id": 1, "state": "loaded" }));
    let unknown = stack.cli.run(["job:list", "--fields", "colour"]);
    assert!(unknown.code == 64 && unknown.stderr.contains("company_name"), "{}", unknown.stderr);

    let several = stack.cli.run(["job:create", "--template", &template, "--count", "3", "-q"]);
    assert_eq!(several.text(), "3\n4\n5\n");

    let colours = |when: &str| stack.cli.run(["company:list", "--help", "--color", when]).text();
    assert!(colours("always").contains('\x1b') && !colours("never").contains('\x1b'));
    let mut command = stack.cli.command(["agent:list", "--color", "always"]);
    let coloured = command.env("NO_COLOR", "1").output().unwrap();
    let coloured = String::from_utf8_lossy(&coloured.stdout).into_owned();
    assert!(coloured.contains("\x1b[1m") && coloured.contains("\x1b[38;5;10m"), "{coloured:?}");
    let short = ["company:update", "1", "--secret", "PIN=123"];
    assert!(stack.cli.run(short).stderr.contains("PIN has fewer than 4 bytes"));

    let pages = stack.folder().join("man");
    assert_eq!(stack.cli.run(["man", "--dir", pages.to_str().unwrap()]).code, 0);
    for program in ["cli", "job2script", "job2env", "scheduler", "agent"] {
        let program = format!("multiflexi-{program}");
        assert!(pages.join(format!("{program}.1")).exists(), "{program}");
        let script = stack.cli.run(["completion", "bash", "--program", &program]);
        assert!(script.code == 0 && script.text().contains(&program), "{program}");
    }
    assert!(pages.join("multiflexi-cli-job:run.1").exists());
    let names = fs::read_dir(&pages).unwrap().map(|page| page.unwrap().file_name());
    let of_help = names.filter(|name| name.to_string_lossy().contains("-help"));
    assert_eq!(of_help.count(), 0, "help is described nowhere else");
}

#[test]
fn only_what_has_changed_is_said_to_have() {
    let stack = Stack::start();
    let template = stack.script("exit 0", &[]).to_string();
    stack.cli.create(["credential:create", "--name", "c", "--company", "1", "--secret", "A=word"]);
    stack.cli.create(["action:create", "--template", &template, "--kind", "Stop", "--on", "fail"]);
    for command in ["company", "credential", "application", "runtemplate", "action"] {
        let nothing = stack.cli.run([&format!("{command}:update"), "1"]);
        assert!(nothing.code == 64 && nothing.stdout.is_empty(), "{nothing:?}");
        assert!(nothing.stderr.contains("nothing is said that changes"), "{nothing:?}");
    }
    for command in ["company:update", "credential:update", "runtemplate:update"] {
        let unknown = stack.cli.run([command, "1", "--name", "other", "--unset", "NOPE"]);
        assert!(unknown.code == 65, "{unknown:?}");
        assert!(unknown.stderr.contains("has no variable \"NOPE\", which is to be removed"));
    }
    assert_eq!(stack.cli.json(["company:show", "1"])["name"], "Acme", "all or nothing");
    for (command, sentences) in [
        ("credential:unassign", ["did not use", "did not use"]),
        ("credential:assign", ["uses credential", "uses credential 1 already"]),
        ("credential:unassign", ["no longer uses", "did not use"]),
    ] {
        for sentence in sentences {
            let said = stack.cli.run([command, "1", "--template", &template]);
            assert!(said.code == 0 && said.text().contains(sentence), "{sentence}: {said:?}");
        }
    }
    let again = stack.cli.json(["credential:unassign", "1", "--template", &template]);
    assert!(again["changed"] == false && again["id"] == 1, "{again}");

    let file = format!("A={}", stack.folder().join("file").display());
    fs::write(stack.folder().join("file"), "x").unwrap();
    for [option, value] in [["--env", "A=2"], ["--secret", "A=2222"], ["--file", &file]] {
        let words = ["job:create", "--template", &template, "--env", "A=1", option, value];
        let twice = stack.cli.run(words);
        assert!(twice.code == 64 && twice.stderr.contains("A is given twice"), "{twice:?}");
    }
}

#[test]
fn what_a_command_needs_is_described() {
    let cli = multiflexi_fixture::Cli::new("http://127.0.0.1:1");
    let described = cli.json(["describe"]);
    let commands = described["commands"].as_array().unwrap();
    let argument = |command: &str, name: &str| {
        let command = commands.iter().find(|one| one["name"] == command).unwrap();
        let mut arguments = command["arguments"].as_array().unwrap().iter();
        arguments.find(|one| one["name"] == name).cloned().unwrap()
    };
    for command in ["job:show", "job:run", "job:env", "job:script", "company:update"] {
        let id = argument(command, "id");
        assert!(id["required"] == true && id["or"][0] == "--id", "{command}: {id}");
        assert_eq!(argument(command, "--id")["required"], false);
        let help = cli.run([command, "--help"]).text();
        assert!(help.contains("[OPTIONS] <ID>\n") && help.contains("--id <ID>"), "{help}");
    }
    let owner = argument("action:create", "--template");
    assert!(owner["required"] == true && owner["or"][0] == "--company", "{owner}");
    assert!(argument("job:run", "--timestamps")["default"].is_null(), "a flag has no text");
    assert_eq!(argument("job:list", "--limit")["default"], "50");
    let codes = described["exit_codes"].as_array().unwrap().iter();
    let codes: Vec<_> = codes.map(|one| one["code"].as_u64().unwrap()).collect();
    assert!(codes.is_sorted() && codes.starts_with(&[0, 63, 64]), "{codes:?}");
    // What all commands take stands behind a command's own.
    let help = cli.run(["job:list", "--help"]).text();
    let (own, global) = help.split_once("\nGlobal options:\n").unwrap();
    assert!(own.contains("--order") && own.contains("--help") && global.contains("--server"));
    assert!(!own.contains("--server") && !global.contains("--limit"), "{help}");
}

#[test]
fn many_jobs_are_deleted_by_id_or_by_what_they_are() {
    let stack = Stack::start();
    let (good, bad) = (stack.script("exit 0", &[]), stack.script("exit 3", &[]));
    for template in [good, bad] {
        stack.cli.json(["job:create", "--template", &template.to_string(), "--count", "150"]);
    }
    stack.cli.run(["queue:process"]);
    let left = || stack.cli.json(["job:list", "--all"])["jobs"].as_array().unwrap().len();
    let removed = |words: &[&str]| {
        let words = ["job:delete"].iter().chain(words).copied();
        stack.cli.json(words)["removed"].as_i64().unwrap()
    };
    let nothing = stack.cli.run(["job:delete"]);
    assert!(nothing.code == 64 && left() == 300, "{nothing:?}");
    assert_eq!(removed(&["1", "2", "2", "3", "--dry-run"]), 3);
    assert_eq!((removed(&["1", "2", "2", "3"]), left()), (3, 297));
    let unknown = stack.cli.run(["job:delete", "4", "1", "5"]);
    assert!(unknown.code == 66 && unknown.stderr.contains("there is no job 1"), "{unknown:?}");
    let running = stack.script("exec sleep 1000", &[]);
    let running = stack.queued(running).to_string();
    stack.cli.wait_for_state(running.parse().unwrap(), "running");
    let busy = stack.cli.run(["job:delete", "4", &running]);
    assert!(busy.code == 77 && busy.stderr.contains("cancel it before"), "{busy:?}");
    assert_eq!(left(), 298, "all or nothing");

    assert_eq!(removed(&["--exit-code", "3", "--dry-run"]), 150);
    assert_eq!((removed(&["--exit-code", "3"]), left()), (150, 148));
    let template = good.to_string();
    // What has not ended is removed only when it is said.
    stack.cli.json(["job:create", "--template", &template]);
    assert_eq!(removed(&["--template", &template, "--state", "failed"]), 0);
    assert_eq!(removed(&["--template", &template, "--until", "1h"]), 0);
    assert_eq!(removed(&["--template", &template]), 147);
    assert_eq!(removed(&["--state", "loaded"]), 1);
    let busy = stack.cli.run(["job:delete", "--state", "running"]);
    assert!(busy.code == 65 && busy.stderr.contains("cancel them first"), "{busy:?}");
    let unknown = stack.cli.run(["job:delete", "--template", "99"]);
    assert!(unknown.code == 66, "{unknown:?}");
    assert_eq!(left(), 1, "the one that runs");
}

#[test]
fn a_job_whose_time_has_not_come_waits_for_nobody() {
    let stack = Stack::start();
    let template = stack.script("true", &[]).to_string();
    stack.cli.create(["job:create", "--template", &template, "--at", "9999-12-31"]);
    let status = stack.cli.json(["queue:status"]);
    assert!(status["waiting"] == 0 && status["delayed"] == 1, "{status}");
    assert!(status["oldest_queued"].is_null() && status["jobs"]["queued"] == 1, "{status}");
    assert_eq!(status["companies"], serde_json::json!([]));
    stack.cli.json(["queue:pause"]);
    stack.queued(template.parse().unwrap());
    let status = stack.cli.json(["queue:status"]);
    assert!(status["waiting"] == 1 && status["oldest_queued"].is_string(), "{status}");
}
