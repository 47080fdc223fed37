//! What is imported from another system.

use std::collections::BTreeMap;

use multiflexi_scheduler::{
    domain::{
        environment::Given,
        ids::{AgentId, JobId},
        job::{State, StreamSummary},
    },
    store::{
        Adopt, AdoptJob, AdoptedFile, ArtifactFilter, Brought, ChunkContent, Content,
        CreateCompany, DeleteJob, Link, ListPage, Origin, Part, Reseal, Store, StoredChunk,
        TakeJobIds,
    },
};

use crate::{
    databases::{Database, open, open_with_keys},
    world::World,
};

fn origin(kind: &'static str, id: i64) -> Origin {
    Origin { source: "old".to_owned(), kind, id }
}

async fn adopt_company(store: &Store, id: i64) -> i64 {
    let what = CreateCompany { name: format!("company {id}"), ..CreateCompany::default() };
    let (origin, brought) = (origin("company", id), Brought::default());
    let adopt = Adopt { what, table: Some("company"), id: |id| id.0, origin, brought };
    store.change(adopt).await.unwrap()
}

pub async fn ids_that_were_never_given_out_are_kept(database: Box<dyn Database>) {
    let store = open(database.as_ref()).await;
    assert_eq!(adopt_company(&store, 50).await, 50);
    assert_eq!(store.last_id("company").await.unwrap(), 50);
    let own = CreateCompany { name: "own".to_owned(), ..CreateCompany::default() };
    assert_eq!(store.change(own).await.unwrap().0, 51);
    assert_eq!(adopt_company(&store, 7).await, 52, "whoever had 7 may have been deleted");
    let known = store.adopted("old", "company", 1..=100).await.unwrap();
    assert_eq!(
        known.into_iter().map(|(id, row)| (id, row.own)).collect::<Vec<_>>(),
        [(7, 52), (50, 50)]
    );
    assert!(store.adopted("other", "company", 1..=100).await.unwrap().is_empty());
    let ids = store.change(TakeJobIds(vec![10, 3, 11, 20])).await.unwrap();
    assert_eq!(ids, [10, 11, 12, 20].map(JobId));
    assert_eq!(store.last_id("job").await.unwrap(), 20);
    let again = store.change(TakeJobIds(vec![20])).await.unwrap();
    assert_eq!(again, [JobId(21)], "a number is given out once, used or not");
}

fn job(world: &World, agent: AgentId, id: i64) -> AdoptJob {
    let record = |start, content| StoredChunk {
        start,
        length: 20,
        streams_at: [start, 0],
        last_time: 7,
        encoding: "raw".to_owned(),
        content,
    };
    let file = |name: &str, content| AdoptedFile {
        filename: name.to_owned(),
        content_type: "text/plain".to_owned(),
        note: "a note".to_owned(),
        created: 9,
        size: 3,
        sha256: [7; 32],
        content,
    };
    let object = "artifacts/41/1/a".to_owned();
    AdoptJob {
        id: JobId(id),
        origin: origin("job", 41),
        run_template: world.template,
        agent,
        environment: Given::from([("A".to_owned(), "b".to_owned())]),
        state: State::Failed,
        exit_code: Some(3),
        pid: Some(4711),
        command: vec!["sh".to_owned()],
        by: "admin".to_owned(),
        created: 1_000_000,
        started: 2_000_000,
        ended: 3_000_000,
        trouble: String::new(),
        log: vec![
            record(0, ChunkContent::Inline(vec![1; 20])),
            record(20, ChunkContent::Object("logs/41/1/20".to_owned())),
        ],
        log_length: 40,
        streams: [StreamSummary { bytes: 8, sha256: [1; 32] }, StreamSummary::EMPTY],
        files: vec![
            file("small", Content::Inline(b"abc".to_vec())),
            file("large", Content::Parts(vec![Part { start: 0, length: 3, object }])),
        ],
    }
}

pub async fn a_job_that_ran_elsewhere_is_here_as_it_ended(database: Box<dyn Database>) {
    let world = World::new(database).await;
    let [id] = world.store.change(TakeJobIds(vec![41])).await.unwrap()[..] else { panic!() };
    world.store.change(job(&world, world.agent, id.0)).await.unwrap();
    let row = world.store.job(id).await.unwrap();
    assert_eq!((row.state, row.exit_code, row.attempt), (State::Failed, Some(3), 1));
    assert_eq!(
        (row.created, row.started, row.ended),
        (1_000_000, Some(2_000_000), Some(3_000_000))
    );
    assert_eq!((row.by.as_str(), row.environment.values["A"].as_str()), ("admin", "b"));
    let attempts = world.store.attempts(id).await.unwrap();
    assert_eq!((attempts.len(), attempts[0].pid), (1, Some(4711)));
    let chunk = world.store.chunk_at(id, 1, 25).await.unwrap().unwrap();
    assert_eq!(chunk.content, ChunkContent::Object("logs/41/1/20".to_owned()));
    let of_it = ArtifactFilter { job: Some(id), ..ArtifactFilter::default() };
    let page = ListPage::parse(10, "").unwrap();
    let artifacts = world.store.artifacts(&of_it, &page).await.unwrap().rows;
    let names: Vec<&str> = artifacts.iter().map(|one| one.filename.as_str()).collect();
    assert_eq!(names, ["small", "large", "stdout.txt", "stderr.txt"]);
    let large = world.store.artifact_content(artifacts[1].id).await.unwrap();
    assert!(matches!(large, Content::Parts(parts) if parts.len() == 1));
    let runs = world.store.run_template(world.template).await.unwrap().runs;
    assert_eq!((runs.succeeded, runs.failed, runs.last_ended), (0, 1, Some(3_000_000)));
    let decisions = world.store.decisions(id).await.unwrap();
    assert!(decisions.iter().any(|one| one.decision.why.contains("job 41 of old")));
    assert_eq!(world.store.adopted("old", "job", 41..=41).await.unwrap()[&41].own, id.0);

    // It is a job as any other.
    let queued = world.queued(1).await;
    assert!(queued[0] > id, "its id is given out");
    let mut objects = world.store.change(DeleteJob(id)).await.unwrap();
    objects.sort();
    assert_eq!(objects, ["artifacts/41/1/a", "logs/41/1/20"]);
    assert_eq!(
        world.store.adopted("old", "job", 41..=41).await.unwrap().len(),
        1,
        "it stays known"
    );
}

pub async fn what_was_brought_is_sealed_and_sealed_anew(database: Box<dyn Database>) {
    let folder = tempfile::tempdir().unwrap();
    let store = open_with_keys(database.as_ref(), folder.path()).await;
    let fields = BTreeMap::from([("env A".to_owned(), "hidden".to_owned())]);
    let secret = Brought { fields, secret: true };
    let plain = Brought { secret: false, ..secret.clone() };
    for (id, brought) in [(1, secret.clone()), (2, plain.clone())] {
        store.change(Link { own: id, origin: origin("credential", id), brought }).await.unwrap();
    }
    store.vault().add_key().unwrap();
    assert_eq!(store.change(Reseal::begin()).await.unwrap().secrets, 1);
    store.vault().forget_others().unwrap();
    let known = store.adopted("old", "credential", 1..=2).await.unwrap();
    assert_eq!((&known[&1].brought, &known[&2].brought), (&secret, &plain));
}
