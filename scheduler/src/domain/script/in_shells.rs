//! For tests: the shells of this host, and environments that are hard on them.

use std::{
    env, fs,
    io::{self, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Output, Stdio},
    sync::LazyLock,
};

use proptest::prelude::*;
use tempfile::TempDir;

use crate::domain::environment::Variables;

/// Names that a shell knows, each of which a job may use.
pub(super) const SPECIAL: &[&str] = &[
    "ASH_VERSION",
    "BASH",
    "BASHOPTS",
    "BASHPID",
    "BASH_ALIASES",
    "BASH_ARGC",
    "BASH_ARGV",
    "BASH_ARGV0",
    "BASH_CMDS",
    "BASH_COMMAND",
    "BASH_COMPAT",
    "BASH_ENV",
    "BASH_EXECUTION_STRING",
    "BASH_LINENO",
    "BASH_LOADABLES_PATH",
    "BASH_MONOSECONDS",
    "BASH_REMATCH",
    "BASH_SOURCE",
    "BASH_SUBSHELL",
    "BASH_TRAPSIG",
    "BASH_VERSINFO",
    "BASH_VERSION",
    "BASH_XTRACEFD",
    "CDPATH",
    "CHILD_MAX",
    "COLUMNS",
    "COMPREPLY",
    "COMP_CWORD",
    "COMP_KEY",
    "COMP_LINE",
    "COMP_POINT",
    "COMP_TYPE",
    "COMP_WORDBREAKS",
    "COMP_WORDS",
    "COPROC",
    "DIRSTACK",
    "EMACS",
    "ENV",
    "EPOCHREALTIME",
    "EPOCHSECONDS",
    "EPOCHTIME",
    "ERRNO",
    "EUID",
    "EXECIGNORE",
    "FCEDIT",
    "FIGNORE",
    "FUNCNAME",
    "FUNCNEST",
    "GLOBIGNORE",
    "GLOBSORT",
    "GROUPS",
    "HISTCMD",
    "HISTCONTROL",
    "HISTFILE",
    "HISTFILESIZE",
    "HISTIGNORE",
    "HISTSIZE",
    "HISTTIMEFORMAT",
    "HOME",
    "HOSTFILE",
    "HOSTNAME",
    "HOSTTYPE",
    "IFS",
    "IGNOREEOF",
    "INPUTRC",
    "KEEP",
    "LANG",
    "LANGUAGE",
    "LC_ALL",
    "LC_COLLATE",
    "LC_CTYPE",
    "LC_MESSAGES",
    "LC_NUMERIC",
    "LC_TIME",
    "LINENO",
    "LINES",
    "LOGNAME",
    "MACHTYPE",
    "MAIL",
    "MAILCHECK",
    "MAILPATH",
    "MAPFILE",
    "OLDPWD",
    "OPTARG",
    "OPTERR",
    "OPTIND",
    "OSTYPE",
    "PATH",
    "PIPESTATUS",
    "POSIXLY_CORRECT",
    "PPID",
    "PROMPT_COMMAND",
    "PROMPT_DIRTRIM",
    "PS0",
    "PS1",
    "PS2",
    "PS3",
    "PS4",
    "PWD",
    "RANDOM",
    "READLINE_LINE",
    "READLINE_POINT",
    "REPLY",
    "SECONDS",
    "SHELL",
    "SHELLOPTS",
    "SHLVL",
    "SRANDOM",
    "TERM",
    "TEXTDOMAIN",
    "TIMEFORMAT",
    "TMOUT",
    "TZ",
    "UID",
    "USER",
    "_",
    "auto_resume",
    "histchars",
    "multiflexi_child",
    "multiflexi__exit",
];

/// The shells that are here, as the beginnings of command lines. One that is not here
/// is said on the terminal, past the test's captured output.
pub(super) fn shells() -> &'static [Vec<String>] {
    static SHELLS: LazyLock<Vec<Vec<String>>> = LazyLock::new(|| {
        let path = env::var_os("PATH").unwrap();
        let wanted: [&[&str]; 5] =
            [&["sh"], &["dash"], &["bash"], &["bash", "--posix"], &["busybox", "sh"]];
        let (mut here, mut missing) = (Vec::new(), Vec::new());
        for shell in wanted {
            let mut files = env::split_paths(&path).map(|folder| folder.join(shell[0]));
            match files.find(|file| file.is_file()) {
                Some(file) => {
                    let mut shell: Vec<_> = shell.iter().map(|word| (*word).to_owned()).collect();
                    shell[0] = file.to_str().unwrap().to_owned();
                    here.push(shell);
                }
                None => missing.push(shell[0]),
            }
        }
        assert!(!here.is_empty(), "there is no shell in {path:?}");
        if !missing.is_empty() {
            let _ = writeln!(io::stderr(), "NOT TESTED, because not installed: {missing:?}");
        }
        here
    });
    &SHELLS
}

/// A text in a shell, in a folder that is gone afterwards.
pub(super) struct Run {
    folder: TempDir,
    shell: Vec<String>,
    environment: Variables,
}

impl Run {
    pub(super) fn new(shell: &[String], text: &str, environment: &Variables) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let run = Self { folder, shell: shell.to_owned(), environment: environment.clone() };
        run.add("script", text);
        run
    }

    /// One more file beside the text.
    pub(super) fn add(&self, name: &str, text: &str) {
        fs::write(self.folder.path().join(name), text).unwrap();
    }

    pub(super) fn folder(&self) -> &str {
        self.folder.path().to_str().unwrap()
    }

    pub(super) fn command(&self) -> Command {
        // Signals that who runs the tests ignores (`nohup` does) no shell could trap.
        let mut command = Command::new("/usr/bin/env");
        command
            .arg("--default-signal=HUP,INT,QUIT,TERM,USR1,USR2")
            .args(&self.shell)
            .arg(self.folder.path().join("script"))
            .current_dir(self.folder.path())
            .env_clear()
            .envs(&self.environment)
            .env("TMPDIR", self.folder.path())
            .stdin(Stdio::null());
        command
    }

    pub(super) fn output(&self) -> Output {
        self.command().output().unwrap()
    }

    pub(super) fn nothing_is_left(&self) {
        let files = fs::read_dir(self.folder.path()).unwrap();
        let files: Vec<_> = files.map(|file| file.unwrap().file_name()).collect();
        assert_eq!(files, ["script"], "{:?}", self.shell);
    }
}

/// Writes a program.
pub(super) fn program(file: &Path, text: &str) {
    fs::write(file, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(file, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Reads what `env -0` printed.
pub(super) fn printed(output: &[u8]) -> Variables {
    let text = String::from_utf8(output.to_owned()).unwrap();
    let lines = text.split_terminator('\0').map(|line| line.split_once('=').unwrap());
    let variables: Variables =
        lines.clone().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    assert_eq!(lines.count(), variables.len(), "a variable is there twice: {text:?}");
    variables
}

pub(super) fn variables(pairs: &[(&str, &str)]) -> Variables {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// Values that a careless text falls over.
pub(super) fn hostile() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        4 => prop::sample::select(vec![
            "\n", "\n\n", "'", "''", "\"", "`id`", "$(id)", "${HOME}", "$", "$'", "\\", "\\\n", " ", "\t",
            "=", "-n", "--", "~", "*", "#", "!", "!!", "%s", ";", "&", "|", "<", ">", "(", ")", "{", "}",
            "[", "]", "?", "\r", "\u{1}", "\u{7f}", "\u{1b}[0m", "\u{81}", "\u{88}", "\u{c1}", "\u{65e5}",
            "\u{1f980}", "\u{feff}", "\u{2028}", "\nEOF\n", "\n)\n", "; exit 3;", "' ; exit 3; '",
            "word",
        ])
        .prop_map(str::to_owned),
        1 => "[^\\x00]{1,6}",
    ];
    proptest::collection::vec(part, 0..8).prop_map(|parts| parts.concat())
}

/// Environments of ordinary and special names with hostile values.
pub(super) fn environments() -> impl Strategy<Value = Variables> {
    let name = prop_oneof![
        3 => "[A-Za-z_][A-Za-z0-9_]{0,10}",
        2 => prop::sample::select(SPECIAL).prop_map(str::to_owned),
    ];
    proptest::collection::btree_map(name, hostile(), 0..12)
}
