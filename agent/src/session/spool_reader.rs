//! Reads an attempt's spool for the way to the scheduler, in whole records, and tells apart
//! what time may heal from output that is gone.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use multiflexi_proto::frame::{self, FrameError};

/// A read of up to this many bytes is not worth another thread: they were written
/// a moment ago and are in memory.
const SMALL: u64 = 64 * 1024;

/// Why nothing can be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum SpoolError {
    /// The output is not there any more, and no waiting brings it back.
    #[error("{0}")]
    Gone(String),
    /// It may be there: the host has no file descriptor left, somebody took the permission, a
    /// disk does not answer.
    #[error("{0}")]
    Unreadable(io::Error),
}

/// A spool that is read.
#[derive(Debug)]
pub(super) struct SpoolReader {
    path: PathBuf,
    file: Option<Arc<File>>,
}

impl SpoolReader {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, file: None }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The file, once it was read.
    pub(super) fn file(&self) -> Option<&File> {
        self.file.as_deref()
    }

    /// Whole records from `offset` on, of the `size` bytes that were written there: at least
    /// one. Those before a damage are returned; the damage is found when it comes first.
    pub(super) async fn read(&mut self, offset: u64, size: u64) -> Result<Bytes, SpoolError> {
        let file = match &self.file {
            Some(file) => Arc::clone(file),
            None => Arc::clone(self.file.insert(Arc::new(open(&self.path)?))),
        };
        let read = move || records(&file, offset, size);
        if size <= SMALL {
            read()
        } else {
            let reading = tokio::task::spawn_blocking(read).await;
            reading.map_err(|error| SpoolError::Unreadable(io::Error::other(error)))?
        }
    }
}

fn open(path: &Path) -> Result<File, SpoolError> {
    // For writing too: without it no space can be given back.
    OpenOptions::new().read(true).write(true).open(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => SpoolError::Gone("the file is not there any more".to_owned()),
        _ => SpoolError::Unreadable(error),
    })
}

fn records(file: &File, offset: u64, size: u64) -> Result<Bytes, SpoolError> {
    let mut bytes = vec![0; usize::try_from(size).unwrap_or(usize::MAX)];
    let found = read_up_to(file, &mut bytes, offset).map_err(SpoolError::Unreadable)?;
    bytes.truncate(found);
    let whole = match frame::whole_records(&bytes) {
        Ok(whole) => whole,
        Err(FrameError::Header { at } | FrameError::Short { at }) => at,
    };
    if whole > 0 {
        bytes.truncate(whole);
        return Ok(Bytes::from(bytes));
    }
    Err(SpoolError::Gone(if (found as u64) < size {
        format!("the file ends after {} bytes", offset + found as u64)
    } else {
        format!("there is no record at byte {offset}")
    }))
}

/// Fills `bytes` as far as the file goes.
fn read_up_to(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut found = 0;
    while found < bytes.len() {
        match file.read_at(&mut bytes[found..], offset + found as u64) {
            Ok(0) => break,
            Ok(count) => found += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::*;

    fn record(data: &str) -> Vec<u8> {
        let header = frame::header(frame::Stream::Stdout, 1, data.len());
        [header.as_slice(), data.as_bytes()].concat()
    }

    async fn read(content: &[u8], offset: u64, size: usize) -> Result<Bytes, SpoolError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        fs::write(&path, content).unwrap();
        SpoolReader::new(path).read(offset, size as u64).await
    }

    fn gone(read: Result<Bytes, SpoolError>) -> String {
        match read {
            Err(SpoolError::Gone(reason)) => reason,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn what_is_before_a_damage_is_read_and_what_is_after_it_is_gone() {
        let (one, two) = (record("one"), record("two"));
        let all = [one.clone(), two].concat();
        let cut = &all[..all.len() - 1];
        assert_eq!(read(cut, 0, all.len()).await.unwrap(), one);
        let rest = all.len() - one.len();
        let ends = gone(read(cut, one.len() as u64, rest).await);
        assert!(ends.contains(&format!("after {} bytes", cut.len())), "{ends}");
        let mut overwritten = all.clone();
        overwritten[one.len()..].fill(0);
        assert_eq!(read(&overwritten, 0, all.len()).await.unwrap(), one);
        let none = gone(read(&overwritten, one.len() as u64, rest).await);
        assert!(none.contains(&format!("no record at byte {}", one.len())), "{none}");
    }

    #[tokio::test]
    async fn a_file_that_was_removed_is_gone_and_one_that_cannot_be_opened_may_come_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        gone(SpoolReader::new(path.clone()).read(0, 1).await);
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
        let folder_there = SpoolReader::new(path).read(0, 1).await;
        assert!(matches!(folder_there, Err(SpoolError::Unreadable(_))), "{folder_there:?}");
    }
}
