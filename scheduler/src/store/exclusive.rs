//! A database that schedulers cannot share is used by one of them.

use std::fs::{File, TryLockError};

use super::{Dialect, Location, StoreError};

/// The right to use such a database: another scheduler is refused while it lasts. It ends
/// with the process, however that ends.
#[derive(Debug)]
pub struct Exclusive(#[expect(dead_code, reason = "its lock is held while it is open")] File);

impl Exclusive {
    /// Takes it; none if schedulers can share the database. Touches nothing of the database.
    pub fn take(location: &Location) -> Result<Option<Self>, StoreError> {
        if Dialect::of(&location.url)?.is_shared() {
            return Ok(None);
        }
        let open = |reason| StoreError::Open { name: location.name.clone(), reason };
        let beside = format!("{}.lock", location.name);
        let file = File::create(&beside).map_err(|error| open(format!("{beside}: {error}")))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self(file))),
            Err(TryLockError::WouldBlock) => Err(open(
                "another scheduler uses it: stop that one, or let both share a PostgreSQL or a \
                 MariaDB"
                    .to_owned(),
            )),
            Err(TryLockError::Error(error)) => Err(open(format!("{beside}: {error}"))),
        }
    }
}
