//! Fresh databases for cases.

use multiflexi_scheduler::{
    store::{Location, Store},
    vault::Vault,
};
use tempfile::TempDir;

/// A database of one case's own.
pub trait Database: Send {
    /// Where it is.
    fn location(&self) -> Location;
}

/// A SQLite file.
pub struct Sqlite(TempDir);

impl Sqlite {
    /// A new one.
    pub fn boxed() -> Box<dyn Database> {
        Box::new(Self(tempfile::tempdir().unwrap()))
    }
}

impl Database for Sqlite {
    fn location(&self) -> Location {
        let file = self.0.path().join("test.db");
        let url = format!("sqlite://{}?mode=rwc", file.display());
        Location { url, name: file.display().to_string() }
    }
}

/// A database of a server.
pub struct Server(String);

impl Server {
    /// One at this URL.
    pub fn new(url: String) -> Self {
        Self(url)
    }
}

impl Database for Server {
    fn location(&self) -> Location {
        Location { url: self.0.clone(), name: "the test's database".to_owned() }
    }
}

/// Opens a database.
pub async fn open(database: &dyn Database) -> Store {
    Store::open(&database.location(), no_keys()).await.unwrap()
}

/// Opens a database whose secrets are sealed with the keys in this folder.
pub async fn open_with_keys(database: &dyn Database, folder: &std::path::Path) -> Store {
    let vault = Vault::open(&folder.join("keys")).unwrap();
    Store::open(&database.location(), vault).await.unwrap()
}

/// Runs a case.
pub fn block_on(case: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
        .block_on(case);
}

/// A vault that has no keys, and no place where one could be written.
pub fn no_keys() -> Vault {
    Vault::open(std::path::Path::new("/nowhere/keys")).unwrap()
}
