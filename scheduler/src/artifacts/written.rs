//! A file that is stored whole though no agent sends it: what is imported.

use bytes::{Bytes, BytesMut};
use sha2::{Digest as _, Sha256};

use super::{
    content_type,
    upload::{INLINE, PART, check_filename},
};
use crate::{
    domain::ids::JobId,
    objects::{ObjectError, Objects},
    store::{Content, Part},
};

/// Takes in the content of a file of a job's first attempt.
#[derive(Debug)]
pub struct FileWriter {
    objects: Objects,
    job: JobId,
    rest: BytesMut,
    start: i64,
    head: Vec<u8>,
    hash: Sha256,
    parts: Vec<Part>,
}

/// A file that was stored.
#[derive(Clone, Debug)]
pub struct WrittenFile {
    /// Its size in bytes.
    pub size: i64,
    /// SHA-256 of its content.
    pub sha256: [u8; 32],
    /// Where its content is.
    pub content: Content,
    /// Its MIME type, by name and content.
    pub content_type: String,
}

/// Whether an artifact can have this name.
pub fn is_filename(name: &str) -> bool {
    check_filename(name).is_ok()
}

impl FileWriter {
    /// A file of a job; if it is large, its content goes to `objects`.
    pub fn new(objects: Objects, job: JobId) -> Self {
        let (rest, head, hash) = (BytesMut::new(), Vec::new(), Sha256::new());
        Self { objects, job, rest, start: 0, head, hash, parts: Vec::new() }
    }

    /// Adds the next bytes.
    pub async fn push(&mut self, bytes: &[u8]) -> Result<(), ObjectError> {
        let room = content_type::HEAD - self.head.len();
        self.head.extend_from_slice(&bytes[..bytes.len().min(room)]);
        self.hash.update(bytes);
        self.rest.extend_from_slice(bytes);
        if self.rest.len() as i64 >= PART {
            self.store().await?;
        }
        Ok(())
    }

    /// The whole file, which is called `name`.
    pub async fn finish(mut self, name: &str) -> Result<WrittenFile, ObjectError> {
        let size = self.start + self.rest.len() as i64;
        let content = if self.parts.is_empty() && size <= INLINE {
            Content::Inline(self.rest.to_vec())
        } else {
            self.store().await?;
            Content::Parts(self.parts)
        };
        let content_type = content_type::content_type(name, &self.head);
        Ok(WrittenFile { size, sha256: self.hash.finalize().into(), content, content_type })
    }

    async fn store(&mut self) -> Result<(), ObjectError> {
        if self.rest.is_empty() {
            return Ok(());
        }
        let bytes: Bytes = self.rest.split().freeze();
        let object = format!("artifacts/{}/1/{}", self.job, uuid::Uuid::now_v7().simple());
        let (start, length) = (self.start, bytes.len() as i64);
        self.objects.put(&object, vec![bytes]).await?;
        self.parts.push(Part { start, length, object });
        self.start += length;
        Ok(())
    }
}
