//! Sends what is to be told, in rounds: what there is to be watched first, so that the server
//! makes items of it, then how it is, then what has happened, from the cursor on.
//!
//! A server that stops may have answered for values that it had not stored yet. So when it is
//! away, what it took in its last seconds is sent again: each with the time of before, by
//! which it knows what it has.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chrono::Utc;
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{
    Condition, Settings,
    discovery::{Inventory, Kind},
    gauges,
    link::Away,
    progress::Progress,
    protocol::{Taken, Value},
    refused::{Group, item},
};
use crate::{
    domain::ids::JobId,
    events::Events,
    store::{AdvanceZabbix, Store, StoreError, TakeZabbix, Told},
    telemetry,
};

/// Most values of a request, and events that are read at once.
const AT_ONCE: usize = 250;

/// How long what happens is gathered before it is sent.
const GATHER: Duration = Duration::from_millis(200);

/// How often it is looked whether there is something new to be watched, while things change.
const LOOK: Duration = Duration::from_secs(15);

/// How often the server is told what there is to be watched though nothing has changed.
pub(super) const REPEAT: Duration = Duration::from_secs(3600);

/// How soon that is repeated if the server has no rule for it, first and at last.
const REPEAT_REFUSED: [Duration; 2] = [Duration::from_secs(5), Duration::from_secs(300)];

/// How often the cursor is recorded while there is more to be sent.
const RECORD: Duration = Duration::from_secs(1);

/// How soon a scheduler looks whether the one that tells Zabbix is gone, or for what another
/// one did.
pub(super) const OTHERS: Duration = Duration::from_secs(5);

/// The longest pause before a server that is away is tried again.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Why a round has ended early.
#[derive(Debug)]
enum Broken {
    Away(Away),
    Store(StoreError),
    /// Another scheduler tells Zabbix now.
    Taken,
}

impl From<Away> for Broken {
    fn from(away: Away) -> Self {
        Self::Away(away)
    }
}

impl From<StoreError> for Broken {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// What tells Zabbix.
pub(super) struct Sender {
    store: Store,
    settings: Arc<Settings>,
    condition: Arc<Mutex<Condition>>,
    commits: watch::Receiver<()>,
    told: watch::Receiver<()>,
    stop: CancellationToken,
}

impl Sender {
    pub(super) fn new(
        (store, events): (Store, &Events),
        settings: Arc<Settings>,
        condition: Arc<Mutex<Condition>>,
        stop: CancellationToken,
    ) -> Self {
        let (commits, told) = (store.commits(), events.subscribe_any());
        Self { store, settings, condition, commits, told, stop }
    }

    pub(super) async fn run(mut self) {
        let Settings { link, host, .. } = &*self.settings;
        tracing::info!(server = %link, host, "Zabbix is told what happens");
        let mut failing = false;
        while !self.stop.is_cancelled() {
            let result = match self.store.change(TakeZabbix).await {
                Ok(Some(cursor)) => self.take_turn(Progress::from(cursor)).await,
                Ok(None) => Ok(()),
                Err(error) => Err(error),
            };
            if let Err(error) = &result
                && !failing
            {
                tracing::error!(%error, "what Zabbix is to be told cannot be read; trying on");
            }
            failing = result.is_err();
            let _ = self.stop.run_until_cancelled(tokio::time::sleep(OTHERS)).await;
        }
    }

    /// Tells Zabbix until another scheduler does, or this one stops.
    async fn take_turn(&mut self, mut progress: Progress) -> Result<(), StoreError> {
        loop {
            self.commits.mark_unchanged();
            self.told.mark_unchanged();
            let stop = self.stop.clone();
            let until = match stop.run_until_cancelled(self.round(&mut progress)).await {
                None => break,
                Some(Ok(true)) => continue,
                Some(Ok(false)) => progress.next(self.store.is_shared()),
                Some(Err(Broken::Away(away))) => self.is_away(&mut progress, &away).await?,
                Some(Err(Broken::Store(error))) => return Err(error),
                Some(Err(Broken::Taken)) => {
                    tracing::info!("another scheduler tells Zabbix now");
                    return Ok(());
                }
            };
            self.wait(&mut progress, until).await;
        }
        match self.record(&mut progress).await {
            Err(Broken::Store(error)) => Err(error),
            _ => Ok(()),
        }
    }

    /// Waits for a change, then a little for those that follow it; or for a time.
    async fn wait(&mut self, progress: &mut Progress, until: Instant) {
        if progress.tries > 0 {
            let _ = self.stop.run_until_cancelled(tokio::time::sleep_until(until)).await;
            return;
        }
        let changed = tokio::select! {
            changed = self.commits.changed() => changed.is_ok(),
            changed = self.told.changed() => changed.is_ok(),
            () = tokio::time::sleep_until(until) => false,
            () = self.stop.cancelled() => false,
        };
        if changed {
            progress.look = progress.look.min(progress.looked + LOOK);
            let _ = self.stop.run_until_cancelled(tokio::time::sleep(GATHER)).await;
        }
    }

    /// Tells what is to be told; whether there is more at once.
    async fn round(&self, progress: &mut Progress) -> Result<bool, Broken> {
        let now = Instant::now();
        if now >= progress.look.min(progress.repeat) {
            self.discover(progress).await?;
        }
        if now >= progress.gauge {
            self.gauge(progress).await?;
        }
        let due = progress.refused.due(now, AT_ONCE);
        self.deliver(progress, due).await?;
        let (events, held) = self.read(progress).await?;
        if events.iter().any(|told| progress.is_new(told)) {
            self.discover(progress).await?;
        }
        let traces = self.traces(&events).await;
        let (values, read) = progress.values(&events, &self.settings.host, &traces);
        let (ready, hopeless) = progress.refused.sort(values);
        self.deliver(progress, ready).await?;
        self.deliver(progress, hopeless).await?;
        progress.read = read;
        progress.held = held;
        self.is_here(progress);
        let full = events.len() >= AT_ONCE;
        if !full || progress.recorded_at.elapsed() >= RECORD {
            self.record(progress).await?;
        }
        Ok(full && !held)
    }

    /// The next events; whether there are more that may be preceded by others.
    async fn read(&self, progress: &mut Progress) -> Result<(Vec<Told>, bool), StoreError> {
        let after = progress.read.event;
        match self.store.told_events(after, AT_ONCE as i64).await {
            Err(StoreError::Invalid(_)) => {
                let removed = self.store.removed_events().await?;
                tracing::error!(
                    after,
                    removed,
                    "what happened is too old to be told to Zabbix: it was away for too long"
                );
                progress.refused.forget_values();
                progress.read.event = removed;
                self.store.told_events(removed, AT_ONCE as i64).await
            }
            events => events,
        }
    }

    /// What the traces of the jobs of some events are; empty unless spans are sent.
    async fn traces(&self, events: &[Told]) -> HashMap<JobId, String> {
        let mut traces = HashMap::new();
        let jobs: BTreeSet<i64> = events.iter().map(|told| told.event.job.0).collect();
        for job in jobs.into_iter().map(JobId) {
            let traceparent = telemetry::traceparent_of(&self.store, job).await;
            traces.extend(traceparent.map(|traceparent| (job, traceparent)));
        }
        traces
    }

    /// Sends values; how many were refused.
    async fn send(&self, values: Vec<Value>) -> Result<Taken, Broken> {
        let taken = self.settings.link.send(values).await?;
        if taken.processed > 0 {
            self.condition().last_taken = Some(Utc::now().timestamp_micros());
        }
        Ok(taken)
    }

    /// Sends values and finds out which of them are refused: the server only says how many.
    async fn deliver(&self, progress: &mut Progress, groups: Vec<Group>) -> Result<(), Broken> {
        let (mut unknown, mut lost) = (Vec::new(), 0);
        let mut work = batches(groups);
        while let Some(mut groups) = work.pop() {
            let values = groups.iter().flatten().map(|outgoing| outgoing.value.clone());
            let taken = self.send(values.collect()).await?;
            let now = Instant::now();
            if taken.failed == 0 {
                groups.iter().for_each(|group| progress.refused.taken(group, now));
            } else if taken.processed == 0 || groups.len() == 1 {
                for group in groups {
                    let item = item(&group[0].value);
                    if !progress.refused.knows(&item) {
                        unknown.push(item);
                    }
                    lost += progress.refused.refused(group, now);
                }
            } else {
                work.push(groups.split_off(groups.len() / 2));
                work.push(groups);
            }
        }
        if let Some((host, key)) = unknown.first() {
            let items = unknown.len();
            tracing::warn!(
                host,
                key,
                items,
                "Zabbix has no item for some values, such as this one; they are kept and sent \
                 again for a while"
            );
        }
        if lost > 0 {
            tracing::warn!(
                values = lost,
                "values for items that Zabbix does not have are given up; zabbix:status names \
                 the items"
            );
            self.condition().lost += lost as u64;
        }
        Ok(())
    }

    /// Tells what there is to be watched, if that has changed or it is time to.
    async fn discover(&self, progress: &mut Progress) -> Result<(), Broken> {
        let inventory = Inventory::of(&self.store).await?;
        let now = Instant::now();
        if now >= progress.repeat || progress.inventory.as_ref() != Some(&inventory) {
            let stamp = Utc::now().timestamp_nanos_opt().unwrap_or_default();
            let value = |(host, kind, text): (String, Kind, String)| {
                Value::new(&host, kind.key().to_owned(), text, stamp)
            };
            let values = inventory.values(&self.settings.host).into_iter().map(value);
            let taken = self.send(values.collect()).await?;
            if taken.failed > 0 && progress.rules_unknown == 0 {
                tracing::warn!(
                    rules = taken.failed,
                    host = self.settings.host,
                    "Zabbix lacks some discovery rules: is the template linked to the host?"
                );
            }
            let [first, last] = REPEAT_REFUSED;
            let again = (first * (1 << progress.rules_unknown.min(6))).min(last);
            progress.repeat = now + if taken.failed > 0 { again } else { REPEAT };
            progress.rules_unknown = if taken.failed > 0 { progress.rules_unknown + 1 } else { 0 };
            if taken.processed > 0 {
                progress.refused.discovered(now);
            }
        }
        progress.inventory = Some(inventory);
        (progress.look, progress.looked) = (now + REPEAT, now);
        Ok(())
    }

    /// Tells how queue, agents and companies are.
    async fn gauge(&self, progress: &mut Progress) -> Result<(), Broken> {
        let now = Instant::now();
        let Some(inventory) = &progress.inventory else { return Ok(()) };
        let values = gauges::values(&self.store, inventory, &self.settings.host).await?;
        let mut failed = 0;
        for values in values.chunks(AT_ONCE) {
            failed += self.send(values.to_vec()).await?.failed;
        }
        if failed > 0 {
            tracing::debug!(failed, "Zabbix has no items for some gauges");
        }
        progress.gauge = now + self.settings.interval;
        Ok(())
    }

    /// Records how far Zabbix was told: all that does not wait.
    async fn record(&self, progress: &mut Progress) -> Result<(), Broken> {
        let waits = progress.refused.oldest();
        let told = waits.map_or(progress.read, |oldest| oldest.min(progress.read));
        let now = Instant::now();
        if told != progress.recorded
            || (self.store.is_shared() && now - progress.recorded_at >= self.settings.interval)
        {
            if !self.store.change(AdvanceZabbix(told)).await? {
                return Err(Broken::Taken);
            }
            progress.recorded(told, now);
        }
        Ok(())
    }

    /// The server takes nothing: what it took last is sent again, when it is there. When to
    /// try.
    async fn is_away(&self, progress: &mut Progress, away: &Away) -> Result<Instant, StoreError> {
        progress.tries += 1;
        if self.condition().goes_away(Utc::now().timestamp_micros(), away.to_string()) {
            tracing::warn!("{away}; what it is to be told is kept");
        }
        if progress.tries == 1 {
            let back = progress.back();
            if back != progress.recorded && self.store.change(AdvanceZabbix(back)).await? {
                progress.recorded = back;
            }
        }
        progress.refused.forget_values();
        progress.read = progress.recorded;
        let now = Instant::now();
        // Whether it is there again, this tells first.
        progress.repeat = now;
        progress.gauge = now;
        Ok(now + Duration::from_secs(1 << progress.tries.min(5) >> 1).min(LONGEST_PAUSE))
    }

    /// The server takes what it is told.
    fn is_here(&self, progress: &mut Progress) {
        if progress.tries > 0 {
            tracing::info!(server = %self.settings.link, "Zabbix is there again");
        }
        progress.tries = 0;
        let unknown = progress.refused.items();
        let mut condition = self.condition();
        condition.away = None;
        condition.unknown = unknown;
    }

    fn condition(&self) -> MutexGuard<'_, Condition> {
        self.condition.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Groups in requests, the first last.
fn batches(groups: Vec<Group>) -> Vec<Vec<Group>> {
    let (mut batches, mut size) = (Vec::<Vec<Group>>::new(), 0);
    for group in groups {
        let fits = size + group.len() <= AT_ONCE;
        size = if fits { size + group.len() } else { group.len() };
        match batches.last_mut().filter(|_| fits) {
            Some(batch) => batch.push(group),
            None => batches.push(vec![group]),
        }
    }
    batches.reverse();
    batches
}
