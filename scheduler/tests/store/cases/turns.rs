//! Whose turn it is: priorities, companies that take turns, limits, times.

use std::time::Duration;

use multiflexi_scheduler::{
    domain::{
        ids::{AttemptKey, CompanyId, JobId, RunTemplateId},
        job::State,
    },
    store::{
        CreateCompany, CreateJobs, CreateRunTemplate, DeleteJob, DeleteJobs, NewJobs,
        NewRunTemplate, PauseQueue, ProcessQueue, Progress, ReleaseDue, Start, UpdateCompany,
        UpdateRunTemplate, Wait,
    },
};

use crate::{
    databases::Database,
    world::{World, cancel, exited, new_template},
};

impl World {
    /// Queues jobs of a run template.
    async fn queue_of(&self, run_template: RunTemplateId, count: u32) -> Vec<JobId> {
        let new = NewJobs { run_template, queue: true, ..self.new_jobs(count) };
        self.store.change(CreateJobs(new)).await.unwrap()
    }

    /// The jobs that are claimed next, in their order.
    async fn next(&self, limit: usize) -> Vec<JobId> {
        self.claim(limit).await.launches.iter().map(|launch| launch.key.job).collect()
    }

    /// A run template of a company of its own that limits what runs at once.
    async fn limited(
        &self,
        name: &str,
        template: Option<u32>,
        company: Option<u32>,
    ) -> NewRunTemplate {
        let name = format!("limited {name}");
        let create =
            CreateCompany { name: name.clone(), max_running: company, ..Default::default() };
        let company = self.store.change(create).await.unwrap();
        let new = new_template(&self.store, &name, "").await;
        NewRunTemplate { company, max_running: template, ..new }
    }

    async fn create(&self, new: &NewRunTemplate) -> RunTemplateId {
        self.store.change(CreateRunTemplate(new.clone())).await.unwrap()
    }

    async fn wait(&self, job: JobId) -> Wait {
        self.store.wait(job).await.unwrap()
    }
}

pub async fn the_higher_priority_is_claimed_first(database: Box<dyn Database>) {
    let world = World::new(database).await;
    let plain = world.queued(2).await;
    let with = |priority| NewJobs { queue: true, priority: Some(priority), ..world.new_jobs(1) };
    let low = world.store.change(CreateJobs(with(-5))).await.unwrap();
    let high = world.store.change(CreateJobs(with(5))).await.unwrap();
    assert_eq!(world.wait(plain[1]).await.ahead, 2);
    // A claim hands out by id; which jobs it takes is what counts.
    assert_eq!(world.next(1).await, high);
    assert_eq!(world.next(2).await, plain);
    assert_eq!(world.next(9).await, low);
    let urgent = new_template(&world.store, "urgent", "").await;
    let urgent = world.create(&NewRunTemplate { priority: 7, ..urgent }).await;
    world.queued(1).await;
    let job = world.queue_of(urgent, 1).await;
    assert_eq!(world.next(1).await, job, "the run template's own priority");
    assert_eq!(world.store.job(job[0]).await.unwrap().priority, 7);
}

pub async fn companies_take_turns(database: Box<dyn Database>) {
    let world = World::new(database).await;
    world.queued(1000).await;
    world.next(100).await;
    let other = new_template(&world.store, "other", "").await;
    let other = world.create(&other).await;
    let late = world.queue_of(other, 10).await;
    let next = world.next(20).await;
    assert!(late.iter().all(|job| next.contains(job)), "ten of each: {next:?}");
    // What a company had long ago does not count against it.
    let again = world.queue_of(other, 1).await;
    assert!(world.next(2).await.contains(&again[0]));
    let third = new_template(&world.store, "third", "").await;
    let third = world.create(&third).await;
    while !world.next(100).await.is_empty() {}
    world.queue_of(third, 50).await;
    world.next(10).await;
    let first = world.queued(5).await;
    let next = world.next(10).await;
    assert!(first.iter().all(|job| next.contains(job)), "{next:?}");
}

pub async fn no_more_run_at_once_than_the_limits_allow(database: Box<dyn Database>) {
    let world = World::new(database).await;
    let template = world.limited("template", Some(2), None).await;
    let template = world.create(&template).await;
    let jobs = world.queue_of(template, 5).await;
    assert_eq!(world.next(9).await, jobs[..2]);
    assert_eq!(world.wait(jobs[4]).await.template_limit, Some(2));
    // What others have is not held up.
    let free = world.queued(1).await;
    assert_eq!(world.next(9).await, free);
    let first =
        AttemptKey { job: jobs[0], number: 1, fence: multiflexi_scheduler::domain::ids::Fence(1) };
    world.store.change(world.accept(vec![first])).await.unwrap();
    assert!(world.end(exited(first, 0), None).await);
    assert_eq!(world.next(9).await, jobs[2..3], "one has ended, one follows");
    // Those that wait leave no hole when they are cancelled or deleted.
    world.store.change(cancel(jobs[3])).await.unwrap();
    world.store.change(cancel(jobs[1])).await.unwrap();
    assert_eq!(world.next(9).await, jobs[4..], "an offer was cancelled: its place is free");
    let more = world.queue_of(template, 2).await;
    assert!(world.next(9).await.is_empty());
    world.store.change(cancel(jobs[4])).await.unwrap();
    world.store.change(DeleteJob(more[0])).await.unwrap();
    assert_eq!(world.next(9).await, more[1..]);
}

pub async fn a_companys_limit_holds_for_all_its_templates(database: Box<dyn Database>) {
    let world = World::new(database).await;
    let one = world.limited("company", None, Some(3)).await;
    let two = NewRunTemplate { name: "two".to_owned(), max_running: Some(1), ..one.clone() };
    let (one, two) = (world.create(&one).await, world.create(&two).await);
    let of_two = world.queue_of(two, 3).await;
    let of_one = world.queue_of(one, 3).await;
    let taken = world.next(9).await;
    assert_eq!(taken, [of_two[0], of_one[0], of_one[1]]);
    assert_eq!(world.wait(of_one[2]).await.company_limit, Some(3));
    // Loaded jobs count when they are queued.
    let new = NewJobs { run_template: one, ..world.new_jobs(2) };
    let loaded = world.store.change(CreateJobs(new)).await.unwrap();
    assert_eq!(world.store.change(ProcessQueue).await.unwrap().queued, loaded);
    let progress = world.store.progress_of(&loaded).await.unwrap();
    assert_eq!(progress, Progress { left: loaded.clone(), failed: 0 });
    assert!(world.next(9).await.is_empty());
    for job in taken {
        world.store.change(cancel(job)).await.unwrap();
    }
    let taken = world.next(9).await;
    assert_eq!(taken, [of_two[1], of_one[2], loaded[0]]);
    let counts = world.store.queue_counts().await.unwrap();
    let load = counts.companies.iter().find(|load| load.name == "limited company").unwrap();
    assert_eq!((load.waiting, load.on_agents), (2, 3));
    assert_ne!(load.id, CompanyId(0));
}

pub async fn a_job_waits_for_its_time(database: Box<dyn Database>) {
    let world = World::new(database).await;
    let at = |start| NewJobs { queue: true, start, ..world.new_jobs(1) };
    let later =
        world.store.change(CreateJobs(at(Start::After(Duration::from_secs(60))))).await.unwrap();
    let past = world.store.change(CreateJobs(at(Start::At(1)))).await.unwrap();
    let soon =
        world.store.change(CreateJobs(at(Start::After(Duration::from_millis(20))))).await.unwrap();
    assert_eq!(world.next(9).await, past);
    assert!(world.wait(later[0]).await.due.is_some());
    loop {
        let next = world.store.next_due().await.unwrap().unwrap();
        if next > Duration::from_secs(1) {
            break;
        }
        world.store.change(ReleaseDue).await.unwrap();
    }
    assert_eq!(world.next(9).await, soon);
    world.store.change(crate::world::queue(later[0])).await.unwrap();
    assert_eq!(world.next(9).await, later, "whoever asks wants it now");
    assert_eq!(world.store.next_due().await.unwrap(), None);
}

pub async fn a_paused_queue_hands_out_nothing(database: Box<dyn Database>) {
    let world = World::new(database).await;
    let jobs = world.queued(2).await;
    let pause = |pause| PauseQueue { pause, by: "a test".to_owned() };
    assert!(world.store.change(pause(true)).await.unwrap());
    assert!(!world.store.change(pause(true)).await.unwrap());
    assert!(world.next(9).await.is_empty());
    assert_eq!(world.wait(jobs[0]).await.paused_by.as_deref(), Some("a test"));
    assert_eq!(world.store.queue_counts().await.unwrap().paused_by.as_deref(), Some("a test"));
    assert!(world.store.change(pause(false)).await.unwrap());
    assert_eq!(world.next(9).await, jobs);
}

pub async fn what_has_failed_is_cleared_and_nothing_else(database: Box<dyn Database>) {
    let world = World::new(database).await;
    let failed = world.running().await;
    world.end(exited(failed, 1), None).await;
    let succeeded = world.running().await;
    world.end(exited(succeeded, 0), None).await;
    let running = world.running().await;
    let states = [State::Failed, State::Lost];
    let ended = |age, after| world.store.ended_jobs(&states, age, after, 10);
    assert!(ended(Duration::from_secs(60), JobId(0)).await.unwrap().is_empty());
    let ids = ended(Duration::ZERO, JobId(0)).await.unwrap();
    assert_eq!(ids, [failed.job]);
    assert!(ended(Duration::ZERO, failed.job).await.unwrap().is_empty());
    let ids = vec![failed.job, succeeded.job, running.job];
    let delete = DeleteJobs { ids, states: states.into() };
    let deleted = world.store.change(delete).await.unwrap();
    assert_eq!(deleted.jobs, [failed.job], "the states are looked at again");
    assert!(world.store.job(failed.job).await.is_err());
    assert_eq!(world.state(running.job).await, State::Running);
}

pub async fn a_limit_that_changes_holds_at_once(database: Box<dyn Database>) {
    let world = World::new(database).await;
    let free = world.limited("later", None, None).await;
    let company = free.company;
    let template = world.create(&free).await;
    let jobs = world.queue_of(template, 6).await;
    let limit = |max_running| UpdateRunTemplate {
        max_running: Some(max_running),
        ..UpdateRunTemplate::of(template)
    };
    assert_eq!(world.next(1).await, jobs[..1]);
    world.store.change(limit(Some(2))).await.unwrap();
    assert_eq!(world.next(9).await, jobs[1..2], "one was claimed before, so one more");
    world.store.change(limit(Some(3))).await.unwrap();
    assert_eq!(world.next(9).await, jobs[2..3]);
    let company = UpdateCompany { max_running: Some(Some(3)), ..UpdateCompany::of(company) };
    world.store.change(company.clone()).await.unwrap();
    world.store.change(limit(None)).await.unwrap();
    assert!(world.next(9).await.is_empty(), "the company's limit is reached");
    world.store.change(UpdateCompany { max_running: Some(None), ..company }).await.unwrap();
    assert_eq!(world.next(9).await, jobs[3..]);
}
