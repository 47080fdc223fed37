//! The numbers, and what they are called. Labels are of a small and known set: no job, no
//! company and no run template is one.

use std::sync::{Arc, atomic::AtomicU64};

use multiflexi_telemetry::{
    endpoint::Process,
    metrics::{
        metrics::{
            counter::Counter, family::Family, gauge::Gauge, histogram::Histogram, info::Info,
        },
        registry::{Registry, Unit},
    },
    traces,
};

use super::{database::DatabaseGauges, grpc::Calls};
use crate::domain::job::State;

/// Upper bounds of times that are short where all is well.
const LATENCY: [f64; 14] =
    [0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0, 120.0, 600.0];

/// Upper bounds of what takes as long as a job wants.
const RUN: [f64; 14] =
    [0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14400.0, 43200.0, 86400.0];

/// Upper bounds of what the database does.
const STORE: [f64; 12] =
    [0.0001, 0.000_25, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 2.0, 10.0];

/// Upper bounds of how long a transaction holds its locks: fine where others begin to notice.
const LOCK: [f64; 14] =
    [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 2.0];

/// Upper bounds of how many changes share a transaction.
const CHANGES: [f64; 8] = [1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0];

pub(super) fn latency() -> Histogram {
    Histogram::new(LATENCY)
}

type Labels<const N: usize> = [(&'static str, &'static str); N];

/// All numbers of a scheduler.
#[derive(Debug)]
pub struct Metrics {
    /// Jobs that requests and actions have made.
    pub(super) submitted: Counter,
    /// Attempts that were started.
    pub(super) started: Counter,
    /// Attempts that succeeded.
    pub(super) succeeded: Counter,
    /// Attempts that ended otherwise.
    pub(super) failed: Counter,
    ended: Family<Labels<1>, Counter>,
    /// Offers that went back into the queue.
    pub(super) taken_back: Counter,
    /// From when it could run to its offer, to its start, to its end; and how long it ran.
    pub(super) wait: Histogram,
    pub(super) start: Histogram,
    pub(super) whole: Histogram,
    pub(super) run: Histogram,
    pub(super) log_received: Counter,
    pub(super) log_stored: Counter,
    /// Attempts that ended without all of their output.
    pub(super) output_lost: Counter,
    pub(super) artifacts: Counter,
    pub(super) artifact_bytes: Counter,
    pub(super) transaction: Histogram,
    pub(super) commit: Histogram,
    lock: Histogram,
    longest_lock: Gauge<f64, AtomicU64>,
    pub(super) changes: Histogram,
    pub(super) store_errors: Counter,
    actions: Family<Labels<2>, Counter>,
    pub(super) action_time: Histogram,
    pub(super) calls: Calls,
    /// Agents that are connected to this scheduler, their slots, and what is in them.
    pub agents: Gauge,
    /// All slots of these agents.
    pub slots: Gauge,
    /// Those of them with an attempt.
    pub slots_busy: Gauge,
    /// Attempts that these agents run.
    pub running: Gauge,
    /// Connections that read the database: open ones.
    pub pool_open: Gauge,
    /// Those of them that nobody uses.
    pub pool_idle: Gauge,
    /// How many there may be.
    pub pool_max: Gauge,
    /// Bytes that are free on the disk of the data folder.
    pub disk_free: Gauge,
    /// Its size.
    pub disk_size: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        let counter = Counter::default;
        Self {
            submitted: counter(),
            started: counter(),
            succeeded: counter(),
            failed: counter(),
            ended: Family::default(),
            taken_back: counter(),
            wait: latency(),
            start: latency(),
            whole: Histogram::new(RUN),
            run: Histogram::new(RUN),
            log_received: counter(),
            log_stored: counter(),
            output_lost: counter(),
            artifacts: counter(),
            artifact_bytes: counter(),
            transaction: Histogram::new(STORE),
            commit: Histogram::new(STORE),
            lock: Histogram::new(LOCK),
            longest_lock: Gauge::default(),
            changes: Histogram::new(CHANGES),
            store_errors: counter(),
            actions: Family::default(),
            action_time: latency(),
            calls: Calls::default(),
            agents: Gauge::default(),
            slots: Gauge::default(),
            slots_busy: Gauge::default(),
            running: Gauge::default(),
            pool_open: Gauge::default(),
            pool_idle: Gauge::default(),
            pool_max: Gauge::default(),
            disk_free: Gauge::default(),
            disk_size: Gauge::default(),
        }
    }
}

impl Metrics {
    /// A transaction has held its locks for so many seconds; whether for longer than any before.
    pub(super) fn locked(&self, held: f64) -> bool {
        self.lock.observe(held);
        // There is one writer.
        let longest = held > self.longest_lock.get();
        if longest {
            self.longest_lock.set(held);
        }
        longest
    }

    /// Counts an attempt that has ended.
    pub(super) fn attempt_ended(&self, state: State) {
        self.ended.get_or_create(&[("state", state.name())]).inc();
        match state {
            State::Succeeded => self.succeeded.inc(),
            _ => self.failed.inc(),
        };
    }

    /// Counts an action that was done, or has failed. `kind` is one of the registry's.
    pub(super) fn action_ended(&self, kind: &'static str, result: &'static str) {
        self.actions.get_or_create(&[("kind", kind), ("result", result)]).inc();
    }

    /// Everything under its name, with what is read of the database.
    pub fn registry(&self, database: Arc<DatabaseGauges>) -> Registry {
        // They are there from the beginning, so that the first one that fails is an increase.
        for state in State::ENDED {
            _ = self.ended.get_or_create(&[("state", state.name())]);
        }
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Process::default()));
        let all = registry.sub_registry_with_prefix("multiflexi");
        all.register_collector(Box::new(traces::Spans));
        all.register_collector(Box::new(database));
        let build = Info::new([("version", env!("CARGO_PKG_VERSION")), ("program", "scheduler")]);
        all.register("build", "Which program this is", build);
        self.jobs(all);
        self.data(all);
        self.store(all);
        let about = "Actions that followed jobs, by kind and by what came of them";
        all.register("actions", about, self.actions.clone());
        let about = "How long actions took";
        all.register_with_unit("action_duration", about, Unit::Seconds, self.action_time.clone());
        self.calls.register(all);
        registry
    }

    /// Jobs. The first ones are called as the PHP MultiFlexi calls them.
    fn jobs(&self, all: &mut Registry) {
        all.register("jobs", "Attempts that were started", self.started.clone());
        all.register("jobs_success", "Attempts that succeeded", self.succeeded.clone());
        let about = "Attempts that ended otherwise: failed, cancelled, timed out or lost";
        all.register("jobs_failed", about, self.failed.clone());
        let about = "How long the processes of attempts ran, by their agents' clocks";
        all.register_with_unit("job_duration", about, Unit::Seconds, self.run.clone());
        let about = "Attempts that run on the agents of this scheduler";
        all.register("jobs_running", about, self.running.clone());
        let about = "Jobs that were made here, by requests and by actions";
        all.register("jobs_submitted", about, self.submitted.clone());
        all.register("attempts_ended", "Attempts that ended, by how", self.ended.clone());
        let about = "Offers that went back into the queue: refused, expired or withdrawn";
        all.register("offers_returned", about, self.taken_back.clone());
        let about = "From when a job could run until it was offered to an agent";
        all.register_with_unit("job_wait", about, Unit::Seconds, self.wait.clone());
        let about = "From when a job could run until its agent was told to launch it";
        all.register_with_unit("job_start", about, Unit::Seconds, self.start.clone());
        let about = "From when a job could run until its end was on record";
        all.register_with_unit("job_end_to_end", about, Unit::Seconds, self.whole.clone());
        let about = "Agents that are connected to this scheduler";
        all.register("agents_connected", about, self.agents.clone());
        all.register("slots", "Slots of these agents", self.slots.clone());
        all.register("slots_busy", "Slots that an attempt takes", self.slots_busy.clone());
    }

    fn data(&self, all: &mut Registry) {
        let about = "Output that came from agents, with framing";
        all.register_with_unit("log_received", about, Unit::Bytes, self.log_received.clone());
        let about = "Output that was made durable, with framing and before compression";
        all.register_with_unit("log_stored", about, Unit::Bytes, self.log_stored.clone());
        let about = "Attempts that ended without all of their output: some of it is lost";
        all.register("output_lost", about, self.output_lost.clone());
        all.register("artifacts", "Result files that were stored", self.artifacts.clone());
        let about = "Bytes of these files";
        all.register_with_unit("artifact", about, Unit::Bytes, self.artifact_bytes.clone());
        let about = "Bytes that are free on the disk of the data folder";
        all.register_with_unit("data_disk_free", about, Unit::Bytes, self.disk_free.clone());
        let about = "Size of the disk of the data folder";
        all.register_with_unit("data_disk_size", about, Unit::Bytes, self.disk_size.clone());
    }

    fn store(&self, all: &mut Registry) {
        let about = "Transactions that change the database, whole";
        let (name, unit) = ("store_transaction", Unit::Seconds);
        all.register_with_unit(name, about, unit, self.transaction.clone());
        let about = "Their commits alone";
        all.register_with_unit("store_commit", about, Unit::Seconds, self.commit.clone());
        let about = "How long these transactions held their locks: from their begin to the end of \
                     the commit";
        all.register_with_unit("store_lock", about, Unit::Seconds, self.lock.clone());
        let about = "The longest of these times since the scheduler was started";
        let longest = self.longest_lock.clone();
        all.register_with_unit("store_lock_longest", about, Unit::Seconds, longest);
        let about = "Changes that shared a transaction";
        all.register("store_transaction_changes", about, self.changes.clone());
        let about = "Transactions that the database refused or that did not reach it";
        all.register("store_errors", about, self.store_errors.clone());
        let about = "Connections that read the database: open";
        all.register("store_connections", about, self.pool_open.clone());
        let about = "Connections that read the database: open, and nobody uses them";
        all.register("store_connections_idle", about, self.pool_idle.clone());
        let about = "Connections that read the database: how many there may be";
        all.register("store_connections_max", about, self.pool_max.clone());
    }
}
