//! Scripts and environment files that are generated from jobs.

use std::{
    collections::BTreeMap,
    fs,
    process::{Command, Output},
};

use multiflexi_fixture::{Stack, programs};

/// How many hostile environments there are.
const ENVIRONMENTS: u64 = 50;

/// Pieces of values that somebody might take for something else.
const PIECES: [&str; 24] = [
    "\n",
    "'",
    "\"",
    "$HOME",
    "${HOME}",
    "$(id)",
    "`id`",
    "\\",
    "\\n",
    " ",
    "\t",
    "#",
    "=",
    "-n",
    "é",
    "日本",
    "\u{1f980}",
    ";",
    "&& false",
    "*",
    "~",
    "!",
    "%s",
    "\r",
];

/// The `number`th hostile environment: the same on each run.
fn environment(number: u64) -> BTreeMap<String, String> {
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut below = |limit: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state >> 33).unwrap() % limit
    };
    let mut environment = BTreeMap::new();
    for index in 0..=below(6) {
        let value: String = (0..below(9)).map(|_| PIECES[below(PIECES.len())]).collect();
        environment.insert(format!("HOSTILE_{index}"), value);
    }
    environment
}

/// Variables that say where the process is: each host, and each run, has its own.
const OF_THE_HOST: [&str; 10] = [
    "MULTIFLEXI_TMP",
    "MULTIFLEXI_ATTEMPT_FOLDER",
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "LC_ALL",
    "TZ",
];

/// What `env -0` has printed.
fn variables(output: &[u8]) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let lines = output.split(|byte| *byte == 0).filter(|line| !line.is_empty());
    let split = |line: &[u8]| {
        let at = line.iter().position(|byte| *byte == b'=').unwrap();
        (line[..at].to_vec(), line[at + 1..].to_vec())
    };
    lines.map(split).collect()
}

/// What Docker takes from an environment file: each line as it is.
fn by_docker(file: &[u8]) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let lines = file.split(|byte| *byte == b'\n').filter(|line| !line.starts_with(b"#"));
    variables(&lines.collect::<Vec<_>>().join(&0))
}

fn readable(name: &[u8]) -> String {
    String::from_utf8_lossy(name).into_owned()
}

fn generated(stack: &Stack, program: &str, words: &[&str]) -> Output {
    let url = stack.scheduler.url();
    Command::new(programs::named(program)).args(words).args(["--server", &url]).output().unwrap()
}

#[test]
fn a_job_its_script_and_its_file_deliver_the_same_environment_byte_by_byte() {
    let stack = Stack::start();
    let script = stack.folder().join("job_script.sh");
    let file = stack.folder().join("job.env");
    for number in 0..ENVIRONMENTS {
        let environment = environment(number);
        let pairs: Vec<String> =
            environment.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let more: Vec<&str> = pairs.iter().flat_map(|pair| ["--env", pair]).collect();
        let job = stack.job(stack.template("env", "-0", &more)).to_string();
        let by_agent = stack.cli.run(["job:run", &job]);
        assert_eq!(by_agent.code, 0, "{}", by_agent.stderr);
        let by_agent = variables(&by_agent.stdout);

        let made = generated(&stack, "multiflexi-job2script", &[&job]);
        fs::write(&script, made.stdout).unwrap();
        let by_script = Command::new("sh").arg(&script).output().unwrap();
        assert!(by_script.status.success(), "{}", String::from_utf8_lossy(&by_script.stderr));
        let by_script = variables(&by_script.stdout);

        let made = generated(&stack, "multiflexi-job2env", &[&job]);
        fs::write(&file, made.stdout).unwrap();
        let sourced = format!("set -a; . '{}'; exec env -0", file.display());
        let by_file = Command::new("sh").args(["-c", &sourced]).env_clear().output().unwrap();
        assert!(by_file.status.success(), "{}", String::from_utf8_lossy(&by_file.stderr));
        let by_file = variables(&by_file.stdout);

        let made = generated(&stack, "multiflexi-job2env", &[&job, "--docker"]);
        let left_out = String::from_utf8_lossy(&made.stderr).into_owned();
        let by_docker = by_docker(&made.stdout);

        let names = by_agent.keys().filter(|name| !OF_THE_HOST.contains(&readable(name).as_str()));
        let mut compared = 0;
        for name in names {
            let value = by_agent.get(name);
            let readable = readable(name);
            assert_eq!(by_script.get(name), value, "{number}: {readable}, script");
            assert_eq!(by_file.get(name), value, "{number}: {readable}, file");
            match by_docker.get(name) {
                None => {
                    assert!(left_out.contains(&format!("{readable} is left out")), "{left_out}");
                }
                found => assert_eq!(found, value, "{number}: {readable}, for Docker"),
            }
            compared += 1;
        }
        assert!(compared > environment.len() + 8, "{number}: all of the job's own: {compared}");
        for (name, value) in &environment {
            assert_eq!(by_agent[name.as_bytes()], value.as_bytes(), "{number}: {name}");
        }
    }
}

#[test]
fn a_script_ends_as_its_job_and_shows_secrets_only_when_told_to() {
    let stack = Stack::start();
    let template = stack.script("echo $WORD; exit 7", &["--secret", "WORD=open sesame"]);
    let job = stack.job(template).to_string();
    assert_eq!(stack.cli.run(["job:run", &job]).code, 7);
    let text = stack.cli.run(["job:script", &job]).text();
    assert!(!text.contains("sesame"), "{text}");
    let run = |text: &str, word: Option<&str>| {
        let mut command = Command::new("sh");
        command.args(["-c", text]).env_remove("WORD");
        command.envs(word.map(|word| ("WORD", word))).output().unwrap()
    };
    let without = run(&text, None);
    let reason = String::from_utf8_lossy(&without.stderr).into_owned();
    assert!(!without.status.success() && reason.contains("WORD"), "{reason}");
    let with = run(&text, Some("friend"));
    assert_eq!((with.status.code(), &with.stdout[..]), (Some(7), &b"friend\n"[..]));

    let text = stack.cli.run(["job:script", &job, "--with-secrets"]).text();
    let told = run(&text, None);
    assert_eq!((told.status.code(), &told.stdout[..]), (Some(7), &b"open sesame\n"[..]));
    let file = generated(&stack, "multiflexi-job2env", &[&job]);
    assert!(!String::from_utf8_lossy(&file.stdout).contains("sesame"));
    assert!(String::from_utf8_lossy(&file.stderr).contains("WORD"));
    let lines = stack.job(stack.script("true", &["--env", "LINES_OF=one\ntwo"])).to_string();
    let docker = stack.cli.run(["job:env-file", &lines, "--docker"]);
    assert!(docker.stderr.contains("LINES_OF") && !docker.text().contains("two"));
}

#[test]
fn what_a_macro_makes_of_a_secret_is_as_secret() {
    let stack = Stack::start();
    let more = ["--secret", "TT_P=OtherSecret88", "--env", "PUB=pre-{TT_P}-post"];
    let job = stack.job(stack.script("echo $PUB", &more)).to_string();
    for words in [&["job:env", &job][..], &["job:script", &job], &["job:env-file", &job]] {
        let text = stack.cli.run(words).text();
        assert!(text.contains("PUB") && !text.contains("OtherSecret88"), "{words:?}: {text}");
    }
    let docker = generated(&stack, "multiflexi-job2env", &[&job, "--docker"]);
    assert!(!String::from_utf8_lossy(&docker.stdout).contains("OtherSecret88"));
    assert!(String::from_utf8_lossy(&docker.stderr).contains("PUB"));
    let text = stack.cli.run(["job:script", &job, "--with-secrets"]).text();
    let told = Command::new("sh").args(["-c", &text]).output().unwrap();
    assert_eq!(told.stdout, b"pre-OtherSecret88-post\n");
}

#[test]
fn of_a_job_that_has_run_todays_variables_are_said_to_be_todays() {
    let stack = Stack::start();
    let template = stack.script("echo $Q", &["--env", "Q=before"]);
    let job = stack.job(template).to_string();
    let said = |words: &[&str]| stack.cli.run(words).stderr;
    assert_eq!(said(&["job:env", &job]), "");
    assert_eq!(stack.cli.run(["job:run", &job]).text(), "before\n");
    stack.cli.json(["runtemplate:update", &template.to_string(), "--env", "Q=after"]);
    for words in [["job:env", &job], ["job:script", &job], ["job:env-file", &job]] {
        assert!(said(&words).contains(&format!("job {job} has run")), "{words:?}");
    }
}
