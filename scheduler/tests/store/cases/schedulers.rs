//! Several schedulers on one database. Only for databases that several can use.

use multiflexi_scheduler::store::{
    AddPart, BeginUpload, Finish, KeepAlive, Leave, LoseContact, Lost, Part, PutChunk, StoreError,
    Upload,
};

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
        other.change(Finish(vec![ended(exited(key, 0), None)])).await.unwrap().ended.is_empty()
    );

    let name = "agent";
    assert_eq!(agent(&other, name).await, world.agent, "it connects there");
    let stale = world.store.change(put(10)).await;
    assert!(matches!(stale, Err(StoreError::Refused(_))), "{stale:?}");
    let upload = Upload { key, filename: "a".to_owned(), size: 3 };
    let (artifact, _) = world.store.change(BeginUpload(upload)).await.unwrap();
    let part = Part { start: 0, length: 3, object: "o".to_owned() };
    let stale = world.store.change(AddPart { key, artifact, part }).await;
    assert!(matches!(stale, Err(StoreError::Refused(_))), "{stale:?}");
    // And that its connection here is gone means nothing.
    assert!(world.store.change(lose_contact(world.agent)).await.unwrap().is_empty());
    let stale = Finish(vec![ended(exited(key, 1), None)]);
    assert!(world.store.change(stale).await.unwrap().ended.is_empty());

    other.change(put(10)).await.unwrap();
    let finished = other.change(Finish(vec![ended(exited(key, 0), None)])).await.unwrap();
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
