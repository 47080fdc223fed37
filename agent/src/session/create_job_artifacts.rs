//! `create_job_artifacts`: uploads what an attempt left in its working directory.
//! A file that cannot be kept is put on record and stops none of the others; an
//! upload that breaks off goes on where the scheduler's stored part ends.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read as _},
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
use crate::{link::AttemptKey, work};

/// Files that are uploaded at once, of all attempts.
pub(super) const AT_ONCE: usize = 4;

/// Bytes of one piece, and pieces that may wait for the network.
const PIECE: usize = 256 * 1024;
const OUTGOING: usize = 4;

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

/// Uploads the files of `work`, those in `masked_names` by other names than they have.
/// Returns those that could not be kept; an error if the connection is gone.
pub(super) async fn create_job_artifacts(
    client: AgentServiceClient<Channel>,
    key: AttemptKey,
    work: PathBuf,
    masked_names: BTreeMap<String, String>,
    uploads: Arc<Semaphore>,
) -> Result<Vec<FailedArtifact>, Status> {
    let found = tokio::task::spawn_blocking(move || work::list(&work));
    let found = found.await.map_err(|error| Status::internal(error.to_string()))?;
    let stored_as = |name: String| masked_names.get(&name).cloned().unwrap_or(name);
    let failed = found
        .failed
        .into_iter()
        .map(|(name, reason)| FailedArtifact { filename: stored_as(name), reason });
    let mut failed: Vec<_> = failed.collect();
    for (name, path) in found.files {
        let filename = stored_as(name);
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
    fn a_link_that_took_a_files_place_is_not_followed() {
        let work = tempfile::tempdir().unwrap();
        let link = work.path().join("link");
        std::os::unix::fs::symlink("/etc/passwd", &link).unwrap();
        assert!(open(&link).is_err());
    }
}
