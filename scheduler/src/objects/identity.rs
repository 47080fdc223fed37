//! Which store belongs to which database. An object in the store and a row in the
//! database hold the same id: so a scheduler that is given another store finds out
//! before it misses what is in the old one, and never sweeps what is another's.

use bytes::Bytes;

use super::{ObjectError, Objects};
use crate::store::{ObjectStoreRow, RememberObjectStore, Store, StoreError};

/// The object that holds the id.
pub(super) const MARKER: &str = "multiflexi-object-store";

/// Why a store cannot be used with a database.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The object store.
    #[error(transparent)]
    Objects(#[from] ObjectError),
    /// It is another database's.
    #[error(
        "the object store {name} belongs to another database: name another bucket, prefix or \
         folder with --object-store; if that database is gone for good, remove what is there"
    )]
    Anothers {
        /// The store.
        name: String,
    },
    /// What the database refers to is elsewhere.
    #[error(
        "the logs and artifacts that the database knows are not in the object store {name}{before}: \
         name the store that has them with --object-store, or bring them there with \
         multiflexi-scheduler objects copy --from OLD --to NEW; if they are lost for good, write \
         {id} into the object {MARKER} there"
    )]
    Elsewhere {
        /// The store.
        name: String,
        /// Where they were, as the end of a clause; empty if that is not known.
        before: String,
        /// What the store of this database has to say.
        id: String,
    },
}

/// Makes sure that `objects` is the store of this database; a new one becomes it.
pub async fn settle(objects: &Objects, store: &Store) -> Result<(), IdentityError> {
    let marker = objects.marker().await?;
    let known = store.object_store().await?;
    let name = objects.name().to_owned();
    if let (Some(marker), Some(known)) = (&marker, &known)
        && *marker == known.id
    {
        if known.name != name {
            tracing::info!(before = known.name, now = name, "the object store has another name");
            store.change(RememberObjectStore { id: known.id.clone(), name }).await?;
        }
        return Ok(());
    }
    if marker.is_some() {
        return Err(IdentityError::Anothers { name });
    }
    let id = match &known {
        Some(known) => known.id.clone(),
        None => uuid::Uuid::now_v7().simple().to_string(),
    };
    // It may have come here by other ways, without its marker.
    if let Some(newest) = store.newest_object().await?
        && !objects.has(&newest).await?
    {
        let before = known.map(|known| format!(", but in {}", known.name)).unwrap_or_default();
        return Err(IdentityError::Elsewhere { name, before, id });
    }
    // Of several schedulers that begin together, one's id stands.
    let ObjectStoreRow { id, .. } = store.change(RememberObjectStore { id, name }).await?;
    objects.put(MARKER, vec![Bytes::from(id)]).await?;
    Ok(())
}

impl Objects {
    /// The id that the store holds.
    pub(super) async fn marker(&self) -> Result<Option<String>, ObjectError> {
        match self.get(MARKER).await {
            Ok(content) => Ok(Some(String::from_utf8_lossy(&content).trim().to_owned())),
            Err(ObjectError::Missing { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
