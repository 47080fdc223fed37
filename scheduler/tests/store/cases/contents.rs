//! Logs and artifacts.

use multiflexi_scheduler::{
    domain::{ids::AttemptKey, job::FailedArtifact},
    store::{
        About, AddPart, ArtifactFilter, BeginUpload, ChunkContent, Content, DeleteJob,
        FinishUpload, ListPage, ObjectStoreRow, Part, PutArtifact, PutChunk, Referrer,
        RememberObjectStore, Store, StoreError, StoredChunk, Upload,
    },
};

use crate::{
    databases::Database,
    world::{World, exited},
};

pub fn chunk(start: i64, length: i64, stdout_at: i64, last_time: i64) -> StoredChunk {
    StoredChunk {
        start,
        length,
        streams_at: [stdout_at, 0],
        last_time,
        encoding: "raw".to_owned(),
        content: ChunkContent::Inline(vec![7; length as usize]),
    }
}

async fn put(store: &Store, key: AttemptKey, chunk: StoredChunk) {
    store.change(PutChunk { key, chunk }).await.unwrap();
}

fn upload(key: AttemptKey, filename: &str, size: i64) -> Upload {
    Upload { key, filename: filename.to_owned(), size }
}

fn about(content_type: &str) -> About {
    About { content_type: content_type.to_owned(), note: format!("a file of {content_type}") }
}

pub async fn a_late_shorter_chunk_never_replaces_a_longer_one(database: Box<dyn Database>) {
    let world = World::new(database).await;
    let key = world.running().await;
    put(&world.store, key, chunk(0, 10, 0, 1)).await;
    put(&world.store, key, chunk(0, 30, 0, 2)).await;
    put(&world.store, key, chunk(0, 20, 0, 1)).await;
    let stored = world.store.chunk_at(key.job, 1, 5).await.unwrap().unwrap();
    assert_eq!(stored, chunk(0, 30, 0, 2));
    let stale = AttemptKey { fence: multiflexi_scheduler::domain::ids::Fence(0), ..key };
    let refused = world.store.change(PutChunk { key: stale, chunk: chunk(0, 40, 0, 1) }).await;
    assert!(matches!(refused, Err(StoreError::Refused(_))));
}

pub async fn logs_are_found_by_byte_and_by_time(database: Box<dyn Database>) {
    let world = World::new(database).await;
    let key = world.running().await;
    for (start, stdout_at, time) in [(0, 0, 100), (50, 40, 200), (90, 70, 300)] {
        put(&world.store, key, chunk(start, 40, stdout_at, time)).await;
    }
    let store = &world.store;
    let at = |offset| async move {
        store.chunk_at(key.job, 1, offset).await.unwrap().map(|chunk| chunk.start)
    };
    assert_eq!((at(0).await, at(49).await, at(50).await), (Some(0), Some(0), Some(50)));
    assert_eq!(at(1000).await, Some(90));
    assert_eq!(store.chunk_since(key.job, 1, 101).await.unwrap(), Some(50));
    assert_eq!(store.chunk_since(key.job, 1, 301).await.unwrap(), None);
    assert_eq!(store.chunk_of_stream(key.job, 1, 0, 69).await.unwrap(), (50, 40));
    assert_eq!(store.chunk_of_stream(key.job, 1, 0, 70).await.unwrap(), (90, 70));
    assert_eq!(store.chunk_of_stream(key.job, 2, 0, 70).await.unwrap(), (0, 0));
}

pub async fn artifacts_are_stored_inline_and_in_parts(database: Box<dyn Database>) {
    let world = World::new(database).await;
    let key = world.running().await;
    let store = &world.store;
    let put = PutArtifact {
        upload: upload(key, "small.csv", 3),
        about: about("text/csv"),
        sha256: [9; 32],
        content: b"1,2".to_vec(),
    };
    let small = store.change(put.clone()).await.unwrap();
    assert_eq!(store.change(put).await.unwrap(), small, "said again it is the same artifact");
    assert_eq!(store.artifact_content(small).await.unwrap(), Content::Inline(b"1,2".to_vec()));

    let (large, parts) = store.change(BeginUpload(upload(key, "large", 12))).await.unwrap();
    assert!(parts.is_empty());
    store.artifact(large).await.expect_err("what is not whole is no artifact yet");
    let part = Part { start: 0, length: 12, object: "o".to_owned() };
    store.change(AddPart { key, artifact: large, part: part.clone() }).await.unwrap();
    assert_eq!(store.upload_parts(key, "large").await.unwrap(), std::slice::from_ref(&part));
    let (again, parts) = store.change(BeginUpload(upload(key, "large", 12))).await.unwrap();
    assert_eq!((again, parts), (large, vec![part.clone()]));
    let whole = Some((about("application/zip"), [7; 32]));
    store.change(FinishUpload { key, artifact: large, whole }).await.unwrap();
    for (id, content_type) in [(small, "text/csv"), (large, "application/zip")] {
        let row = store.artifact(id).await.unwrap();
        assert_eq!(About { content_type: row.content_type, note: row.note }, about(content_type));
    }
    assert_eq!(store.artifact_content(large).await.unwrap(), Content::Parts(vec![part]));

    assert!(world.end(exited(key, 0), None).await);
    let late = store.change(BeginUpload(upload(key, "late", 1))).await;
    assert!(matches!(late, Err(StoreError::Refused(_))), "an ended attempt takes no artifacts");
}

pub async fn a_broken_artifact_is_on_record_beside_the_others(database: Box<dyn Database>) {
    let world = World::new(database).await;
    let key = world.running().await;
    let mut completion = exited(key, 0);
    completion.failed_artifacts =
        vec![FailedArtifact { filename: "fifo".to_owned(), reason: "no regular file".to_owned() }];
    assert!(world.end(completion, Some(chunk(0, 19, 0, 1))).await);
    let page = ListPage::parse(0, "").unwrap();
    let filter = ArtifactFilter { job: Some(key.job), ..ArtifactFilter::default() };
    let rows = world.store.artifacts(&filter, &page).await.unwrap().rows;
    let mut found: Vec<_> =
        rows.iter().map(|row| (row.filename.as_str(), row.failed, row.note.as_str())).collect();
    found.sort_unstable();
    assert_eq!(
        found,
        [
            ("fifo", true, "not kept: no regular file"),
            ("stderr.txt", false, "what the job wrote to stderr"),
            ("stdout.txt", false, "what the job wrote to stdout"),
        ]
    );
}

pub async fn deleting_a_job_leaves_nothing_behind(database: Box<dyn Database>) {
    let world = World::new(database).await;
    let key = world.running().await;
    let store = &world.store;
    let mut sealed = chunk(0, 19, 0, 1);
    sealed.content = ChunkContent::Object("logs/1".to_owned());
    put(store, key, sealed).await;
    let (artifact, _) = store.change(BeginUpload(upload(key, "large", 5))).await.unwrap();
    let part = Part { start: 0, length: 5, object: "artifacts/1".to_owned() };
    store.change(AddPart { key, artifact, part }).await.unwrap();
    store.change(DeleteJob(key.job)).await.expect_err("it is on an agent");
    assert!(world.end(exited(key, 0), None).await);
    let mut objects = store.change(DeleteJob(key.job)).await.unwrap();
    objects.sort_unstable();
    assert_eq!(objects, ["artifacts/1", "logs/1"]);
    store.job(key.job).await.unwrap_err();
    assert!(store.attempts(key.job).await.unwrap().is_empty());
    assert!(store.chunk_at(key.job, 1, 0).await.unwrap().is_none());
    let page = ListPage::parse(0, "").unwrap();
    assert!(store.artifacts(&ArtifactFilter::default(), &page).await.unwrap().rows.is_empty());
}

pub async fn rows_tell_page_by_page_which_objects_they_refer_to(database: Box<dyn Database>) {
    let world = World::new(database).await;
    let (first, second) = (world.running().await, world.running().await);
    let store = &world.store;
    assert_eq!(store.newest_object().await.unwrap(), None);
    put(store, first, chunk(0, 19, 0, 1)).await;
    for (key, start) in [(first, 19), (first, 38), (second, 0)] {
        let mut sealed = chunk(start, 19, 0, 1);
        sealed.content = ChunkContent::Object(format!("{}-{start}", key.job));
        put(store, key, sealed).await;
    }
    let newest = format!("{}-0", second.job);
    assert_eq!(store.newest_object().await.unwrap(), Some(newest.clone()));
    for (key, filename) in [(first, "a"), (second, "b")] {
        let (artifact, _) = store.change(BeginUpload(upload(key, filename, 10))).await.unwrap();
        for start in [0, 5] {
            let part = Part { start, length: 5, object: format!("{filename}-{start}") };
            store.change(AddPart { key, artifact, part }).await.unwrap();
        }
    }
    let chunks = [format!("{}-19", first.job), format!("{}-38", first.job), newest];
    let parts = ["a-0", "a-5", "b-0", "b-5"].map(str::to_owned);
    for (referrer, expected) in
        [(Referrer::Chunks, chunks.as_slice()), (Referrer::Parts, parts.as_slice())]
    {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = store.referred(referrer, after.as_ref(), 2).await.unwrap();
            let Some(last) = page.last() else { break };
            after = Some(last.clone());
            for one in page {
                assert!(store.refers_to(one.job, one.attempt, &one.object).await.unwrap());
                found.push(one.object);
            }
        }
        assert_eq!(found, expected);
    }
}

pub async fn the_object_store_is_remembered_once_and_can_be_renamed(database: Box<dyn Database>) {
    let world = World::new(database).await;
    let store = &world.store;
    assert_eq!(store.object_store().await.unwrap(), None);
    let remember = |id: &str, name: &str| {
        store.change(RememberObjectStore { id: id.to_owned(), name: name.to_owned() })
    };
    let row = |id: &str, name: &str| ObjectStoreRow { id: id.to_owned(), name: name.to_owned() };
    assert_eq!(remember("one", "/a folder").await.unwrap(), row("one", "/a folder"));
    let second = remember("two", "s3://b").await.unwrap();
    assert_eq!(second, row("one", "/a folder"), "of two that begin together, one stands");
    assert_eq!(remember("one", "s3://b").await.unwrap(), row("one", "s3://b"));
    assert_eq!(store.object_store().await.unwrap(), Some(row("one", "s3://b")));
}
