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
use crate::Vault;
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

/// Writes down that it was made, with others of its kind if it may be.
struct Noted<const TOGETHER: bool>(&'static str, Arc<std::sync::Mutex<Vec<String>>>);

impl<const TOGETHER: bool> Change for Noted<TOGETHER> {
    type Output = &'static str;
    const TOGETHER: bool = TOGETHER;

    async fn apply(&self, _: &mut Tx<'_>) -> Result<&'static str, StoreError> {
        self.1.lock().unwrap().push(self.0.to_owned());
        match self.0 {
            "wrong" => Err(StoreError::Invalid("wrong".to_owned())),
            right => Ok(right),
        }
    }

    async fn apply_all(changes: &[&Self], _: &mut Tx<'_>) -> Result<Vec<&'static str>, StoreError> {
        let names: Vec<&str> = changes.iter().map(|change| change.0).collect();
        changes[0].1.lock().unwrap().push(names.join("+"));
        match names.contains(&"wrong") {
            true => Err(StoreError::Invalid("wrong".to_owned())),
            false => Ok(names),
        }
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

#[tokio::test]
async fn what_can_be_made_together_is_made_with_the_first_of_its_kind() {
    let folder = tempfile::tempdir().unwrap();
    let (store, made) = (store(folder.path()).await, Arc::default());
    let together = |name| store.begin_change(Noted::<true>(name, Arc::clone(&made)));
    let alone = |name| store.begin_change(Noted::<false>(name, Arc::clone(&made)));
    // Handed in without a pause: the writer has not begun.
    let (first, a) = (together("1").await.unwrap(), alone("a").await.unwrap());
    let (second, b) = (together("2").await.unwrap(), alone("b").await.unwrap());
    let all = [first.await, a.await, second.await, b.await].map(Result::unwrap);
    assert_eq!(all, ["1", "a", "2", "b"]);
    assert_eq!(*made.lock().unwrap(), ["1+2", "a", "b"]);
}

#[tokio::test]
async fn one_that_is_refused_does_not_spoil_those_that_it_is_made_with() {
    let folder = tempfile::tempdir().unwrap();
    let (store, made) = (store(folder.path()).await, Arc::default());
    let together = |name| store.begin_change(Noted::<true>(name, Arc::clone(&made)));
    let (right, wrong) = (together("right").await.unwrap(), together("wrong").await.unwrap());
    assert_eq!(right.await.unwrap(), "right");
    assert!(matches!(wrong.await, Err(StoreError::Invalid(_))));
    assert_eq!(*made.lock().unwrap(), ["right+wrong", "right", "wrong"]);
}

/// Counts how often it was tried to reach a database that is away.
struct Unreached(Arc<AtomicU32>);

impl Change for Unreached {
    type Output = ();

    async fn apply(&self, _: &mut Tx<'_>) -> Result<(), StoreError> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Err(StoreError::Away("it says nothing".to_owned()))
    }
}

#[tokio::test]
async fn a_database_that_is_away_is_not_waited_for_by_each_change_in_turn() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path()).await;
    let tries = [(); 3].map(|()| Arc::<AtomicU32>::default());
    let mut handed_in = Vec::new();
    for tries in &tries {
        handed_in.push(store.begin_change(Unreached(Arc::clone(tries))).await.unwrap());
    }
    for change in handed_in {
        assert!(matches!(change.await, Err(StoreError::Away(_))));
    }
    let tries = tries.map(|tries| tries.load(Ordering::Relaxed));
    assert_eq!(tries, [2, 0, 0], "with the others, and then by itself for all of them");
    store.change(Nothing).await.unwrap();
}
