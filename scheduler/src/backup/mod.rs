//! Backups of a scheduler on SQLite: a folder with a copy of the database, the objects that
//! it refers to and, if it is asked for, the keys of its secrets. The scheduler goes on while
//! one is made; `multiflexi.db` comes last, so a folder that has it is whole.

mod restore;

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::Path,
};

pub use restore::{Restored, restore};

use crate::{
    config::{Config, sqlite},
    objects::{self, Copied, IdentityError, ObjectError, Objects, Place},
    store::{self, Dialect, Location, Referrer, Store, StoreError},
    vault::{Vault, VaultError},
};

/// The copy of the database in the folder.
const DATABASE: &str = "multiflexi.db";

/// The same while it is made.
const PARTIAL: &str = "multiflexi.db.partial";

/// The folder of objects in it.
const OBJECTS: &str = "objects";

/// The keys in it.
const KEYS: &str = "secrets.keys";

/// Rows that are read together.
const PAGE: i64 = 500;

/// Why there is no backup, or nothing was restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The object store.
    #[error(transparent)]
    Objects(#[from] ObjectError),
    /// Whose objects they are.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The keys.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// A file or folder.
    #[error("{path}: {reason}")]
    File {
        /// Its path.
        path: String,
        /// What is wrong.
        reason: io::Error,
    },
    /// It would lose something, or cannot be done here.
    #[error("{0}")]
    Refused(String),
}

/// What is asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wish {
    /// The keys of secrets too.
    pub keys: bool,
    /// Not the objects.
    pub without_objects: bool,
}

/// What a backup has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackedUp {
    /// Bytes of the database.
    pub database: u64,
    /// The objects; none if they were not wanted.
    pub objects: Option<Copied>,
    /// Objects that it refers to and that are not in it: their jobs were deleted meanwhile,
    /// or they were lost before.
    pub missing: u64,
    /// There are secrets, whose keys are not in it.
    pub keys_elsewhere: bool,
}

/// Makes a backup in a folder that is new or empty, or goes on with one that broke off.
pub async fn back_up(config: &Config, to: &Path, wish: Wish) -> Result<BackedUp, BackupError> {
    let database = sqlite_of(config)?;
    if !Path::new(&database.name).is_file() {
        let name = &database.name;
        return Err(BackupError::Refused(format!("there is no database {name} to back up")));
    }
    prepare(to)?;
    // Objects are written before the rows that refer to them and deleted after: those of
    // before the copy may go meanwhile, those that come meanwhile are taken after.
    let from = Objects::open(&config.objects)?;
    let folder = to.join(OBJECTS);
    let mut copied = Copied::default();
    if !wish.without_objects {
        copied += objects::copy(&from, &Objects::open(&Place::folder(&folder))?).await?;
    }
    let partial = to.join(PARTIAL);
    store::snapshot(database, &partial).await?;
    sync(&partial)?;
    let copy = sqlite(&partial);
    store::check(&copy).await?;
    let mut missing = 0;
    if !wish.without_objects {
        let there = Objects::open(&Place::folder(&folder))?;
        let more = objects::copy(&from, &there).await?;
        copied += Copied { present: 0, ..more };
        missing = count_missing(&copy, &there).await?;
    }
    let has_keys = config.keys.is_file();
    if wish.keys && has_keys {
        copy_file(&config.keys, &to.join(KEYS))?;
    }
    fs::rename(&partial, to.join(DATABASE)).map_err(failed(to))?;
    sync(to)?;
    let size = fs::metadata(to.join(DATABASE)).map_err(failed(to))?.len();
    Ok(BackedUp {
        database: size,
        objects: (!wish.without_objects).then_some(copied),
        missing,
        keys_elsewhere: has_keys && !wish.keys,
    })
}

/// The configured database, which must be an SQLite file.
fn sqlite_of(config: &Config) -> Result<&Location, BackupError> {
    match Dialect::of(&config.database.url)? {
        Dialect::Sqlite => Ok(&config.database),
        Dialect::Postgres => Err(BackupError::Refused(format!(
            "{} is a PostgreSQL, which has tools of its own: pg_dump --format=custom and \
             pg_restore; copy its objects with multiflexi-scheduler objects copy",
            config.database.name
        ))),
        Dialect::Mysql => Err(BackupError::Refused(format!(
            "{} is a MySQL or MariaDB, which has tools of its own: mariadb-dump \
             --single-transaction and mariadb; copy its objects with multiflexi-scheduler \
             objects copy",
            config.database.name
        ))),
    }
}

/// Makes the folder, or finds in it nothing but a backup that broke off.
fn prepare(folder: &Path) -> Result<(), BackupError> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed(folder))?;
    for entry in fs::read_dir(folder).map_err(failed(folder))? {
        let name = entry.map_err(failed(folder))?.file_name();
        if ![OBJECTS, PARTIAL, KEYS].iter().any(|ours| name == *ours) {
            return Err(BackupError::Refused(format!(
                "the folder {} has {} in it: name a new folder for each backup",
                folder.display(),
                name.display()
            )));
        }
    }
    remove(&folder.join(PARTIAL))
}

/// Removes a file that may not be there.
fn remove(file: &Path) -> Result<(), BackupError> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(file)(error)),
        _ => Ok(()),
    }
}

/// Counts the objects that a copy of a database refers to and that are not in a store.
async fn count_missing(copy: &Location, objects: &Objects) -> Result<u64, BackupError> {
    // It reads names of objects: there is nothing to open.
    let store = Store::open_beside(copy, Vault::open(Path::new("/nowhere"))?).await?;
    let mut missing = 0;
    for referrer in [Referrer::Chunks, Referrer::Parts] {
        let mut after = None;
        loop {
            let page = store.referred(referrer, after.as_ref(), PAGE).await?;
            let Some(last) = page.last() else { break };
            for one in &page {
                missing += u64::from(!objects.has(&one.object).await?);
            }
            after = Some(last.clone());
        }
    }
    store.close().await;
    Ok(missing)
}

/// Copies a file of secrets or of everything: only its owner may read it.
fn copy_file(from: &Path, to: &Path) -> Result<(), BackupError> {
    let mut source = File::open(from).map_err(failed(from))?;
    let mut target = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(to)
        .map_err(failed(to))?;
    io::copy(&mut source, &mut target).map_err(failed(to))?;
    target.sync_all().map_err(failed(to))
}

fn sync(path: &Path) -> Result<(), BackupError> {
    File::open(path).and_then(|file| file.sync_all()).map_err(failed(path))
}

fn failed(path: &Path) -> impl Fn(io::Error) -> BackupError + '_ {
    |reason| BackupError::File { path: path.display().to_string(), reason }
}
