//! What jobs leave besides their state: result files that agents upload, and
//! `stdout.txt` and `stderr.txt`, whose content is the stored log. Small files are
//! in the database, larger ones in parts in the object store.

mod content_type;
mod download;
mod storing;
mod upload;
mod verify;
mod written;

pub use upload::{Incoming, Pieces};
pub use verify::Verified;
pub use written::{FileWriter, WrittenFile, is_filename};

use crate::{
    logs::{LogError, Logs},
    objects::{ObjectError, Objects},
    store::{Store, StoreError},
};

/// Why an artifact cannot be stored or read.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactError {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The object store.
    #[error(transparent)]
    Objects(#[from] ObjectError),
    /// The log that it is read from.
    #[error(transparent)]
    Log(#[from] LogError),
    /// It is no name of a file below the working directory.
    #[error("{0:?} is no file name below the working directory")]
    Filename(String),
    /// The upload does not go on where the stored part ends.
    #[error("the upload of {filename:?} begins at byte {offset}, where {committed} are stored")]
    Offset {
        /// The file.
        filename: String,
        /// Where it begins.
        offset: i64,
        /// Where the stored part ends.
        committed: i64,
    },
    /// What came is not what was announced.
    #[error("{filename:?} did not arrive as announced: {reason}")]
    Mismatch {
        /// The file.
        filename: String,
        /// The difference.
        reason: String,
    },
    /// The sender's stream broke; what is stored stays.
    #[error("the upload of {filename:?} broke off: {reason}")]
    BrokeOff {
        /// The file.
        filename: String,
        /// Why.
        reason: String,
    },
    /// It is on record, but without content.
    #[error("artifact {id} has no content: {note}")]
    NotKept {
        /// The artifact.
        id: i64,
        /// Why.
        note: String,
    },
    /// The place to begin is beyond its end.
    #[error("artifact {id} has {size} bytes: it cannot be read from byte {offset} on")]
    BeyondEnd {
        /// The artifact.
        id: i64,
        /// Its size.
        size: i64,
        /// The place.
        offset: i64,
    },
}

/// A handle on all artifacts.
#[derive(Clone, Debug)]
pub struct Artifacts {
    store: Store,
    objects: Objects,
    logs: Logs,
}

impl Artifacts {
    /// Artifacts whose rows are in `store` and whose large contents in `objects`.
    pub fn new(store: Store, objects: Objects, logs: Logs) -> Self {
        Self { store, objects, logs }
    }
}
