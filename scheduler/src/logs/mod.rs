//! The output of attempts: taken in from agents, kept in memory until it is
//! durable, stored in chunks, and read by whoever follows it.
//!
//! Followers read at their own pace from memory, or from the stored chunks once
//! they are behind: a slow one holds nobody up and misses nothing.

mod chunk;
mod flusher;
mod live;
mod reader;
mod registry;
mod written;

pub use flusher::Rest;
pub use live::{Appended, LiveLog, Progress};
pub use reader::LogReader;
pub use registry::{DurableTo, LogSettings, Logs};
pub use written::{LogWriter, Written};

use crate::{objects::ObjectError, store::StoreError};

/// Why a log cannot be stored or read.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LogError {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The object store.
    #[error(transparent)]
    Objects(#[from] ObjectError),
    /// What is stored is no log.
    #[error("the stored log of {what} is damaged: {reason}")]
    Damaged {
        /// The chunk.
        what: String,
        /// How.
        reason: String,
    },
}

impl LogError {
    /// Whether what is stored is gone for good, and not only out of reach.
    pub fn is_loss(&self) -> bool {
        matches!(self, Self::Objects(ObjectError::Missing { .. }) | Self::Damaged { .. })
    }

    /// Whether it may pass: nothing is given up for such an error.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Objects(error) => !matches!(error, ObjectError::Missing { .. }),
            Self::Store(error) => {
                matches!(error, StoreError::Database(_) | StoreError::Away(_) | StoreError::Full)
            }
            Self::Damaged { .. } => false,
        }
    }
}
