//! What follows when jobs end for good.

use std::time::Duration;

use multiflexi_scheduler::{
    domain::{
        ids::{AgentId, AttemptKey, RunTemplateId},
        job::{Completion, EndCause},
        retry::{Backoff, RetryPolicy},
    },
    store::{CreateJobs, DeleteJob, Finish, GiveUp, NewJobs, Runs, Store},
};

use crate::{
    databases::{Database, open},
    world::{World, agent, cancel, ended, exited, queue, restart, template, with_retry},
};

async fn runs(store: &Store, template: RunTemplateId) -> Runs {
    store.run_template(template).await.unwrap().runs
}

pub async fn every_end_for_good_is_counted_by_how_it_was(database: Box<dyn Database>) {
    let mut world = World::new(database).await;
    assert_eq!(runs(&world.store, world.template).await, Runs::default());
    let [well, badly, late] = [world.running().await, world.running().await, world.running().await];
    let timed_out = Completion { cause: EndCause::TimedOut, ..exited(late, 143) };
    let together = [exited(well, 0), exited(badly, 1), timed_out].map(|end| ended(end, None));
    world.store.change(world.finish(together.to_vec())).await.unwrap();
    assert!(!world.end(exited(well, 0), None).await, "it has ended before");
    let waiting = world.queued(1).await[0];
    world.store.change(cancel(waiting)).await.unwrap();
    let offered = world.offered().await;
    world.store.change(cancel(offered.job)).await.unwrap();
    let counted = runs(&world.store, world.template).await;
    let job = world.store.job(offered.job).await.unwrap();
    let last_ended = job.ended;
    let expected =
        Runs { succeeded: 1, failed: 1, cancelled: 2, timed_out: 1, lost: 0, last_ended };
    assert_eq!(counted, expected);

    // Run again it counts again, and deleted it stays counted.
    world.store.change(queue(badly.job)).await.unwrap();
    let again = world.claim(1).await.launches[0].key;
    world.store.change(world.accept(vec![again])).await.unwrap();
    world.end(exited(again, 1), None).await;
    world.store.change(DeleteJob(badly.job)).await.unwrap();
    assert_eq!(runs(&world.store, world.template).await.failed, 2);

    world.template = template(&world.store, "impatient", "{LONG}", Duration::ZERO).await;
    let environment = [("LONG".to_owned(), "x".to_owned())].into();
    let new = NewJobs { environment, queue: true, ..world.new_jobs(1) };
    world.store.change(CreateJobs(new)).await.unwrap();
    let away = world.claim(1).await.launches[0].key;
    world.store.change(world.accept(vec![away])).await.unwrap();
    restart(&world.store).await;
    let lost = ended(Completion::lost(away, 0, "gone".to_owned()), None);
    world.store.change(GiveUp(vec![lost])).await.unwrap();
    let environment = [("LONG".to_owned(), "x".repeat(200_000))].into();
    let new = NewJobs { environment, queue: true, ..world.new_jobs(1) };
    world.store.change(CreateJobs(new)).await.unwrap();
    assert_eq!(world.claim(1).await.failed.len(), 1, "it cannot begin");
    let counted = runs(&world.store, world.template).await;
    assert_eq!((counted.lost, counted.failed, counted.succeeded), (1, 1, 0));
}

/// Handed in before any is answered, they are made together.
pub async fn what_is_said_at_once_by_several_is_done_once(database: Box<dyn Database>) {
    let world = World::new(database).await;
    let store = &world.store;
    let [one, two] = [world.offered().await, world.offered().await];
    let accepts = [vec![one], vec![two, one]].map(|keys| store.begin_change(world.accept(keys)));
    let [first, second] = accepts.map(|accept| async { accept.await.unwrap().await.unwrap() });
    let (first, second) = tokio::join!(first, second);
    assert_eq!((first, second), (vec![one], vec![two]));

    let finish = |ends: &[(AttemptKey, i32)]| {
        let ends = ends.iter().map(|(key, code)| ended(exited(*key, *code), None)).collect();
        store.begin_change(world.finish(ends))
    };
    let finishes = [finish(&[(one, 0)]), finish(&[(two, 1), (one, 5)]), finish(&[(two, 0)])];
    let [first, second, third] =
        finishes.map(|finish| async { finish.await.unwrap().await.unwrap().ended });
    let ended = tokio::join!(first, second, third);
    assert_eq!(ended, (vec![one], vec![two], vec![]));
    for (key, code) in [(one, 0), (two, 1)] {
        let attempt = store.attempts(key.job).await.unwrap().remove(0);
        assert_eq!(attempt.exit_code, Some(code));
    }
    let counted = runs(store, world.template).await;
    assert_eq!((counted.succeeded, counted.failed), (1, 1));
}

pub async fn an_attempt_that_is_retried_is_not_counted(database: Box<dyn Database>) {
    let mut world = World::new(database).await;
    let policy = RetryPolicy { max_attempts: 2, backoff: Backoff::None, ..RetryPolicy::default() };
    world.template = with_retry(&world.store, "retried", policy).await;
    let first = world.running().await;
    world.end(exited(first, 1), None).await;
    assert_eq!(runs(&world.store, world.template).await, Runs::default());
    let second = world.claim(1).await.launches[0].key;
    world.store.change(world.accept(vec![second])).await.unwrap();
    world.end(exited(second, 0), None).await;
    let counted = runs(&world.store, world.template).await;
    assert_eq!((counted.succeeded, counted.failed), (1, 0));
}

pub async fn schedulers_that_share_a_database_count_together(database: Box<dyn Database>) {
    const JOBS: usize = 40;
    let mut world = World::new(database).await;
    let first = world.template;
    let second = template(&world.store, "second", "", Duration::ZERO).await;
    let other = open(world.database.as_ref()).await;
    // The first half is on an agent here, the second on one there.
    let here = (world.store.clone(), world.agent);
    let there = (other.clone(), agent(&other, "there").await);
    let mut of = [Vec::new(), Vec::new()];
    for (keys, template) in of.iter_mut().zip([first, second]) {
        world.template = template;
        for job in 0..JOBS {
            let (store, agent) = if job < JOBS / 2 { &here } else { &there };
            (world.store, world.agent) = (store.clone(), *agent);
            keys.push(world.running().await);
        }
    }
    // Each ends jobs of both, in the opposite order.
    let end = async |store: &Store, agent: AgentId, keys: Vec<AttemptKey>| {
        for pair in keys.chunks(2) {
            let ends = pair.iter().map(|key| ended(exited(*key, 0), None)).collect();
            assert_eq!(store.change(Finish { agent, ends }).await.unwrap().ended.len(), 2);
        }
    };
    let [of_first, of_second] = of;
    let pairs: Vec<[AttemptKey; 2]> =
        of_first.into_iter().zip(of_second).map(|(one, two)| [one, two]).collect();
    let (ours, theirs) = pairs.split_at(JOBS / 2);
    world.store = here.0;
    let theirs: Vec<AttemptKey> = theirs.iter().flat_map(|[one, two]| [*two, *one]).collect();
    tokio::join!(end(&world.store, here.1, ours.concat()), end(&other, there.1, theirs));
    for template in [first, second] {
        assert_eq!(runs(&world.store, template).await.succeeded, JOBS as i64);
    }
    other.close().await;
}
