//! What Zabbix is told, and how far it has been told.

use std::time::Duration;

use multiflexi_scheduler::{
    domain::{
        action::{Mode, Owner},
        environment::Given,
        job::State,
    },
    store::{
        AdvanceZabbix, CreateAction, CreateJobs, DeleteJob, ForgetZabbix, KeepAlive, Leave, Store,
        TakeZabbix, TrimEvents, UpdateCompany, ZabbixCursor,
    },
};

use crate::{
    databases::{Database, open},
    world::{World, exited},
};

fn cursor(event: i64) -> ZabbixCursor {
    ZabbixCursor { event, stamp: 7 }
}

async fn newest(store: &Store) -> i64 {
    store.last_event().await.unwrap()
}

pub async fn zabbix_is_told_from_where_it_was_left(database: Box<dyn Database>) {
    let world = World::new(database).await;
    let store = &world.store;
    assert_eq!(store.zabbix_progress().await.unwrap().cursor, None);
    world.queued(3).await;
    // What was before is not told.
    let begin = store.change(TakeZabbix).await.unwrap().unwrap();
    assert_eq!(begin.event, newest(store).await);
    let job = world.running().await;
    let (told, held) = store.told_events(begin.event, 100).await.unwrap();
    assert!(!told.is_empty() && !held);
    let last = told.last().unwrap().event.id;
    assert!(store.change(AdvanceZabbix(cursor(last - 1))).await.unwrap());
    assert_eq!(store.change(TakeZabbix).await.unwrap(), Some(cursor(last - 1)));
    let progress = store.zabbix_progress().await.unwrap();
    assert_eq!((progress.cursor, progress.newest), (Some(last - 1), last));
    assert_eq!(progress.oldest, Some(told.last().unwrap().event.at));
    store.change(ForgetZabbix).await.unwrap();
    assert_eq!(store.zabbix_progress().await.unwrap().cursor, None);
    world.end(exited(job, 0), None).await;
}

pub async fn what_is_told_of_an_event_is_what_is_known_of_its_job(database: Box<dyn Database>) {
    let world = World::new(database).await;
    let store = &world.store;
    let template = store.run_template(world.template).await.unwrap().template;
    let own = UpdateCompany {
        slug: Some(Some("acme".to_owned())),
        zabbix_host: Some(Some("branch".to_owned())),
        ..UpdateCompany::of(template.company)
    };
    store.change(own).await.unwrap();
    let company = store.company(template.company).await.unwrap();
    assert_eq!(company.zabbix_host.as_deref(), Some("branch"));
    let key = world.running().await;
    world.end(exited(key, 3), None).await;
    let (told, _) = store.told_events(0, 100).await.unwrap();
    let (first, done) = (&told[0], told.last().unwrap());
    assert_eq!((first.event.state, done.event.state), (State::Queued, State::Failed));
    let facts = first.job.as_ref().unwrap();
    assert_eq!(facts.entered, Some(facts.created));
    assert_eq!(facts.started, None);
    let facts = done.job.as_ref().unwrap();
    assert!(facts.started.is_some() && facts.ended.is_some() && facts.agent.is_some());
    let watched = done.run_template.as_ref().unwrap();
    assert_eq!((watched.id, watched.name.as_str()), (world.template, "template"));
    assert_eq!(watched.company.code, "acme");
    assert_eq!(watched.company.host.as_deref(), Some("branch"));
    assert_eq!(store.watched().await.unwrap(), std::slice::from_ref(&**watched));
    assert_eq!(store.watched_companies().await.unwrap(), std::slice::from_ref(&watched.company));

    // A job that is deleted has still happened.
    store.change(DeleteJob(key.job)).await.unwrap();
    let (left, _) = store.told_events(0, 100).await.unwrap();
    assert_eq!(left.len(), told.len());
    assert!(left.iter().all(|told| told.job.is_none() && told.run_template.is_some()));

    let action = CreateAction {
        owner: Owner::RunTemplate(world.template),
        kind: "Stop".to_owned(),
        mode: Mode::Fail,
        position: None,
        settings: Given::default(),
        leads_to: None,
    };
    store.change(action).await.unwrap();
    let actions = store.watched_actions().await.unwrap();
    assert_eq!((actions.len(), actions[0].follows), (1, [false, true]));
    assert_eq!(store.watched_agents().await.unwrap().len(), 1);
}

pub async fn the_gauges_count_what_waits_and_for_how_long(database: Box<dyn Database>) {
    let world = World::new(database).await;
    let gauges = world.store.gauges().await.unwrap();
    assert_eq!((gauges.ready, gauges.running, gauges.oldest), (0, 0, None));
    world.queued(3).await;
    world.claim(1).await;
    let gauges = world.store.gauges().await.unwrap();
    assert_eq!((gauges.ready, gauges.held, gauges.running), (2, 0, 1));
    assert!(gauges.oldest.is_some_and(|oldest| oldest <= gauges.now));
    assert!(!gauges.paused);
}

pub async fn what_zabbix_is_still_to_be_told_is_not_removed(database: Box<dyn Database>) {
    let world = World::new(database).await;
    let store = &world.store;
    store.change(TakeZabbix).await.unwrap();
    store.change(CreateJobs(world.new_jobs(5_000))).await.unwrap();
    let first = newest(store).await - 4_999;
    let few = TrimEvents { most: 100, ..TrimEvents::default() };
    assert!(!store.change(few).await.unwrap());
    assert_eq!(store.events(0, 1).await.unwrap().events[0].id, first);
    store.change(AdvanceZabbix(cursor(first + 2_500))).await.unwrap();
    while store.change(few).await.unwrap() {}
    assert_eq!(store.events(0, 1).await.unwrap().events[0].id, first + 2_000);
    // Not for ever.
    let old = TrimEvents { age: Duration::ZERO, ..few };
    while store.change(old).await.unwrap() {}
    assert_eq!(store.events(0, 1).await.unwrap().events[0].id, first + 4_000);
}

pub async fn one_scheduler_tells_zabbix_and_another_when_it_is_gone(database: Box<dyn Database>) {
    let one = open(&*database).await;
    one.change(KeepAlive { address: "http://one".to_owned() }).await.unwrap();
    let begin = one.change(TakeZabbix).await.unwrap().unwrap();
    let sender = one.zabbix_progress().await.unwrap().sender;
    assert_eq!(sender, Some((one.me(), "http://one".to_owned())));
    if !one.is_shared() {
        return;
    }
    let other = open(&*database).await;
    assert_eq!(other.change(TakeZabbix).await.unwrap(), None);
    assert!(!other.change(AdvanceZabbix(cursor(9))).await.unwrap());
    // One that is told nothing takes nothing from it.
    other.change(ForgetZabbix).await.unwrap();
    assert!(one.change(AdvanceZabbix(cursor(begin.event))).await.unwrap());
    one.change(Leave).await.unwrap();
    assert_eq!(other.change(TakeZabbix).await.unwrap(), Some(cursor(begin.event)));
    assert!(!one.change(AdvanceZabbix(cursor(8))).await.unwrap());
}
