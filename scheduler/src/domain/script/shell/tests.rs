use std::{
    fs,
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use super::*;
use crate::domain::{
    command_line::words,
    environment::Variables,
    ids::JobId,
    script::in_shells::{self, Run, SPECIAL, environments, shells, variables},
};
use proptest::prelude::*;

fn job(program: &str, parameters: &str, environment: Variables) -> Job {
    Job {
        id: JobId(42),
        run_template: "Nightly".to_owned(),
        company: "ACME".to_owned(),
        application: "Importer".to_owned(),
        command: words(program, parameters, &environment).unwrap(),
        environment,
        files: [].into(),
        secrets: [].into(),
        with_secrets: false,
    }
}

fn secret(mut job: Job, names: &[&str], with_secrets: bool) -> Job {
    job.secrets = names.iter().map(|name| (*name).to_owned()).collect();
    job.with_secrets = with_secrets;
    job
}

/// What a process of `environment` has that was started with `caller`.
fn expected(environment: &Variables, caller: &Variables) -> Variables {
    let mut expected = environment.clone();
    expected.remove("MULTIFLEXI_TMP");
    for name in ["PATH", "HOME", "LC_TIME"] {
        if let Some(value) = caller.get(name) {
            expected.entry(name.to_owned()).or_insert_with(|| value.clone());
        }
    }
    expected
}

/// Runs `env -0` as the job and gives what it printed.
fn delivered(shell: &[String], job: &Job, caller: &Variables) -> Variables {
    let run = Run::new(shell, &script(job), caller);
    let output = run.output();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!((output.status.code(), &*said), (Some(0), ""), "{shell:?}");
    let mut printed = in_shells::printed(&output.stdout);
    let folder = printed.remove("MULTIFLEXI_TMP").unwrap();
    assert!(folder.starts_with(run.folder()), "{folder}");
    run.nothing_is_left();
    printed
}

fn caller() -> Variables {
    variables(&[
        ("PATH", "/usr/bin:/bin"),
        ("HOME", "/caller"),
        ("LC_TIME", "C"),
        ("NOISE", "one\nPATH=/nowhere\nUID=7\nname with blanks *=\n"),
        ("multiflexi_child", "1"),
        ("multiflexi_signal", "KILL"),
        ("OPTIND", "1"),
        ("CDPATH", "/"),
        ("UID", "7"),
        ("SHELLOPTS", "braceexpand"),
        ("BASH_FUNC_own%%", "() { own; }"),
        ("no.name", "--=1\n-=2\n*=3\n"),
        ("KEEP", ""),
        ("SHLVL", "5"),
        ("_", "/usr/bin/script"),
    ])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_process_has_the_jobs_variables_byte_for_byte(environment in environments()) {
        let job = job("/usr/bin/env", "-0", environment);
        for shell in shells() {
            let expected = expected(&job.environment, &caller());
            prop_assert_eq!(delivered(shell, &job, &caller()), expected, "{:?}", shell);
        }
    }

    #[test]
    fn arguments_stay_what_they_are(
        environment in environments(),
        texts in proptest::collection::vec(in_shells::hostile(), 0..4),
    ) {
        let mut job = job("/usr/bin/printf", "'%s\\0'", environment);
        let values = job.environment.keys().map(|name| vec![Piece::Variable(name.clone())]);
        let literals = texts.into_iter().map(|text| vec![Piece::Literal(text)]);
        job.command.extend(values.chain(literals).collect::<Vec<_>>());
        let expected: Vec<String> =
            job.command[2..].iter().map(|word| fill(word, &job.environment) + "\0").collect();
        for shell in shells() {
            let run = Run::new(shell, &script(&job), &caller());
            let printed = String::from_utf8(run.output().stdout).unwrap();
            let expected = if expected.is_empty() { "\0".to_owned() } else { expected.concat() };
            prop_assert_eq!(printed, expected, "{:?}", shell);
        }
    }
}

#[test]
fn names_that_shells_know_are_ordinary() {
    for value in ["x y*", "7", ""] {
        let environment: Vec<_> = SPECIAL.iter().map(|name| (*name, value)).collect();
        let job = job("/usr/bin/env", "-0", variables(&environment));
        for shell in shells() {
            let expected = expected(&job.environment, &caller());
            assert_eq!(delivered(shell, &job, &caller()), expected, "{shell:?}");
        }
    }
}

#[test]
fn a_path_is_there_if_the_caller_has_none() {
    let job = job("/usr/bin/env", "-0", Variables::new());
    for shell in shells() {
        let names: Vec<_> = delivered(shell, &job, &Variables::new()).into_keys().collect();
        assert_eq!(names, ["PATH"], "{shell:?}");
    }
}

#[test]
fn the_script_ends_as_its_command_does() {
    let cases = [
        ("sh", "-c 'exit 0'", 0),
        ("sh", "-c 'exit 7'", 7),
        ("sh", "-c 'exit 127'", 127),
        ("sh", "-c 'kill -9 $$'", 137),
        ("sh", "-c 'test \"$PWD\" = \"$MULTIFLEXI_TMP\" && > made && mkdir -p a/b'", 0),
        ("sh", "-c 'read line'", 1),
        ("no such program", "", 127),
        ("/etc/passwd", "", 126),
    ];
    for ((program, parameters, code), shell) in
        cases.iter().flat_map(|case| shells().iter().map(move |shell| (case, shell)))
    {
        let run = Run::new(shell, &script(&job(program, parameters, [].into())), &caller());
        assert_eq!(run.output().status.code(), Some(*code), "{shell:?} {program} {parameters}");
        run.nothing_is_left();
    }
}

#[test]
fn any_name_of_a_program_is_run() {
    let bin = tempfile::tempdir().unwrap();
    let path = format!("{}:/usr/bin:/bin", bin.path().display());
    let plain = variables(&[("PATH", &path)]);
    let special = variables(&[("PATH", &path), ("UID", "x y")]);
    for name in ["-x", "a=b", "-a=b", "it's", "if", "export"] {
        in_shells::program(&bin.path().join(name), "printf '%s,' \"$@\"");
        for (environment, shell) in
            [&plain, &special].iter().flat_map(|e| shells().iter().map(move |s| (*e, s)))
        {
            let job = job(name, "-n '' '*'", environment.clone());
            let output = Run::new(shell, &script(&job), &caller()).output();
            assert_eq!(String::from_utf8_lossy(&output.stdout), "-n,,*,", "{shell:?} {name}");
        }
    }
}

/// How long a script has for its end before it is asked again.
const PATIENCE: Duration = Duration::from_secs(3);

#[test]
fn signals_reach_the_command() {
    let program = "trap 'echo asked; exit 9' TERM; echo ready; while :; do sleep 0.02; done";
    let script = script(&job("sh", &format!("-c {}", quote(program)), [].into()));
    for (signal, shell) in
        ["-TERM", "-INT", "-HUP"].iter().flat_map(|s| shells().iter().map(move |sh| (s, sh)))
    {
        let run = Run::new(shell, &script, &caller());
        let mut process = run.command().stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        assert_eq!(lines.next().unwrap().unwrap(), "ready");
        let pid = process.id().to_string();
        // A shell can lose a signal in the instant in which it forks: who wants an end asks
        // again, after a while.
        let mut asked: Option<Instant> = None;
        let ended = multiflexi_fixture::eventually("the script ends", || {
            if asked.is_none_or(|asked| asked.elapsed() > PATIENCE) {
                asked = Some(Instant::now());
                let _ = Command::new("kill").args([*signal, &*pid]).stderr(Stdio::null()).status();
            }
            process.try_wait().unwrap()
        });
        let code = ended.code();
        let expected = if *signal == "-HUP" { 129 } else { 9 };
        assert_eq!(code, Some(expected), "{shell:?} {signal}");
        run.nothing_is_left();
    }
}

#[test]
fn a_secret_is_the_callers_to_give() {
    let environment = variables(&[("TOKEN", "h u'sh"), ("child", "hush")]);
    let job = job("printf", "%s, {TOKEN} x{child}", environment);
    let hidden = script(&secret(job.clone(), &["TOKEN", "child", "OTHER"], false));
    let shown = script(&secret(job, &["TOKEN", "child", "OTHER"], true));
    assert!(!hidden.contains("sh'") && !hidden.contains("hush"), "{hidden}");
    assert_eq!(shown.matches("hush").count(), 1);
    let mut given = caller();
    for shell in shells() {
        let output = Run::new(shell, &shown, &caller()).output();
        assert_eq!(String::from_utf8_lossy(&output.stdout), "h u'sh,xhush,");
        let run = Run::new(shell, &hidden, &caller());
        let output = run.output();
        assert!(!output.status.success());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains("set the secret TOKEN before running this script"), "{said}");
        run.nothing_is_left();
        given.extend(variables(&[("TOKEN", "from\n'caller'"), ("child", "1")]));
        let output = Run::new(shell, &hidden, &given).output();
        assert_eq!(String::from_utf8_lossy(&output.stdout), "from\n'caller',x1,", "{shell:?}");
        given = caller();
    }
}

#[test]
fn a_secret_that_no_shell_can_hand_on_is_refused() {
    for with_secrets in [false, true] {
        let job = job("echo", "{UID}", variables(&[("UID", "hush")]));
        let text = script(&secret(job, &["UID"], with_secrets));
        assert!(!text.contains("hush"), "{text}");
        for shell in shells() {
            let output = Run::new(shell, &text, &caller()).output();
            assert_eq!((output.status.code(), &*output.stdout), (Some(78), &b""[..]));
        }
    }
}

#[test]
fn names_stay_in_the_comment() {
    let mut job = job("true", "", [].into());
    job.company = "A\ntouch /tmp/x\r\u{85}\u{2028}\u{202e}\u{1b}[2J \u{10d}".to_owned();
    let text = script(&job);
    let line = "# Company:      \"A\\ntouch /tmp/x\\r\\u{85}\\u{2028}\\u{202e}\\u{1b}[2J \u{10d}\"";
    assert!(text.lines().any(|found| found == line), "{text}");
}

#[test]
fn the_folder_is_kept_if_that_is_wished() {
    let text = script(&job("sh", "-c 'echo result > file'", [].into()));
    for shell in shells() {
        let mut caller = caller();
        caller.insert("KEEP".to_owned(), "1".to_owned());
        let run = Run::new(shell, &text, &caller);
        let said = String::from_utf8(run.output().stderr).unwrap();
        let folder = said.trim_end().strip_prefix("The working folder is kept: ").unwrap();
        assert_eq!(fs::read_to_string(format!("{folder}/file")).unwrap(), "result\n");
    }
}
#[test]
fn a_shell_that_says_how_the_command_died_shows_no_secret() {
    let job = job("sh", "-c 'kill -SEGV $$'", variables(&[("TOKEN", "hush")]));
    let text = script(&secret(job, &["TOKEN"], true));
    for shell in shells() {
        let output = Run::new(shell, &text, &caller()).output();
        assert_eq!(output.status.code(), Some(139));
        assert!(!String::from_utf8_lossy(&output.stderr).contains("hush"), "{shell:?}");
    }
}
