//! Bad input and bad surroundings: a clear sentence, an exit code, nothing lost.

use std::{
    fs::{self, File},
    io::{self, Read as _, Write as _},
    net::{Shutdown, TcpListener},
    path::Path,
    process::Command,
    thread,
};

use multiflexi_fixture::{Answer, Cli, Stack, programs};

fn refused(answer: &Answer, code: i32, words: &[&str]) {
    assert_eq!(answer.code, code, "{}{}", answer.text(), answer.stderr);
    assert!(answer.stdout.is_empty(), "{}", answer.text());
    for word in words {
        assert!(answer.stderr.contains(word), "{word:?} is not in: {}", answer.stderr);
    }
    assert!(!answer.stderr.contains("panicked"), "{}", answer.stderr);
}

#[test]
fn unknown_ids_are_named_and_never_an_empty_success() {
    let stack = Stack::start();
    for command in ["job:show", "job:run", "job:logs", "job:cancel", "job:delete"] {
        refused(&stack.cli.run([command, "4711"]), 66, &["job 4711"]);
    }
    for (command, what) in [
        ("artifact:show", "artifact 4711"),
        ("artifact:get", "artifact 4711"),
        ("company:show", "company 4711"),
        ("application:show", "application 4711"),
        ("runtemplate:show", "run template 4711"),
    ] {
        refused(&stack.cli.run([command, "4711"]), 66, &[what]);
    }
    let list = stack.cli.run(["artifact:list", "--job", "4711"]);
    refused(&list, 66, &["job 4711"]);
    let create = ["job:create", "--template", "4711"];
    refused(&stack.cli.run(create), 66, &["run template 4711"]);
    let create = ["runtemplate:create", "--name", "n", "--app", "4711", "--company", "1"];
    refused(&stack.cli.run(create), 66, &["application 4711"]);
    let job = stack.job(stack.script("exit 0", &[]));
    let attempt = stack.cli.run(["job:logs", &job.to_string(), "--attempt", "9"]);
    refused(&attempt, 66, &["attempt 9"]);
    for filter in ["--template", "--company"] {
        refused(&stack.cli.run(["job:list", filter, "4711"]), 66, &["4711"]);
    }
}

#[test]
fn values_that_cannot_be_are_refused_with_the_value() {
    let stack = Stack::start();
    let company = stack.company.to_string();
    refused(&stack.cli.run(["company:create", "--name", ""]), 65, &["name is empty"]);
    refused(&stack.cli.run(["company:create", "--name", "Acme"]), 77, &["already", "Acme"]);
    let unlimited = ["company:create", "--name", "Unlimited", "--max-running", "0"];
    assert!(stack.cli.json(unlimited)["max_running"].is_null());
    let long = "x".repeat(129);
    refused(&stack.cli.run(["company:create", "--name", &long]), 65, &["129 characters"]);
    refused(&stack.cli.run(["company:create", "--name", "Acme "]), 65, &["\"Acme \"", "a space"]);
    refused(&stack.cli.run(["company:create", "--name", "Ac\u{200b}me"]), 65, &["U+200B"]);
    let create = ["application:create", "--name", " x", "--executable", "x"];
    refused(&stack.cli.run(create), 65, &["\" x\"", "a space"]);
    let create = ["application:create", "--name", "n", "--executable", ""];
    let unnamed = stack.cli.run(create);
    refused(&unnamed, 65, &["executable: is missing"]);
    assert!(!unnamed.stderr.contains("definition"), "there is none: {}", unnamed.stderr);
    let create = ["application:create", "--name", "n", "--executable", "x", "--cmdparams", "'"];
    refused(&stack.cli.run(create), 65, &["quote"]);
    let without = ["runtemplate:create", "--name", "n", "--company", &company];
    refused(&stack.cli.run(without), 64, &["--app"]);
    let template = stack.script("exit 0", &[]).to_string();
    let create = ["job:create", "--template", &template, "--env"];
    let with = |variable: &str| stack.cli.run(create.iter().chain(&[variable]));
    refused(&with("no-equals-sign"), 64, &["NAME=VALUE"]);
    refused(&with("1A=x"), 65, &["\"1A\""]);
    refused(&stack.cli.run(["job:create", "--template", &template, "--count", "0"]), 64, &["0"]);
    let other = stack.cli.create(["company:create", "--name", "Other"]).to_string();
    let create = ["job:create", "--template", &template, "--company", &other];
    refused(&stack.cli.run(create), 65, &["company"]);
    assert_eq!(stack.cli.json(["job:list"])["jobs"].as_array().unwrap().len(), 0);
}

#[test]
fn empty_and_huge_arguments_reach_the_process_or_are_refused() {
    let stack = Stack::start();
    let job = stack.job(stack.template("printf", "'[%s]' '' a\\ b", &[]));
    assert_eq!(stack.cli.run(["job:run", &job.to_string()]).text(), "[][a b]");

    // One argument of 1 MiB is more than Linux allows: it is refused, not lost.
    let huge = stack.folder().join("huge.sh");
    fs::write(&huge, format!("exec \"$@\" --env A={}", "x".repeat(1024 * 1024))).unwrap();
    let template = stack.script("echo ${#A}", &[]).to_string();
    let answer = Command::new("sh")
        .arg(&huge)
        .arg(programs::cli())
        .args(["--server", &stack.scheduler.url(), "job:create", "--template", &template])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&answer.stderr);
    assert!(!answer.status.success() && said.contains("long"), "{said}");

    // Through a file it can be said, and the scheduler names the limit.
    let params = format!("x{}", "y".repeat(200 * 1024));
    let file = stack.folder().join("big.env");
    fs::write(&file, format!("BIG={params}\n")).unwrap();
    let big = "x".repeat(127 * 1024);
    let create = ["job:create", "--template", &template, "--env", &format!("A={big}")];
    let job = stack.cli.create(create);
    assert_eq!(stack.cli.run(["job:run", &job.to_string()]).text(), format!("{}\n", big.len()));
}

#[test]
fn an_unreachable_scheduler_is_named_with_its_address() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("http://127.0.0.1:{port}");
    let cli = Cli::new(&url);
    refused(&cli.run(["job:list"]), 69, &[&url, "hint"]);
    let json = cli.run(["job:list", "-f", "json"]);
    let error: serde_json::Value = serde_json::from_str(&json.stderr).unwrap();
    assert_eq!(error["error"]["exit_code"], 69);
    refused(&Cli::new("nonsense").run(["job:list"]), 64, &["nonsense"]);
}

fn scheduler(data: &Path, more: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(programs::scheduler())
        .arg("--data-dir")
        .arg(data)
        .args(["--listen", "127.0.0.1:0"])
        .args(more)
        .output()
        .unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn a_port_in_use_is_named() {
    let stack = Stack::start();
    let address = stack.scheduler.address.to_string();
    let data = tempfile::tempdir().unwrap();
    let (code, said) = scheduler(data.path(), &["--listen", &address]);
    assert_eq!(code, Some(2), "two --listen are a usage error: {said}");
    let output = Command::new(programs::scheduler())
        .args(["--listen", &address, "--data-dir"])
        .arg(data.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(said.contains(&address) && said.contains("in use"), "{said}");
    assert_eq!(fs::read_dir(data.path()).unwrap().count(), 0, "nothing was touched");
}

#[test]
fn a_file_that_is_no_database_is_refused_and_untouched() {
    let data = tempfile::tempdir().unwrap();
    let file = data.path().join("multiflexi.db");
    let content = "this is a letter, not a database\n".repeat(100);
    fs::write(&file, &content).unwrap();
    let (code, said) = scheduler(data.path(), &[]);
    assert_eq!(code, Some(1));
    assert!(said.contains("is not a database") && said.contains("multiflexi.db"), "{said}");
    assert_eq!(fs::read_to_string(&file).unwrap(), content);
}

#[test]
fn a_data_folder_that_cannot_be_made_is_named() {
    let data = tempfile::tempdir().unwrap();
    let file = data.path().join("file");
    fs::write(&file, "").unwrap();
    let (code, said) = scheduler(&file.join("data"), &[]);
    assert_eq!(code, Some(1));
    assert!(said.contains("file/data"), "{said}");
}

#[test]
fn listening_beyond_this_host_is_warned_about() {
    let warning = "nobody has to log in yet";
    let stack = Stack::start();
    assert!(stack.scheduler.address.ip().is_loopback());
    assert!(!stack.scheduler.log.so_far().iter().any(|line| line.contains(warning)));
    let data = tempfile::tempdir().unwrap();
    let open = multiflexi_fixture::Scheduler::start(
        data.path(),
        multiflexi_fixture::SchedulerOptions {
            listen: Some(([0, 0, 0, 0], 0).into()),
            ..Default::default()
        },
    );
    open.log.find("warning", |line| line.contains(warning).then_some(()));
}

#[test]
fn an_executor_that_is_not_there_is_refused_by_name() {
    let stack = Stack::start();
    let template = stack.script("echo $MULTIFLEXI_EXECUTOR", &["--executor", "native"]);
    assert_eq!(stack.cli.json(["runtemplate:show", &template.to_string()])["executor"], "Native");
    let template_id = template.to_string();
    let update = ["runtemplate:update", &template_id];
    let create = ["runtemplate:create", "--name", "n", "--app", "1", "--company", "1"];
    for words in [&update[..], &create[..]] {
        let refused = stack.cli.run(words.iter().copied().chain(["--executor", "Docker"]));
        assert!(refused.code == 65, "{refused:?}");
        assert!(refused.stderr.contains("there is no executor \"Docker\""), "{refused:?}");
        assert!(refused.stderr.contains("take Native or none"), "{refused:?}");
    }
    let job = stack.job(template).to_string();
    assert_eq!(stack.cli.run(["job:run", &job]).text(), "Native\n");
}

#[test]
fn a_second_scheduler_of_one_sqlite_file_is_refused_and_disturbs_nothing() {
    let mut stack = Stack::start();
    let data = stack.folder().join("data");
    let (code, said) = scheduler(&data, &[]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("another scheduler uses it") && said.contains("multiflexi.db"), "{said}");
    let agents = stack.cli.json(["agent:list"]);
    assert_eq!(agents["agents"][0]["connected"], true, "{agents}");
    let (_, answer) = stack.run("echo on");
    assert_eq!((answer.code, answer.text()), (0, "on\n".to_owned()));
    // One that is killed leaves the file to the next.
    stack.scheduler.restart();
    assert_eq!(stack.run("echo again").1.text(), "again\n");
}

#[test]
fn objects_are_not_copied_into_the_store_of_another_database() {
    let (ours, theirs) = (Stack::start(), Stack::start());
    let [from, to] = [&ours, &theirs].map(|stack| stack.folder().join("data/objects"));
    let before = fs::read(to.join("multiflexi-object-store")).unwrap();
    let copy = |from: &Path, to: &Path| {
        let mut command = Command::new(programs::scheduler());
        command.args(["objects", "copy", "--from"]).arg(from).arg("--to").arg(to);
        Answer::of(command.output().unwrap())
    };
    refused(&copy(&from, &to), 1, &["belongs to another database"]);
    assert_eq!(fs::read(to.join("multiflexi-object-store")).unwrap(), before);
    let new = ours.folder().join("new");
    for _ in 0..2 {
        assert_eq!(copy(&from, &new).code, 0, "into a new one, and once more");
    }
}

#[test]
fn what_listens_and_is_no_scheduler_is_told_apart() {
    let stranger = |says: &'static [u8]| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        thread::spawn(move || {
            for mut client in listener.incoming().flatten() {
                // It answers the beginning of HTTP/2; who asked may have gone by then.
                let said = client
                    .read_exact(&mut [0; 24])
                    .and_then(|()| client.write_all(says))
                    .and_then(|()| client.shutdown(Shutdown::Write));
                let _ = said.and_then(|()| io::copy(&mut client, &mut io::sink()));
            }
        });
        url
    };
    let web = stranger(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    let answer = Cli::new(&web).run(["job:list"]);
    refused(&answer, 69, &[&format!("what listens at {web} is no multiflexi-scheduler")]);
    assert!(!answer.stderr.contains("whether it was done"), "{}", answer.stderr);
    let mute = stranger(b"");
    let answer = Cli::new(&mute).run(["job:list"]);
    refused(&answer, 69, &[&mute, "without a word", "no multiflexi-scheduler"]);
    // Of several, the first that is one is asked.
    let stack = Stack::start();
    let cli = Cli::new(&format!("{web},{mute},{}", stack.scheduler.url()));
    assert_eq!(cli.run(["job:list"]).code, 0);
}

#[test]
fn mistakes_in_arguments_are_json_if_that_is_asked_for() {
    let stack = Stack::start();
    for words in [
        &["-f", "json", "job:show", "abc"][..],
        &["job:list", "--limit", "0", "--format", "json"],
        &["-fjson", "nonsense"],
        &["--format=json", "--environment", "/nowhere", "job:list"],
    ] {
        let answer = stack.cli.run(words);
        assert_eq!(answer.code, 64, "{}", answer.stderr);
        let error: serde_json::Value = serde_json::from_str(&answer.stderr).unwrap();
        assert_eq!(error["error"]["code"], "usage", "{error}");
        let message = error["error"]["message"].as_str().unwrap();
        assert!(!message.is_empty() && !message.contains('\n'), "{message:?}");
    }
    assert_eq!(stack.cli.run(["-f", "json", "--help"]).code, 0);
}

#[test]
fn what_another_version_has_is_told_by_its_name_here() {
    let cli = Cli::new("http://127.0.0.1:1");
    for (words, meant) in [
        (&["queue:truncate"][..], "job:delete --state queued"),
        (&["queue:list", "--order", "A"], "job:list --state queued"),
        (&["run-template:assign-credential", "--id", "1"], "credential:assign ID --template ID"),
        (&["prune", "--jobs"], "retention:apply"),
        (&["job:list", "--offset", "5"], "--page-token"),
        (&["run-template:schedule", "--id", "1", "--schedule_time=now"], "job:create --template"),
    ] {
        refused(&cli.run(words), 64, &["tip: in this version", meant]);
        let json = cli.run([&["-f", "json"], words].concat()).stderr;
        let error: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert!(error["error"]["hint"].as_str().unwrap().contains(meant), "{error}");
    }
    let near = cli.run(["company:lst"]).stderr;
    let tip = near.lines().find(|line| line.contains("tip:")).unwrap();
    assert!(tip.contains("'company:list'") && tip.matches('\'').count() == 6, "{tip}");
    assert!(!cli.run(["xyzzy"]).stderr.contains("tip"));
}

#[test]
fn a_definition_may_begin_with_a_mark_come_from_stdin_and_not_be_endless() {
    let stack = Stack::start();
    let endless = stack.cli.run(["application:import-json", "/dev/zero"]);
    assert_eq!(endless.code, 65);
    assert!(endless.stderr.contains("/dev/zero: refused: it has more than"), "{}", endless.stderr);
    let definition = "\u{feff}{\"name\": \"Marked\", \"description\": \"\", \"executable\": \"true\", \"environment\": {}}";
    let file = stack.folder().join("marked.json");
    fs::write(&file, definition).unwrap();
    let imported = stack.cli.json(["application:import-json", file.to_str().unwrap()]);
    assert_eq!(imported["created"], 1, "{imported}");
    let mut command = stack.cli.command(["application:import-json", "-"]);
    let output = command.stdin(File::open(&file).unwrap()).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 unchanged"), "{output:?}");
}

#[test]
fn a_time_before_all_times_is_refused() {
    let stack = Stack::start();
    for command in ["job:list", "job:delete"] {
        let answer = stack.cli.run([command, "--since", "300000y"]);
        refused(&answer, 64, &["too long ago"]);
    }
}

#[test]
fn a_scheduler_that_accepts_and_never_answers_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let cli = Cli::new(&format!("http://{}", listener.local_addr().unwrap()));
    refused(&cli.run(["agent:list"]), 69, &["does not answer", "hint:"]);
    // From now on it closes what it accepts.
    thread::spawn(move || listener.incoming().for_each(drop));
    for _ in 0..3 {
        let answer = cli.run(["agent:list"]);
        assert_eq!(answer.code, 69, "{}", answer.stderr);
    }
}
