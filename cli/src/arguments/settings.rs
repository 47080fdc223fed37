//! Settings of an action that a command sets: said, taken from this command's environment, or
//! read from a file.

use std::{collections::HashMap, env, path::Path};

use clap::Args;

use super::{
    environment::{content, once},
    pair,
};
use crate::failure::Failure;

/// Settings that a command sets.
#[derive(Debug, Args)]
pub struct Settings {
    /// What it is told; may be given again. Others on this host see it: say a secret with
    /// --secret or --file
    #[arg(long, value_parser = setting, value_name = "NAME=VALUE")]
    set: Vec<(String, String)>,
    /// The same; with the name alone its value is that of the variable NAME, or NAME in
    /// capitals, of this command's own environment, where nobody else sees it
    #[arg(long, value_parser = secret, value_name = "NAME[=VALUE]")]
    secret: Vec<(String, String)>,
    /// The same; its value is the content of a file, without the line breaks at its end
    #[arg(long, value_parser = file, value_name = "NAME=FILE")]
    file: Vec<(String, String)>,
}

impl Settings {
    /// What was given, each once.
    pub fn given(self) -> Result<HashMap<String, String>, Failure> {
        let given: Vec<_> = self.set.into_iter().chain(self.secret).chain(self.file).collect();
        once(given.iter().map(|(name, _)| name))?;
        Ok(given.into_iter().collect())
    }
}

/// Reads a setting.
fn setting(text: &str) -> Result<(String, String), String> {
    pair(text).ok_or_else(|| "a setting looks like NAME=VALUE".to_owned())
}

/// Reads a secret setting: without a value it is one of our own variables.
fn secret(name: &str) -> Result<(String, String), String> {
    if name.contains('=') {
        return setting(name);
    }
    let capitals = name.to_uppercase();
    match env::var(name).or_else(|_| env::var(&capitals)) {
        Ok(value) => Ok((name.to_owned(), value)),
        Err(_) => Err(format!(
            "there is no variable {name} or {capitals} in this command's environment that is UTF-8 \
             text"
        )),
    }
}

/// Reads a setting whose value a file holds.
fn file(text: &str) -> Result<(String, String), String> {
    let (name, path) = pair(text)
        .filter(|(_, path)| !path.is_empty())
        .ok_or_else(|| "a setting in a file looks like NAME=FILE".to_owned())?;
    let text = String::from_utf8(content(Path::new(&path))?);
    let text = text.map_err(|_| format!("{path} is no UTF-8 text"))?;
    Ok((name, text.trim_end_matches(['\n', '\r']).to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Asked {
        #[command(flatten)]
        settings: Settings,
    }

    fn given(words: &[&str]) -> Result<HashMap<String, String>, String> {
        let asked = Asked::try_parse_from(["x"].iter().chain(words));
        let settings = asked.map_err(|error| error.to_string())?.settings;
        settings.given().map_err(|failure| format!("{failure:?}"))
    }

    #[test]
    fn a_secret_comes_from_the_environment_or_a_file_and_is_on_no_command_line() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        std::fs::write(&file, "hunter2\n\r\n").unwrap();
        let from_file = format!("token={}", file.display());
        let found = given(&["--set", "url=http://h?a=b", "--secret", "path", "--file", &from_file])
            .unwrap();
        let expected = [
            ("url", "http://h?a=b".to_owned()),
            ("path", env::var("PATH").unwrap()),
            ("token", "hunter2".to_owned()),
        ];
        assert_eq!(found, expected.map(|(name, value)| (name.to_owned(), value)).into());
        assert_eq!(given(&["--secret", "a=b"]).unwrap()["a"], "b");
    }

    #[test]
    fn what_is_no_setting_is_refused_by_name() {
        for (words, said) in [
            (["--set", "uri"], "a setting looks like NAME=VALUE"),
            (["--set", "=x"], "a setting looks like NAME=VALUE"),
            (["--secret", "no_such_one"], "no variable no_such_one or NO_SUCH_ONE"),
            (["--file", "token"], "NAME=FILE"),
            (["--file", "token="], "NAME=FILE"),
            (["--file", "token=/no/such/file"], "/no/such/file"),
        ] {
            let refused = given(&words).unwrap_err();
            assert!(refused.contains(said), "{refused}");
        }
        let twice = given(&["--set", "uri=a", "--secret", "uri=b"]).unwrap_err();
        assert!(twice.contains("uri is given twice"), "{twice}");
    }
}
