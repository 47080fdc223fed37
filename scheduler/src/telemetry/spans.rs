//! The spans of jobs that are no attempts: the request that makes them, and the actions that
//! follow them. And what a job's trace is: of the client's, if it asked within one, else of
//! its own.

use std::{
    sync::OnceLock,
    time::{Instant, SystemTime},
};

use multiflexi_telemetry::traces::{JobTrace, Step, TraceParent, is_on, time_of};
use tonic::metadata::MetadataMap;

use super::{attempts, metrics, seconds};
use crate::{
    domain::{
        environment::{Given, Value, Variables},
        ids::{AttemptKey, JobId},
    },
    store::{ClaimedAction, Store},
};

/// The variable of a process, and of a job that was asked for within a trace; and what else
/// a client says of its trace.
const TRACEPARENT: &str = "TRACEPARENT";
const TRACESTATE: &str = "TRACESTATE";

/// Longest `tracestate` that is handed on, in bytes.
const LONGEST: usize = 512;

/// What tells the jobs of this database from those of another.
static SYSTEM: OnceLock<String> = OnceLock::new();

/// Says what tells the jobs of this database from those of another.
pub fn belongs_to(system: &str) {
    // A process has one scheduler, but in tests.
    let _ = SYSTEM.set(system.to_owned());
}

/// The trace of a job with these variables of its own, if spans are sent.
fn trace(job: JobId, own: &Given) -> Option<JobTrace> {
    JobTrace::of(SYSTEM.get()?, job.0, given(own))
}

/// What the job was asked for within.
fn given(own: &Given) -> Option<TraceParent> {
    own.values.get(TRACEPARENT)?.parse().ok()
}

/// What an attempt's process is told of the trace, if spans are sent: its own spans come
/// below ours.
pub fn variables(key: AttemptKey, own: &Given) -> Variables {
    let trace = trace(key.job, own);
    let told = trace.map(|trace| trace.parent(Step::Process(key.number)).to_string());
    told.map(|told| (TRACEPARENT.to_owned(), told)).into_iter().collect()
}

/// The trace of a job, if spans are sent and it is there.
pub async fn trace_of(store: &Store, job: JobId) -> Option<JobTrace> {
    if !is_on() {
        return None;
    }
    let own = store.variables_of_job(job).await.ok()?;
    trace(job, &own)
}

/// What a request that is made on behalf of a job says in its `traceparent`, if spans are
/// sent.
pub async fn traceparent_of(store: &Store, job: JobId) -> Option<String> {
    let trace = trace_of(store, job).await?;
    Some(trace.parent(Step::Submit).to_string())
}

/// A request for jobs.
#[derive(Debug)]
pub struct Submission {
    begun: Instant,
    own: Given,
}

impl Submission {
    /// A request arrives: jobs without a trace of their own get that of its client.
    pub fn begin(metadata: &MetadataMap, own: &mut Given) -> Self {
        let begun = Instant::now();
        let said = |name: &str| metadata.get(name).and_then(|value| value.to_str().ok());
        let parent = said("traceparent").filter(|text| text.parse::<TraceParent>().is_ok());
        if let Some(parent) = parent.filter(|_| !own.contains(TRACEPARENT)) {
            own.set(TRACEPARENT.to_owned(), Value::Text(parent.to_owned()), false);
            if let Some(state) = said("tracestate").filter(|state| state.len() <= LONGEST) {
                own.set(TRACESTATE.to_owned(), Value::Text(state.to_owned()), false);
            }
        }
        let own = match own.values.get(TRACEPARENT) {
            Some(parent) => Given::from([(TRACEPARENT.to_owned(), parent.clone())]),
            None => Given::default(),
        };
        Self { begun, own }
    }

    /// These jobs were made.
    pub fn done(&self, jobs: &[JobId]) {
        metrics().submitted.inc_by(jobs.len() as u64);
        if !is_on() {
            return;
        }
        let [start, end] = [time_of(self.begun), SystemTime::now()];
        for trace in jobs.iter().filter_map(|job| trace(*job, &self.own)) {
            trace.span(Step::Submit, start, end).of_server().send();
        }
    }
}

/// Output from `offset` on was made durable since `since`: so many bytes.
pub fn output_stored(key: AttemptKey, offset: i64, bytes: i64, since: Instant) {
    attempts::output_durable(key, [offset, offset + bytes]);
    if let Some(trace) = attempts::trace_of(key) {
        let step = Step::Output(key.number, offset);
        let span = trace.span(step, time_of(since), SystemTime::now());
        span.with("multiflexi.output.bytes", bytes).send();
    }
}

tokio::task_local! {
    /// The action that this task does.
    static WITHIN: TraceParent;
}

/// What a request says in its header `traceparent` that is made for the action which is done
/// here; none if spans are not sent.
pub fn traceparent() -> Option<String> {
    WITHIN.try_with(ToString::to_string).ok()
}

/// An action that is done.
#[derive(Debug)]
pub struct ActionSpan {
    begun: Instant,
    trace: Option<JobTrace>,
    step: Step<'static>,
}

impl ActionSpan {
    /// It begins.
    pub async fn begin(store: &Store, action: &ClaimedAction) -> Self {
        let trace = trace_of(store, action.claim.job).await;
        let step = Step::Action(action.claim.id.0, action.tries);
        Self { begun: Instant::now(), trace, step }
    }

    /// It is over. `kind` is the registry's name of it, if it has one.
    pub fn over(&self, kind: Option<&'static str>, done: bool) {
        let kind = kind.unwrap_or("unknown");
        metrics().action_ended(kind, if done { "success" } else { "failure" });
        metrics().action_time.observe(seconds(self.begun.elapsed()));
        let Some(trace) = self.trace else { return };
        let span = trace.span(self.step, time_of(self.begun), SystemTime::now());
        let span = span.with("multiflexi.action.kind", kind);
        match done {
            true => span.send(),
            // Why is on record; it may quote what it was told.
            false => span.failed("the action has failed").send(),
        }
    }

    /// Does it: meanwhile [`traceparent`] is of this action.
    pub async fn within<T>(&self, action: impl Future<Output = T>) -> T {
        match self.parent() {
            Some(parent) => WITHIN.scope(parent, action).await,
            None => action.await,
        }
    }

    /// What is done elsewhere on its behalf belongs to this, and jobs that it launches came
    /// of it.
    pub fn parent(&self) -> Option<TraceParent> {
        Some(self.trace?.parent(self.step))
    }
}

/// A job was made that nobody asked for by a request. It has a trace of its own, and came of
/// `cause`.
pub async fn launched(store: &Store, job: JobId, cause: Option<TraceParent>) {
    metrics().submitted.inc();
    let Some(trace) = trace_of(store, job).await else { return };
    let now = SystemTime::now();
    let span = trace.span(Step::Submit, now, now);
    match cause {
        Some(cause) => span.after(cause).send(),
        None => span.send(),
    }
}
