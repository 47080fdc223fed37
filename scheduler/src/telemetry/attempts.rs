//! Attempts on their way, from the claim to the end: when each thing happened. What this
//! scheduler did not see, because another one did or it was started since, is counted and
//! not timed.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use multiflexi_telemetry::traces::{JobTrace, Step, is_on, time_of};

use super::{metrics, seconds, spans};
use crate::{
    domain::{
        ids::AttemptKey,
        job::{Launch, Outcome, State},
    },
    store::{Claimed, Ended, Store},
};

/// Most attempts that are remembered. Far more than are on the way; it bounds those that
/// end elsewhere.
const MOST: usize = 65_536;

#[derive(Clone, Copy, Debug)]
struct OnItsWay {
    /// When it could run, and when it was offered; none if that was before this process.
    times: Option<[Instant; 2]>,
    /// How much of its output is counted as durable.
    durable: i64,
    trace: Option<JobTrace>,
}

static ON_THEIR_WAY: Mutex<BTreeMap<AttemptKey, OnItsWay>> = Mutex::new(BTreeMap::new());

fn on_their_way() -> MutexGuard<'static, BTreeMap<AttemptKey, OnItsWay>> {
    ON_THEIR_WAY.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Jobs were claimed, and are offered to `agent` now.
pub fn claimed(claimed: &Claimed, agent: &str) {
    claimed.failed.iter().for_each(|_| metrics().attempt_ended(Outcome::Failed.state()));
    let now = Instant::now();
    let mut known = on_their_way();
    for (launch, waited) in claimed.launches.iter().zip(&claimed.waited) {
        metrics().wait.observe(seconds(*waited));
        let ready = now.checked_sub(*waited).unwrap_or(now);
        let trace = trace(launch);
        known.insert(launch.key, OnItsWay { times: Some([ready, now]), durable: 0, trace });
        if let Some(trace) = trace {
            let step = Step::Queued(launch.key.number);
            trace
                .span(step, time_of(ready), SystemTime::now())
                .with("multiflexi.agent", agent)
                .send();
        }
    }
    while known.len() > MOST {
        known.pop_first();
    }
}

/// The trace that the process will be told of.
fn trace(launch: &Launch) -> Option<JobTrace> {
    JobTrace::told(launch.environment.get("TRACEPARENT")?, launch.key.job.0)
}

/// An agent may launch these.
pub fn accepted(keys: &[AttemptKey], agent: &str) {
    let known = on_their_way();
    for key in keys {
        metrics().started.inc();
        let Some(OnItsWay { times: Some([ready, offered]), trace, .. }) = known.get(key) else {
            continue;
        };
        metrics().start.observe(seconds(ready.elapsed()));
        if let Some(trace) = trace {
            let step = Step::Dispatch(key.number);
            trace
                .span(step, time_of(*offered), SystemTime::now())
                .with("multiflexi.agent", agent)
                .send();
        }
    }
}

/// An agent is back with these, which another scheduler, or the one before, has offered it.
pub async fn resumed(store: &Store, keys: &[AttemptKey]) {
    if !is_on() {
        return;
    }
    for key in keys.iter().filter(|key| !is_known(**key)) {
        let trace = spans::trace_of(store, key.job).await;
        on_their_way().entry(*key).or_insert(OnItsWay { times: None, durable: 0, trace });
    }
}

fn is_known(key: AttemptKey) -> bool {
    on_their_way().contains_key(&key)
}

/// Offers went back into the queue.
pub fn taken_back(keys: &[AttemptKey]) {
    metrics().taken_back.inc_by(keys.len() as u64);
    let mut known = on_their_way();
    keys.iter().for_each(|key| _ = known.remove(key));
}

/// The trace of an attempt that is on its way, if spans are sent.
pub(super) fn trace_of(key: AttemptKey) -> Option<JobTrace> {
    if !is_on() {
        return None;
    }
    on_their_way().get(&key).and_then(|known| known.trace)
}

/// Of these ends, which were to be recorded since `since`, those of `won` are on record.
pub fn ended(all: &[Ended], won: &[AttemptKey], since: Instant) {
    let mut known = on_their_way();
    for ended in all {
        let key = ended.completion.key;
        let on_its_way = known.remove(&key);
        if !won.contains(&key) {
            continue;
        }
        count(ended, on_its_way.map_or(0, |known| known.durable));
        let Some(OnItsWay { times, trace, .. }) = on_its_way else { continue };
        if let Some([ready, _]) = times {
            metrics().whole.observe(seconds(ready.elapsed()));
        }
        if let Some(trace) = trace {
            send_spans(&trace, ended, since);
        }
    }
}

/// Output of an attempt from `from` to `to` is durable; a rest is made durable again with
/// what has come since, and counts once.
pub(super) fn output_durable(key: AttemptKey, [from, to]: [i64; 2]) {
    let mut known = on_their_way();
    let before = match known.get_mut(&key) {
        Some(known) => {
            let durable = known.durable.max(to);
            std::mem::replace(&mut known.durable, durable)
        }
        None => from,
    };
    metrics().log_stored.inc_by((to - before.max(from)).max(0).unsigned_abs());
}

fn count(ended: &Ended, durable: i64) {
    metrics().attempt_ended(ended.outcome.state());
    if !ended.completion.lost_output.is_empty() {
        metrics().output_lost.inc();
    }
    if ended.completion.elapsed > Duration::ZERO {
        metrics().run.observe(seconds(ended.completion.elapsed));
    }
    if let Some(chunk) = &ended.chunk {
        let new = chunk.start + chunk.length - durable.max(chunk.start);
        metrics().log_stored.inc_by(new.max(0).unsigned_abs());
    }
}

fn send_spans(trace: &JobTrace, ended: &Ended, since: Instant) {
    let key = ended.completion.key;
    let [start, end] = [time_of(since), SystemTime::now()];
    if let Some(chunk) = &ended.chunk {
        // A small rest is made durable with the end.
        let span = trace.span(Step::Output(key.number, chunk.start), start, end);
        span.with("multiflexi.output.bytes", chunk.length).send();
    }
    let state = ended.outcome.state();
    let span =
        trace.span(Step::RunEnd(key.number), start, end).with("multiflexi.state", state.name());
    let span = match ended.completion.exit_code {
        Some(code) => span.with("multiflexi.exit_code", i64::from(code)),
        None => span,
    };
    match state {
        State::Succeeded => span.send(),
        state => span.failed(state.name()).send(),
    }
}
