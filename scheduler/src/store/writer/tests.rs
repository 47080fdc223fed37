use std::{
    borrow::Cow,
    path::Path,
    sync::atomic::{AtomicU32, Ordering},
};

use sqlx::{
    Executor as _,
    error::{DatabaseError, ErrorKind},
};

use super::*;
use crate::store::{Location, Store};

/// Fails as a full disk makes it fail: SQLite has rolled back before it is told to.
struct FullDisk;

impl Change for FullDisk {
    type Output = ();

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        tx.conn.execute("ROLLBACK").await?;
        Err(StoreError::Full)
    }
}

/// Collides with another transaction so often.
struct Collides(AtomicU32);

impl Change for Collides {
    type Output = ();

    async fn apply(&self, _: &mut Tx<'_>) -> Result<(), StoreError> {
        let left = self.0.load(Ordering::Relaxed);
        self.0.store(left.saturating_sub(1), Ordering::Relaxed);
        match left {
            0 => Ok(()),
            _ => Err(sqlx::Error::Database(Box::new(Deadlock)).into()),
        }
    }
}

/// What PostgreSQL says to one of two transactions that wait for each other.
#[derive(Debug, thiserror::Error)]
#[error("deadlock detected")]
struct Deadlock;

impl DatabaseError for Deadlock {
    fn message(&self) -> &'static str {
        "deadlock detected"
    }
    fn code(&self) -> Option<Cow<'_, str>> {
        Some("40P01".into())
    }
    fn kind(&self) -> ErrorKind {
        ErrorKind::Other
    }
    fn as_error(&self) -> &(dyn std::error::Error + Send + Sync + 'static) {
        self
    }
    fn as_error_mut(&mut self) -> &mut (dyn std::error::Error + Send + Sync + 'static) {
        self
    }
    fn into_error(self: Box<Self>) -> Box<dyn std::error::Error + Send + Sync + 'static> {
        self
    }
}

struct Nothing;

impl Change for Nothing {
    type Output = ();

    async fn apply(&self, _: &mut Tx<'_>) -> Result<(), StoreError> {
        Ok(())
    }
}

async fn store(folder: &Path) -> Store {
    let name = folder.join("db").display().to_string();
    let location = Location { url: format!("sqlite://{name}?mode=rwc"), name };
    Store::open(&location, Vault::open(&folder.join("keys")).unwrap()).await.unwrap()
}

#[tokio::test]
async fn a_change_that_collides_is_made_again_and_not_for_ever() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path()).await;
    // Once with others, then by itself.
    store.change(Collides(AtomicU32::new(TRIES))).await.unwrap();
    let failed = store.change(Collides(AtomicU32::new(TRIES + 1))).await.unwrap_err();
    assert!(failed.is_collision(), "{failed}");
    store.change(Nothing).await.unwrap();
}

#[tokio::test]
async fn a_transaction_that_sqlite_rolled_back_does_not_spoil_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path()).await;
    for _ in 0..3 {
        let failed = store.change(FullDisk).await;
        assert!(matches!(failed, Err(StoreError::Full)), "{failed:?}");
        store.change(Nothing).await.unwrap();
    }
}
