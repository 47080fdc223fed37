//! Takes in a result file. A large one is stored part by part, each durable before
//! it counts, so that an upload that breaks off goes on where it was; it becomes
//! an artifact only when its SHA-256 is the one that was announced.

use std::pin::Pin;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use tokio::task::JoinHandle;
use tokio_stream::{Stream, StreamExt as _};

use super::{ArtifactError, Artifacts, content_type};
use crate::{
    domain::ids::{ArtifactId, AttemptKey},
    store::{AddPart, BeginUpload, FinishUpload, Part, PutArtifact, Upload},
};

/// A file of up to this many bytes is stored in the database.
const INLINE: i64 = 64 * 1024;

/// Size of a part, in bytes. Two of them are in memory: one that is being stored
/// and one that is arriving.
const PART: i64 = 4 * 1024 * 1024;

/// Longest name, in bytes, as Linux allows it.
const MAX_FILENAME: usize = 4096;

/// The content as it arrives; an error is why it broke off.
pub type Incoming<'a> = Pin<&'a mut (dyn Stream<Item = Result<Bytes, String>> + Send)>;

impl Artifacts {
    /// How many bytes of a file are durable already.
    pub async fn committed(&self, key: AttemptKey, filename: &str) -> Result<i64, ArtifactError> {
        Ok(contiguous(&self.store.upload_parts(key, filename).await?))
    }

    /// Stores a file of which `content` brings what is from `offset` on.
    pub async fn receive(
        &self,
        upload: Upload,
        offset: i64,
        content: Incoming<'_>,
    ) -> Result<ArtifactId, ArtifactError> {
        check_filename(&upload.filename)?;
        if upload.size <= INLINE {
            self.receive_small(upload, offset, content).await
        } else {
            self.receive_large(upload, offset, content).await
        }
    }

    async fn receive_small(
        &self,
        upload: Upload,
        offset: i64,
        mut content: Incoming<'_>,
    ) -> Result<ArtifactId, ArtifactError> {
        expect_offset(&upload, offset, 0)?;
        let mut bytes = Vec::new();
        while let Some(piece) = content.next().await {
            bytes.extend_from_slice(&piece.map_err(|reason| broke_off(&upload, reason))?);
            if bytes.len() as i64 > upload.size {
                break;
            }
        }
        let hash = Sha256::digest(&bytes);
        check_whole(&upload, bytes.len() as i64, hash.into())?;
        let content_type = content_type::content_type(&upload.filename, &bytes);
        Ok(self.store.change(PutArtifact { upload, content_type, content: bytes }).await?)
    }

    async fn receive_large(
        &self,
        upload: Upload,
        offset: i64,
        mut content: Incoming<'_>,
    ) -> Result<ArtifactId, ArtifactError> {
        let (artifact, parts) = self.store.change(BeginUpload(upload.clone())).await?;
        let committed = contiguous(&parts);
        expect_offset(&upload, offset, committed)?;
        let mut taken = Taken::default();
        for part in parts.iter().filter(|part| part.start < committed) {
            taken.add(&self.objects.get(&part.object).await?);
        }
        let mut storing: Option<JoinHandle<Result<(), ArtifactError>>> = None;
        let mut pieces = Vec::new();
        let mut start = committed;
        loop {
            let piece = content.next().await;
            let broken = match &piece {
                Some(Err(reason)) => Some(broke_off(&upload, reason.clone())),
                _ => None,
            };
            let last = !matches!(piece, Some(Ok(_)));
            if let Some(Ok(piece)) = piece {
                taken.add(&piece);
                pieces.push(piece);
            }
            let filled = taken.bytes - start;
            if filled >= PART || (last && filled > 0) {
                if let Some(stored) = storing.take() {
                    join(stored).await?;
                }
                let part = self.part(&upload, start, filled);
                start = taken.bytes;
                storing = Some(self.store_part(artifact, part, std::mem::take(&mut pieces)));
            }
            if last || taken.bytes > upload.size {
                if let Some(stored) = storing.take() {
                    join(stored).await?;
                }
                if let Some(broken) = broken {
                    return Err(broken);
                }
                break;
            }
        }
        let content_type = content_type::content_type(&upload.filename, &taken.head);
        let (bytes, hash) = (taken.bytes, taken.hash.finalize().into());
        if let Err(error) = check_whole(&upload, bytes, hash) {
            self.forget(&upload, artifact).await?;
            return Err(error);
        }
        self.store.change(FinishUpload { artifact, content_type: Some(content_type) }).await?;
        Ok(artifact)
    }

    fn part(&self, upload: &Upload, start: i64, length: i64) -> Part {
        // A name of its own: a part that was stored but not recorded stays harmless.
        let name = uuid::Uuid::now_v7().simple();
        let object = format!("artifacts/{}/{}/{name}", upload.key.job, upload.key.number);
        Part { start, length, object }
    }

    fn store_part(
        &self,
        artifact: ArtifactId,
        part: Part,
        pieces: Vec<Bytes>,
    ) -> JoinHandle<Result<(), ArtifactError>> {
        let (store, objects) = (self.store.clone(), self.objects.clone());
        tokio::spawn(async move {
            objects.put(&part.object, pieces).await?;
            store.change(AddPart { artifact, part }).await?;
            Ok(())
        })
    }

    /// Removes what is stored of a file that did not arrive as announced.
    async fn forget(&self, upload: &Upload, artifact: ArtifactId) -> Result<(), ArtifactError> {
        let parts = self.store.upload_parts(upload.key, &upload.filename).await?;
        self.store.change(FinishUpload { artifact, content_type: None }).await?;
        let objects: Vec<String> = parts.into_iter().map(|part| part.object).collect();
        self.objects.remove(&objects).await;
        Ok(())
    }
}

async fn join(stored: JoinHandle<Result<(), ArtifactError>>) -> Result<(), ArtifactError> {
    // It is never aborted: it fails to join only if it panicked.
    stored.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}

/// What has arrived so far.
#[derive(Default)]
struct Taken {
    bytes: i64,
    hash: Sha256,
    /// The first bytes, which tell the content's type.
    head: Vec<u8>,
}

impl Taken {
    fn add(&mut self, piece: &[u8]) {
        self.bytes += piece.len() as i64;
        self.hash.update(piece);
        let room = content_type::HEAD - self.head.len();
        self.head.extend_from_slice(&piece[..piece.len().min(room)]);
    }
}

/// How far the parts reach without a gap.
fn contiguous(parts: &[Part]) -> i64 {
    parts.iter().fold(0, |end, part| if part.start == end { end + part.length } else { end })
}

fn expect_offset(upload: &Upload, offset: i64, committed: i64) -> Result<(), ArtifactError> {
    if offset == committed {
        return Ok(());
    }
    Err(ArtifactError::Offset { filename: upload.filename.clone(), offset, committed })
}

fn check_whole(upload: &Upload, bytes: i64, hash: [u8; 32]) -> Result<(), ArtifactError> {
    let reason = if bytes != upload.size {
        format!("{bytes} bytes came where {} were announced", upload.size)
    } else if hash != upload.sha256 {
        "its SHA-256 is another".to_owned()
    } else {
        return Ok(());
    };
    Err(ArtifactError::Mismatch { filename: upload.filename.clone(), reason })
}

fn broke_off(upload: &Upload, reason: String) -> ArtifactError {
    ArtifactError::BrokeOff { filename: upload.filename.clone(), reason }
}

fn check_filename(filename: &str) -> Result<(), ArtifactError> {
    let below = filename.split('/').all(|part| !matches!(part, "" | "." | ".."));
    if below && filename.len() <= MAX_FILENAME && !filename.contains('\0') {
        return Ok(());
    }
    Err(ArtifactError::Filename(filename.chars().take(200).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_below_the_working_directory_are_taken() {
        for good in ["a", "a/b.csv", ".hidden", "a b", "a\nb", "..."] {
            assert!(check_filename(good).is_ok(), "{good:?}");
        }
        for bad in ["", "/a", "a/", "../a", "a/../b", ".", "a//b", "a\0b"] {
            assert!(check_filename(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_gap_ends_what_is_committed() {
        let part = |start, length| Part { start, length, object: String::new() };
        assert_eq!(contiguous(&[]), 0);
        assert_eq!(contiguous(&[part(0, 5), part(5, 3)]), 8);
        assert_eq!(contiguous(&[part(0, 5), part(6, 3)]), 5);
        assert_eq!(contiguous(&[part(1, 5)]), 0);
    }
}
