//! The files that settings come from, besides the process' own environment. Who
//! wins: a flag, the process' environment, `--environment FILE`, then
//! `/etc/multiflexi/.env`.

use std::{
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
};

/// The file that is read if it is there.
pub const DEFAULT: &str = "/etc/multiflexi/.env";

/// An environment file that cannot be used: one sentence for the user.
#[derive(Debug)]
pub struct EnvironmentError(String);

impl std::fmt::Display for EnvironmentError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for EnvironmentError {}

/// Puts the variables of the environment files into this process' environment.
/// Call it first in `main`: before another thread runs and before the arguments
/// are parsed, as their defaults come from there.
pub fn load(arguments: impl IntoIterator<Item = OsString>) -> Result<(), EnvironmentError> {
    if let Some(file) = option(arguments, "--environment").map(PathBuf::from) {
        read(&file).map_err(|reason| {
            let file = file.display();
            EnvironmentError(format!("the environment file {file} cannot be read: {reason}"))
        })?;
    }
    match read(Path::new(DEFAULT)) {
        Ok(()) => Ok(()),
        // It is nobody's explicit wish: one that others may not read is passed over.
        Err(Reason::Io(io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied, _)) => Ok(()),
        Err(reason) => Err(EnvironmentError(format!("{DEFAULT} cannot be read: {reason}"))),
    }
}

enum Reason {
    Io(io::ErrorKind, String),
    Line(String),
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Io(_, text) | Self::Line(text) => f.write_str(text),
        }
    }
}

/// What `--name VALUE` or `--name=VALUE` gives, before the arguments are parsed.
pub fn option(arguments: impl IntoIterator<Item = OsString>, name: &str) -> Option<OsString> {
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        if argument == "--" {
            return None;
        }
        if argument == name {
            return arguments.next();
        }
        let value = argument.to_str().and_then(|text| text.strip_prefix(name)?.strip_prefix('='));
        if let Some(value) = value {
            return Some(value.into());
        }
    }
    None
}

fn read(file: &Path) -> Result<(), Reason> {
    let unreadable = |error: io::Error| Reason::Io(error.kind(), error.to_string());
    let content = fs::read(file).map_err(unreadable)?;
    let mut lines = Lines { rest: &content, taken: 0 };
    match dotenvy::from_read(&mut lines) {
        Ok(()) => Ok(()),
        // The line may hold a password: it is not repeated.
        Err(dotenvy::Error::LineParse(part, _)) => {
            let first = (lines.taken + 1).saturating_sub(part.lines().count().max(1));
            Err(Reason::Line(format!(
                "line {first} is not NAME=VALUE; a value with spaces or quotes stands in quotes"
            )))
        }
        Err(dotenvy::Error::Io(error)) if error.kind() == io::ErrorKind::InvalidData => {
            Err(Reason::Line(format!("line {} is no UTF-8 text", lines.taken)))
        }
        Err(dotenvy::Error::Io(error)) => Err(unreadable(error)),
        Err(other) => Err(Reason::Line(other.to_string())),
    }
}

/// Gives a file away line by line: when its reader fails, it has read as far as the fault.
struct Lines<'f> {
    rest: &'f [u8],
    /// Lines that were given away whole.
    taken: usize,
}

impl io::Read for Lines<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let line =
            self.rest.iter().position(|byte| *byte == b'\n').map_or(self.rest.len(), |at| at + 1);
        let length = line.min(buffer.len());
        let (now, later) = self.rest.split_at(length);
        buffer[..length].copy_from_slice(now);
        self.rest = later;
        self.taken += usize::from(length == line && length > 0);
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(words: &[&str]) -> Vec<OsString> {
        words.iter().map(OsString::from).collect()
    }

    #[test]
    fn the_file_is_found_wherever_it_stands() {
        let named = |words: &[&str]| option(arguments(words), "--environment");
        assert_eq!(named(&["x", "job:list", "--environments=c"]), None);
        assert_eq!(named(&["x", "--environment", "a"]), Some("a".into()));
        assert_eq!(named(&["x", "job:list", "--environment=b"]), Some("b".into()));
        assert_eq!(named(&["x", "--", "--environment", "a"]), None);
    }

    #[test]
    fn a_file_that_cannot_be_used_is_named_and_its_content_is_not() {
        let missing = load(arguments(&["x", "--environment", "/no/such/file"])).unwrap_err();
        assert!(missing.to_string().contains("/no/such/file"), "{missing}");
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(".env");
        fs::write(&file, "not a 'secret").unwrap();
        let damaged = load(["x".into(), "--environment".into(), file.into()]).unwrap_err();
        assert!(!damaged.to_string().contains("secret"), "{damaged}");
    }

    #[test]
    fn the_line_that_is_wrong_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(".env");
        let said = |content: &[u8]| {
            fs::write(&file, content).unwrap();
            read(&file).map_err(|reason| reason.to_string()).unwrap_err()
        };
        let long = format!("# {}\nnonsense", "long ".repeat(10_000));
        for (content, line) in [
            (&b"nonsense"[..], 1),
            (b"# a comment\n\n  \nnonsense\nMFT_A=1\n", 4),
            (b"MFT_A='two\nlines'\n\nMFT_B=two words\n", 4),
            (b"MFT_A=1\nMFT_B='it never\nends\n\n", 2),
            (b"MFT_A=1\nMFT_B=\xff\n", 2),
            (long.as_bytes(), 2),
        ] {
            let said = said(content);
            assert!(said.contains(&format!("line {line} is")), "{said}");
        }
    }
}
