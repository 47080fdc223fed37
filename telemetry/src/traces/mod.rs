//! Traces: each job is one, and what the scheduler and the agent do for it are its spans.
//! Both derive the ids from the job, so neither has to be told by the other what the span is
//! called that its own belongs to.
//!
//! Spans go into a bounded queue, and from there to the collector. When the queue is full
//! because the collector is away or slow, spans are dropped and counted: nobody waits.

mod context;
mod exporter;
mod job;
mod settings;
mod span;

use std::sync::{
    OnceLock,
    atomic::{AtomicU64, Ordering},
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::counter::ConstCounter,
};
use tokio::sync::mpsc;

pub use context::{SpanId, TraceId, TraceParent};
pub use exporter::Exporter;
pub use job::{JobTrace, Step};
pub use settings::{Sampler, Settings};
pub use span::{Span, time_of};

use crate::otlp::trace::v1 as proto;

/// Where this process's spans go; nowhere until [`start`] was called.
static TRACER: OnceLock<Tracer> = OnceLock::new();

/// What became of spans.
static SENT: AtomicU64 = AtomicU64::new(0);
static DROPPED: AtomicU64 = AtomicU64::new(0);

#[derive(Debug)]
struct Tracer {
    queue: mpsc::Sender<proto::Span>,
    sampler: Sampler,
}

/// Sends this process's spans from now on, until the exporter is stopped. Within a runtime.
pub fn start(settings: Settings) -> Exporter {
    let sampler = settings.sampler;
    let (queue, exporter) = exporter::start(settings);
    // Only the first counts: a process has one.
    let _ = TRACER.set(Tracer { queue, sampler });
    exporter
}

/// The same as the environment says. A process that cannot send them does its work all the
/// same.
pub fn from_environment(program: &str) -> Option<Exporter> {
    match Settings::read(program, |name| std::env::var(name).ok()) {
        Ok(settings) => settings.map(start),
        Err(why) => {
            tracing::warn!(why, "no traces are sent");
            None
        }
    }
}

/// Whether spans are sent.
pub fn is_on() -> bool {
    TRACER.get().is_some()
}

/// Which traces are sent; none if none is.
fn sampler() -> Option<Sampler> {
    TRACER.get().map(|tracer| tracer.sampler)
}

/// Puts a span into the queue, if there is room.
fn send(span: proto::Span) {
    let Some(tracer) = TRACER.get() else { return };
    if tracer.queue.try_send(span).is_err() {
        dropped(1);
    }
}

fn sent(spans: usize) {
    SENT.fetch_add(spans as u64, Ordering::Relaxed);
}

fn dropped(spans: usize) {
    DROPPED.fetch_add(spans as u64, Ordering::Relaxed);
}

/// Counts what became of spans.
#[derive(Debug)]
pub struct Spans;

impl Collector for Spans {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let mut counter = |name: &str, help: &str, value: &AtomicU64| {
            let counter = ConstCounter::new(value.load(Ordering::Relaxed));
            let kind = counter.metric_type();
            counter.encode(encoder.encode_descriptor(name, help, None, kind)?)
        };
        counter("trace_spans_sent", "Spans that the collector has taken", &SENT)?;
        let about = "Spans that were dropped, as the collector was away, slow or refused them";
        counter("trace_spans_dropped", about, &DROPPED)
    }
}
