//! What follows the ends of jobs: the outbox, its claims, and the performer.

mod by_hand;
mod secrets;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use multiflexi_scheduler::{
    actions::{Action, Actions, EndedJob, Failed, Field, Performing, Registry, Settings},
    domain::{
        action::{Mode, Owner, Progress},
        environment::Given,
        ids::{AttemptKey, CompanyId, JobId, RunTemplateId},
        job::{Completion, EndCause, State},
        retry::{Backoff, RetryPolicy},
    },
    store::{
        ActionFailure, ClaimActions, ClaimedAction, CreateAction, CreateJobs, CreateRunTemplate,
        DeleteAction, DeleteJob, DeleteRunTemplate, Effect, NewJobs, NewRunTemplate, Page,
        PerformedActionRow, PutOff, RecordAction, Recorded, ResumeAction, StoreError, UpdateAction,
        UpdateRunTemplate,
    },
};
use tokio::time::Instant;

use crate::{
    databases::{Database, open},
    world::{World, cancel, exited, new_template, queue, template, with_retry},
};

pub use by_hand::*;
pub use secrets::*;

/// A lease that outlasts every test.
const LONG: Duration = Duration::from_secs(3600);

impl World {
    fn action(&self, kind: &str, mode: Mode) -> CreateAction {
        CreateAction {
            owner: Owner::RunTemplate(self.template),
            kind: kind.to_owned(),
            mode,
            position: None,
            settings: Given::default(),
            leads_to: None,
        }
    }

    async fn with_action(&self, kind: &str, mode: Mode) {
        self.store.change(self.action(kind, mode)).await.unwrap();
    }

    /// A job that has ended with this exit code.
    async fn ended_with(&self, code: i32) -> AttemptKey {
        let key = self.running().await;
        assert!(self.end(exited(key, code), None).await);
        key
    }

    async fn due(&self, lease: Duration) -> Vec<ClaimedAction> {
        self.store.change(ClaimActions { limit: 10, lease }).await.unwrap()
    }

    async fn record(
        &self,
        action: &ClaimedAction,
        result: Result<Effect, ActionFailure>,
    ) -> Recorded {
        self.store.change(RecordAction { claim: action.claim, result }).await.unwrap()
    }

    async fn performed(&self, job: JobId) -> Vec<PerformedActionRow> {
        self.store.actions_of_job(job).await.unwrap()
    }

    async fn kinds(&self, job: JobId) -> Vec<String> {
        self.performed(job).await.into_iter().map(|row| row.kind).collect()
    }

    /// The jobs of a run template.
    async fn jobs_of(&self, template: RunTemplateId) -> Vec<JobId> {
        self.store.jobs_of(template, JobId(0), 100).await.unwrap()
    }
}

pub async fn an_end_for_good_is_followed_by_the_actions_for_it(database: Box<dyn Database>) {
    let mut world = World::new(database).await;
    let before = world.ended_with(0).await;
    for (kind, mode) in [("S", Mode::Success), ("F", Mode::Fail), ("A", Mode::Always)] {
        world.with_action(kind, mode).await;
    }
    assert!(world.performed(before.job).await.is_empty(), "it had ended before");
    let (well, badly) = (world.ended_with(0).await, world.ended_with(3).await);
    assert_eq!(world.kinds(well.job).await, ["S", "A"]);
    assert_eq!(world.kinds(badly.job).await, ["F", "A"]);
    let waiting = world.queued(1).await[0];
    world.store.change(cancel(waiting)).await.unwrap();
    assert!(world.kinds(waiting).await.is_empty(), "it has not run");

    // Run again they follow again; a run that is cancelled while it waits has none.
    world.store.change(queue(badly.job)).await.unwrap();
    let again = world.claim(1).await.launches[0].key;
    world.store.change(world.accept(vec![again])).await.unwrap();
    world.end(exited(again, 0), None).await;
    assert_eq!(world.kinds(badly.job).await, ["F", "A", "S", "A"]);
    world.store.change(queue(badly.job)).await.unwrap();
    world.store.change(cancel(badly.job)).await.unwrap();
    assert_eq!(world.kinds(badly.job).await.len(), 4);

    let policy = RetryPolicy { max_attempts: 2, ..RetryPolicy::default() };
    world.template = with_retry(&world.store, "retried", policy).await;
    world.with_action("A", Mode::Always).await;
    world.with_action("F", Mode::Fail).await;
    let first = world.ended_with(1).await;
    assert!(world.kinds(first.job).await.is_empty(), "it is retried");
    world.store.change(cancel(first.job)).await.unwrap();
    assert_eq!(world.kinds(first.job).await, ["A"], "the first attempt was the last");

    world.template = template(&world.store, "long", "{LONG}", Duration::ZERO).await;
    world.with_action("F", Mode::Fail).await;
    let environment = [("LONG".to_owned(), "x".repeat(200_000))].into();
    let new = NewJobs { environment, queue: true, ..world.new_jobs(1) };
    let job = world.store.change(CreateJobs(new)).await.unwrap()[0];
    assert_eq!(world.claim(1).await.failed.len(), 1);
    assert_eq!(world.kinds(job).await, ["F"], "it could not begin");
}

pub async fn actions_of_a_job_are_done_one_after_the_other(database: Box<dyn Database>) {
    let world = World::new(database).await;
    for (kind, position) in [("third", 7), ("first", 1), ("second", 1)] {
        let action = world.action(kind, Mode::Always);
        world.store.change(CreateAction { position: Some(position), ..action }).await.unwrap();
    }
    let key = world.ended_with(0).await;
    assert_eq!(world.kinds(key.job).await, ["first", "second", "third"]);
    let first = world.due(LONG).await;
    assert_eq!(first.len(), 1, "{first:?}");
    assert_eq!((first[0].kind.as_str(), first[0].tries), ("first", 1));
    assert!(world.due(LONG).await.is_empty(), "it is not done");
    // One that has failed does not stop the next.
    let failure = ActionFailure { reason: "no".to_owned(), again: None };
    assert_eq!(world.record(&first[0], Err(failure)).await, Recorded::Done(None));
    let second = world.due(LONG).await;
    assert_eq!(second[0].kind, "second");
    // One that lets it wait does.
    world.record(&second[0], Ok(Effect::Wait(LONG))).await;
    assert!(world.due(LONG).await.is_empty());
    let rows = world.performed(key.job).await;
    let states: Vec<Progress> = rows.iter().map(|row| row.progress).collect();
    assert_eq!(states, [Progress::Failed, Progress::Succeeded, Progress::Pending]);
    assert_eq!(rows[0].outcome.as_deref(), Some("no"));
    assert_eq!(rows[2].due, rows[1].ended.map(|ended| ended + 3_600_000_000));
    let next = world.store.next_action().await.unwrap().unwrap();
    assert!(next <= LONG && next > LONG / 2, "{next:?}");
}

pub async fn a_claim_that_ran_out_is_taken_over_and_its_record_is_refused(
    database: Box<dyn Database>,
) {
    let world = World::new(database).await;
    let target = template(&world.store, "target", "", LONG).await;
    world.with_action("A", Mode::Always).await;
    let key = world.ended_with(0).await;
    let slow = world.due(Duration::ZERO).await.remove(0);
    let quick = world.due(LONG).await.remove(0);
    assert_eq!((quick.claim.id, quick.tries), (slow.claim.id, 2));
    assert!(quick.claim.fence > slow.claim.fence);
    let launch = || Ok(Effect::Launch(target, Given::default()));
    assert_eq!(world.record(&slow, launch()).await, Recorded::Stale);
    let Recorded::Done(Some(launched)) = world.record(&quick, launch()).await else { panic!() };
    assert_eq!(world.record(&quick, launch()).await, Recorded::Stale, "it is on record");
    assert_eq!(world.jobs_of(target).await, [launched], "it was launched once");
    let by = world.store.job(launched).await.unwrap().by;
    assert_eq!(by, format!("action {} of job {}", quick.claim.id, key.job));

    world.store.change(cancel(launched)).await.unwrap();
    let again = ActionFailure { reason: "busy".to_owned(), again: Some(Duration::ZERO) };
    let key = world.ended_with(0).await;
    let first = world.due(LONG).await.remove(0);
    world.record(&first, Err(again)).await;
    let row = world.performed(key.job).await.remove(0);
    assert_eq!((row.progress, row.outcome.as_deref()), (Progress::Pending, Some("busy")));
    let second = world.due(LONG).await.remove(0);
    assert_eq!(second.tries, 2);
    // Whose job is deleted is not done.
    world.store.change(DeleteJob(key.job)).await.unwrap();
    assert_eq!(world.record(&second, launch()).await, Recorded::Stale);
    assert!(world.performed(key.job).await.is_empty());
    assert_eq!(world.jobs_of(target).await.len(), 1);
}

pub async fn what_has_no_place_is_put_off_and_says_why(database: Box<dyn Database>) {
    let world = World::new(database).await;
    world.with_action("A", Mode::Always).await;
    let mut keys = Vec::new();
    for _ in 0..3 {
        keys.push(world.ended_with(0).await);
    }
    let claimed = world.due(LONG).await;
    let [first, second, third] = &claimed[..] else { panic!() };
    let put_off = async |of: &[&ClaimedAction], pause| {
        let claims = of.iter().map(|of| (of.claim, of.claim.id.to_string())).collect();
        world.store.change(PutOff { claims, pause }).await.unwrap();
    };
    put_off(&[first, second], LONG).await;
    assert!(world.due(LONG).await.is_empty());
    let row = world.performed(keys[0].job).await.remove(0);
    assert_eq!((row.progress, row.tries, row.started), (Progress::Pending, 0, None));
    assert_eq!(row.outcome, Some(format!("waits: {}", first.claim.id)));
    assert!(row.due.is_some());
    assert_eq!(world.performed(keys[2].job).await[0].progress, Progress::Running);

    let resume = async |of: &ClaimedAction| {
        world.store.change(ResumeAction { claim: of.claim, lease: LONG }).await.unwrap()
    };
    let resumed = resume(first).await.unwrap();
    assert_eq!((resumed.claim.id, resumed.tries), (first.claim.id, 1));
    assert!(resumed.claim.fence > first.claim.fence);
    assert!(resume(first).await.is_none() && resume(third).await.is_none(), "they are claimed");
    assert_eq!(world.record(first, Ok(Effect::Disable)).await, Recorded::Stale);
    // It comes back by itself, and whoever wants to resume it then is late.
    let again = resume(second).await.unwrap();
    put_off(&[&again, second], Duration::ZERO).await;
    let back = world.due(LONG).await.remove(0);
    assert_eq!((back.claim.id, back.tries), (second.claim.id, 1));
    assert!(resume(&again).await.is_none());
    // What was to be tried again has been tried.
    let failure = ActionFailure { reason: "no".to_owned(), again: Some(Duration::ZERO) };
    world.record(&back, Err(failure)).await;
    let back = world.due(LONG).await.remove(0);
    put_off(&[&back], LONG).await;
    let row = world.performed(keys[1].job).await.remove(0);
    assert!(row.tries == 1 && row.started.is_some(), "{row:?}");
}

pub async fn a_companys_actions_follow_the_jobs_of_all_its_run_templates(
    database: Box<dyn Database>,
) {
    let mut world = World::new(database).await;
    let new = new_template(&world.store, "ours", "").await;
    let company = Owner::Company(new.company);
    let mut ours = Vec::new();
    for name in ["one", "two"] {
        let new = NewRunTemplate { name: name.to_owned(), ..new.clone() };
        ours.push(world.store.change(CreateRunTemplate(new)).await.unwrap());
    }
    let [one, two] = ours[..] else { panic!() };
    let of_company = |kind, mode| CreateAction { owner: company, ..world.action(kind, mode) };
    world.store.change(of_company("C", Mode::Always)).await.unwrap();
    let launch = CreateAction { leads_to: Some(two), ..of_company("L", Mode::Success) };
    world.store.change(launch.clone()).await.unwrap();
    // It would lead back by way of the company's.
    let owner = Owner::RunTemplate(two);
    let back = CreateAction { owner, leads_to: Some(one), ..world.action("B", Mode::Fail) };
    let error = world.store.change(back).await.unwrap_err().to_string();
    assert!(error.contains(&format!("({one} launches {two})")), "{error}");
    let both = CreateAction { leads_to: Some(one), ..launch.clone() };
    let error = world.store.change(both).await.unwrap_err().to_string();
    assert!(error.contains("for ever"), "{error}");
    let others = CreateAction { leads_to: Some(world.template), ..launch };
    let error = world.store.change(others).await.unwrap_err().to_string();
    assert!(error.contains("companies do not launch each other's jobs"), "{error}");

    let stranger = world.ended_with(0).await;
    assert!(world.kinds(stranger.job).await.is_empty(), "it is another company's");
    world.template = one;
    world.with_action("T", Mode::Success).await;
    let well = world.ended_with(0).await;
    assert_eq!(world.kinds(well.job).await, ["T", "C", "L"], "its own come first");
    let badly = world.ended_with(1).await;
    assert_eq!(world.kinds(badly.job).await, ["C"]);
    world.template = two;
    let last = world.ended_with(0).await;
    assert_eq!(world.kinds(last.job).await, ["C"], "what is launched launches nothing");
    // Commands of actions, which are a run template of their own, are not followed; Zabbix is
    // told so, too.
    let command = world.due(LONG).await.remove(0);
    let run = Effect::Command(LONG, [("COMMAND".to_owned(), "true".to_owned())].into());
    let Recorded::Done(Some(job)) = world.record(&command, Ok(run)).await else { panic!() };
    let commands = world.store.job(job).await.unwrap().run_template.0;
    let watched = world.store.watched_actions().await.unwrap();
    let of = |template| {
        let own = watched.iter().filter(|action| action.run_template == template);
        own.map(|action| action.kind.as_str()).collect::<Vec<_>>()
    };
    assert_eq!((of(two), of(commands)), (vec!["C"], vec![]));
    assert_eq!(of(one).len(), 3);
    let listed = world.store.actions(Some(company), Page::parse(0, "").unwrap()).await.unwrap();
    assert_eq!(listed.rows.len(), 2);
    assert_eq!(listed.rows[0].owner, (company, "company of ours".to_owned()));
    let unknown =
        CreateAction { owner: Owner::Company(CompanyId(999)), ..world.action("C", Mode::Fail) };
    let unknown = world.store.change(unknown).await.unwrap_err();
    assert_eq!(unknown.to_string(), "there is no company 999");
}

pub async fn a_condition_is_asked_of_each_end(database: Box<dyn Database>) {
    let world = World::new(database).await;
    for (kind, condition) in
        [("R", "exit in 2..5 || state == timed_out"), ("N", "!(exit == 0)"), ("A", "attempt == 2")]
    {
        world.with_action(kind, condition.parse().unwrap()).await;
    }
    world.with_action("S", Mode::Success).await;
    let (zero, three) = (world.ended_with(0).await, world.ended_with(3).await);
    assert_eq!(world.kinds(zero.job).await, ["S"]);
    assert_eq!(world.kinds(three.job).await, ["R", "N"]);
    let key = world.running().await;
    assert!(world.end(Completion { cause: EndCause::TimedOut, ..exited(key, 0) }, None).await);
    assert_eq!(world.kinds(key.job).await[0], "R");
    world.store.change(queue(zero.job)).await.unwrap();
    let again = world.claim(1).await.launches[0].key;
    world.store.change(world.accept(vec![again])).await.unwrap();
    world.end(exited(again, 0), None).await;
    assert_eq!(world.kinds(zero.job).await, ["S", "A", "S"]);
    let due = world.due(LONG).await;
    let three = due.iter().find(|action| action.claim.job == three.job).unwrap();
    assert_eq!(three.claim.state, Some(State::Failed));
}

pub async fn a_job_is_not_removed_before_what_follows_it_is_done(database: Box<dyn Database>) {
    let world = World::new(database).await;
    let before = world.ended_with(0).await;
    world.with_action("A", Mode::Always).await;
    world.ended_with(0).await;
    let beyond = async || {
        let all = (Some(JobId(i64::MAX)), None);
        world.store.jobs_beyond(world.template, all, JobId(0), 10).await.unwrap()
    };
    assert_eq!(beyond().await, [before.job]);
    let action = world.due(LONG).await.remove(0);
    let later = ActionFailure { reason: "no".to_owned(), again: Some(LONG) };
    world.record(&action, Err(later)).await;
    assert_eq!(beyond().await, [before.job], "it is tried again");
    let never = ActionFailure { reason: "no".to_owned(), again: None };
    let other = world.ended_with(0).await;
    let action = world.due(LONG).await.remove(0);
    world.record(&action, Err(never)).await;
    assert_eq!(beyond().await, [before.job, other.job], "nothing more is to be done");
}

pub async fn what_cannot_be_done_is_on_record_with_its_reason(database: Box<dyn Database>) {
    let world = World::new(database).await;
    world.with_action("A", Mode::Always).await;
    let disabled = world.ended_with(0).await;
    let action = world.due(LONG).await.remove(0);
    world.record(&action, Ok(Effect::Disable)).await;
    assert!(!world.store.run_template(world.template).await.unwrap().active);
    let refused = world.store.change(CreateJobs(world.new_jobs(1))).await.unwrap_err();
    assert!(
        matches!(&refused, StoreError::Refused(why) if why.contains("is inactive")),
        "{refused}"
    );
    // One that is there can be run, and what follows it cannot make another.
    world.store.change(queue(disabled.job)).await.unwrap();
    let again = world.claim(1).await.launches[0].key;
    world.store.change(world.accept(vec![again])).await.unwrap();
    world.end(exited(again, 0), None).await;
    let action = world.due(LONG).await.remove(0);
    world.record(&action, Ok(Effect::Launch(world.template, Given::default()))).await;
    let row = world.performed(again.job).await.remove(1);
    assert_eq!(row.progress, Progress::Failed);
    assert!(row.outcome.unwrap().contains("is inactive"));
    let active = UpdateRunTemplate { active: Some(true), ..UpdateRunTemplate::of(world.template) };
    world.store.change(active).await.unwrap();
    world.queued(1).await;
}

pub async fn run_templates_do_not_launch_each_other_for_ever(database: Box<dyn Database>) {
    let mut world = World::new(database).await;
    let new = new_template(&world.store, "chain", "").await;
    let mut chain = Vec::new();
    for name in ["one", "two", "three"] {
        let new = NewRunTemplate { name: name.to_owned(), ..new.clone() };
        chain.push(world.store.change(CreateRunTemplate(new)).await.unwrap());
    }
    let [one, two, three] = chain[..] else { panic!() };
    let launched = world.action("LaunchJob", Mode::Success);
    let launch = |from, to| CreateAction {
        owner: Owner::RunTemplate(from),
        leads_to: Some(to),
        ..launched.clone()
    };
    world.store.change(launch(one, two)).await.unwrap();
    let last = world.store.change(launch(two, three)).await.unwrap();
    let error = world.store.change(launch(three, one)).await.unwrap_err().to_string();
    assert!(error.contains(&format!("({one} launches {two} launches {three})")), "{error}");
    let error = world.store.change(launch(one, one)).await.unwrap_err().to_string();
    assert!(error.contains("itself") && error.contains("Reschedule"), "{error}");
    let other = world.store.change(launch(one, world.template)).await.unwrap_err().to_string();
    assert!(other.contains("company"), "{other}");
    let unknown = world.store.change(launch(one, RunTemplateId(999))).await.unwrap_err();
    assert_eq!(unknown.to_string(), "there is no run template 999");
    let settings = Some((Given::default(), Some(one)));
    let update = UpdateAction { id: last, mode: None, position: None, settings };
    let error = world.store.change(update).await.unwrap_err().to_string();
    assert!(error.contains(&format!("({one} launches {two})")), "{error}");
    let same = UpdateAction {
        id: last,
        mode: Some(Mode::Always),
        position: Some(4),
        settings: Some((Given::default(), Some(three))),
    };
    world.store.change(same).await.unwrap();
    let row = world.store.action(last).await.unwrap();
    assert_eq!((row.mode, row.position), (Mode::Always, 4));
    world.store.change(DeleteAction(last)).await.unwrap();
    world.store.change(launch(three, one)).await.unwrap();
    // A command's jobs are of a run template of their own.
    world.template = two;
    let command = world.action("CustomCommand", Mode::Success);
    let command = world.store.change(command).await.unwrap();
    world.ended_with(0).await;
    let due = world.due(LONG).await.remove(0);
    let run = Effect::Command(LONG, [("COMMAND".to_owned(), "true".to_owned())].into());
    let Recorded::Done(Some(job)) = world.record(&due, Ok(run)).await else { panic!() };
    let commands = world.store.job(job).await.unwrap().run_template.0;
    let error = world.store.change(launch(commands, two)).await.unwrap_err().to_string();
    assert!(error.contains(&format!("({two} launches {commands})")), "{error}");
    let of_company = CreateAction { owner: Owner::Company(new.company), ..launch(one, two) };
    let of_company = world.store.change(of_company).await.unwrap();
    world.store.change(DeleteAction(of_company)).await.unwrap();
    world.store.change(DeleteAction(command)).await.unwrap();

    let delete = |id, cascade| world.store.change(DeleteRunTemplate { id, cascade });
    let error = delete(one, false).await.unwrap_err().to_string();
    assert!(error.contains(&format!("of run template {three} makes jobs of")), "{error}");
    delete(three, false).await.unwrap();
    let page = Page::parse(0, "").unwrap();
    let left = world.store.actions(None, page).await.unwrap();
    assert_eq!(
        left.rows.iter().map(|row| row.owner.0).collect::<Vec<_>>(),
        [Owner::RunTemplate(one)]
    );
}

pub async fn a_run_template_is_run_again_by_one_job_that_waits(database: Box<dyn Database>) {
    let mut world = World::new(database).await;
    for mode in [Mode::Success, Mode::Always] {
        world.with_action("Reschedule", mode).await;
    }
    let again = Effect::Again(Duration::from_secs(90));
    let outcome = async |world: &World, of: &ClaimedAction| {
        let recorded = world.record(of, Ok(again.clone())).await;
        let rows = world.performed(of.claim.job).await;
        let row = rows.into_iter().find(|row| row.id == of.claim.id).unwrap();
        assert_eq!(row.progress, Progress::Succeeded);
        (recorded, row.outcome.unwrap())
    };
    // Both follow the end of the first; then somebody else's job ends.
    let mut next = None;
    for _ in 0..2 {
        world.ended_with(0).await;
        for _ in 0..2 {
            let action = world.due(LONG).await.remove(0);
            let (recorded, said) = outcome(&world, &action).await;
            match (recorded, next) {
                (Recorded::Done(Some(job)), None) => {
                    assert_eq!(said, format!("launched job {job}, to be run in 1m 30s"));
                    next = Some(job);
                }
                (Recorded::Done(None), Some(job)) => {
                    assert_eq!(said, format!("job {job} waits already"));
                }
                other => panic!("{other:?}"),
            }
        }
    }
    // Another run template has one of its own.
    let (first, template) = (next.unwrap(), world.template);
    world.template = crate::world::template(&world.store, "other", "", LONG).await;
    world.with_action("Reschedule", Mode::Always).await;
    world.ended_with(0).await;
    let action = world.due(LONG).await.remove(0);
    let other = outcome(&world, &action).await.0;
    assert!(matches!(other, Recorded::Done(Some(job)) if job != first), "{other:?}");
    // What does not wait any more makes room for the next, once.
    world.template = template;
    world.store.change(cancel(first)).await.unwrap();
    world.ended_with(1).await;
    let action = world.due(LONG).await.remove(0);
    let (Recorded::Done(Some(second)), _) = outcome(&world, &action).await else { panic!() };
    assert!(second != first && world.state(second).await == State::Queued);
    assert_eq!(world.jobs_of(template).await.len(), 5);
}

/// Fails until it was tried often enough.
#[derive(Debug)]
struct Stubborn {
    tried: AtomicU32,
}

impl Action for Stubborn {
    fn name(&self) -> &'static str {
        "Stubborn"
    }

    fn about(&self) -> &'static str {
        "fails twice"
    }

    fn fields(&self) -> &'static [Field] {
        &[]
    }

    fn retry(&self) -> RetryPolicy {
        RetryPolicy { max_attempts: 3, backoff: Backoff::None, ..RetryPolicy::default() }
    }

    fn perform<'a>(&'a self, _: &'a Settings, _: &'a EndedJob, _: Instant) -> Performing<'a> {
        let tried = self.tried.fetch_add(1, Ordering::SeqCst) + 1;
        Box::pin(std::future::ready(match tried % 4 {
            3 => Ok(Effect::Nothing("at last".to_owned())),
            _ => Err(Failed { reason: format!("try {tried}"), again: tried < 3, after: None }),
        }))
    }
}

pub async fn what_can_be_tried_again_is_tried_again_and_the_rest_is_not(
    database: Box<dyn Database>,
) {
    let world = World::new(database).await;
    world.with_action("Stubborn", Mode::Always).await;
    world.with_action("Unheard", Mode::Always).await;
    let before = world.ended_with(0).await;
    let registry = Registry::of(vec![Box::new(Stubborn { tried: AtomicU32::new(0) })]);
    let actions = Actions::start(world.store.clone(), registry, Box::new(|_| {})).await.unwrap();
    let done = wait_for(&world, before.job).await;
    assert_eq!((done[0].progress, done[0].tries), (Progress::Succeeded, 3));
    assert_eq!(done[0].outcome.as_deref(), Some("at last"));
    assert_eq!((done[1].progress, done[1].tries), (Progress::Failed, 1));
    assert!(done[1].outcome.as_deref().unwrap().contains("\"Unheard\""), "{:?}", done[1]);
    // One that ends while the performer waits wakes it; this failure is for good.
    let after = world.ended_with(0).await;
    let done = wait_for(&world, after.job).await;
    assert_eq!((done[0].progress, done[0].tries), (Progress::Failed, 1));
    actions.stop().await;
}

pub async fn schedulers_that_share_a_database_do_each_action_once(database: Box<dyn Database>) {
    const JOBS: usize = 30;
    let world = World::new(database).await;
    let target = template(&world.store, "target", "", LONG).await;
    let settings = [("run_template_id".to_owned(), target.to_string())].into();
    let launch = CreateAction { settings, ..world.action("LaunchJob", Mode::Always) };
    world.store.change(launch).await.unwrap();
    world.with_action("Reschedule", Mode::Always).await;
    let other = open(world.database.as_ref()).await;
    let launched = Arc::new(AtomicU32::new(0));
    let start = async |store| {
        let launched = Arc::clone(&launched);
        let told = move |_| _ = launched.fetch_add(1, Ordering::SeqCst);
        Actions::start(store, Registry::default(), Box::new(told)).await.unwrap()
    };
    let performers = [start(world.store.clone()).await, start(other.clone()).await];
    let mut keys = Vec::new();
    for _ in 0..JOBS {
        keys.push(world.running().await);
    }
    for key in &keys {
        assert!(world.end(exited(*key, 0), None).await);
    }
    for key in keys {
        let done = wait_for(&world, key.job).await;
        assert_eq!(done[0].progress, Progress::Succeeded, "{done:?}");
    }
    for performer in performers {
        performer.stop().await;
    }
    assert_eq!(launched.load(Ordering::SeqCst) as usize, JOBS + 1);
    assert_eq!(world.jobs_of(target).await.len(), JOBS);
    assert_eq!(world.jobs_of(world.template).await.len(), JOBS + 1, "one waits to be run again");
    other.close().await;
}

/// The actions of a job once all have ended.
async fn wait_for(world: &World, job: JobId) -> Vec<PerformedActionRow> {
    let ended = async {
        loop {
            let rows = world.performed(job).await;
            if rows.iter().all(|row| row.ended.is_some()) {
                return rows;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), ended).await.expect("all have ended")
}
