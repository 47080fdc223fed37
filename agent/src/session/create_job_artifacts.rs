//! `create_job_artifacts`: uploads what an attempt left in its working directory.
//! A file that cannot be kept is put on record and stops none of the others; an
//! upload that breaks off goes on where the scheduler's stored part ends.

use std::{
    fs::{self, File},
    io::{self, Read as _},
    os::unix::fs::FileTypeExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use multiflexi_proto::v1::{
    BeginArtifact, EndArtifact, FailedArtifact, GetUploadRequest, UploadArtifactRequest,
    agent_service_client::AgentServiceClient, upload_artifact_request::Part,
};
use rustix::fs::{Mode, OFlags};
use sha2::{Digest as _, Sha256};
use tokio::sync::{Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, transport::Channel};

use super::{messages, telemetry};
use crate::link::AttemptKey;

/// Files that are uploaded at once, of all attempts.
pub(super) const AT_ONCE: usize = 4;

/// Bytes of one piece, and pieces that may wait for the network.
const PIECE: usize = 256 * 1024;
const OUTGOING: usize = 4;

/// Most files of one attempt.
const MOST_FILES: usize = 10_000;

/// How often an upload is begun again when the file or the stored part turns out
/// to be another than expected.
const TRIES: usize = 4;

/// Pauses while the store is full: doubled up to the second.
const FULL: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(30)];

/// Why an upload did not succeed.
enum Trouble {
    /// This file cannot be kept.
    File(String),
    /// The connection is gone: it all goes on with the next one.
    Connection(Status),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::File(error.to_string())
    }
}

/// Uploads the files of `work`. Returns those that could not be kept; an error if
/// the connection is gone.
pub(super) async fn create_job_artifacts(
    client: AgentServiceClient<Channel>,
    key: AttemptKey,
    work: PathBuf,
    uploads: Arc<Semaphore>,
) -> Result<Vec<FailedArtifact>, Status> {
    let folder = work.clone();
    let found = tokio::task::spawn_blocking(move || list(&folder));
    let mut found = found.await.map_err(|error| Status::internal(error.to_string()))?;
    let mut failed = std::mem::take(&mut found.failed);
    for (filename, path) in found.files {
        let _turn = uploads.acquire().await;
        let begun = Instant::now();
        match upload(&client, key, &filename, &path).await {
            Ok(size) => telemetry::uploaded(key, &filename, size, begun, true),
            Err(Trouble::File(reason)) => {
                telemetry::uploaded(key, &filename, 0, begun, false);
                tracing::warn!(attempt = %key, filename, reason, "a result file is not kept");
                failed.push(FailedArtifact { filename, reason });
            }
            Err(Trouble::Connection(status)) => return Err(status),
        }
    }
    Ok(failed)
}

#[derive(Debug, Default)]
struct Found {
    /// Name within the working directory, and path.
    files: Vec<(String, PathBuf)>,
    failed: Vec<FailedArtifact>,
    passed_over: usize,
}

/// Everything below a working directory, in order.
fn list(work: &Path) -> Found {
    let mut found = Found::default();
    add(work, "", &mut found);
    if found.passed_over > 0 {
        let reason = format!("{} more files: a job keeps at most {MOST_FILES}", found.passed_over);
        found.failed.push(FailedArtifact { filename: "(more files)".to_owned(), reason });
    }
    found
}

fn add(folder: &Path, prefix: &str, found: &mut Found) {
    let fail = |found: &mut Found, filename: &str, reason: String| {
        found.failed.push(FailedArtifact { filename: filename.to_owned(), reason });
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

/// Uploads a file; its size.
async fn upload(
    client: &AgentServiceClient<Channel>,
    key: AttemptKey,
    filename: &str,
    path: &Path,
) -> Result<u64, Trouble> {
    let mut pause = FULL[0];
    let mut tries = 0;
    loop {
        let status = match try_upload(client.clone(), key, filename, path).await {
            Ok(size) => return Ok(size),
            Err(Trouble::Connection(status)) => status,
            Err(trouble) => return Err(trouble),
        };
        match status.code() {
            Code::ResourceExhausted => {
                tracing::warn!(attempt = %key, filename, reason = status.message(), "an upload waits");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(FULL[1]);
            }
            // The stored part or the file is not what it seemed: once more.
            Code::Aborted | Code::DataLoss if tries < TRIES => tries += 1,
            Code::Unavailable | Code::Unknown | Code::Cancelled | Code::DeadlineExceeded => {
                return Err(Trouble::Connection(status));
            }
            _ => return Err(Trouble::File(status.message().to_owned())),
        }
    }
}

async fn try_upload(
    mut client: AgentServiceClient<Channel>,
    key: AttemptKey,
    filename: &str,
    path: &Path,
) -> Result<u64, Trouble> {
    let (file, size) = open(path)?;
    let asked =
        GetUploadRequest { key: Some(messages::to_key(key)), filename: filename.to_owned() };
    let offset =
        client.get_upload(asked).await.map_err(Trouble::Connection)?.into_inner().committed_bytes;
    let begin = BeginArtifact {
        key: Some(messages::to_key(key)),
        filename: filename.to_owned(),
        size_bytes: i64::try_from(size).unwrap_or(i64::MAX),
        offset,
    };
    let (pieces, outgoing) = mpsc::channel(OUTGOING);
    let part = |part| UploadArtifactRequest { part: Some(part) };
    // There is room: it is the first.
    let _ = pieces.send(part(Part::Begin(begin))).await;
    let reading = tokio::task::spawn_blocking(move || read(file, offset, size, &pieces));
    let answer = client.upload_artifact(ReceiverStream::new(outgoing)).await;
    let read = reading.await.map_err(|error| Trouble::File(error.to_string()))?;
    match (answer, read) {
        (Ok(_), _) => Ok(size),
        (Err(_), Err(error)) => Err(error.into()),
        (Err(status), Ok(())) => Err(Trouble::Connection(status)),
    }
}

/// Opens a regular file; its size now is how much of it is kept.
fn open(path: &Path) -> io::Result<(File, u64)> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    let size = file.metadata()?.len();
    Ok((file, size))
}

/// Reads the file's `size` bytes, hashes all and sends those from `offset` on, and
/// then the hash. Ends early if nobody takes them.
fn read(
    mut file: File,
    offset: i64,
    size: u64,
    pieces: &mpsc::Sender<UploadArtifactRequest>,
) -> io::Result<()> {
    let mut hash = Sha256::new();
    let mut at = 0;
    let mut piece_of = |at: u64, end: u64| -> io::Result<Vec<u8>> {
        let length = (end - at).min(PIECE as u64);
        let mut piece = vec![0; usize::try_from(length).unwrap_or(PIECE)];
        file.read_exact(&mut piece)?;
        hash.update(&piece);
        Ok(piece)
    };
    let offset = u64::try_from(offset).unwrap_or(0).min(size);
    while at < offset {
        at += piece_of(at, offset)?.len() as u64;
    }
    while at < size {
        let piece = piece_of(at, size)?;
        at += piece.len() as u64;
        let part = Part::Content(Bytes::from(piece));
        if pieces.blocking_send(UploadArtifactRequest { part: Some(part) }).is_err() {
            return Ok(());
        }
    }
    let end = Part::End(EndArtifact { sha256: hash.finalize().to_vec() });
    // One that nobody takes any more is answered with why.
    let _ = pieces.blocking_send(UploadArtifactRequest { part: Some(end) });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_found_and_what_is_none_is_named() {
        let work = tempfile::tempdir().unwrap();
        let path = |name: &str| work.path().join(name);
        fs::create_dir_all(path("deep/er")).unwrap();
        fs::write(path("b.csv"), "1").unwrap();
        fs::write(path("a.csv"), "1").unwrap();
        fs::write(path("deep/er/c"), "1").unwrap();
        std::os::unix::fs::symlink("/etc/passwd", path("link")).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, path("pipe"), Mode::RUSR).unwrap();
        let found = list(work.path());
        let files: Vec<&str> = found.files.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(files, ["a.csv", "b.csv", "deep/er/c"]);
        let failed: Vec<&str> = found.failed.iter().map(|one| one.filename.as_str()).collect();
        assert_eq!(failed, ["link", "pipe"]);
    }

    #[test]
    fn a_link_that_took_a_files_place_is_not_followed() {
        let work = tempfile::tempdir().unwrap();
        let link = work.path().join("link");
        std::os::unix::fs::symlink("/etc/passwd", &link).unwrap();
        assert!(open(&link).is_err());
    }
}
