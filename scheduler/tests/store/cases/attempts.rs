//! The life of an attempt, and who may change it.

use std::time::Duration;

use multiflexi_scheduler::{
    domain::{
        ids::{AttemptKey, Fence},
        job::{Completion, State},
        retry::{Backoff, RetryPolicy},
    },
    store::{
        ArtifactFilter, Cancelled, CreateJobs, FinishingAttempts, GiveUp, ListPage, Missing,
        NewJobs, Reconcile, RegisterAgent, Started, StartedRow,
    },
};

use crate::{
    databases::Database,
    world::{
        World, cancel, ended, exited, lose_contact, queue, restart, template, with_retry, withdraw,
    },
};

pub async fn a_job_goes_through_its_life(database: Box<dyn Database>) {
    let world = World::new(database).await;
    let key = world.offered().await;
    assert_eq!(world.state(key.job).await, State::Offered);
    world.store.change(world.accept(vec![key])).await.unwrap();
    assert_eq!(world.state(key.job).await, State::Running);
    world.store.change(Started(vec![StartedRow { key, pid: 4711 }])).await.unwrap();
    let finishing = world.store.change(FinishingAttempts(vec![key])).await.unwrap();
    assert_eq!(finishing, [key]);
    assert!(world.end(exited(key, 3), None).await);
    let job = world.store.job(key.job).await.unwrap();
    assert_eq!((job.state, job.exit_code, job.attempt), (State::Failed, Some(3), 1));
    assert!(job.ended >= job.started && job.started.is_some());
    let attempts = world.store.attempts(key.job).await.unwrap();
    let [attempt] = attempts.as_slice() else { panic!("{attempts:?}") };
    assert_eq!((attempt.pid, attempt.cpu_us), (Some(4711), [1500, 700]));
    assert_eq!(attempt.streams[0], Some((3, "01".repeat(32))));
    // Its agent's clock says so, however late that was heard.
    let ran = Some(exited(key, 3).elapsed);
    let runs = world.store.ended_runs(job.run_template.0, 1).await.unwrap();
    assert_eq!((attempt.ran, job.ran, runs[0].took), (ran, ran, ran));
}

pub async fn a_stale_fence_changes_nothing(database: Box<dyn Database>) {
    let world = World::new(database).await;
    let key = world.running().await;
    let before = world.store.attempts(key.job).await.unwrap();
    let stale = AttemptKey { fence: Fence(key.fence.0 - 1), ..key };
    let ahead = AttemptKey { fence: Fence(key.fence.0 + 1), ..key };
    for wrong in [stale, ahead, AttemptKey { number: key.number + 1, ..key }] {
        assert!(!world.end(exited(wrong, 0), None).await);
        assert!(world.store.change(world.accept(vec![wrong])).await.unwrap().is_empty());
        assert!(world.store.change(FinishingAttempts(vec![wrong])).await.unwrap().is_empty());
        world.store.change(withdraw(wrong)).await.unwrap();
        world.store.change(Started(vec![StartedRow { key: wrong, pid: 1 }])).await.unwrap();
    }
    assert_eq!(world.store.attempts(key.job).await.unwrap(), before);
    assert_eq!(world.state(key.job).await, State::Running);
}

pub async fn a_finished_attempt_never_changes(database: Box<dyn Database>) {
    let world = World::new(database).await;
    let key = world.running().await;
    assert!(world.end(exited(key, 0), None).await);
    let before = world.store.attempts(key.job).await.unwrap();
    assert!(!world.end(exited(key, 1), None).await);
    assert!(world.store.change(world.accept(vec![key])).await.unwrap().is_empty());
    assert!(restart(&world.store).await.is_empty());
    world.store.change(cancel(key.job)).await.unwrap_err();
    assert_eq!(world.store.attempts(key.job).await.unwrap(), before);
    assert_eq!(world.state(key.job).await, State::Succeeded);
}

pub async fn running_again_makes_the_next_attempt(database: Box<dyn Database>) {
    let world = World::new(database).await;
    let first = world.running().await;
    world.end(exited(first, 1), None).await;
    let queued = world.store.change(queue(first.job)).await.unwrap();
    assert_eq!((queued.attempt, queued.newly), (2, true));
    let queued = world.store.change(queue(first.job)).await.unwrap();
    assert_eq!((queued.attempt, queued.newly), (2, false));
    let second = world.claim(1).await.launches[0].key;
    assert_eq!((second.job, second.number), (first.job, 2));
    assert!(second.fence > first.fence);
    world.store.change(world.accept(vec![second])).await.unwrap();
    assert!(!world.end(exited(first, 0), None).await);
    assert!(world.end(exited(second, 0), None).await);
    let attempts = world.store.attempts(first.job).await.unwrap();
    let states: Vec<State> = attempts.iter().map(|attempt| attempt.state).collect();
    assert_eq!(states, [State::Failed, State::Succeeded]);
}

pub async fn an_offer_that_is_withdrawn_costs_no_attempt(database: Box<dyn Database>) {
    let world = World::new(database).await;
    let first = world.offered().await;
    world.store.change(withdraw(first)).await.unwrap();
    assert_eq!(world.state(first.job).await, State::Queued);
    let second = world.claim(1).await.launches[0].key;
    assert_eq!((second.job, second.number), (first.job, 1));
    assert!(second.fence > first.fence);
    assert!(world.store.change(world.accept(vec![first])).await.unwrap().is_empty());
    assert_eq!(world.store.change(world.accept(vec![second])).await.unwrap(), [second]);
}

pub async fn cancelling_ends_what_waits_and_marks_what_runs(database: Box<dyn Database>) {
    let world = World::new(database).await;
    let waiting = world.queued(1).await[0];
    assert_eq!(world.store.change(cancel(waiting)).await.unwrap(), Cancelled::Ended(None));
    assert_eq!(world.state(waiting).await, State::Cancelled);
    let offered = world.offered().await;
    let cancelled = world.store.change(cancel(offered.job)).await.unwrap();
    assert_eq!(cancelled, Cancelled::Ended(Some(offered)));
    assert!(world.store.change(world.accept(vec![offered])).await.unwrap().is_empty());
    let running = world.running().await;
    let cancelled = world.store.change(cancel(running.job)).await.unwrap();
    assert_eq!(cancelled, Cancelled::OnAgent(world.agent, running));
    assert_eq!(world.state(running.job).await, State::Running);
}

pub async fn agents_that_come_back_are_reconciled(database: Box<dyn Database>) {
    let world = World::new(database).await;
    let (held, missing, ended) =
        (world.running().await, world.running().await, world.running().await);
    let offered = world.offered().await;
    assert!(world.end(exited(ended, 0), None).await);
    let mut unreachable = world.store.change(lose_contact(world.agent)).await.unwrap();
    unreachable.sort_unstable();
    assert_eq!(unreachable, [held, missing]);
    assert_eq!(world.state(offered.job).await, State::Queued);
    world.store.change(cancel(held.job)).await.unwrap();
    let mut reconcile = Reconcile { agent: world.agent, held: vec![], missing: Missing::Unknown };
    let outcome = world.store.change(reconcile.clone()).await.unwrap();
    assert!(outcome.gone.is_empty(), "another agent of the same name loses nothing");
    reconcile = Reconcile { held: vec![held, ended], missing: Missing::Gone, ..reconcile };
    let outcome = world.store.change(reconcile).await.unwrap();
    assert_eq!(outcome.resumed.len(), 1);
    assert!(outcome.resumed[0].key == held && outcome.resumed[0].cancel);
    assert_eq!((outcome.over, outcome.gone), (vec![ended], vec![missing]));
    assert_eq!(world.state(held.job).await, State::Running);
    assert_eq!(world.state(missing.job).await, State::Unreachable);
}

pub async fn what_was_accepted_and_never_launched_is_queued_again(database: Box<dyn Database>) {
    let world = World::new(database).await;
    let (never, started, cancelled, finishing) = (
        world.running().await,
        world.running().await,
        world.running().await,
        world.running().await,
    );
    world.store.change(Started(vec![StartedRow { key: started, pid: 7 }])).await.unwrap();
    world.store.change(cancel(cancelled.job)).await.unwrap();
    world.store.change(FinishingAttempts(vec![finishing])).await.unwrap();
    let missing = Missing::NeverLaunched;
    let reconcile = Reconcile { agent: world.agent, held: vec![], missing };
    let mut outcome = world.store.change(reconcile).await.unwrap();
    outcome.returned.sort_unstable();
    outcome.gone.sort_unstable();
    assert_eq!(outcome.returned, [never, cancelled]);
    assert_eq!(outcome.gone, [started, finishing], "what is known to have run is not run again");
    assert_eq!(world.state(never.job).await, State::Queued);
    assert_eq!(world.state(cancelled.job).await, State::Cancelled);
    let again = world.claim(1).await.launches[0].key;
    assert_eq!((again.job, again.number), (never.job, 1));
    assert!(again.fence > never.fence);
    assert!(!world.end(exited(never, 0), None).await);
}

pub async fn an_agents_memory_is_told_from_anothers(database: Box<dyn Database>) {
    let world = World::new(database).await;
    let register = |instance: &str, boot: &str| RegisterAgent {
        name: "agent".to_owned(),
        instance: instance.to_owned(),
        boot: boot.to_owned(),
        slots: 1,
        version: "1".to_owned(),
        labels: [].into(),
    };
    for (instance, boot, missing) in [
        ("first", "monday", Missing::NeverLaunched),
        ("first", "tuesday", Missing::Gone),
        ("second", "tuesday", Missing::Unknown),
        ("second", "tuesday", Missing::NeverLaunched),
    ] {
        let registered = world.store.change(register(instance, boot)).await.unwrap();
        assert_eq!((registered.id, registered.missing), (world.agent, missing));
    }
}

pub async fn what_stays_away_is_lost_only_after_its_time(database: Box<dyn Database>) {
    let mut world = World::new(database).await;
    let patient = world.running().await;
    world.template = template(&world.store, "impatient", "", Duration::ZERO).await;
    let (impatient, back) = (world.running().await, world.running().await);
    restart(&world.store).await;
    let overdue = world.store.overdue().await.unwrap();
    assert_eq!(overdue.due, [impatient, back]);
    let patience = Duration::from_secs(600);
    assert!(overdue.next.is_some_and(|left| left > Duration::ZERO && left <= patience));
    let missing = Missing::Unknown;
    let reconcile = Reconcile { agent: world.agent, held: vec![back], missing };
    world.store.change(reconcile).await.unwrap();
    let lost = [patient, impatient, back]
        .map(|key| ended(Completion::lost(key, 0, "gone".to_owned()), None));
    assert_eq!(world.store.change(GiveUp(lost.to_vec())).await.unwrap().ended, [impatient]);
    assert_eq!(world.state(patient.job).await, State::Unreachable);
    assert_eq!(world.state(impatient.job).await, State::Lost);
    assert_eq!(world.state(back.job).await, State::Running, "who is back is not given up");
    let of_job = ArtifactFilter { job: Some(impatient.job), ..ArtifactFilter::default() };
    let page = ListPage::parse(0, "").unwrap();
    let kept = world.store.artifacts(&of_job, &page).await.unwrap();
    assert_eq!(kept.rows.len(), 2, "stdout.txt and stderr.txt of what had arrived");
}

pub async fn a_job_that_cannot_begin_fails_with_its_reason(database: Box<dyn Database>) {
    let mut world = World::new(database).await;
    world.template = template(&world.store, "long", "{LONG}", Duration::ZERO).await;
    let environment = [("LONG".to_owned(), "x".repeat(200_000))].into();
    let new = NewJobs { environment, queue: true, ..world.new_jobs(1) };
    let job = world.store.change(CreateJobs(new)).await.unwrap()[0];
    let claimed = world.claim(1).await;
    assert!(claimed.launches.is_empty());
    assert_eq!(claimed.failed.len(), 1);
    let row = world.store.job(job).await.unwrap();
    assert_eq!(row.state, State::Failed);
    assert!(row.trouble.unwrap().contains("200000 bytes"));
}

pub async fn a_retry_is_queued_with_the_end_and_claimed_when_it_is_due(
    database: Box<dyn Database>,
) {
    let mut world = World::new(database).await;
    let soon = |policy: RetryPolicy| RetryPolicy { max_attempts: 3, ..policy };
    let now = RetryPolicy { backoff: Backoff::None, ..soon(RetryPolicy::default()) };
    world.template = with_retry(&world.store, "now", now).await;
    let first = world.running().await;
    assert!(world.end(exited(first, 1), None).await);
    let job = world.store.job(first.job).await.unwrap();
    assert_eq!((job.state, job.attempt, job.ended), (State::Queued, 1, None));
    let ended = world.store.attempts(first.job).await.unwrap();
    assert_eq!(ended[0].state, State::Failed, "the attempt itself has ended");
    assert_eq!(ended[0].retry_due, job.due);
    let second = world.claim(1).await.launches[0].key;
    assert_eq!((second.job, second.number), (first.job, 2));
    assert!(!world.end(exited(first, 0), None).await, "the first attempt's fence is past");
    world.store.change(world.accept(vec![second])).await.unwrap();
    assert!(world.end(exited(second, 1), None).await);
    let third = world.claim(1).await.launches[0].key;
    world.store.change(world.accept(vec![third])).await.unwrap();
    assert!(world.end(exited(third, 1), None).await);
    assert_eq!(world.state(first.job).await, State::Failed, "three attempts are all");
    let decisions = world.store.decisions(first.job).await.unwrap();
    let retried = decisions.iter().filter(|row| row.decision.what == "retried");
    assert_eq!(retried.map(|row| row.decision.attempt).collect::<Vec<_>>(), [1, 2]);
    // Asked for by a person, it has three attempts again.
    world.store.change(queue(first.job)).await.unwrap();
    let fourth = world.claim(1).await.launches[0].key;
    world.store.change(world.accept(vec![fourth])).await.unwrap();
    world.end(exited(fourth, 1), None).await;
    assert_eq!(world.state(first.job).await, State::Queued);

    world.template = with_retry(&world.store, "later", soon(RetryPolicy::default())).await;
    world.store.change(cancel(first.job)).await.unwrap();
    let later = world.running().await;
    world.end(exited(later, 1), None).await;
    assert!(world.claim(1).await.launches.is_empty(), "it is not due");
    let next = world.store.next_due().await.unwrap();
    assert!(next.is_some_and(|next| next > Duration::from_secs(5)), "{next:?}");
    world.store.change(queue(later.job)).await.unwrap();
    assert_eq!(world.claim(1).await.launches[0].key.job, later.job, "whoever asks wants it now");
}

pub async fn what_was_cancelled_is_not_retried(database: Box<dyn Database>) {
    let mut world = World::new(database).await;
    let policy = RetryPolicy { max_attempts: 3, ..RetryPolicy::default() };
    world.template = with_retry(&world.store, "retried", policy).await;
    let key = world.running().await;
    world.store.change(cancel(key.job)).await.unwrap();
    assert!(world.end(exited(key, 143), None).await);
    assert_eq!(world.state(key.job).await, State::Failed);
}
