//! What this agent does, as numbers and as traces. The session calls it, in one line, and it
//! calls nobody: nothing is decided by it. A process has one of each number.

use std::{
    collections::BTreeMap,
    sync::{LazyLock, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use multiflexi_telemetry::{
    endpoint::{Endpoint, Look, Process},
    metrics::{
        metrics::{
            counter::Counter, family::Family, gauge::Gauge, histogram::Histogram, info::Info,
        },
        registry::{Registry, Unit},
    },
    traces::{self, JobTrace, Step, time_of},
};
use tokio_util::sync::CancellationToken;

use super::Config;
use crate::link::{AttemptKey, Cause, Completion, Held, Launch};

/// Upper bounds of what takes as long as a job wants.
const RUN: [f64; 14] =
    [0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14400.0, 43200.0, 86400.0];

/// Most attempts whose trace is remembered: far more than there are slots.
const MOST: usize = 65_536;

const CAUSES: [Cause; 7] = [
    Cause::Exited,
    Cause::Signaled,
    Cause::LaunchFailed,
    Cause::Cancelled,
    Cause::TimedOut,
    Cause::Lost,
    Cause::OutputLimit,
];

static METRICS: LazyLock<Metrics> = LazyLock::new(Metrics::default);

/// The traces of attempts that were launched, and when that was.
static TRACES: Mutex<BTreeMap<AttemptKey, (JobTrace, SystemTime)>> = Mutex::new(BTreeMap::new());

#[derive(Debug)]
struct Metrics {
    connected: Gauge,
    connections: Counter,
    supervisors: Counter,
    slots: Gauge,
    slots_busy: Gauge,
    offers: Gauge,
    waiting: Gauge,
    launched: Counter,
    ended: Family<[(&'static str, &'static str); 1], Counter>,
    run: Histogram,
    log_sent: Counter,
    spool_waits: Gauge,
    spool_limit: Gauge,
    artifacts: Counter,
    artifact_bytes: Counter,
    artifacts_failed: Counter,
    disk_free: Gauge,
    disk_size: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            connected: Gauge::default(),
            connections: Counter::default(),
            supervisors: Counter::default(),
            slots: Gauge::default(),
            slots_busy: Gauge::default(),
            offers: Gauge::default(),
            waiting: Gauge::default(),
            launched: Counter::default(),
            ended: Family::default(),
            run: Histogram::new(RUN),
            log_sent: Counter::default(),
            spool_waits: Gauge::default(),
            spool_limit: Gauge::default(),
            artifacts: Counter::default(),
            artifact_bytes: Counter::default(),
            artifacts_failed: Counter::default(),
            disk_free: Gauge::default(),
            disk_size: Gauge::default(),
        }
    }
}

impl Metrics {
    fn registry(&self) -> Registry {
        for cause in CAUSES {
            // There from the beginning, so that the first one that fails is an increase.
            _ = self.ended.get_or_create(&[("cause", name(cause))]);
        }
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Process::default()));
        let all = registry.sub_registry_with_prefix("multiflexi");
        all.register_collector(Box::new(traces::Spans));
        let build = Info::new([("version", env!("CARGO_PKG_VERSION")), ("program", "agent")]);
        all.register("build", "Which program this is", build);
        let all = all.sub_registry_with_prefix("agent");
        self.state(all);
        let about = "Attempts that were given to the supervisor to be launched";
        all.register("attempts_launched", about, self.launched.clone());
        all.register("attempts_ended", "Attempts that ended, by why", self.ended.clone());
        let about = "How long the processes of attempts ran";
        all.register_with_unit("run", about, Unit::Seconds, self.run.clone());
        let about = "Output that was sent to the scheduler, with framing";
        all.register_with_unit("log_sent", about, Unit::Bytes, self.log_sent.clone());
        all.register("artifacts", "Result files that were uploaded", self.artifacts.clone());
        let about = "Bytes of these files";
        all.register_with_unit("artifact", about, Unit::Bytes, self.artifact_bytes.clone());
        let about = "Result files that could not be kept";
        all.register("artifacts_failed", about, self.artifacts_failed.clone());
        registry
    }

    fn state(&self, all: &mut Registry) {
        let about = "Whether it is connected to a scheduler; 1 or 0";
        all.register("connected", about, self.connected.clone());
        all.register("connections", "Connections that were opened", self.connections.clone());
        let about = "Supervisors that this session found or started";
        all.register("supervisors", about, self.supervisors.clone());
        all.register("slots", "Attempts that it runs at once", self.slots.clone());
        all.register("slots_busy", "Slots that an attempt takes", self.slots_busy.clone());
        let about = "Offers that wait for a slot";
        all.register("offers_waiting", about, self.offers.clone());
        let about = "Attempts that wait for this host: for room on its disk or in the spool";
        all.register("attempts_waiting", about, self.waiting.clone());
        let about = "Output that waits for the scheduler, as of the last connection to it";
        all.register_with_unit("spool_waiting", about, Unit::Bytes, self.spool_waits.clone());
        let about = "Output that may wait for the scheduler";
        all.register_with_unit("spool_limit", about, Unit::Bytes, self.spool_limit.clone());
        let about = "Bytes that are free on the disk of the agent's folder";
        all.register_with_unit("disk_free", about, Unit::Bytes, self.disk_free.clone());
        let about = "Size of the disk of the agent's folder";
        all.register_with_unit("disk_size", about, Unit::Bytes, self.disk_size.clone());
    }
}

/// Serves scrapes until `stop`.
pub(super) async fn serve(endpoint: Endpoint, config: Config, stop: CancellationToken) {
    let directory = config.directory;
    let bytes = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
    METRICS.spool_limit.set(bytes(config.spool.agent_bytes));
    METRICS.slots.set(config.slots.into());
    let look: Look = std::sync::Arc::new(move || {
        if let Ok(disk) = rustix::fs::statvfs(&directory) {
            METRICS.disk_free.set(bytes(disk.f_bavail.saturating_mul(disk.f_frsize)));
            METRICS.disk_size.set(bytes(disk.f_blocks.saturating_mul(disk.f_frsize)));
        }
        Box::pin(std::future::ready(()))
    });
    endpoint.serve(METRICS.registry(), look, stop).await;
}

/// It is connected, or no longer.
pub(super) fn connected(connected: bool) {
    METRICS.connected.set(connected.into());
    if connected {
        METRICS.connections.inc();
    }
}

/// There is a supervisor.
pub(super) fn supervisor() {
    METRICS.supervisors.inc();
}

/// How much the agent has, in attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Load {
    /// Those that take a slot.
    pub(super) busy: usize,
    /// Offers that wait for a slot.
    pub(super) offers: usize,
    /// Those that wait for their host.
    pub(super) waiting: usize,
}

/// It has so much now.
pub(super) fn holds(load: Load) {
    let small = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    METRICS.slots_busy.set(small(load.busy));
    METRICS.offers.set(small(load.offers));
    METRICS.waiting.set(small(load.waiting));
}

/// So much output waits for the scheduler.
pub(super) fn output_waits(bytes: u64) {
    METRICS.spool_waits.set(i64::try_from(bytes).unwrap_or(i64::MAX));
}

/// Output was sent.
pub(super) fn output_sent(bytes: usize) {
    METRICS.log_sent.inc_by(bytes as u64);
}

fn traces() -> MutexGuard<'static, BTreeMap<AttemptKey, (JobTrace, SystemTime)>> {
    TRACES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// These go to the supervisor.
pub(super) fn launched(launches: &[Launch]) {
    METRICS.launched.inc_by(launches.len() as u64);
    if !traces::is_on() {
        return;
    }
    let mut known = traces();
    for launch in launches {
        let told = launch.environment.get("TRACEPARENT");
        if let Some(trace) = told.and_then(|told| JobTrace::told(told, launch.key.job_id)) {
            known.insert(launch.key, (trace, SystemTime::now()));
        }
    }
    while known.len() > MOST {
        known.pop_first();
    }
}

/// The supervisor holds this since an earlier session.
pub(super) fn adopted(held: &Held) {
    if let Some(trace) = JobTrace::told(&held.traceparent, held.key.job_id) {
        let since = held.started.map_or_else(SystemTime::now, |started| time(started.at));
        traces().entry(held.key).or_insert((trace, since));
    }
    if let Some(completion) = &held.ended {
        ended(held.key, completion);
    }
}

/// The time of so many microseconds since the Unix epoch.
fn time(at: i64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_micros(u64::try_from(at).unwrap_or(0))
}

/// The process of an attempt has ended.
pub(super) fn ended(key: AttemptKey, completion: &Completion) {
    METRICS.ended.get_or_create(&[("cause", name(completion.cause))]).inc();
    let ran = Duration::from_micros(completion.elapsed_us);
    let Some(started) = completion.started else { return };
    METRICS.run.observe(ran.as_secs_f64());
    let Some((trace, _)) = traces().get(&key).copied() else { return };
    let start = time(started.at);
    let span = trace.span(Step::Process(key.attempt), start, start + ran);
    let span = span.with("process.pid", started.pid);
    let cpu = completion.user_cpu_us.saturating_add(completion.system_cpu_us);
    let span = span.with("multiflexi.cpu_us", i64::try_from(cpu).unwrap_or(i64::MAX));
    let span = match completion.exit_code {
        Some(code) => span.with("process.exit.code", i64::from(code)),
        None => span,
    };
    match (completion.cause, completion.exit_code) {
        (Cause::Exited, Some(0)) => span.send(),
        (cause, _) => span.failed(name(cause)).send(),
    }
}

/// All that is to be done for an attempt is done here: the scheduler is told of its end.
pub(super) fn completed(key: AttemptKey) {
    let Some((trace, since)) = traces().remove(&key) else { return };
    trace.span(Step::Attempt(key.attempt), since, SystemTime::now()).send();
}

/// An attempt is no longer of interest.
pub(super) fn dropped(key: AttemptKey) {
    traces().remove(&key);
}

/// A result file of so many bytes was uploaded since `since`, or could not be kept.
pub(super) fn uploaded(key: AttemptKey, filename: &str, bytes: u64, since: Instant, kept: bool) {
    match kept {
        true => {
            METRICS.artifacts.inc();
            METRICS.artifact_bytes.inc_by(bytes);
        }
        false => _ = METRICS.artifacts_failed.inc(),
    }
    let Some((trace, _)) = traces().get(&key).copied() else { return };
    let step = Step::Upload(key.attempt, filename);
    let span = trace.span(step, time_of(since), SystemTime::now());
    let span = span.with("multiflexi.artifact.filename", filename);
    let span = span.with("multiflexi.artifact.bytes", i64::try_from(bytes).unwrap_or(i64::MAX));
    match kept {
        true => span.send(),
        false => span.failed("the file is not kept").send(),
    }
}

fn name(cause: Cause) -> &'static str {
    match cause {
        Cause::Exited => "exited",
        Cause::Signaled => "signaled",
        Cause::LaunchFailed => "launch_failed",
        Cause::Cancelled => "cancelled",
        Cause::TimedOut => "timed_out",
        Cause::Lost => "lost",
        Cause::OutputLimit => "output_limit",
    }
}
