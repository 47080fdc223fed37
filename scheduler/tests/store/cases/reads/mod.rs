//! What is done often looks at few rows however many there are, by the servers' own counts.

mod mariadb;
mod postgres;

use std::time::Duration;

use multiflexi_fixture::{mariadb::MariaDb, postgres::Postgres};
use multiflexi_scheduler::{
    domain::{
        ids::{JobId, RunTemplateId},
        job::State,
    },
    store::{
        ClaimActions, CreateJobs, DeleteJob, FinishingAttempts, JobFilter, JobOrder, JobPage,
        NewJobs, ReleaseDue, Store,
    },
};

use crate::{
    databases::{Server, block_on},
    world::{World, ended, exited, queue},
};

/// Jobs that have ended, each with an attempt and an action; and half as many that wait.
const JOBS: i64 = 20_000;

/// What is done to a handful of jobs may look at so many rows.
const FEW: i64 = 150;

/// A server that counts which rows are looked at.
trait Counted {
    /// What is counted from here on.
    type Since;

    /// Begins to count.
    fn begin(&self) -> Self::Since;

    /// Rows that were looked at since; none if nothing was counted.
    fn looked_at(&self, since: Self::Since) -> Option<i64>;

    /// Does something, and refuses it if it looks at more rows than a few.
    async fn few<T>(&self, what: &str, does: impl Future<Output = T>) -> T {
        let since = self.begin();
        let done = does.await;
        let Some(rows) = self.looked_at(since) else { panic!("{what} was not counted") };
        assert!(rows <= FEW, "{what} looks at {rows} rows");
        done
    }
}

pub fn what_is_done_often_looks_at_few_rows_of_mariadb() {
    let mut server = MariaDb::start();
    let url = server.empty().url;
    let counted = mariadb::Counting { server, name: "test1".to_owned() };
    block_on(async {
        let world = World::new(Box::new(Server::new(url))).await;
        counted.fill();
        jobs(&counted, &world).await;
        lists(&counted, &world.store).await;
    });
}

/// Also with plans that were made for empty tables, and rows that nobody has counted since.
pub fn what_is_done_often_looks_at_few_rows_of_postgresql() {
    let mut server = Postgres::explaining();
    let database = server.database();
    let url = database.url.clone();
    let counted = postgres::Counting { server, database };
    block_on(async {
        let world = World::new(Box::new(Server::new(url))).await;
        world.queued(5).await;
        jobs(&counted, &world).await;
        counted.fill();
        jobs(&counted, &world).await;
    });
}

async fn jobs(counted: &impl Counted, world: &World) {
    let store = &world.store;
    let claimed = counted.few("a claim", world.claim(5)).await;
    let keys: Vec<_> = claimed.launches.iter().map(|launch| launch.key).collect();
    assert_eq!(keys.len(), 5);
    let started = counted.few("a start", store.change(world.accept(keys.clone()))).await;
    assert_eq!(started.unwrap(), keys);
    let finishing = FinishingAttempts(keys.clone());
    counted.few("a transition", store.change(finishing)).await.unwrap();
    for key in &keys {
        assert!(counted.few("an end", world.end(exited(*key, 0), None)).await);
    }
    let finish = world.finish(keys.iter().map(|key| ended(exited(*key, 0), None)).collect());
    counted.few("an end that comes again", store.change(finish)).await.unwrap();
    counted.few("new jobs", world.queued(3)).await;
    let loaded = store.change(CreateJobs(NewJobs { queue: false, ..world.new_jobs(1) })).await;
    let loaded = loaded.unwrap()[0];
    counted.few("queueing", store.change(queue(loaded))).await.unwrap();
    counted.few("deleting", store.change(DeleteJob(loaded))).await.unwrap();
    let claim = ClaimActions { limit: 5, lease: Duration::from_secs(1) };
    store.change(claim).await.unwrap();
    counted.few("a job", store.job(keys[0].job)).await.unwrap();
    store.change(ReleaseDue).await.unwrap();
}

async fn lists(counted: &impl Counted, store: &Store) {
    let old = store.ended_jobs(&[State::Succeeded], Duration::ZERO, JobId(JOBS / 2), 10);
    assert_eq!(counted.few("what can be removed", old).await.unwrap().len(), 10);
    let first = JobPage { size: 10, after: None };
    let middle = JobPage { after: Some((JOBS / 2, JOBS / 2)), ..first };
    let all = JobFilter::default;
    let filters = [
        (all(), middle),
        (JobFilter { states: vec![State::Succeeded], ..all() }, first),
        (JobFilter { run_template: Some(RunTemplateId(1)), ..all() }, first),
        (JobFilter { order: JobOrder::Created, ..all() }, middle),
        (JobFilter { order: JobOrder::Ended, ascending: true, ..all() }, middle),
    ];
    for (filter, page) in filters {
        let page = counted.few(&format!("{filter:?}"), store.jobs(&filter, page)).await;
        assert_eq!(page.unwrap().rows.len(), 10, "{filter:?}");
    }
}
