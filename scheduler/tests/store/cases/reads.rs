//! What is done often looks at few rows however many there are, by MariaDB's own count.

use std::time::Duration;

use multiflexi_fixture::mariadb::MariaDb;
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

/// A store with many jobs, and the server that counts what is read of it.
struct Counted {
    server: MariaDb,
    name: String,
}

impl Counted {
    fn fill(&self) {
        let half = JOBS / 2;
        self.server.run(&format!(
            "USE {}; SET foreign_key_checks = 0, sql_mode = '';
             INSERT INTO job (id, runtemplate_id, app_id, company_id, env, state, attempt, fence,
                 created, ended) SELECT seq, 1, 1, 1, '{{}}', 'succeeded', 1, 1, seq, seq
                 FROM seq_1_to_{JOBS};
             INSERT INTO attempt (job_id, number, fence, state, agent_id)
                 SELECT id, 1, 1, state, 1 FROM job;
             INSERT INTO job (runtemplate_id, app_id, company_id, env, state, created, queued,
                 `rank`) SELECT 1, 1, 1, '{{}}', 'queued', 1, 1, seq FROM seq_1_to_{half};
             INSERT INTO action (job_id, attempt, actionconfig_id, state)
                 SELECT id, 1, 1, 'succeeded' FROM job WHERE attempt = 1;
             ANALYZE TABLE job, attempt, action; SET GLOBAL userstat = 1;",
            self.name
        ));
    }

    /// Does something, and refuses it if it looks at more rows than a few.
    async fn few<T>(&self, what: &str, does: impl Future<Output = T>) -> T {
        self.server.run("FLUSH TABLE_STATISTICS");
        let done = does.await;
        let read = self.server.run(&format!(
            "SELECT COALESCE(SUM(rows_read), 0) FROM information_schema.table_statistics \
             WHERE table_schema = '{}'",
            self.name
        ));
        let read: i64 = read.trim().parse().unwrap();
        assert!(read <= FEW, "{what} looks at {read} rows");
        assert!(read > 0, "{what} was not counted");
        done
    }
}

pub fn what_is_done_often_looks_at_few_rows() {
    let mut server = MariaDb::start();
    let url = server.empty().url;
    let counted = Counted { server, name: "test1".to_owned() };
    block_on(async {
        let world = World::new(Box::new(Server::new(url))).await;
        counted.fill();
        jobs(&counted, &world).await;
        lists(&counted, &world.store).await;
    });
}

async fn jobs(counted: &Counted, world: &World) {
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
    let old = store.ended_jobs(&[State::Succeeded], Duration::ZERO, JobId(JOBS / 2), 10);
    assert_eq!(counted.few("what can be removed", old).await.unwrap().len(), 10);
    store.change(ReleaseDue).await.unwrap();
}

async fn lists(counted: &Counted, store: &Store) {
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
        assert_eq!(page.unwrap().len(), 10, "{filter:?}");
    }
}
