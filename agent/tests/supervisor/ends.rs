//! How attempts end.

use multiflexi_agent::link::{Cause, Request};
use multiflexi_proto::frame::Stream;

use crate::harness::{Supervisor, launch, shell};

#[test]
fn exit_codes_are_reported() {
    let supervisor = Supervisor::start();
    let mut session = supervisor.connect();
    for code in [0, 1, 3, 255] {
        let (_, completion) = session.run(&format!("exit {code}"));
        assert_eq!(completion.cause, Cause::Exited);
        assert_eq!((completion.exit_code, completion.signal), (Some(code), None));
        assert!(completion.started.is_some());
    }
}

#[test]
fn a_signal_is_no_exit_code() {
    let supervisor = Supervisor::start();
    let (_, completion) = supervisor.connect().run("kill -9 $$");
    assert_eq!(completion.cause, Cause::Signaled);
    assert_eq!((completion.exit_code, completion.signal), (None, Some(9)));
}

#[test]
fn what_cannot_be_launched_says_so_on_stderr() {
    let supervisor = Supervisor::start();
    let mut session = supervisor.connect();
    let no_interpreter = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(no_interpreter.path(), "#!/no/such/interpreter\n").unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(no_interpreter.path(), mode).unwrap();
    let script = no_interpreter.into_temp_path();
    let plain = tempfile::NamedTempFile::new().unwrap().into_temp_path();
    let cases = [
        ("no-such-program-here", 127, "no-such-program-here: command not found"),
        ("/no/such/file", 127, "/no/such/file: no such file"),
        (plain.to_str().unwrap(), 126, ": permission denied"),
        ("/etc", 126, "/etc: is a folder"),
        (script.to_str().unwrap(), 126, "its interpreter was not found"),
    ];
    for (program, code, sentence) in cases {
        let launch = launch(&[program]);
        let key = launch.key;
        session.send(&Request::Launch(vec![launch]));
        let completion = session.end(key);
        assert_eq!(completion.cause, Cause::LaunchFailed, "{program}");
        assert_eq!((completion.exit_code, completion.started), (Some(code), None), "{program}");
        let said = String::from_utf8(supervisor.text(key, Stream::Stderr)).unwrap();
        assert!(said.starts_with("multiflexi: ") && said.contains(sentence), "{said}");
        assert_eq!(completion.streams.as_ref().unwrap()[1].bytes, said.len() as u64);
    }
}

#[test]
fn arguments_too_long_for_the_host_are_counted() {
    let supervisor = Supervisor::start();
    let mut session = supervisor.connect();
    let long = "x".repeat(100_000);
    let words: Vec<&str> = ["/bin/true"].into_iter().chain([long.as_str(); 60]).collect();
    let launch = launch(&words);
    let key = launch.key;
    session.send(&Request::Launch(vec![launch]));
    assert_eq!(session.end(key).exit_code, Some(126));
    let said = String::from_utf8(supervisor.text(key, Stream::Stderr)).unwrap();
    assert!(said.contains("6000070 bytes"), "{said}");
}

#[test]
fn a_job_that_runs_too_long_is_timed_out() {
    let supervisor = Supervisor::start();
    let mut session = supervisor.connect();
    let mut launch = shell("trap 'echo asked; exit 5' TERM; sleep 600 & wait");
    launch.timeout_ms = Some(300);
    let key = launch.key;
    session.send(&Request::Launch(vec![launch]));
    let completion = session.end(key);
    assert_eq!((completion.cause, completion.exit_code), (Cause::TimedOut, Some(5)));
    assert_eq!(supervisor.text(key, Stream::Stdout), b"asked\n");
}

#[test]
fn resources_are_counted() {
    let supervisor = Supervisor::start();
    let (_, completion) =
        supervisor.connect().run("i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done");
    assert!(completion.user_cpu_us > 10_000, "{completion:?}");
    assert!(completion.peak_memory_bytes > 500_000, "{completion:?}");
    assert!(completion.elapsed_us >= completion.user_cpu_us / 2, "{completion:?}");
}

#[test]
fn a_script_without_an_interpreter_line_runs_as_in_a_shell() {
    let supervisor = Supervisor::start();
    let mut session = supervisor.connect();
    let (_, made) = session.run("echo 'echo \"it is $1\"' > /dev/null");
    assert_eq!(made.exit_code, Some(0));
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("script");
    std::fs::write(&script, "echo \"it is $1\"\n").unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&script, mode).unwrap();
    let launch = launch(&[script.to_str().unwrap(), "me"]);
    let key = launch.key;
    session.send(&Request::Launch(vec![launch]));
    assert_eq!(session.end(key).exit_code, Some(0));
    assert_eq!(supervisor.text(key, Stream::Stdout), b"it is me\n");
}
