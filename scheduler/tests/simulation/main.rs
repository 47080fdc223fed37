//! The dispatch protocol, simulated: the real transitions of the store on one side,
//! models of two agents on the other, and between them messages that come late, twice,
//! out of order or never. What must hold is checked on the way and at the end.

#![allow(clippy::unwrap_used, missing_docs, reason = "all of this is tests")]

mod agent;
mod world;

use proptest::{
    prelude::*,
    test_runner::{TestError, TestRunner},
};

use world::{Fences, Verdict, World};

/// What happens next. Numbers choose among what is there.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    /// A job is submitted.
    Submit,
    /// The scheduler offers what waits.
    Offer,
    /// A message reaches the agent; it may come again later, but for an offer: no fence is
    /// offered twice, and a stream brings it at most once.
    ToAgent { which: u8, again: bool },
    /// A message reaches the scheduler; it may come again later.
    ToScheduler { which: u8, again: bool },
    /// An offer's deadline passes.
    Expire { which: u8 },
    /// A process ends.
    Exit { which: u8 },
    /// Somebody cancels a job.
    Cancel { which: u8 },
    /// Somebody runs a job that has ended.
    RunAgain { which: u8 },
    /// The connection breaks: what is on the way is lost, what is not launched is dropped.
    Cut,
    /// The session is killed and forgets all but what the supervisor has.
    KillSession,
    /// The scheduler is killed and started again.
    Restart,
    /// The agent connects.
    Connect,
    /// Time passes: attempts whose agent is away are given up.
    GiveUp,
}

fn any_step() -> impl Strategy<Value = Step> {
    let which = any::<u8>();
    prop_oneof![
        2 => Just(Step::Submit),
        8 => Just(Step::Offer),
        20 => (which, prop::bool::weighted(0.4)).prop_map(|(which, again)| Step::ToAgent { which, again }),
        20 => (which, prop::bool::weighted(0.4)).prop_map(|(which, again)| Step::ToScheduler { which, again }),
        3 => which.prop_map(|which| Step::Expire { which }),
        10 => which.prop_map(|which| Step::Exit { which }),
        1 => which.prop_map(|which| Step::Cancel { which }),
        3 => which.prop_map(|which| Step::RunAgain { which }),
        1 => Just(Step::Cut),
        1 => Just(Step::KillSession),
        1 => Just(Step::Restart),
        4 => Just(Step::Connect),
        1 => Just(Step::GiveUp),
    ]
}

/// A course of events: to which agent, and what.
fn course() -> impl Strategy<Value = Vec<(usize, Step)>> {
    prop::collection::vec((0..2_usize, any_step()), 50..400)
}

/// Lets it all happen, and checks on the way and at the end.
async fn play(fences: Fences, course: &[(usize, Step)]) -> Verdict {
    let mut world = World::new(fences).await;
    for host in 0..2 {
        world.step(host, Step::Connect).await;
    }
    for (index, (host, step)) in course.iter().enumerate() {
        world.step(*host, *step).await;
        // Each question costs: not all are asked after every step.
        if index % 8 == 0 {
            world.check().await?;
        }
    }
    world.settle().await?;
    world.check().await?;
    world.check_settled().await
}

/// Plays random courses until `events` have happened; how many did, or what was wrong.
fn search(fences: Fences, events: u64) -> Result<u64, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    // A course that breaks something by accident is wanted as short as it can be.
    let max_shrink_iters = if fences == Fences::Checked { 200 } else { 0 };
    let config = ProptestConfig {
        cases: 1,
        max_shrink_iters,
        failure_persistence: None,
        ..Default::default()
    };
    let mut happened = 0;
    while happened < events {
        let seen = std::cell::Cell::new(0);
        TestRunner::new(config.clone())
            .run(&course(), |course| {
                seen.set(course.len() as u64);
                let verdict = runtime.block_on(play(fences, &course));
                verdict.map_err(TestCaseError::fail)
            })
            .map_err(|error| match error {
                TestError::Fail(reason, course) => format!("{reason}, by {course:?}"),
                TestError::Abort(reason) => reason.to_string(),
            })?;
        happened += seen.get();
    }
    Ok(happened)
}

#[test]
fn whatever_happens_to_messages_each_job_ends_once_and_no_attempt_runs_twice() {
    search(Fences::Checked, 15_000).unwrap();
}

#[test]
fn without_the_fence_an_attempt_runs_under_a_name_that_is_not_its_own() {
    let found = search(Fences::Ignored, 1_000_000).unwrap_err();
    println!("found without the fence: {}", found.split(", by").next().unwrap_or(&found));
}

#[test]
#[ignore = "takes minutes: run it with `just simulate`"]
fn a_million_random_events_break_nothing() {
    let searches = [(); 2].map(|()| std::thread::spawn(|| search(Fences::Checked, 500_000)));
    let happened = searches.map(|search| search.join().unwrap().unwrap());
    println!("{} random events broke nothing", happened.iter().sum::<u64>());
}
