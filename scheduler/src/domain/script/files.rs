//! The files of a job in its script: written into a folder of their own, for nobody else,
//! before the command is run, and removed with it.

use super::{Job, quote};
use crate::domain::environment::{FILES, File};

/// Bytes that one `printf` writes.
const AT_ONCE: usize = 16 * 1024;

/// The folder in which a script has the job's files.
#[derive(Clone, Copy)]
pub(super) struct Folder<'a> {
    /// The beginning of the script's own names.
    pub(super) own: &'a str,
    /// The job.
    pub(super) job: &'a Job,
}

impl Folder<'_> {
    /// `text` as one word for a shell, with the folder in it where the job's files are
    /// meant.
    pub(super) fn quote(self, text: &str) -> String {
        if self.job.files.is_empty() {
            return quote(text);
        }
        quote(text).replace(FILES, &format!("'\"${}files\"'", self.own))
    }

    /// Makes the folder and the files; nothing if there are none. Of a secret one that is
    /// not to be shown the caller has the path, in the variable of its name.
    pub(super) fn write(self) -> String {
        let (own, files) = (self.own, &self.job.files);
        if files.is_empty() {
            return String::new();
        }
        let written: String = files.iter().map(|(name, file)| self.write_one(name, file)).collect();
        format!(
            "\n{own}files=$MULTIFLEXI_TMP.files\n(\numask 077\nmkdir \"${own}files\" || exit 1\n\
             {written}) || exit 1\n"
        )
    }

    fn write_one(self, name: &str, file: &File) -> String {
        let (own, path) = (self.own, self.quote(&file.path(name)));
        let make = format!("mkdir \"${own}files\"/{name} || exit 1\n");
        if self.job.is_hidden(name) {
            return format!("{make}cat -- \"${{{name}}}\" >{path} || exit 1\n");
        }
        let parts = file.content.chunks(AT_ONCE);
        let parts = parts.map(|part| format!("printf '{}' >>{path} || exit 1\n", octal(part)));
        format!("{make}: >{path} || exit 1\n{}", parts.collect::<String>())
    }
}

/// Bytes as the format of a `printf`: what is no plain character is a number.
fn octal(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        match byte {
            b'A'..=b'Z'
            | b'a'..=b'z'
            | b' '..=b'$'
            | b'&'
            | b'('..=b'['
            | b']'..=b'`'
            | b'{'..=b'~' => text.push(char::from(*byte)),
            _ => _ = write!(text, "\\{byte:03o}"),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_means_something_to_printf_or_a_shell_is_a_number() {
        assert_eq!(octal(b"a%\\'\n\0~$"), "a\\045\\134\\047\\012\\000~$");
        assert_eq!(octal(&[0xff]), "\\377");
    }
}
