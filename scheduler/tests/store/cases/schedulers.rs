//! Several schedulers on one database. Only for databases that several can use.

use std::{future::Future, time::Duration};

use multiflexi_scheduler::{
    domain::job::State,
    store::{
        AddPart, BeginUpload, Change, Dialect, KeepAlive, Leave, LoseContact, Lost, Part, PutChunk,
        RegisterAgent, ReleaseDue, Store, StoreError, UpdateRunTemplate, Upload,
    },
};

use sqlx::{AssertSqlSafe, Row as _};

use crate::{
    cases::contents::chunk,
    databases::{Database, open},
    world::{World, agent, ended, exited, lose_contact},
};

pub async fn what_a_scheduler_has_is_worth_nothing_once_the_agent_is_elsewhere(
    database: Box<dyn Database>,
) {
    let world = World::new(database).await;
    let key = world.running().await;
    let other = open(world.database.as_ref()).await;
    let put = |start| PutChunk { key, chunk: chunk(start, 10, start, 1) };
    world.store.change(put(0)).await.unwrap();
    other.change(put(10)).await.expect_err("its agent is not there");
    assert!(
        other
            .change(world.finish(vec![ended(exited(key, 0), None)]))
            .await
            .unwrap()
            .ended
            .is_empty()
    );

    let upload = Upload { key, filename: "a".to_owned(), size: 3 };
    let (artifact, _) = world.store.change(BeginUpload(upload.clone())).await.unwrap();
    let offered = world.offered().await;
    world.queued(1).await;

    let name = "agent";
    assert_eq!(agent(&other, name).await, world.agent, "it connects there");
    let stale = world.store.change(put(10)).await;
    assert!(matches!(stale, Err(StoreError::Refused(_))), "{stale:?}");
    let stale = world.store.change(BeginUpload(upload)).await;
    assert!(matches!(stale, Err(StoreError::Refused(_))), "{stale:?}");
    assert!(world.store.change(world.accept(vec![offered])).await.unwrap().is_empty());
    let claimed = world.claim(1).await;
    assert!(claimed.elsewhere && claimed.launches.is_empty(), "{claimed:?}");
    let part = Part { start: 0, length: 3, object: "o".to_owned() };
    let stale = world.store.change(AddPart { key, artifact, part }).await;
    assert!(matches!(stale, Err(StoreError::Refused(_))), "{stale:?}");
    // And that its connection here is gone means nothing.
    assert!(world.store.change(lose_contact(world.agent)).await.unwrap().is_empty());
    let stale = world.finish(vec![ended(exited(key, 1), None)]);
    let finished = world.store.change(stale).await.unwrap();
    assert!(finished.ended.is_empty() && finished.elsewhere == [key], "{finished:?}");

    other.change(put(10)).await.unwrap();
    let finished = other.change(world.finish(vec![ended(exited(key, 0), None)])).await.unwrap();
    assert_eq!(finished.ended, [key]);
    assert_eq!(world.store.job(key.job).await.unwrap().exit_code, Some(0));
    other.close().await;
}

pub async fn what_a_scheduler_leaves_is_looked_after_by_the_others(database: Box<dyn Database>) {
    let world = World::new(database).await;
    let key = world.running().await;
    let offered = world.queued(1).await[0];
    let offered = world
        .claim(1)
        .await
        .launches
        .pop()
        .map(|launch| launch.key)
        .filter(|key| key.job == offered)
        .unwrap();
    let other = open(world.database.as_ref()).await;
    let address = |name: &str| KeepAlive { address: format!("http://{name}") };
    world.store.change(address("here")).await.unwrap();
    let alive = other.change(address("there")).await.unwrap();
    let others: Vec<&str> = alive.others.iter().map(|other| other.address.as_str()).collect();
    assert_eq!(others, ["http://here"]);
    let elsewhere = other.elsewhere(key).await.unwrap();
    assert_eq!(elsewhere.as_deref(), Some("http://here"));
    assert_eq!(world.store.elsewhere(key).await.unwrap(), None);
    assert_eq!(other.connected_agents().await.unwrap().len(), 1);

    let lost = LoseContact { lost: Lost::Schedulers, why: "a test".to_owned() };
    assert!(other.change(lost.clone()).await.unwrap().is_empty(), "it is there");
    world.store.change(Leave).await.unwrap();
    assert_eq!(other.change(lost).await.unwrap(), [key]);
    let job = other.job(offered.job).await.unwrap();
    assert_eq!(job.state.name(), "queued", "an offer is taken back");
    assert!(other.connected_agents().await.unwrap().is_empty());
    // One that was only slow finds out, and goes on.
    let alive = world.store.change(address("here")).await.unwrap();
    assert!(alive.was_gone && alive.others.len() == 1);
    // One that is started again at an address takes the place of the one before.
    let again = open(world.database.as_ref()).await;
    let alive = again.change(address("here")).await.unwrap();
    assert!(alive.some_gone && alive.others.len() == 1, "{alive:?}");
    other.close().await;
    again.close().await;
}

pub async fn those_that_start_at_once_make_the_schema_once(database: Box<dyn Database>) {
    let database = database.as_ref();
    let (one, other, third) = tokio::join!(open(database), open(database), open(database));
    agent(&one, "agent").await;
    for store in [one, other, third] {
        assert!(store.agent_id("agent").await.unwrap().is_some());
        store.close().await;
    }
}

pub async fn an_agent_whose_name_is_taken_elsewhere_is_refused(database: Box<dyn Database>) {
    let world = World::new(database).await;
    let other = open(world.database.as_ref()).await;
    let register = RegisterAgent {
        name: "agent".to_owned(),
        instance: "second".to_owned(),
        boot: "tuesday".to_owned(),
        slots: 1,
        version: "1".to_owned(),
        labels: [].into(),
    };
    let refused = other.change(register.clone()).await;
    assert!(matches!(refused, Err(StoreError::AlreadyExists { .. })), "{refused:?}");
    world.store.change(lose_contact(world.agent)).await.unwrap();
    assert_eq!(other.change(register).await.unwrap().id, world.agent, "it is gone");
    other.close().await;
}

/// Makes `change` while another scheduler's change of the same job, `sql`, is not committed
/// yet; what it comes to when that is.
async fn meanwhile<C: Change>(
    world: &World,
    (other, change): (&Store, C),
    sql: String,
) -> C::Output {
    let url = world.database.location().url;
    let pool = sqlx::AnyPool::connect(&url).await.unwrap();
    let mut first = pool.begin().await.unwrap();
    sqlx::query(AssertSqlSafe(sql)).execute(&mut *first).await.unwrap();
    let committed = async {
        let waits = match Dialect::of(&url).unwrap() {
            Dialect::Mysql => "SHOW GLOBAL STATUS LIKE 'Innodb_row_lock_current_waits'",
            _ => "SELECT '', CAST(COUNT(*) AS TEXT) FROM pg_locks WHERE NOT granted",
        };
        while sqlx::query(waits).fetch_one(&pool).await.unwrap().get::<String, _>(1) == "0" {
            tokio::task::yield_now().await;
        }
        first.commit().await.unwrap();
    };
    let both = both(other.change(change), committed);
    let (made, ()) = tokio::time::timeout(Duration::from_secs(30), both).await.unwrap();
    pool.close().await;
    made.unwrap()
}

async fn both<A, B>(a: impl Future<Output = A>, b: impl Future<Output = B>) -> (A, B) {
    tokio::join!(a, b)
}

pub async fn what_another_has_claimed_meanwhile_is_not_queued_again(database: Box<dyn Database>) {
    let world = World::new(database).await;
    let job = world.queued(1).await[0];
    let pool = sqlx::AnyPool::connect(&world.database.location().url).await.unwrap();
    let due = format!("UPDATE job SET held = 'due', due = 1 WHERE id = {job}");
    sqlx::query(AssertSqlSafe(due)).execute(&pool).await.unwrap();
    let other = open(world.database.as_ref()).await;
    let claim = format!(
        "UPDATE job SET state = 'offered', held = NULL, due = NULL, attempt = attempt + 1, \
         fence = fence + 1 WHERE id = {job}"
    );
    let released = meanwhile(&world, (&other, ReleaseDue), claim).await;
    assert_eq!((released, world.state(job).await), (0, State::Offered));
    pool.close().await;
    other.close().await;
}

pub async fn a_job_that_ends_meanwhile_takes_no_place_under_a_limit(database: Box<dyn Database>) {
    let world = World::new(database).await;
    let key = world.running().await;
    let other = open(world.database.as_ref()).await;
    let end = format!("UPDATE job SET state = 'succeeded' WHERE id = {}", key.job);
    let limit =
        UpdateRunTemplate { max_running: Some(Some(1)), ..UpdateRunTemplate::of(world.template) };
    meanwhile(&world, (&other, limit), end).await;
    world.queued(1).await;
    assert_eq!(world.claim(1).await.launches.len(), 1, "the place is free");
    other.close().await;
}
