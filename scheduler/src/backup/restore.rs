//! Goes back to a backup.

use std::{fs, path::Path};

use super::{
    BackupError, DATABASE, KEYS, OBJECTS, copy_file, count_missing, failed, remove, sqlite_of, sync,
};
use crate::{
    config::{Config, sqlite},
    folders,
    objects::{self, Copied, Objects, Place},
    store::{self, Exclusive, Location},
};

/// What was restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restored {
    /// The objects; none if the backup has none.
    pub objects: Option<Copied>,
    /// Objects that the database refers to and that are not in the store.
    pub missing: u64,
}

/// Makes the database, the objects and, if the backup has them, the keys be as they were. The
/// database must not be there; it comes last, so that what breaks off can be tried again.
pub async fn restore(config: &Config, from: &Path) -> Result<Restored, BackupError> {
    let database = sqlite_of(config)?;
    let file = Path::new(&database.name);
    // SQLite would apply the changes of another file to the one that is put here.
    for there in [database.name.clone(), format!("{}-wal", database.name)] {
        if Path::new(&there).exists() {
            return Err(BackupError::Refused(format!(
                "there is {there}: stop its scheduler and move the database away first, and \
                 its -wal with it"
            )));
        }
    }
    let backup = from.join(DATABASE);
    if !backup.is_file() {
        return Err(BackupError::Refused(format!(
            "the folder {} has no {DATABASE}: it is no backup, or one that broke off",
            from.display()
        )));
    }
    for folder in &config.folders {
        folders::make(folder).map_err(failed(folder))?;
    }
    let _exclusive = Exclusive::take(database)?;
    let keys = from.join(KEYS);
    if keys.is_file() && config.keys.exists() {
        let read = |path: &Path| fs::read(path).map_err(failed(path));
        if read(&keys)? != read(&config.keys)? {
            return Err(BackupError::Refused(format!(
                "the keys in {} are others than the backup's: move that file away first",
                config.keys.display()
            )));
        }
    }
    let partial = format!("{}.restoring", database.name);
    let partial = Path::new(&partial);
    clear(partial, &["-wal", "-shm"])?;
    copy_file(&backup, partial)?;
    let copy = sqlite(partial);
    // What is wrong with it is wrong with the backup.
    let checked = Location { name: backup.display().to_string(), ..copy.clone() };
    if let Err(error) = store::check(&checked).await {
        clear(partial, &["", "-wal", "-shm"])?;
        return Err(error.into());
    }
    store::go_on_from(&copy).await?;

    let to = Objects::open(&config.objects)?;
    let folder = from.join(OBJECTS);
    let objects = match folder.is_dir() {
        true => Some(objects::copy(&Objects::open(&Place::folder(&folder))?, &to).await?),
        false => None,
    };
    let missing = count_missing(&copy, &to).await?;
    if keys.is_file() {
        copy_file(&keys, &config.keys)?;
    }
    sync(partial)?;
    fs::rename(partial, file).map_err(failed(file))?;
    sync(file.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new(".")))?;
    Ok(Restored { objects, missing })
}

/// Removes the files of a database whose names end so.
fn clear(database: &Path, ends: &[&str]) -> Result<(), BackupError> {
    let files = ends.iter().map(|end| format!("{}{end}", database.display()));
    files.into_iter().try_for_each(|file| remove(Path::new(&file)))
}
