//! Copies all objects of a store into another. What is there already, and as large,
//! stays: a copy that broke off goes on, and one that is made while jobs run is
//! completed by another.

use bytes::Bytes;
use object_store::{ObjectStoreExt as _, path::Path as Name};
use tokio_stream::StreamExt as _;

use super::{IdentityError, ObjectError, Objects, identity::MARKER};

/// Objects that are copied at once: each is a few megabytes at most.
const AT_ONCE: usize = 4;

/// What a copy has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Copied {
    /// Objects that were copied.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Objects that were there already.
    pub present: u64,
}

impl std::ops::AddAssign for Copied {
    fn add_assign(&mut self, more: Self) {
        self.objects += more.objects;
        self.bytes += more.bytes;
        self.present += more.present;
    }
}

/// Copies everything; the mark of whose store it is comes last, when all is there, and is not
/// counted. A store that is another database's is refused.
pub async fn copy(from: &Objects, to: &Objects) -> Result<Copied, IdentityError> {
    to.attempt().await?;
    let (marker, theirs) = (from.marker().await?, to.marker().await?);
    if theirs.is_some() && theirs != marker {
        return Err(IdentityError::Anothers { name: to.name().to_owned() });
    }
    let mut copied = Copied::default();
    let mut found = from.list("");
    let mut running = tokio::task::JoinSet::new();
    while let Some(next) = found.next().await {
        let meta = next?;
        if meta.location.as_ref() == MARKER {
            continue;
        }
        if running.len() >= AT_ONCE
            && let Some(one) = running.join_next().await
        {
            copied.add(one)?;
        }
        let (from, to) = (from.clone(), to.clone());
        running.spawn(async move { one(&from, &to, &meta.location, meta.size).await });
    }
    while let Some(one) = running.join_next().await {
        copied.add(one)?;
    }
    if let (Some(marker), None) = (marker, theirs) {
        to.put(MARKER, vec![Bytes::from(marker)]).await?;
    }
    Ok(copied)
}

impl Copied {
    /// Counts an object of so many bytes; none if it was there.
    fn add(
        &mut self,
        one: Result<Result<Option<u64>, ObjectError>, tokio::task::JoinError>,
    ) -> Result<(), ObjectError> {
        // It is never aborted: it fails to join only if it panicked.
        let one = one.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
        match one? {
            Some(bytes) => (self.objects, self.bytes) = (self.objects + 1, self.bytes + bytes),
            None => self.present += 1,
        }
        Ok(())
    }
}

async fn one(
    from: &Objects,
    to: &Objects,
    location: &Name,
    size: u64,
) -> Result<Option<u64>, ObjectError> {
    let name = location.as_ref();
    match to.store.head(location).await.map_err(to.explain(name)) {
        Ok(there) if there.size == size => return Ok(None),
        Ok(_) | Err(ObjectError::Missing { .. }) => {}
        Err(error) => return Err(error),
    }
    match from.get(name).await {
        Ok(content) => to.put(name, vec![content]).await.map(|()| Some(size)),
        // It was deleted meanwhile.
        Err(ObjectError::Missing { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}
