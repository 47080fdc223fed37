//! The dispatch protocol, simulated: the real transitions of the store on one side,
//! a model of an agent on the other, and between them messages that come late, twice,
//! out of order or never. What must hold is checked on the way and at the end.

#![allow(clippy::unwrap_used, missing_docs, reason = "all of this is tests")]

mod agent;
mod world;

use proptest::prelude::*;

use world::World;

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

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, max_shrink_iters: 200, ..Default::default() })]

    #[test]
    fn whatever_happens_to_messages_each_job_ends_once_and_no_attempt_runs_twice(
        steps in prop::collection::vec(any_step(), 50..400)
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut world = World::new().await;
            world.step(Step::Connect).await;
            for (index, step) in steps.into_iter().enumerate() {
                world.step(step).await;
                // Each question costs: not all are asked after every step.
                if index % 8 == 0 {
                    world.check().await;
                }
            }
            world.settle().await;
            world.check().await;
            world.check_settled().await;
        });
    }
}
