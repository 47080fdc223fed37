//! The object store: where chunks of logs and parts of artifacts are that are too
//! large for the database. A local folder by default, or a bucket of a cloud. A put
//! that has returned is durable, and one that is put again is the same object.

mod cloud;
mod copy;
mod error;
mod identity;
mod place;
mod trial;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use chrono::{TimeDelta, Utc};
use object_store::{
    GetOptions, GetRange, ObjectMeta, ObjectStore, ObjectStoreExt as _, PutPayload,
    local::LocalFileSystem, path::Path as Name,
};
use tokio::sync::mpsc;
use tokio_stream::{Stream, StreamExt as _};

use error::Told;
use identity::MARKER;

use crate::folders;

pub use copy::{Copied, copy};
pub use error::ObjectError;
pub use identity::{IdentityError, settle};
pub use place::{Cloud, Place};

/// Names that are looked at together.
const PAGE: usize = 500;

/// An object that is younger may be about to get its row.
const YOUNG: TimeDelta = TimeDelta::days(1);

/// Pauses while a store is away: doubled up to the second.
const AWAY: [Duration; 2] = [Duration::from_millis(250), Duration::from_secs(5)];

/// Does something again and again while its error `passes`, as that of a store that is
/// away does. `waits` is told why, each time.
pub async fn patiently<T, E, F>(
    mut work: impl FnMut() -> F,
    passes: impl Fn(&E) -> bool,
    mut waits: impl FnMut(&E),
) -> Result<T, E>
where
    F: Future<Output = Result<T, E>>,
{
    let mut pause = AWAY[0];
    loop {
        match work().await {
            Err(error) if passes(&error) => waits(&error),
            done => return done,
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(AWAY[1]);
    }
}

/// Bytes that a folder leaves free on its disk. An object that does not fit would take all of
/// it until it is given up, again and again, and the database beside it may need a page.
const RESERVE: u64 = 8 * 1024 * 1024;

/// Bytes that are free on a folder's disk, if that is known.
fn free(folder: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(folder).ok()?;
    Some(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// A handle on the store.
#[derive(Clone, Debug)]
pub struct Objects {
    store: Arc<dyn ObjectStore>,
    told: Arc<Told>,
    /// Where it is, if it is a folder.
    folder: Option<PathBuf>,
}

impl Objects {
    /// The store at `place`; a folder is created. Nothing is asked of a bucket yet.
    pub fn open(place: &Place) -> Result<Self, ObjectError> {
        let name = place.to_string();
        let unusable = |reason| ObjectError::Refused { store: place.to_string(), reason };
        match place {
            Place::Folder(folder) => {
                let failed = |error: &dyn std::fmt::Display| unusable(error.to_string());
                folders::make(folder).map_err(|error| failed(&error))?;
                let store = LocalFileSystem::new_with_prefix(folder)
                    .map_err(|error| unusable(error::root(&error)))?
                    .with_automatic_cleanup(true)
                    .with_fsync(true);
                let told = Arc::new(Told { name, cloud: None });
                Ok(Self { store: Arc::new(store), told, folder: Some(folder.clone()) })
            }
            Place::Bucket { cloud, bucket, prefix } => {
                let (store, server) = cloud::open(*cloud, bucket, prefix).map_err(unusable)?;
                let name = server.map(|server| format!("{name} at {server}")).unwrap_or(name);
                let told = Arc::new(Told { name, cloud: Some(*cloud) });
                Ok(Self { store, told, folder: None })
            }
        }
    }

    /// How to name it to a user.
    pub fn name(&self) -> &str {
        &self.told.name
    }

    /// What makes a sentence of an error about an object.
    fn explain<'a>(&'a self, object: &'a str) -> impl Fn(object_store::Error) -> ObjectError + 'a {
        move |error| self.told.explain(object, &error)
    }

    /// Stores an object, replacing one of that name.
    pub async fn put(&self, name: &str, content: Vec<Bytes>) -> Result<(), ObjectError> {
        if let Some(folder) = &self.folder {
            let size: u64 = content.iter().map(|part| part.len() as u64).sum();
            if free(folder).is_some_and(|free| free < size + RESERVE) {
                return Err(ObjectError::Full);
            }
        }
        let put = self.store.put(&Name::from(name), PutPayload::from_iter(content)).await;
        put.map(drop).map_err(self.explain(name))
    }

    /// The whole content of an object.
    pub async fn get(&self, name: &str) -> Result<Bytes, ObjectError> {
        self.get_from(name, 0).await
    }

    /// As [`get`](Self::get), but an object is missing only if the store is there: of one that
    /// does not even hold whose it is, as of a folder that is not mounted, nothing is known.
    pub async fn get_surely(&self, name: &str) -> Result<Bytes, ObjectError> {
        match self.get(name).await {
            Err(ObjectError::Missing { store, .. }) if self.marker().await?.is_none() => {
                let reason = format!(
                    "it does not hold the object {MARKER}, which says whose it is: mount it, or \
                     bring back what it held"
                );
                Err(ObjectError::Away { store, reason })
            }
            result => result,
        }
    }

    /// The content of an object from a byte on, and only that is fetched. It comes whole: an
    /// object has a few megabytes, and who reads slowly holds no connection meanwhile.
    pub async fn get_from(&self, name: &str, offset: u64) -> Result<Bytes, ObjectError> {
        let range = (offset > 0).then_some(GetRange::Offset(offset));
        let options = GetOptions::new().with_range(range);
        let got = self.store.get_opts(&Name::from(name), options).await;
        got.map_err(self.explain(name))?.bytes().await.map_err(self.explain(name))
    }

    /// Removes an object.
    async fn delete(&self, name: &str) -> Result<(), ObjectError> {
        self.store.delete(&Name::from(name)).await.map_err(self.explain(name))
    }

    /// Whether an object is there.
    pub async fn has(&self, name: &str) -> Result<bool, ObjectError> {
        match self.store.head(&Name::from(name)).await.map_err(self.explain(name)) {
            Ok(_) => Ok(true),
            Err(ObjectError::Missing { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// What is in the store below a name; all of it below none. Asked for page by page.
    fn list(
        &self,
        below: &str,
    ) -> impl Stream<Item = Result<ObjectMeta, ObjectError>> + Unpin + Send + use<> {
        let told = Arc::clone(&self.told);
        let found = self.store.list(Some(&Name::from(below)));
        found.map(move |next| next.map_err(|error| told.explain("", &error)))
    }

    /// The names of objects that were not touched for a day, page by page: what is younger
    /// may be about to get its row.
    pub fn old_names(&self) -> mpsc::Receiver<Result<Vec<String>, ObjectError>> {
        let (pages, receiver) = mpsc::channel(1);
        let objects = self.clone();
        tokio::spawn(async move {
            let mut found = objects.list("");
            let mut names = Vec::new();
            let young = Utc::now() - YOUNG;
            while let Some(next) = found.next().await {
                match next {
                    Ok(meta) if meta.last_modified < young => names.push(meta.location.to_string()),
                    Ok(_) => {}
                    Err(error) => {
                        let _ = pages.send(Err(error)).await;
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

    /// Removes objects, many with one request where the store can. One that is not there
    /// is no error; those that cannot be removed are logged and left to the sweep.
    pub async fn remove(&self, names: &[String]) {
        let locations: Vec<_> = names.iter().map(|name| Ok(Name::from(name.as_str()))).collect();
        let mut removed = self.store.delete_stream(Box::pin(tokio_stream::iter(locations)));
        let (mut done, mut failed) = (0, None);
        while let Some(next) = removed.next().await {
            match next.map_err(self.explain("")) {
                Ok(_) | Err(ObjectError::Missing { .. }) => done += 1,
                Err(error) => {
                    let passes = error.passes();
                    failed = Some(error);
                    // The others would wait for the same.
                    if passes {
                        break;
                    }
                }
            }
        }
        if let Some(error) = failed {
            let left = names.len() - done;
            tracing::warn!(objects = left, %error, "objects stay behind until they are swept");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn local() -> (tempfile::TempDir, Objects) {
        let folder = tempfile::tempdir().unwrap();
        let objects = Objects::open(&Place::folder(&folder.path().join("new/objects"))).unwrap();
        (folder, objects)
    }

    #[tokio::test]
    async fn an_object_is_missing_only_if_its_store_is_there() {
        let (_folder, objects) = local();
        let away = objects.get_surely("a/b").await.unwrap_err();
        assert!(matches!(&away, ObjectError::Away { .. }), "{away}");
        objects.put(MARKER, vec!["id".into()]).await.unwrap();
        let gone = objects.get_surely("a/b").await.unwrap_err();
        assert!(matches!(&gone, ObjectError::Missing { object, .. } if object == "a/b"), "{gone}");
    }

    #[tokio::test]
    async fn what_is_put_is_read_from_any_byte_on_until_it_is_removed() {
        let (_folder, objects) = local();
        objects.attempt().await.unwrap();
        objects.put("a/b", vec!["hello ".into(), "world".into()]).await.unwrap();
        for offset in [0, 6, 10] {
            let content = objects.get_from("a/b", offset).await.unwrap();
            assert_eq!(content, b"hello world"[usize::try_from(offset).unwrap()..]);
        }
        assert!(objects.has("a/b").await.unwrap());
        objects.remove(&["a/b".to_owned(), "not/there".to_owned()]).await;
        assert!(!objects.has("a/b").await.unwrap());
        let gone = objects.get("a/b").await.unwrap_err();
        assert!(matches!(&gone, ObjectError::Missing { object, .. } if object == "a/b"), "{gone}");
    }

    #[tokio::test]
    async fn what_is_waited_for_is_told_and_what_is_lost_is_not_waited_for() {
        let away = |reason: &str| ObjectError::Away { store: "s".into(), reason: reason.into() };
        let missing = ObjectError::Missing { store: "s".into(), object: "o".into() };
        let mut answers = vec![Err(missing.clone()), Err(away("two")), Err(away("one"))];
        let mut told = Vec::new();
        let done: Result<(), _> = patiently(
            || std::future::ready(answers.pop().unwrap()),
            ObjectError::passes,
            |error| told.push(error.clone()),
        )
        .await;
        assert_eq!((done, told), (Err(missing), vec![away("one"), away("two")]));
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        let error = Objects::open(&Place::folder(&file.join("objects"))).unwrap_err().to_string();
        assert!(error.contains(&file.display().to_string()), "{error}");
    }

    #[test]
    fn each_cloud_can_be_opened_by_its_url() {
        for url in ["s3://logs/a", "gs://logs/a"] {
            // Nothing is asked of it: credentials are looked for when it is tried.
            let objects = Objects::open(&Place::parse(url).unwrap()).unwrap();
            assert_eq!(objects.name(), url);
        }
        let azure = Objects::open(&Place::parse("az://logs/a").unwrap()).unwrap_err().to_string();
        assert!(azure.contains("az://logs/a") && azure.contains("ACCOUNT_NAME"), "{azure}");
    }
}
