//! Takes actions from the outbox when they are due, does them, and records what came of
//! each. It is woken by the transactions that put some there; its timers are their times.
//!
//! A claim holds for a while only: what a scheduler does not record in that time, because it
//! was killed, is taken by whoever looks next, under a higher fence. What a change of ours
//! does is made with its record, and so once; what is done elsewhere may be done again then.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, timeout_at};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    Action, EndedJob, Failed, Registry, Settings, event,
    places::{Place, Places},
};
use crate::{
    domain::{action::Facts, ids::JobId, retry::RetryPolicy},
    store::{
        ActionClaim, ActionFailure, ClaimActions, ClaimedAction, Effect, KeepAction, PutOff,
        RecordAction, Recorded, ReleaseActions, ResumeAction, Store, StoreError,
    },
    telemetry::{self, ActionSpan},
};

/// How long a claim holds, if it is not kept: longer than most actions may take and be
/// recorded.
const LEASE: Duration = Duration::from_secs(60);

/// How much longer than an action may take its claim is kept, at least.
const MARGIN: Duration = Duration::from_secs(20);

/// How long what was begun is waited for when the scheduler stops.
const STOP: Duration = Duration::from_secs(3);

/// How long an action is put off that has no place. As long as this scheduler runs, whoever
/// leaves a place sees to it before.
const PUT_OFF: Duration = Duration::from_secs(120);

/// Most times that an action is begun of which nobody ever says what came of it, beyond those
/// that it is tried.
const MOST_BEGUN: u32 = 10;

/// When the database fails it is asked again after this time.
const RETRY: Duration = Duration::from_secs(5);

/// Told that an action has launched a job.
pub type Launched = dyn Fn(JobId) + Send + Sync;

/// A handle on the performer.
#[derive(Clone)]
pub struct Actions {
    shared: Arc<Shared>,
}

struct Shared {
    store: Store,
    registry: Registry,
    launched: Box<Launched>,
    /// A place for each action that is done.
    places: Arc<Places>,
    /// Rung when an action was recorded: the next one of its job may be due.
    recorded: tokio::sync::Notify,
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// What is done next in a place.
enum Next {
    Claimed(Box<ClaimedAction>),
    PutOff(ActionClaim),
}

impl std::fmt::Debug for Actions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Actions").field("registry", &self.shared.registry).finish_non_exhaustive()
    }
}

impl Actions {
    /// Begins with what is in the outbox. `launched` is told of jobs that actions launch.
    pub async fn start(
        store: Store,
        registry: Registry,
        launched: Box<Launched>,
    ) -> Result<Self, StoreError> {
        store.change(ReleaseActions).await?;
        let shared = Shared {
            store,
            registry,
            launched,
            places: Arc::new(Places::new()),
            recorded: tokio::sync::Notify::new(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        };
        let actions = Self { shared: Arc::new(shared) };
        actions.shared.tasks.spawn(actions.clone().run());
        Ok(actions)
    }

    /// The kinds that it can do.
    pub fn registry(&self) -> &Registry {
        &self.shared.registry
    }

    /// Takes nothing more, and waits for what was begun.
    pub async fn stop(&self) {
        self.shared.stop.cancel();
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
    }

    async fn run(self) {
        let Shared { store, recorded, stop, .. } = &*self.shared;
        loop {
            let next = self.begin_due().await.unwrap_or_else(|error| {
                tracing::error!(%error, "actions cannot be taken from the outbox; trying on");
                Some(RETRY)
            });
            tokio::select! {
                () = store.actions_added().notified() => {}
                () = recorded.notified() => {}
                () = tokio::time::sleep(next.unwrap_or(Duration::MAX)) => {}
                () = stop.cancelled() => return,
            }
        }
    }

    /// Begins all that is due and has a place; how long until the next is due.
    async fn begin_due(&self) -> Result<Option<Duration>, StoreError> {
        let Shared { store, places, stop, .. } = &*self.shared;
        while !stop.is_cancelled() {
            let next = store.next_action().await?;
            if next != Some(Duration::ZERO) {
                return Ok(self.look_again(next));
            }
            let limit = i64::try_from(places.free_here()).unwrap_or(i64::MAX);
            if limit == 0 {
                // Whoever leaves a place rings.
                return Ok(None);
            }
            let claimed = store.change(ClaimActions { limit, lease: LEASE }).await?;
            if claimed.is_empty() {
                // Another scheduler was quicker.
                return Ok(Some(RETRY));
            }
            self.begin(claimed).await?;
        }
        Ok(None)
    }

    /// Begins what has a place, and lets the rest wait for one.
    async fn begin(&self, claimed: Vec<ClaimedAction>) -> Result<(), StoreError> {
        let Shared { store, places, .. } = &*self.shared;
        let (mut put_off, mut waiting) = (Vec::new(), Vec::new());
        for action in claimed {
            let read = self.read(&action).ok();
            let asks = read.and_then(|(kind, settings)| kind.asks(&settings));
            match places.take(asks.as_deref()) {
                Ok(place) => self.work(place, Next::Claimed(Box::new(action))),
                Err(why) => {
                    put_off.push((action.claim, why));
                    waiting.extend(asks.map(|asks| (asks, action.claim)));
                }
            }
        }
        if put_off.is_empty() {
            return Ok(());
        }
        store.change(PutOff { claims: put_off, pause: PUT_OFF }).await?;
        for (asks, claim) in waiting {
            if let Some(place) = places.wait(&asks, claim) {
                self.work(place, Next::PutOff(claim));
            }
        }
        Ok(())
    }

    /// Does an action in a place, and then what waits for that.
    fn work(&self, mut place: Place, first: Next) {
        let actions = self.clone();
        self.shared.tasks.spawn(async move {
            let Shared { store, recorded, stop, .. } = &*actions.shared;
            let mut next = Some(first);
            while let Some(action) = next {
                let claimed = match action {
                    Next::Claimed(action) => Some(*action),
                    Next::PutOff(claim) => {
                        let resumed = store.change(ResumeAction { claim, lease: LEASE }).await;
                        // What cannot be resumed comes back when its time has come.
                        resumed.unwrap_or_default()
                    }
                };
                if let Some(action) = claimed {
                    actions.perform(action).await;
                    recorded.notify_one();
                }
                let go_on = !stop.is_cancelled();
                next = place.next().filter(|_| go_on).map(Next::PutOff);
            }
            drop(place);
            // Who looks then has this place as well.
            recorded.notify_one();
        });
    }

    /// What other schedulers leave behind rings no bell here: where there can be others, it
    /// is looked for when a claim of theirs would have run out.
    fn look_again(&self, next: Option<Duration>) -> Option<Duration> {
        match self.shared.store.is_shared() {
            true => Some(next.unwrap_or(LEASE).min(LEASE)),
            false => next,
        }
    }

    async fn perform(&self, action: ClaimedAction) {
        let claim = action.claim;
        let watched = ActionSpan::begin(&self.shared.store, &action).await;
        let result = match self.read(&action) {
            Ok((kind, settings)) => {
                let policy = settings.retry().unwrap_or_else(|| kind.retry());
                let result = self.result(&action, kind, &settings, &policy);
                let result = watched.within(result).await;
                let failure = |failed: Failed| ActionFailure {
                    reason: settings.without_secrets(&failed.reason),
                    again: again(&action, &policy, &failed),
                };
                result.map_err(failure).map(|effect| match effect {
                    Effect::Nothing(said) => Effect::Nothing(settings.without_secrets(&said)),
                    effect => effect,
                })
            }
            Err(reason) => Err(ActionFailure { reason, again: None }),
        };
        if let Err(failure) = &result {
            tracing::warn!(
                action = claim.id.0,
                kind = action.kind,
                job = claim.job.0,
                reason = failure.reason,
                "an action has failed"
            );
        }
        let kind = self.shared.registry.find(&action.kind).ok().map(Action::name);
        watched.over(kind, result.is_ok());
        self.record(RecordAction { claim, result }, &watched).await;
    }

    /// What kind an action is of, and what it is told; the error is a sentence.
    fn read(&self, action: &ClaimedAction) -> Result<(&dyn Action, Settings), String> {
        let kind = self.shared.registry.find(&action.kind).map_err(|error| error.to_string())?;
        let given = action.settings.as_ref().map_err(Clone::clone)?;
        let settings = kind.read(&given.values).map_err(|error| error.to_string())?;
        Ok((kind, settings))
    }

    /// What an action comes to.
    async fn result(
        &self,
        action: &ClaimedAction,
        kind: &dyn Action,
        settings: &Settings,
        policy: &RetryPolicy,
    ) -> Result<Effect, Failed> {
        let Shared { store, stop, .. } = &*self.shared;
        let ClaimedAction { claim, tries, .. } = action;
        if *tries > policy.max_attempts.saturating_add(MOST_BEGUN) {
            let reason =
                format!("it was begun {} times, and nobody said what came of it", tries - 1);
            return Err(Failed::never(reason));
        }
        let ended = self.ended(action, kind, settings).await.map_err(|error| {
            Failed::later(format!("what is known of the job cannot be read: {error}"))
        })?;
        let timeout = kind.timeout(settings);
        if timeout + MARGIN > LEASE {
            let lease = timeout + LEASE;
            let kept = store.change(KeepAction { claim: *claim, lease }).await;
            if !kept.map_err(|error| Failed::later(error.to_string()))? {
                return Err(Failed::later("another scheduler has taken it over".to_owned()));
            }
        }
        // What it waits for may tell more exactly that it takes too long.
        let deadline = Instant::now() + timeout + Duration::from_secs(1);
        let stopped = async {
            stop.cancelled().await;
            tokio::time::sleep(STOP).await;
        };
        tokio::select! {
            result = timeout_at(deadline, kind.perform(settings, &ended, deadline)) => {
                result.unwrap_or_else(|_| {
                    let timeout = humantime::format_duration(timeout);
                    Err(Failed::later(format!("it took longer than {timeout}")))
                })
            }
            () = stopped => Err(Failed {
                reason: "the scheduler was stopped meanwhile".to_owned(),
                again: true,
                after: None,
            }),
        }
    }

    /// The job that an action follows, with what is known of it if the kind says something.
    async fn ended(
        &self,
        action: &ClaimedAction,
        kind: &dyn Action,
        settings: &Settings,
    ) -> Result<EndedJob, StoreError> {
        let claim = &action.claim;
        let (mut event, mut facts) = (String::new(), Facts::default());
        if kind.knows_facts(settings) {
            let store = &self.shared.store;
            let database = store.object_store().await?.map(|known| known.id);
            event = event::id(&database.unwrap_or_default(), claim);
            facts = event::facts(store, claim, &event).await?;
            if let Some(artifacts) = &self.shared.registry.artifacts {
                event::add_output(&mut facts, settings, claim, (store, artifacts)).await;
            }
        }
        let (id, attempt, run_template) = (claim.job, claim.attempt, claim.run_template);
        Ok(EndedJob { id, attempt, run_template, event, facts })
    }

    /// Records it, for as long as it takes: once somebody else has the claim, nothing is
    /// changed.
    async fn record(&self, record: RecordAction, watched: &ActionSpan) {
        let Shared { store, stop, .. } = &*self.shared;
        loop {
            match store.change(record.clone()).await {
                Ok(Recorded::Done(Some(job))) => {
                    (self.shared.launched)(job);
                    return telemetry::launched(store, job, watched.parent()).await;
                }
                Ok(Recorded::Done(None) | Recorded::Stale) => return,
                Err(error) => tracing::error!(
                    action = record.claim.id.0, %error, "an action cannot be recorded; trying on"
                ),
            }
            tokio::select! {
                () = tokio::time::sleep(RETRY) => {}
                () = stop.cancelled() => return,
            }
        }
    }
}

/// When an action that has failed is tried again.
fn again(action: &ClaimedAction, policy: &RetryPolicy, failed: &Failed) -> Option<Duration> {
    if !failed.again {
        return None;
    }
    let random = u32::try_from(action.claim.id.0.wrapping_mul(2_654_435_761) & 0xffff_ffff);
    let pause = policy.again(action.tries, random.unwrap_or_default())?;
    Some(pause.max(failed.after.unwrap_or_default()))
}
