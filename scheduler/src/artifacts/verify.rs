//! Reads everything that is stored of a job and compares it with what was recorded
//! when it was stored. It changes nothing.

use multiflexi_proto::frame;
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;

use super::{ArtifactError, Artifacts};
use crate::{
    domain::ids::JobId,
    logs::LogReader,
    store::{ArtifactFilter, ArtifactRow, AttemptRow, ListPage, MAX_PAGE, Source},
};

/// Pieces of an artifact that wait to be hashed.
const AHEAD: usize = 2;

/// What a check has found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Attempts whose output was read.
    pub attempts: i32,
    /// Artifacts that were read.
    pub artifacts: i32,
    /// Bytes that were read.
    pub bytes: i64,
    /// What is wrong, a sentence each.
    pub faults: Vec<String>,
}

impl Artifacts {
    /// Checks the output and the artifacts of all attempts of a job.
    pub async fn verify(&self, job: JobId) -> Result<Verified, ArtifactError> {
        self.store.job(job).await?;
        let mut verified = Verified::default();
        for attempt in self.store.attempts(job).await? {
            if attempt.state.is_terminal() {
                self.verify_log(job, &attempt, &mut verified).await;
            }
        }
        let filter = ArtifactFilter { job: Some(job), ..ArtifactFilter::default() };
        let mut token = String::new();
        loop {
            let page = ListPage::parse(MAX_PAGE, &token)?;
            let artifacts = self.store.artifacts(&filter, &page).await?;
            for artifact in artifacts.rows.iter().filter(|artifact| !artifact.failed) {
                self.verify_artifact(artifact, &mut verified).await;
            }
            if artifacts.next.is_empty() {
                return Ok(verified);
            }
            token = artifacts.next;
        }
    }

    async fn verify_log(&self, job: JobId, attempt: &AttemptRow, verified: &mut Verified) {
        verified.attempts += 1;
        let mut reader = LogReader::new(self.logs.clone(), job, attempt.number);
        let mut streams = [(0_i64, Sha256::new()), (0, Sha256::new())];
        let mut cursor = 0;
        let mut fault = |text: String| {
            verified.faults.push(format!("the output of attempt {}: {text}", attempt.number));
        };
        loop {
            let pieces = match reader.read(None, cursor).await {
                Ok(pieces) if pieces.is_empty() => break,
                Ok(pieces) => pieces,
                Err(error) => return fault(error.to_string()),
            };
            for frames in pieces {
                cursor += frames.len() as i64;
                for record in frame::records(frames) {
                    match record {
                        Ok(record) => {
                            let (bytes, hash) = &mut streams[record.stream.index()];
                            *bytes += record.data.len() as i64;
                            hash.update(&record.data);
                        }
                        Err(error) => return fault(error.to_string()),
                    }
                }
            }
        }
        let names = ["stdout", "stderr"];
        for ((name, (bytes, hash)), known) in names.into_iter().zip(streams).zip(&attempt.streams) {
            let Some((size, sha256)) = known else { continue };
            if bytes != *size {
                fault(format!("{name} has {bytes} bytes and should have {size}"));
            } else if crate::store::hex(&hash.finalize().into()) != *sha256 {
                fault(format!("{name} is not what was stored: its SHA-256 differs"));
            }
        }
        verified.bytes += cursor;
    }

    async fn verify_artifact(&self, artifact: &ArtifactRow, verified: &mut Verified) {
        verified.artifacts += 1;
        if artifact.source != Source::File {
            // Its content is the output, which is checked with its attempt.
            return;
        }
        let (pieces, mut content) = mpsc::channel::<bytes::Bytes>(AHEAD);
        let hash = async move {
            let (mut bytes, mut hash) = (0, Sha256::new());
            while let Some(piece) = content.recv().await {
                bytes += piece.len() as i64;
                hash.update(&piece);
            }
            (bytes, crate::store::hex(&hash.finalize().into()))
        };
        let send = async move { self.send(artifact, 0, &pieces).await };
        let (sent, (bytes, sha256)) = tokio::join!(send, hash);
        let fault = match sent {
            Err(error) => error.to_string(),
            Ok(()) if bytes != artifact.size => {
                format!("it has {bytes} bytes and should have {}", artifact.size)
            }
            Ok(()) if Some(&sha256) != artifact.sha256.as_ref() => {
                "it is not what was stored: its SHA-256 differs".to_owned()
            }
            Ok(()) => {
                verified.bytes += bytes;
                return;
            }
        };
        let (id, name) = (artifact.id, &artifact.filename);
        verified.faults.push(format!("artifact {id} ({name:?}): {fault}"));
    }
}
