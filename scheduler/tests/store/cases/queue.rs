//! Jobs on their way to an agent.

use std::{collections::HashSet, time::Duration};

use multiflexi_scheduler::{
    domain::{
        ids::{CompanyId, JobId},
        job::State,
    },
    store::{
        AgentFilter, Claim, CreateJobs, ListPage, NewJobs, PauseQueue, ProcessQueue, Processed,
        Start, Vitals,
    },
};

use crate::{
    databases::{Database, open},
    world::World,
};

pub async fn a_batch_of_jobs_is_created_under_one_request_id(database: Box<dyn Database>) {
    let world = World::new(database).await;
    let request_id = Some("request".to_owned());
    let new = NewJobs { request_id, ..world.new_jobs(1000) };
    let first = world.store.change(CreateJobs(new.clone())).await.unwrap();
    assert_eq!(first.len(), 1000);
    assert_eq!(world.store.change(CreateJobs(new)).await.unwrap(), first);
    assert_eq!(world.store.queue_counts().await.unwrap().states, [(State::Loaded, 1000)]);
}

pub async fn a_job_of_another_company_is_refused(database: Box<dyn Database>) {
    let world = World::new(database).await;
    let new = NewJobs { company: Some(CompanyId(77)), ..world.new_jobs(1) };
    let error = world.store.change(CreateJobs(new)).await.unwrap_err();
    assert!(error.to_string().contains("not for company 77"), "{error}");
}

pub async fn two_claims_never_take_the_same_job(database: Box<dyn Database>) {
    let world = World::new(database).await;
    let created: HashSet<JobId> = world.queued(600).await.into_iter().collect();
    let other = open(world.database.as_ref()).await;
    let take = |store: multiflexi_scheduler::store::Store| async move {
        let mut taken = Vec::new();
        loop {
            let claim = Claim { agent: world.agent, limit: 7, choice: String::new() };
            let claimed = store.change(claim).await.unwrap().launches;
            if claimed.is_empty() {
                return taken;
            }
            taken.extend(claimed.iter().map(|launch| launch.key.job));
        }
    };
    let (one, two) = tokio::join!(take(world.store.clone()), take(other));
    assert_eq!(one.len() + two.len(), 600);
    assert_eq!(one.into_iter().chain(two).collect::<HashSet<_>>(), created);
}

pub async fn the_queue_counts_every_state(database: Box<dyn Database>) {
    let world = World::new(database).await;
    world.store.change(CreateJobs(world.new_jobs(3))).await.unwrap();
    let processed = world.store.change(ProcessQueue).await.unwrap();
    assert_eq!((processed.queued.len(), processed.waited.len()), (3, 0));
    let again = world.store.change(ProcessQueue).await.unwrap();
    assert_eq!(again, Processed { queued: Vec::new(), waited: processed.queued });
    world.running().await;
    let counts = world.store.queue_counts().await.unwrap();
    assert_eq!(counts.states, [(State::Queued, 3), (State::Running, 1)]);
    assert!(counts.oldest_queued.is_some());
    let page = ListPage::parse(0, "").unwrap();
    let agents = world.store.agents(&AgentFilter::default(), &page).await.unwrap();
    assert_eq!(agents.rows.len(), 1);
}

pub async fn vitals_say_what_waits_for_what_and_how_long(database: Box<dyn Database>) {
    let world = World::new(database).await;
    let count = |vitals: &Vitals, state| {
        vitals.states.iter().find(|(known, _)| *known == state).map_or(0, |(_, count)| *count)
    };
    let none = world.store.vitals().await.unwrap();
    assert_eq!((none.waiting, none.oldest, none.paused), ([0; 3], Duration::ZERO, false));
    assert_eq!(none.schedulers, 1);
    world.running().await;
    world.queued(2).await;
    let later = Start::After(Duration::from_secs(60));
    let later = NewJobs { queue: true, start: later, ..world.new_jobs(1) };
    world.store.change(CreateJobs(later)).await.unwrap();
    world.store.change(CreateJobs(world.new_jobs(3))).await.unwrap();
    let pause = PauseQueue { pause: true, by: "somebody".to_owned() };
    world.store.change(pause).await.unwrap();
    let vitals = world.store.vitals().await.unwrap();
    assert_eq!(vitals.waiting, [2, 1, 0]);
    let counts = [State::Loaded, State::Queued, State::Offered, State::Running];
    assert_eq!(counts.map(|state| count(&vitals, state)), [3, 3, 0, 1]);
    assert!(vitals.paused, "{vitals:?}");
    // Its clock may show the same for a millisecond.
    while world.store.vitals().await.unwrap().oldest <= vitals.oldest {}
    let catalogue = world.store.catalogue().await.unwrap();
    let all = [catalogue.applications, catalogue.companies, catalogue.run_templates];
    assert_eq!(all, [1, 1, 1]);
}
