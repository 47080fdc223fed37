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
    collections::BTreeMap,
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

/// A transaction that holds its locks for longer may be logged, with what it has done.
const LONG: Duration = Duration::from_millis(100);

/// A transaction of the writer, from its begin on. It has failed unless it is said to be
/// done.
#[derive(Debug)]
pub struct Transaction {
    begun: Instant,
    /// When it had its first lock; of SQLite, the only one there is.
    locked: Option<Instant>,
    commit: Option<Duration>,
    done: bool,
}

impl Transaction {
    /// It begins.
    pub fn begin() -> Self {
        Self { begun: Instant::now(), locked: None, commit: None, done: false }
    }

    /// It has begun: from now on others wait for it.
    pub fn locked(&mut self) {
        self.locked = Some(Instant::now());
    }

    /// Its changes are made; waits for the commit.
    pub async fn commit<T>(&mut self, commit: impl Future<Output = T>) -> T {
        let begun = Instant::now();
        let committed = commit.await;
        self.commit = Some(begun.elapsed());
        committed
    }

    /// It is durable, with changes of these names.
    pub fn done(mut self, changes: &[&'static str]) {
        self.done = true;
        let metrics = metrics();
        metrics.transaction.observe(seconds(self.begun.elapsed()));
        metrics.changes.observe(changes.len() as f64);
        if let Some(held) = self.locked.map(|locked| locked.elapsed()) {
            // Told once for each that is longer than all before: a slow disk fills no log.
            if metrics.locked(seconds(held)) && held > LONG {
                let commit = self.commit.unwrap_or_default();
                tracing::warn!(
                    ?held,
                    ?commit,
                    changes = counted(changes),
                    "a transaction held its locks for longer than any before"
                );
            }
        }
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

/// `3 Finish, 1 DeleteJobs`, of the names of types.
fn counted(changes: &[&'static str]) -> String {
    let mut counts = BTreeMap::<&str, u32>::new();
    for change in changes {
        *counts.entry(change.rsplit("::").next().unwrap_or(change)).or_default() += 1;
    }
    let counts: Vec<String> =
        counts.into_iter().map(|(change, count)| format!("{count} {change}")).collect();
    counts.join(", ")
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

#[cfg(test)]
mod tests {
    #[test]
    fn changes_are_counted_by_their_last_name() {
        let changes = ["store::jobs::DeleteJobs", "store::Finish", "store::Finish"];
        assert_eq!(super::counted(&changes), "1 DeleteJobs, 2 Finish");
    }
}
