//! Takes in a result file. A large one is stored part by part, each durable before
//! it counts, so that an upload that breaks off goes on where it was; it becomes
//! an artifact only when its SHA-256 is the one that was announced.

use std::pin::Pin;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use tokio_stream::{Stream, StreamExt as _};

use super::{ArtifactError, Artifacts, content_type, storing::Storing};
use crate::{
    domain::ids::{ArtifactId, AttemptKey},
    store::{About, BeginUpload, FinishUpload, Part, PutArtifact, Upload},
    telemetry,
};

/// A file of up to this many bytes is stored in the database.
pub(super) const INLINE: i64 = 64 * 1024;

/// Size of a part, in bytes. Two of them are in memory: one that is being stored
/// and one that is arriving.
pub(super) const PART: i64 = 4 * 1024 * 1024;

/// Longest name, in bytes, as Linux allows it.
const MAX_FILENAME: usize = 4096;

/// What arrives of an upload.
#[derive(Clone, Debug)]
pub enum Incoming {
    /// The next bytes.
    Content(Bytes),
    /// The end, with the SHA-256 that the whole has where it comes from.
    End([u8; 32]),
}

/// An upload as it arrives; an error is why it broke off.
pub type Pieces<'a> = Pin<&'a mut (dyn Stream<Item = Result<Incoming, String>> + Send)>;

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
        content: Pieces<'_>,
    ) -> Result<ArtifactId, ArtifactError> {
        check_filename(&upload.filename)?;
        let size = upload.size;
        let stored = if size <= INLINE {
            self.receive_small(upload, offset, content).await
        } else {
            self.receive_large(upload, offset, content).await
        };
        stored.inspect(|_| telemetry::artifact_stored(size))
    }

    async fn receive_small(
        &self,
        upload: Upload,
        offset: i64,
        mut pieces: Pieces<'_>,
    ) -> Result<ArtifactId, ArtifactError> {
        expect_offset(&upload, offset, 0)?;
        let mut content = Vec::new();
        let announced = loop {
            match next(&mut pieces).await {
                Ok(Incoming::Content(piece)) => content.extend_from_slice(&piece),
                Ok(Incoming::End(hash)) => break hash,
                Err(reason) => return Err(broke_off(&upload, reason)),
            }
            check_size(&upload, content.len() as i64)?;
        };
        let sha256 = Sha256::digest(&content).into();
        check_whole(&upload, content.len() as i64, sha256, announced)?;
        let about = self.about(&upload, &content).await?;
        Ok(self.store.change(PutArtifact { upload, about, sha256, content }).await?)
    }

    async fn receive_large(
        &self,
        upload: Upload,
        offset: i64,
        mut incoming: Pieces<'_>,
    ) -> Result<ArtifactId, ArtifactError> {
        let (artifact, parts) = self.store.change(BeginUpload(upload.clone())).await?;
        let committed = contiguous(&parts);
        expect_offset(&upload, offset, committed)?;
        let mut taken = Taken::default();
        for part in parts.iter().filter(|part| part.start < committed) {
            let get = || self.objects.get(&part.object);
            taken.add(&self.patiently(&upload, || true, get).await?);
        }
        let mut storing: Option<Storing> = None;
        let mut pieces = Vec::new();
        let mut start = committed;
        let announced = loop {
            let end = match next(&mut incoming).await {
                Ok(Incoming::Content(piece)) => {
                    taken.add(&piece);
                    pieces.push(piece);
                    None
                }
                Ok(Incoming::End(hash)) => Some(Ok(hash)),
                Err(reason) => Some(Err(broke_off(&upload, reason))),
            };
            let filled = taken.bytes - start;
            if filled >= PART || (end.is_some() && filled > 0) {
                if let Some(stored) = storing.take() {
                    stored.done().await?;
                }
                let part = self.part(&upload, start, filled);
                start = taken.bytes;
                storing =
                    Some(self.store_part(&upload, artifact, part, std::mem::take(&mut pieces)));
            }
            let end = end.or_else(|| check_size(&upload, taken.bytes).err().map(Err));
            if let Some(end) = end {
                // What is stored of an upload that broke off counts: it goes on there.
                if let Some(stored) = storing.take() {
                    stored.done().await?;
                }
                break end?;
            }
        };
        let (bytes, sha256) = (taken.bytes, taken.hash.finalize().into());
        if let Err(error) = check_whole(&upload, bytes, sha256, announced) {
            self.forget(&upload, artifact).await?;
            return Err(error);
        }
        let whole = Some((self.about(&upload, &taken.head).await?, sha256));
        self.store.change(FinishUpload { key: upload.key, artifact, whole }).await?;
        Ok(artifact)
    }

    /// What a file is: what its application declares, else what its first bytes tell.
    async fn about(&self, upload: &Upload, head: &[u8]) -> Result<About, ArtifactError> {
        let definition = self.store.definition_of(upload.key.job).await?;
        let declared = definition.artifact(&upload.filename);
        let content_type = match declared.and_then(|declared| declared.content_type()) {
            Some(declared) => declared.to_owned(),
            None => content_type::content_type(&upload.filename, head),
        };
        let note = declared.map_or("", |declared| declared.note()).to_owned();
        Ok(About { content_type, note })
    }

    fn part(&self, upload: &Upload, start: i64, length: i64) -> Part {
        // A name of its own: a part that was stored but not recorded stays harmless.
        let name = uuid::Uuid::now_v7().simple();
        let object = format!("artifacts/{}/{}/{name}", upload.key.job, upload.key.number);
        Part { start, length, object }
    }

    /// Removes what is stored of a file that did not arrive as announced.
    async fn forget(&self, upload: &Upload, artifact: ArtifactId) -> Result<(), ArtifactError> {
        let parts = self.store.upload_parts(upload.key, &upload.filename).await?;
        self.store.change(FinishUpload { key: upload.key, artifact, whole: None }).await?;
        let objects: Vec<String> = parts.into_iter().map(|part| part.object).collect();
        self.objects.remove(&objects).await;
        Ok(())
    }
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

/// What comes next; a stream that ends without an end broke off.
async fn next(pieces: &mut Pieces<'_>) -> Result<Incoming, String> {
    pieces.next().await.unwrap_or_else(|| Err("the sender has stopped".to_owned()))
}

fn mismatch(upload: &Upload, reason: String) -> ArtifactError {
    ArtifactError::Mismatch { filename: upload.filename.clone(), reason }
}

/// No more has come than was announced.
fn check_size(upload: &Upload, bytes: i64) -> Result<(), ArtifactError> {
    if bytes <= upload.size {
        return Ok(());
    }
    Err(mismatch(upload, format!("more came than the {} bytes that were announced", upload.size)))
}

fn check_whole(
    upload: &Upload,
    bytes: i64,
    hash: [u8; 32],
    announced: [u8; 32],
) -> Result<(), ArtifactError> {
    if bytes != upload.size {
        let reason = format!("{bytes} bytes came where {} were announced", upload.size);
        return Err(mismatch(upload, reason));
    }
    if hash != announced {
        return Err(mismatch(upload, "its SHA-256 is another".to_owned()));
    }
    Ok(())
}

fn broke_off(upload: &Upload, reason: String) -> ArtifactError {
    ArtifactError::BrokeOff { filename: upload.filename.clone(), reason }
}

pub(super) fn check_filename(filename: &str) -> Result<(), ArtifactError> {
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
