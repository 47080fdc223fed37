//! Tries a store before anything depends on it.

use std::time::Duration;

use bytes::Bytes;
use tokio_stream::StreamExt as _;

use super::{ObjectError, Objects};

/// How long the trial may take.
const LONGEST: Duration = Duration::from_secs(30);

/// What is written.
const CONTENT: &[u8] = b"written by a scheduler to try the store; it can be removed\n";

impl Objects {
    /// Lists, writes, reads and removes a small object: what a store that is set up wrongly
    /// fails at. Takes half a minute at most.
    pub async fn attempt(&self) -> Result<(), ObjectError> {
        tokio::time::timeout(LONGEST, self.write_read_delete()).await.unwrap_or_else(|_| {
            let reason = format!("it has not answered within {} s", LONGEST.as_secs());
            Err(ObjectError::Away { store: self.name().to_owned(), reason })
        })
    }

    async fn write_read_delete(&self) -> Result<(), ObjectError> {
        // A name of its own: others may try the same store at the same time.
        let name = format!("multiflexi-trial/{}", uuid::Uuid::now_v7().simple());
        // The list comes first: there are servers that make a bucket for whoever writes.
        self.list("multiflexi-trial").next().await.transpose()?;
        self.put(&name, vec![Bytes::from_static(CONTENT)]).await?;
        let read = self.get(&name).await;
        let removed = self.delete(&name).await;
        let other = || ObjectError::Refused {
            store: self.name().to_owned(),
            reason: "it does not return what was written to it: use another".to_owned(),
        };
        if read? != CONTENT {
            return Err(other());
        }
        removed
    }
}
