//! What the process itself uses, under the names that all of Prometheus' clients give it.

use std::{
    fmt, fs,
    time::{Duration, Instant, SystemTime},
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{counter::ConstCounter, gauge::ConstGauge},
};

/// CPU, memory and open files of this process, read when it is scraped.
#[derive(Debug)]
pub struct Process {
    started: SystemTime,
    since: Instant,
}

impl Default for Process {
    /// A process that starts now.
    fn default() -> Self {
        Self { started: SystemTime::now(), since: Instant::now() }
    }
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let mut gauge = |name: &str, help: &str, value: f64| {
            let gauge = ConstGauge::new(value);
            let kind = gauge.metric_type();
            gauge.encode(encoder.encode_descriptor(name, help, None, kind)?)
        };
        let started = self.started.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let about = "When the process was started, in seconds since the Unix epoch";
        gauge("process_start_time_seconds", about, started.as_secs_f64())?;
        let up = self.since.elapsed().as_secs_f64();
        gauge("process_uptime_seconds", "How long the process has been running", up)?;
        if let Ok(open) = fs::read_dir("/proc/self/fd") {
            // The folder that is being read is one of them.
            gauge("process_open_fds", "Open files", open.count().saturating_sub(1) as f64)?;
        }
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        if let Some(limit) = limit {
            gauge("process_max_fds", "How many files may be open", limit as f64)?;
        }
        let Some(stat) = fs::read_to_string("/proc/self/stat").ok().and_then(|text| read(&text))
        else {
            return Ok(());
        };
        let page = rustix::param::page_size() as f64;
        let resident = stat.resident_pages as f64 * page;
        gauge("process_resident_memory_bytes", "Memory that is resident", resident)?;
        let virtual_bytes = stat.virtual_bytes as f64;
        gauge("process_virtual_memory_bytes", "Memory that is mapped", virtual_bytes)?;
        gauge("process_threads", "Threads", stat.threads as f64)?;
        let cpu = ConstCounter::new(stat.cpu.as_secs_f64());
        let about = "CPU time in user mode and in the kernel";
        let kind = cpu.metric_type();
        cpu.encode(encoder.encode_descriptor("process_cpu_seconds", about, None, kind)?)
    }
}

/// What is read of `/proc/self/stat`.
#[derive(Debug, PartialEq)]
struct Stat {
    cpu: Duration,
    threads: u64,
    virtual_bytes: u64,
    resident_pages: u64,
}

/// Reads `/proc/PID/stat`; the name in it may hold anything, and ends with the last bracket.
fn read(text: &str) -> Option<Stat> {
    let (_, rest) = text.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    // The third field of proc(5) is the first after the name.
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    let ticks = field(14)? + field(15)?;
    let cpu = ticks as f64 / rustix::param::clock_ticks_per_second() as f64;
    Some(Stat {
        cpu: Duration::try_from_secs_f64(cpu).ok()?,
        threads: field(20)?,
        virtual_bytes: field(23)?,
        resident_pages: field(24)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_read_whatever_its_name_is() {
        let text = "7 (a) b) S 1 7 7 0 -1 4194560 1 2 3 4 150 50 7 8 20 0 9 0 100 4096 25 1 0";
        let ticks = rustix::param::clock_ticks_per_second() as f64;
        let cpu = Duration::from_secs_f64(200.0 / ticks);
        let stat = Stat { cpu, threads: 9, virtual_bytes: 4096, resident_pages: 25 };
        assert_eq!(read(text), Some(stat));
        assert_eq!(read("nothing"), None);
    }
}
