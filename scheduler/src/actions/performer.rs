//! Takes actions from the outbox when they are due, does them, and records what came of
//! each. It is woken by the transactions that put some there; its timers are their times.
//!
//! A claim holds for a while only: what a scheduler does not record in that time, because it
//! was killed, is taken by whoever looks next, under a higher fence. What a change of ours
//! does is made with its record, and so once; what is done elsewhere may be done again then.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::Semaphore,
    time::{Instant, timeout_at},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{Action, EndedJob, Failed, Registry};
use crate::{
    domain::ids::JobId,
    store::{
        ActionFailure, ClaimActions, ClaimedAction, RecordAction, Recorded, ReleaseActions, Store,
        StoreError,
    },
    telemetry::{self, ActionSpan},
};

/// How long an action may take.
const DEADLINE: Duration = Duration::from_secs(30);

/// How long a claim holds: longer than an action may take and be recorded.
const LEASE: Duration = Duration::from_secs(60);

/// Most actions that are done at once.
const AT_ONCE: usize = 32;

/// Most times that an action is begun of which nobody ever says what came of it.
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
    places: Arc<Semaphore>,
    /// Rung when an action was recorded: the next one of its job may be due.
    recorded: tokio::sync::Notify,
    tasks: TaskTracker,
    stop: CancellationToken,
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
            places: Arc::new(Semaphore::new(AT_ONCE)),
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
            let limit = places.available_permits();
            if limit == 0 {
                // Whoever leaves a place rings.
                return Ok(None);
            }
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            let claimed = store.change(ClaimActions { limit, lease: LEASE }).await?;
            if claimed.is_empty() {
                // Another scheduler was quicker.
                return Ok(Some(RETRY));
            }
            for action in claimed {
                let place = Arc::clone(places).acquire_owned().await;
                let actions = self.clone();
                self.shared.tasks.spawn(async move {
                    actions.perform(action).await;
                    drop(place);
                    actions.shared.recorded.notify_one();
                });
            }
        }
        Ok(None)
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
        let result = match watched.within(self.result(&action)).await {
            Ok(effect) => Ok(effect),
            Err((Failed { reason, again: false }, _)) => Err(ActionFailure { reason, again: None }),
            Err((Failed { reason, again: true }, kind)) => {
                let random = u32::try_from(claim.id.0.wrapping_mul(2_654_435_761) & 0xffff_ffff);
                let again = kind
                    .and_then(|kind| kind.retry().again(action.tries, random.unwrap_or_default()));
                Err(ActionFailure { reason, again })
            }
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

    /// What an action comes to; an error with its kind, if that is known.
    async fn result<'a>(
        &'a self,
        action: &ClaimedAction,
    ) -> Result<crate::store::Effect, (Failed, Option<&'a dyn Action>)> {
        let never = |reason: String| Failed { reason, again: false };
        if action.tries > MOST_BEGUN {
            let reason =
                format!("it was begun {MOST_BEGUN} times, and nobody said what came of it");
            return Err((never(reason), None));
        }
        let kind = self.shared.registry.find(&action.kind);
        let kind = kind.map_err(|error| (never(error.to_string()), None))?;
        let given = action.settings.as_ref().map_err(|why| (never(why.clone()), None))?;
        let settings =
            kind.read(&given.values).map_err(|error| (never(error.to_string()), None))?;
        let claim = action.claim;
        let ended =
            EndedJob { id: claim.job, attempt: claim.attempt, run_template: claim.run_template };
        let deadline = Instant::now() + DEADLINE;
        match timeout_at(deadline, kind.perform(&settings, &ended, deadline)).await {
            Ok(result) => result.map_err(|failed| (failed, Some(kind))),
            Err(_) => {
                let reason = format!("it took longer than {} s", DEADLINE.as_secs());
                Err((Failed { reason, again: true }, Some(kind)))
            }
        }
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
