//! What has happened to jobs, as whoever watches reads it.

use std::{sync::Arc, time::Duration};

use multiflexi_scheduler::{
    domain::{ids::JobId, job::State},
    store::{Change, CreateJobs, DeleteJob, EventRow, NewJobs, Store, StoreError, TrimEvents, Tx},
};
use tokio::sync::Notify;

use crate::{
    databases::{Database, open},
    world::{World, cancel, exited, queue, template},
};

async fn after(store: &Store, cursor: i64) -> Vec<EventRow> {
    store.events(cursor, 10_000).await.unwrap().events
}

fn states(events: &[EventRow]) -> Vec<(i32, State)> {
    events.iter().map(|event| (event.attempt, event.state)).collect()
}

pub async fn every_state_that_a_job_comes_into_is_told_in_order(database: Box<dyn Database>) {
    let world = World::new(database).await;
    assert_eq!(world.store.last_event().await.unwrap(), 0);
    let key = world.running().await;
    world.end(exited(key, 3), None).await;
    world.store.change(queue(key.job)).await.unwrap();
    world.store.change(cancel(key.job)).await.unwrap();
    let events = after(&world.store, 0).await;
    assert_eq!(
        states(&events),
        [
            (0, State::Queued),
            (1, State::Offered),
            (1, State::Running),
            (1, State::Failed),
            (1, State::Queued),
            (1, State::Cancelled),
        ]
    );
    assert_eq!(events[3].exit_code, Some(3));
    assert_eq!(events[0].exit_code, None);
    assert_eq!(events[0].run_template, (world.template, "template".to_owned()));
    assert_eq!(events[0].company.1, "company of template");
    assert!(events.windows(2).all(|two| two[0].at <= two[1].at));

    // It goes on anywhere, and outlives the job.
    let cursor = events[3].id;
    assert_eq!(after(&world.store, cursor).await, events[4..]);
    world.store.change(DeleteJob(key.job)).await.unwrap();
    let left = after(&world.store, 0).await;
    assert_eq!((states(&left), left[3].exit_code), (states(&events), None));
    assert_eq!(world.store.last_event().await.unwrap(), events[5].id);
}

pub async fn events_that_are_too_many_are_removed_and_that_is_said(database: Box<dyn Database>) {
    let world = World::new(database).await;
    world.store.change(CreateJobs(world.new_jobs(5_000))).await.unwrap();
    let all = after(&world.store, 0).await;
    assert_eq!(all.len(), 5_000);
    assert!(!world.store.change(TrimEvents::default()).await.unwrap(), "they are young and few");
    let few = TrimEvents { most: 2_500, ..TrimEvents::default() };
    while world.store.change(few).await.unwrap() {}
    let kept = after(&world.store, 0).await;
    assert_eq!(kept, all[2_000..], "as many as asked for, or a little more");
    let refused = world.store.events(all[10].id, 10).await.unwrap_err();
    let said = refused.to_string();
    assert!(matches!(refused, StoreError::Invalid(_)), "{said}");
    assert!(said.contains(&all[10].id.to_string()) && said.contains("begin anew"), "{said}");
    assert_eq!(after(&world.store, all[1_999].id).await.len(), 3_000, "nothing is missing");

    let old = TrimEvents { age: Duration::ZERO, ..few };
    while world.store.change(old).await.unwrap() {}
    assert_eq!(after(&world.store, 0).await, all[4_000..]);
    assert_eq!(world.store.last_event().await.unwrap(), all[4_999].id);
}

/// Creates a job, and commits only when it may.
struct Slow(CreateJobs, Arc<Notify>, Arc<Notify>);

impl Change for Slow {
    type Output = Vec<JobId>;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Vec<JobId>, StoreError> {
        let jobs = self.0.apply(tx).await?;
        self.1.notify_one();
        self.2.notified().await;
        Ok(jobs)
    }
}

pub async fn what_commits_late_is_not_passed_over(database: Box<dyn Database>) {
    let world = World::new(database).await;
    let other = open(world.database.as_ref()).await;
    let first = world.store.change(CreateJobs(world.new_jobs(1))).await.unwrap()[0];
    let (made, may_commit) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let slow = Slow(CreateJobs(world.new_jobs(1)), Arc::clone(&made), Arc::clone(&may_commit));
    let slow = world.store.begin_change(slow).await.unwrap();
    made.notified().await;
    // Of another company: those of one may have to wait for each other.
    let run_template = template(&other, "another", "", Duration::from_secs(600)).await;
    let new = NewJobs { run_template, ..world.new_jobs(1) };
    let quick = other.change(CreateJobs(new)).await.unwrap()[0];

    let read = async |store: &Store| {
        let page = store.events(0, 100).await.unwrap();
        (page.events.iter().map(|event| event.job).collect::<Vec<_>>(), page.held)
    };
    for store in [&world.store, &other] {
        assert_eq!(read(store).await, (vec![first], true), "one is missing before the last");
    }
    may_commit.notify_one();
    let slow = slow.await.unwrap()[0];
    for store in [&world.store, &other] {
        assert_eq!(read(store).await, (vec![first, slow, quick], false));
    }
}
