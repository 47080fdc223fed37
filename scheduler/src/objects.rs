//! The object store: where chunks of logs and parts of artifacts are that are too
//! large for the database. A local folder by default. A put that has returned is
//! durable.

use std::{path::Path, sync::Arc};

use bytes::Bytes;
use chrono::{TimeDelta, Utc};
use object_store::{
    ObjectStore, ObjectStoreExt as _, PutPayload, local::LocalFileSystem, path::Path as Name,
};
use tokio::sync::mpsc;
use tokio_stream::StreamExt as _;

/// Names that are looked at together.
const PAGE: usize = 500;

/// An object that is younger may be about to get its row.
const YOUNG: TimeDelta = TimeDelta::days(1);

/// What can go wrong with the object store, as sentences for its user.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ObjectError {
    /// No room is left.
    #[error("the store for logs and artifacts has no room left: free some space")]
    Full,
    /// It cannot be used at all.
    #[error("the store for logs and artifacts cannot be opened: {0}")]
    Open(String),
    /// An object is not there, or cannot be read or written.
    #[error("the store for logs and artifacts failed: {0}")]
    Failed(Arc<object_store::Error>),
}

impl From<object_store::Error> for ObjectError {
    fn from(error: object_store::Error) -> Self {
        let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
        while let Some(inner) = cause {
            if let Some(io) = inner.downcast_ref::<std::io::Error>()
                && matches!(
                    io.kind(),
                    std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded
                )
            {
                return Self::Full;
            }
            cause = inner.source();
        }
        Self::Failed(Arc::new(error))
    }
}

/// A handle on the store.
#[derive(Clone, Debug)]
pub struct Objects {
    store: Arc<dyn ObjectStore>,
}

impl Objects {
    /// A store in a local folder, which is created.
    pub fn local(folder: &Path) -> Result<Self, ObjectError> {
        let describe = |error: &dyn std::fmt::Display| {
            ObjectError::Open(format!("{}: {error}", folder.display()))
        };
        std::fs::create_dir_all(folder).map_err(|error| describe(&error))?;
        let store = LocalFileSystem::new_with_prefix(folder)
            .map_err(|error| describe(&error))?
            .with_automatic_cleanup(true)
            .with_fsync(true);
        Ok(Self { store: Arc::new(store) })
    }

    /// Stores an object, replacing one of that name.
    pub async fn put(&self, name: &str, content: Vec<Bytes>) -> Result<(), ObjectError> {
        self.store.put(&Name::from(name), PutPayload::from_iter(content)).await?;
        Ok(())
    }

    /// The whole content of an object.
    pub async fn get(&self, name: &str) -> Result<Bytes, ObjectError> {
        Ok(self.store.get(&Name::from(name)).await?.bytes().await?)
    }

    /// The names of objects that were not touched for a day, page by page: what is younger
    /// may be about to get its row.
    pub fn old_names(&self) -> mpsc::Receiver<Result<Vec<String>, ObjectError>> {
        let (pages, receiver) = mpsc::channel(1);
        let store = Arc::clone(&self.store);
        tokio::spawn(async move {
            let mut found = store.list(None);
            let mut names = Vec::new();
            let young = Utc::now() - YOUNG;
            while let Some(next) = found.next().await {
                match next {
                    Ok(meta) if meta.last_modified < young => names.push(meta.location.to_string()),
                    Ok(_) => {}
                    Err(error) => {
                        let _ = pages.send(Err(error.into())).await;
                        return;
                    }
                }
                if names.len() >= PAGE && pages.send(Ok(std::mem::take(&mut names))).await.is_err()
                {
                    return;
                }
            }
            let _ = pages.send(Ok(names)).await;
        });
        receiver
    }

    /// Removes objects. One that is not there is no error; one that cannot be
    /// removed is logged and left behind.
    pub async fn remove(&self, names: &[String]) {
        for name in names {
            match self.store.delete(&Name::from(name.as_str())).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => tracing::warn!(object = name, %error, "an object stays behind"),
            }
        }
    }
}
