//! What an attempt left in its working directory, for session and supervisor alike: the same
//! names in the same order, however often it is looked at.

use std::{
    fs,
    os::unix::fs::FileTypeExt as _,
    path::{Path, PathBuf},
};

/// Most files of one attempt.
const MOST_FILES: usize = 10_000;

/// What is there.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Name within the working directory, and path.
    pub(crate) files: Vec<(String, PathBuf)>,
    /// What is no file that can be kept, and why.
    pub(crate) failed: Vec<(String, String)>,
    passed_over: usize,
}

/// Everything below a working directory, in order.
pub(crate) fn list(work: &Path) -> Found {
    let mut found = Found::default();
    add(work, "", &mut found);
    if found.passed_over > 0 {
        let reason = format!("{} more files: a job keeps at most {MOST_FILES}", found.passed_over);
        found.failed.push(("(more files)".to_owned(), reason));
    }
    found
}

fn add(folder: &Path, prefix: &str, found: &mut Found) {
    let fail = |found: &mut Found, filename: &str, reason: String| {
        found.failed.push((filename.to_owned(), reason));
    };
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => {
            let name = if prefix.is_empty() { "(all files)" } else { prefix };
            return fail(found, name, format!("the folder cannot be read: {error}"));
        }
    };
    let mut entries: Vec<_> = entries.flatten().collect();
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let filename =
            if prefix.is_empty() { name.into_owned() } else { format!("{prefix}/{name}") };
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_dir() {
            add(&entry.path(), &filename, found);
        } else if found.files.len() + found.failed.len() >= MOST_FILES {
            found.passed_over += 1;
        } else if kind.is_file() {
            found.files.push((filename, entry.path()));
        } else if kind.is_symlink() {
            // It may lead out of the directory, to what the job's user may not read.
            fail(found, &filename, "it is a symbolic link".to_owned());
        } else if kind.is_fifo() {
            fail(found, &filename, "it is a named pipe".to_owned());
        } else {
            fail(found, &filename, "it is no regular file".to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{CWD, Mode, mkfifoat};

    #[test]
    fn files_are_found_and_what_is_none_is_named() {
        let work = tempfile::tempdir().unwrap();
        let path = |name: &str| work.path().join(name);
        fs::create_dir_all(path("deep/er")).unwrap();
        fs::write(path("b.csv"), "1").unwrap();
        fs::write(path("a.csv"), "1").unwrap();
        fs::write(path("deep/er/c"), "1").unwrap();
        std::os::unix::fs::symlink("/etc/passwd", path("link")).unwrap();
        mkfifoat(CWD, path("pipe"), Mode::RUSR).unwrap();
        let found = list(work.path());
        let files: Vec<&str> = found.files.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(files, ["a.csv", "b.csv", "deep/er/c"]);
        let failed: Vec<&str> = found.failed.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(failed, ["link", "pipe"]);
    }
}
