//! How a job ends is what its follower ends with, and is explained.

use multiflexi_fixture::Stack;

#[test]
fn the_jobs_exit_code_is_the_commands_and_has_a_meaning() {
    let stack = Stack::start();
    let cases = [
        ("exit 0", 0, "succeeded", "success"),
        ("exit 1", 1, "failed", "warning"),
        ("exit 42", 42, "failed", "failure"),
        ("exit 127", 127, "failed", "command not found"),
        ("exit 255", 255, "failed", "critical failure"),
        ("kill -9 $$", 137, "failed", "killed by SIGKILL (9)"),
        ("kill -SEGV $$", 139, "failed", "killed by SIGSEGV (11)"),
    ];
    for (script, code, state, meaning) in cases {
        let (job, answer) = stack.run(script);
        assert_eq!(answer.code, code, "{script}: {}", answer.stderr);
        let shown = stack.show(job);
        assert_eq!((&shown["state"], &shown["meaning"]), (&state.into(), &meaning.into()));
        let signal = (code > 128 && code < 255).then(|| code - 128);
        assert_eq!(shown["signal"].as_i64(), signal.map(i64::from), "{shown}");
        assert_eq!(shown["exit_code"].is_null(), signal.is_some(), "{shown}");
    }
}

#[test]
fn what_cannot_be_launched_says_why_where_a_shell_would() {
    let stack = Stack::start();
    let folder = stack.folder().display().to_string();
    let cases = [
        ("no-such-program", 127, "command not found"),
        ("/no/such/file", 127, "no such file"),
        ("/etc/passwd", 126, "permission denied"),
        (folder.as_str(), 126, "is a folder"),
    ];
    for (executable, code, reason) in cases {
        let job = stack.job(stack.template(executable, "", &[]));
        let answer = stack.cli.run(["job:run", &job.to_string()]);
        assert_eq!(answer.code, code, "{executable}: {}", answer.stderr);
        assert!(answer.stderr.contains(reason), "{executable}: {}", answer.stderr);
        let logs = stack.cli.run(["job:logs", &job.to_string()]);
        assert!(logs.stderr.contains(reason), "it is in the job's stderr: {}", logs.stderr);
        assert_eq!(stack.show(job)["state"], "failed");
    }
}

#[test]
fn failures_that_are_not_the_jobs_have_codes_of_their_own() {
    let stack = Stack::start();
    assert_eq!(stack.cli.run(["job:run", "999"]).code, 66);
    assert_eq!(stack.cli.run(["job:run", "none"]).code, 64);
    assert_eq!(stack.cli.run(["--server", "http://127.0.0.1:1", "job:run", "1"]).code, 69);
    let job = stack.job(stack.script("sleep 60", &["--timeout", "100ms", "--grace", "1s"]));
    assert_eq!(stack.cli.run(["job:run", &job.to_string()]).code, 110);
    let waiting = stack.job(stack.script("exit 0", &[]));
    assert_eq!(stack.cli.run(["job:cancel", &waiting.to_string()]).code, 0);
    let help = stack.cli.run(["--help"]).text();
    for code in ["64", "66", "69", "76", "108", "109", "110"] {
        assert!(help.contains(&format!("\n  {code} ")), "{code} is explained in {help}");
    }
}
