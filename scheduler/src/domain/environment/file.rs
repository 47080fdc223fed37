//! Files that are delivered to a job: the agent writes them beside its working
//! directory, for its user alone, and the variable holds the path.

use std::{collections::BTreeMap, fmt};

/// Stands for the folder of a job's files in its variables and its command line: where it
/// is, the agent knows.
pub const FILES: &str = "{MULTIFLEXI_FILES}";

/// Most bytes of all files of one job. They travel with the job's offer and wait in memory
/// until it starts: for certificates, keys and settings there is room, and data is better
/// fetched by the job itself.
pub const MAX_FILES: usize = 4 * 1024 * 1024;

/// Longest name of a file, in bytes: what Linux takes.
const MAX_NAME: usize = 255;

/// A file that is delivered to a job.
#[derive(Clone, PartialEq, Eq)]
pub struct File {
    /// Its name, without folders.
    pub name: String,
    /// What is in it.
    pub content: Vec<u8>,
}

impl File {
    /// Its path, as the variable of this name holds it. Each file has a folder of its
    /// own, as two may have one name.
    pub fn path(&self, variable: &str) -> String {
        format!("{FILES}/{variable}/{}", self.name)
    }
}

impl fmt::Debug for File {
    /// What is in it may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "File({:?}, {} bytes)", self.name, self.content.len())
    }
}

/// A file that cannot be delivered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// Its name.
    #[error(
        "{name:?} is no name for the file of {variable}: use up to {MAX_NAME} bytes without / \
         and control characters"
    )]
    Name {
        /// The variable.
        variable: String,
        /// The file's name.
        name: String,
    },
    /// There is too much.
    #[error("the files have {0} bytes together; a job can be given at most {MAX_FILES}")]
    TooMuch(usize),
}

/// Checks files from outside, or all of one job.
pub fn check_files(files: &BTreeMap<String, File>) -> Result<(), FileError> {
    for (variable, file) in files {
        let name = &file.name;
        let fits = !matches!(name.as_str(), "" | "." | "..")
            && name.len() <= MAX_NAME
            && !name.contains(|c: char| c == '/' || c.is_control());
        if !fits {
            let (variable, name) = (variable.clone(), name.chars().take(80).collect());
            return Err(FileError::Name { variable, name });
        }
    }
    match files.values().map(|file| file.content.len()).sum() {
        ..=MAX_FILES => Ok(()),
        bytes => Err(FileError::TooMuch(bytes)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_in_their_folder() {
        for (name, fits) in [("a b.p12", true), ("..", false), ("a/b", false), ("", false)] {
            let file = File { name: name.to_owned(), content: Vec::new() };
            let checked = check_files(&[("CERT".to_owned(), file)].into());
            assert_eq!(checked.is_ok(), fits, "{name:?}");
        }
    }

    #[test]
    fn there_is_a_limit_to_all_together() {
        let half = || File { name: "a".to_owned(), content: vec![0; MAX_FILES / 2 + 1] };
        let files = BTreeMap::from([("A".to_owned(), half())]);
        assert_eq!(check_files(&files), Ok(()));
        let files = BTreeMap::from([("A".to_owned(), half()), ("B".to_owned(), half())]);
        assert_eq!(check_files(&files), Err(FileError::TooMuch(MAX_FILES + 2)));
    }
}
