//! What this scheduler does, as numbers and as traces. Everybody calls it, in one line, and
//! it calls nobody: it changes nothing and nothing is decided by it. A process has one of
//! each number, however many schedulers a test runs in it.
//!
//! What is told here has happened: of changes to the database it is told after the commit.

mod attempts;
mod database;
mod grpc;
mod metrics;
mod spans;

use std::{
    sync::LazyLock,
    time::{Duration, Instant},
};

pub use attempts::{accepted, claimed, ended, resumed, taken_back};
pub use database::DatabaseGauges;
pub use grpc::Measured;
pub use metrics::Metrics;
pub use spans::{
    ActionSpan, Submission, belongs_to, launched, output_stored, trace_of, traceparent,
    traceparent_of, variables,
};

static METRICS: LazyLock<Metrics> = LazyLock::new(Metrics::default);

/// This process's numbers.
pub fn metrics() -> &'static Metrics {
    &METRICS
}

/// A transaction of the writer, from its begin on. It has failed unless it is said to be
/// done.
#[derive(Debug)]
pub struct Transaction {
    begun: Instant,
    commit: Option<Duration>,
    done: bool,
}

impl Transaction {
    /// It begins.
    pub fn begin() -> Self {
        Self { begun: Instant::now(), commit: None, done: false }
    }

    /// Its changes are made; waits for the commit.
    pub async fn commit<T>(&mut self, commit: impl Future<Output = T>) -> T {
        let begun = Instant::now();
        let committed = commit.await;
        self.commit = Some(begun.elapsed());
        committed
    }

    /// It is durable, with so many changes.
    pub fn done(mut self, changes: usize) {
        self.done = true;
        let metrics = metrics();
        metrics.transaction.observe(seconds(self.begun.elapsed()));
        metrics.changes.observe(changes as f64);
        if let Some(commit) = self.commit {
            metrics.commit.observe(seconds(commit));
        }
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        if !self.done {
            store_failed();
        }
    }
}

/// The database has refused a transaction, or could not be reached for one.
pub fn store_failed() {
    metrics().store_errors.inc();
}

/// Output has arrived from an agent.
pub fn output_received(bytes: usize) {
    metrics().log_received.inc_by(bytes as u64);
}

/// A file of a job is stored.
pub fn artifact_stored(bytes: i64) {
    metrics().artifacts.inc();
    metrics().artifact_bytes.inc_by(bytes.unsigned_abs());
}

/// A time in seconds.
fn seconds(time: Duration) -> f64 {
    time.as_secs_f64()
}
