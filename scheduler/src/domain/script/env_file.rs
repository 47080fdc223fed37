//! A job's variables as a file: for a shell, or for `docker run --env-file`. What a
//! format cannot hold is left out, and a sentence says so; it is never bent to fit.

use std::collections::BTreeSet;

use super::{kept, quote};
use crate::domain::environment::{FILES, Variables};

/// A file with variables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvFile {
    /// The file.
    pub text: String,
    /// What is not in it, a sentence each.
    pub warnings: Vec<String>,
}

/// Docker reads no longer lines: its scanner's buffer holds the line and its end.
const MAX_DOCKER_LINE: usize = 64 * 1024 - 1;

/// Why a variable with the path of one of the job's files is left out.
const PATH: &str = "it holds the path of a file, which is where an agent or a script has put it";

/// A file for a POSIX shell: `set -a; . ./job.env` sets and exports what is in it.
pub fn env_file(
    environment: &Variables,
    secrets: &BTreeSet<String>,
    with_secrets: bool,
) -> EnvFile {
    let mut file = EnvFile {
        text: "# The variables of a MultiFlexi job, for a shell: set -a; . ./job.env; set +a\n"
            .to_owned(),
        warnings: Vec::new(),
    };
    for (name, value) in environment {
        if value.contains(FILES) {
            file.leave_out(name, PATH);
        } else if secrets.contains(name) && !with_secrets {
            file.text.push_str(&format!("# {name} is secret: set it yourself.\n"));
            file.warnings.push(format!("{name} is secret and left out: set it yourself."));
        } else if kept(name) {
            file.leave_out(name, "shells use this name themselves");
        } else {
            file.text.push_str(&format!("{name}={}\n", quote(value)));
        }
    }
    file
}

/// A file for `docker run --env-file`, which takes each line as it is.
pub fn docker(environment: &Variables, secrets: &BTreeSet<String>, with_secrets: bool) -> EnvFile {
    let mut file = EnvFile {
        text: "# The variables of a MultiFlexi job, for docker run --env-file\n".to_owned(),
        warnings: Vec::new(),
    };
    for (name, value) in environment {
        if value.contains(FILES) {
            file.leave_out(name, PATH);
        } else if secrets.contains(name) && !with_secrets {
            file.text.push_str(&format!("{name}\n"));
            file.warnings.push(format!(
                "{name} is secret and its value left out: Docker takes it from the environment \
                 in which it is started."
            ));
        } else if let Some(reason) = refused_by_docker(name, value) {
            file.leave_out(name, reason);
        } else {
            file.text.push_str(&format!("{name}={value}\n"));
        }
    }
    file
}

impl EnvFile {
    fn leave_out(&mut self, name: &str, reason: &str) {
        self.text.push_str(&format!("# {name} is not here: {reason}.\n"));
        self.warnings.push(format!("{name} is left out: {reason}."));
    }
}

/// Why Docker would read another value. Blanks around a value are kept by it, and a
/// name in our sense is never a comment.
fn refused_by_docker(name: &str, value: &str) -> Option<&'static str> {
    let quoted = |quote| value.len() > 1 && value.starts_with(quote) && value.ends_with(quote);
    if value.contains('\n') {
        Some("its value has line breaks, and Docker's format has one line for each variable")
    } else if value.ends_with('\r') {
        Some("its value ends with a carriage return, which Docker removes")
    } else if quoted('\'') || quoted('"') {
        Some("its value is in quotes, which some versions of Docker remove")
    } else if name.len() + 1 + value.len() > MAX_DOCKER_LINE {
        Some("its value is longer than a line that Docker reads")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::script::in_shells::{self, Run, SPECIAL, environments, shells, variables};
    use proptest::prelude::*;

    fn none() -> BTreeSet<String> {
        BTreeSet::new()
    }

    /// What a program is given after a shell has read the file.
    fn delivered(shell: &[String], file: &EnvFile, environment: &Variables) -> Variables {
        let run = Run::new(shell, "set -a\n. ./job.env\n/usr/bin/env -0\n", &Variables::new());
        run.add("job.env", &file.text);
        let output = run.output();
        assert!(output.status.success(), "{shell:?} {output:?}");
        let mut printed = in_shells::printed(&output.stdout);
        // What the shell itself has or adds, beside the file.
        printed.retain(|name, _| {
            !kept(name) && environment.contains_key(name)
                || !["PATH", "TMPDIR", "PWD", "OLDPWD", "SHLVL", "_"].contains(&name.as_str())
        });
        printed
    }

    fn expected(environment: &Variables) -> Variables {
        let mut expected = environment.clone();
        expected.retain(|name, _| !kept(name));
        expected
    }

    /// Docker's reading: lines, blanks before them removed, comments, `NAME=value`.
    fn as_docker_reads(text: &str) -> Variables {
        let lines = text.lines().map(str::trim_start).filter(|line| !line.starts_with('#'));
        lines
            .filter_map(|line| line.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_shell_reads_what_was_written(environment in environments()) {
            let file = env_file(&environment, &none(), false);
            for shell in shells() {
                let found = delivered(shell, &file, &environment);
                prop_assert_eq!(found, expected(&environment), "{:?}", shell);
            }
            let missing = environment.len() - expected(&environment).len();
            prop_assert_eq!(file.warnings.len(), missing);
        }

        #[test]
        fn docker_reads_what_was_written(environment in environments()) {
            let file = docker(&environment, &none(), false);
            let read = as_docker_reads(&file.text);
            for (name, value) in &read {
                prop_assert_eq!(environment.get(name), Some(value));
            }
            prop_assert_eq!(read.len() + file.warnings.len(), environment.len());
        }
    }

    #[test]
    fn names_that_shells_know_are_handed_on_or_named() {
        for value in ["x y*", "7", ""] {
            let names: Vec<_> = SPECIAL.iter().map(|name| (*name, value)).collect();
            let environment = variables(&names);
            let file = env_file(&environment, &none(), false);
            for shell in shells() {
                let found = delivered(shell, &file, &environment);
                assert_eq!(found, expected(&environment), "{shell:?}");
            }
            let warning = "UID is left out: shells use this name themselves.";
            assert!(file.warnings.iter().any(|found| found == warning));
        }
    }

    #[test]
    fn secrets_are_left_to_the_reader() {
        let environment = variables(&[("A", "a"), ("TOKEN", "hush")]);
        let secrets = ["TOKEN".to_owned()].into();
        let file = env_file(&environment, &secrets, false);
        assert!(file.text.ends_with("\nA='a'\n# TOKEN is secret: set it yourself.\n"));
        assert_eq!(file.warnings, ["TOKEN is secret and left out: set it yourself."]);
        let file = docker(&environment, &secrets, false);
        assert!(file.text.ends_with("\nA=a\nTOKEN\n"));
        assert_eq!(file.warnings.len(), 1);
        assert!(env_file(&environment, &secrets, true).text.ends_with("TOKEN='hush'\n"));
        assert!(docker(&environment, &secrets, true).text.ends_with("TOKEN=hush\n"));
    }

    #[test]
    fn what_docker_cannot_read_is_named() {
        let longest = "x".repeat(MAX_DOCKER_LINE - 2);
        let longer = format!("{longest}x");
        let environment = variables(&[
            ("A", "one\ntwo"),
            ("B", "end\r"),
            ("C", "'quoted'"),
            ("D", "\"\""),
            ("E", &longer),
            ("F", &longest),
            ("G", "  #blanks and 'quotes\" stay\ta\rb  "),
            ("H", "'"),
            ("I", ""),
        ]);
        let file = docker(&environment, &none(), false);
        let left_out: Vec<_> = file.warnings.iter().map(|warning| &warning[..1]).collect();
        assert_eq!(left_out, ["A", "B", "C", "D", "E"]);
        let read = as_docker_reads(&file.text);
        assert!(read.iter().all(|(name, value)| environment[name] == *value));
        assert_eq!(read.len(), 4);
    }
}
