//! Completion, in the shells that people have.

use std::{
    env,
    net::TcpListener,
    path::Path,
    process::{Command, Stdio},
};

use multiflexi_fixture::{
    Stack, Terminal, programs,
    terminal::{BEGIN_OF_LINE, PROMPT},
};

/// Where nobody listens.
const NOBODY: &str = "http://127.0.0.1:1";

/// Calls the function that bash calls, with what bash tells it. The words of a line
/// are those that bash finds.
const BASH: &str = r#"
source <(multiflexi-cli completion bash) || exit
COMP_LINE=$1 COMP_POINT=${#1} COMP_TYPE=$2
shift 2
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
$(complete -p multiflexi-cli | sed 's/.*-F \([^ ]*\).*/\1/') multiflexi-cli "" ""
printf '%s\n' "${COMPREPLY[@]}"
"#;

const FISH: &str = "multiflexi-cli completion fish | source; complete -C $argv[1]";

/// A shell, with this command line in its path.
fn environment(command: &mut Command, server: &str) {
    let folder = programs::cli().parent().map(Path::to_owned).unwrap();
    let path = format!("{}:{}", folder.display(), env::var("PATH").unwrap());
    command.env("PATH", path).env("MULTIFLEXI_SERVER", server);
    command.env_remove("HISTFILE").env_remove("MULTIFLEXI_CONTEXT");
    command.env("MULTIFLEXI_CONTEXT_FILE", "/dev/null");
}

/// Fails if a shell is missing, and says how to get it.
fn needs(shell: &str) {
    let found = Command::new(shell).arg("--version").stdout(Stdio::null()).status();
    assert!(found.is_ok_and(|status| status.success()), "do: apt-get install {shell}");
}

/// What a shell answers; it must not say anything besides.
fn lines(server: &str, shell: &str, script: &[&str]) -> Vec<String> {
    needs(shell);
    let mut command = Command::new(shell);
    environment(command.args(script), server);
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{script:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

fn fish(server: &str, line: &str) -> Vec<String> {
    lines(server, "fish", &["--no-config", "-c", FISH, line])
}

/// `kind` is 9 for TAB, 63 for the list after another TAB.
fn bash(server: &str, kind: &str, words: &[&str]) -> Vec<String> {
    let mut line = words.join(" ");
    for divider in [" :", " ="] {
        line = line.replace(divider, divider.trim());
    }
    line = line.replace(": ", ":");
    let script = ["--norc", "-c", BASH, "bash", &line, kind];
    lines(server, "bash", &script.into_iter().chain(words.iter().copied()).collect::<Vec<_>>())
}

/// A stack with a run template and so many jobs, the last of which has succeeded.
fn jobs(count: u32) -> Stack {
    let stack = Stack::start();
    let template = stack.script("exit 0", &[]).to_string();
    stack.cli.json(["job:create", "--template", &template, "--count", &count.to_string()]);
    assert_eq!(stack.cli.run(["job:run", &count.to_string()]).code, 0);
    stack
}

#[test]
fn fish_offers_the_newest_jobs_with_their_descriptions() {
    let stack = jobs(60);
    let url = stack.scheduler.url();
    let offered = fish(&url, "multiflexi-cli job:show ");
    assert_eq!(offered.len(), 50);
    assert_eq!(offered[..2], ["60\tsucceeded, template", "59\tloaded, template"]);
    // What begins so is found behind the newest too.
    let offered = fish(&url, "multiflexi-cli job:show 1");
    assert_eq!(offered.len(), 11);
    assert_eq!(offered[10], "1\tloaded, template");
    // One that has ended cannot be cancelled.
    assert_eq!(fish(&url, "multiflexi-cli job:cancel 6"), ["6\tloaded, template"]);
}

#[test]
fn what_an_option_names_is_offered_in_every_command() {
    let stack = jobs(1);
    let url = stack.scheduler.url();
    let company = stack.company.to_string();
    let words = ["credential:create", "--name", "bank", "--company", &company, "--secret", "A=b"];
    stack.cli.create(words);
    let agent = &stack.cli.json(["agent:list"])["agents"][0];
    let agent =
        format!("{}\tconnected, 0/{} busy", agent["name"].as_str().unwrap(), agent["slots"]);
    for (line, expected) in [
        ("job:create --template ", "1\ttemplate, Acme"),
        ("job:create --template=", "--template=1\ttemplate, Acme"),
        ("job:list --company ", "1\tAcme"),
        ("job:list --agent ", &agent),
        ("company:show ", "1\tAcme"),
        ("runtemplate:update ", "1\ttemplate, Acme"),
        ("run-template:show ", "1\ttemplate, Acme"),
        ("credential:show ", "1\tbank, Acme"),
        ("job:list --state succ", "succeeded"),
        ("artifact:get 2", "2\tstderr.txt, job 1"),
    ] {
        assert_eq!(fish(&url, &format!("multiflexi-cli {line}")), [expected], "{line}");
    }
    let application = &fish(&url, "multiflexi-cli runtemplate:create --app ")[0];
    assert!(application.starts_with("1\tapp sh"), "{application}");
}

#[test]
fn names_that_belong_to_the_command_are_offered() {
    let stack = jobs(1);
    let url = stack.scheduler.url();
    stack.cli.run(["company:update", "1", "--env", "ONE=a", "--env", "TWO=b"]);
    let file = stack.folder().join("declared.json");
    let text = r#"{"name": "Declared", "description": "d", "executable": "true",
        "environment": {"PORT": {"type": "integer", "description": "Where it listens"}}}"#;
    std::fs::write(&file, text).unwrap();
    stack.cli.json(["application:import-json", file.to_str().unwrap()]);
    let words = ["runtemplate:create", "--name", "t", "--app", "2", "--company", "1"];
    let template = stack.cli.create(words).to_string();
    let create = format!("job:create --template {template} --env ");
    for (line, expected) in [
        ("company:update 1 --unset ", &["ONE\ta", "TWO\tb"][..]),
        ("company:update --id 1 --unset T", &["TWO\tb"]),
        ("run-template:update 1 --unset ", &["SCRIPT\texit 0"]),
        (&create, &["PORT=\tWhere it listens"]),
        ("runtemplate:create --app 2 --env P", &["PORT=\tWhere it listens"]),
        ("job:list --order ended", &["ended", "ended desc"]),
        ("company:list --fields sl", &["slug"]),
        ("company:list --fields id,sl", &["id,slug"]),
    ] {
        assert_eq!(fish(&url, &format!("multiflexi-cli {line}")), expected, "{line}");
    }
    // What the line itself says needs no scheduler.
    assert_eq!(fish(NOBODY, "multiflexi-cli job:show 1 --fields exit"), ["exit_code"]);
}

#[test]
fn the_scheduler_that_the_line_names_is_asked() {
    let stack = jobs(1);
    let line = format!("multiflexi-cli --server {} company:show ", stack.scheduler.url());
    assert_eq!(fish(NOBODY, &line), ["1\tAcme"]);
    let file = stack.folder().join("its.env");
    std::fs::write(&file, format!("MULTIFLEXI_SERVER={}\n", stack.scheduler.url())).unwrap();
    let contexts = stack.folder().join("contexts.toml");
    let text = format!("[contexts.mine]\nserver = {:?}\n", stack.scheduler.url());
    std::fs::write(&contexts, text).unwrap();
    let script = format!("set -gx MULTIFLEXI_CONTEXT_FILE {}; {FISH}", contexts.display());
    let fish = |line: &str| lines(NOBODY, "fish", &["--no-config", "-c", &script, line]);
    assert_eq!(fish("multiflexi-cli --context mine company:show "), ["1\tAcme"]);
    let mine = format!("mine\t{}", stack.scheduler.url());
    assert_eq!(fish("multiflexi-cli job:list --context "), std::slice::from_ref(&mine));
    assert_eq!(fish("multiflexi-cli context:use "), [mine]);
    let script = format!("set -e MULTIFLEXI_SERVER; {FISH}");
    let line = format!("multiflexi-cli --environment {} company:show ", file.display());
    let found = lines(NOBODY, "fish", &["--no-config", "-c", &script, &line]);
    assert_eq!(found, ["1\tAcme"]);
}

#[test]
fn without_a_scheduler_nothing_is_offered_and_nothing_said() {
    // One that takes the connection and never answers.
    let deaf = TcpListener::bind("127.0.0.1:0").unwrap();
    let deaf = format!("http://{}", deaf.local_addr().unwrap());
    for server in [NOBODY, "no URL", &deaf] {
        assert_eq!(fish(server, "multiflexi-cli job:show "), [""; 0]);
        assert_eq!(bash(server, "9", &["multiflexi-cli", "job", ":", "show", ""]), [""; 0]);
        let options = fish(server, "multiflexi-cli job:show --serv");
        assert!(options[0].starts_with("--server\tThe scheduler"), "{options:?}");
    }
}

#[test]
fn bash_takes_words_apart_and_gets_them_whole() {
    let stack = jobs(2);
    let url = stack.scheduler.url();
    let cli = "multiflexi-cli";
    assert_eq!(bash(&url, "9", &[cli, "job", ":", "sho"]), ["show"]);
    assert_eq!(bash(&url, "9", &[cli, "job", ":", "show", ""]), ["2", "1"]);
    assert_eq!(bash(&url, "9", &[cli, "job", ":", "create", "--template", "="]), ["1"]);
    let listed = bash(&url, "63", &[cli, "job", ":", "show", ""]);
    assert_eq!(listed, ["2  (succeeded, template)", "1  (loaded, template)"]);
    assert_eq!(bash(&url, "9", &[cli, "compa"]).len(), 5);
}

/// Types a command that has to be completed, and lets the shell print what came.
fn completed(terminal: &mut Terminal, typed: &str, expected: &str) {
    terminal.press(&format!("{typed}\t{BEGIN_OF_LINE}echo '<' \r"));
    terminal.wait_for(&format!("\n< {expected}"));
    terminal.wait_for(PROMPT);
}

#[test]
fn commands_complete_before_the_eyes_of_a_user_of_bash() {
    let stack = jobs(2);
    let url = stack.scheduler.url();
    let mut terminal = Terminal::start("bash --norc -i", |command| environment(command, &url));
    terminal.wait_for(PROMPT);
    terminal.press("source <(multiflexi-cli completion bash); echo sourc''ed\r");
    terminal.wait_for("\nsourced");
    terminal.wait_for(PROMPT);
    completed(&mut terminal, "multiflexi-cli job:sho", "multiflexi-cli job:show\r");
    completed(&mut terminal, "multiflexi-cli company:show ", "multiflexi-cli company:show 1\r");
    let typed = "multiflexi-cli job:create --template=";
    completed(&mut terminal, typed, "multiflexi-cli job:create --template=1\r");
    terminal.press("multiflexi-cli job:show \t\t");
    terminal.wait_for("2  (succeeded, template)");
    terminal.wait_for("1  (loaded, template)");
}

#[test]
fn commands_complete_before_the_eyes_of_a_user_of_zsh() {
    needs("zsh");
    let stack = jobs(2);
    let url = stack.scheduler.url();
    let mut terminal = Terminal::start("zsh -f -i", |command| environment(command, &url));
    terminal.wait_for(PROMPT);
    terminal.press("autoload -U compinit; compinit -D -u; source <(multiflexi-cli completion zsh)");
    terminal.press("; echo sourc''ed\r");
    terminal.wait_for("\nsourced");
    terminal.wait_for(PROMPT);
    completed(&mut terminal, "multiflexi-cli job:sho", "multiflexi-cli job:show\r");
    completed(&mut terminal, "multiflexi-cli company:show ", "multiflexi-cli company:show 1\r");
    terminal.press("multiflexi-cli job:show \t");
    terminal.wait_for("2  -- succeeded, template");
    terminal.wait_for("1  -- loaded, template");
}
