//! What the processes of the system use, as the kernel counts it.

use std::{fs, time::Duration};

use anyhow::{Context as _, ensure};
use multiflexi_fixture::processes;

use crate::{
    options::Part,
    report::{Measure, Report, Target},
    system::System,
};

/// The kernel's clock ticks a second, as `/proc` shows them on every common
/// architecture.
const TICKS: u64 = 100;

/// The names of the processes, in the order of everything that is kept of each.
pub const NAMES: [&str; 3] = ["scheduler", "session", "supervisor"];

/// CPU time so far.
#[derive(Clone, Copy, Debug)]
pub struct Cpu {
    /// Of each process of the system.
    pub own: [Duration; 3],
    /// Of the jobs' processes that have ended.
    pub jobs: Duration,
}

impl Cpu {
    /// CPU time of a system so far.
    pub fn of(system: &System) -> anyhow::Result<Self> {
        let [scheduler, session, supervisor] = system.pids();
        let ([scheduler, _], [session, _]) = (times(scheduler)?, times(session)?);
        let [supervisor, jobs] = times(supervisor)?;
        Ok(Self { own: [scheduler, session, supervisor], jobs })
    }

    /// What was used since `before`.
    pub fn since(self, before: Self) -> Self {
        let own = std::array::from_fn(|i| self.own[i].saturating_sub(before.own[i]));
        Self { own, jobs: self.jobs.saturating_sub(before.jobs) }
    }

    /// Of the system's processes together.
    pub fn total(self) -> Duration {
        self.own.iter().sum()
    }
}

/// CPU time of a process, and of its children that it has waited for.
fn times(pid: i32) -> anyhow::Result<[Duration; 2]> {
    let path = format!("/proc/{pid}/stat");
    let stat = fs::read_to_string(&path).with_context(|| path.clone())?;
    parse(&stat).with_context(|| format!("{path}: {stat}"))
}

/// The fields 14 to 17 of proc_pid_stat(5): utime, stime, cutime, cstime.
fn parse(stat: &str) -> Option<[Duration; 2]> {
    // The name of the program is in brackets and may hold anything.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut ticks = rest.split_whitespace().skip(11).map(str::parse::<u64>);
    let mut next = || Some(Duration::from_millis(ticks.next()?.ok()? * 1000 / TICKS));
    Some([next()? + next()?, next()? + next()?])
}

/// Resident memory of each process and the most it ever had, in MiB.
pub fn memory(system: &System) -> anyhow::Result<[[f64; 2]; 3]> {
    let memory = system.pids().map(|pid| {
        let (resident, peak) = processes::memory(pid);
        [mib(resident), mib(peak)]
    });
    ensure!(memory.iter().all(|[resident, _]| *resident > 0.0), "a process is gone: {memory:?}");
    Ok(memory)
}

/// Reports CPU time per GiB that went through.
pub fn report_cpu_per_gib(report: &mut Report, part: Part, cpu: Cpu, mib: u64) {
    let each = |time: Duration| time.as_secs_f64() * 1024.0 / mib as f64;
    let own = NAMES.into_iter().zip(cpu.own);
    for (name, time) in own.chain([("the job's process", cpu.jobs)]) {
        report.add(Measure::new(part, &format!("CPU per GiB, {name}"), each(time), "s"));
    }
}

/// Reports the peaks of fresh processes, each under `most` MiB if there is a most:
/// of the scheduler, and of the agent's two processes together.
pub fn report_peaks(
    report: &mut Report,
    part: Part,
    system: &System,
    most: Option<f64>,
) -> anyhow::Result<()> {
    let peaks = memory(system)?.map(|[_, peak]| peak);
    report_memory(report, part, "peak memory", peaks, most.map(|most| [most; 2]));
    Ok(())
}

/// Reports memory of the processes, with the most for scheduler and agent.
pub fn report_memory(
    report: &mut Report,
    part: Part,
    what: &str,
    memory: [f64; 3],
    most: Option<[f64; 2]>,
) {
    let agent = memory[1] + memory[2];
    let names = [NAMES[0], NAMES[1], NAMES[2], "agent (both)"];
    let most =
        most.map_or([None; 4], |[scheduler, agent]| [Some(scheduler), None, None, Some(agent)]);
    for ((name, value), most) in
        names.into_iter().zip([memory[0], memory[1], memory[2], agent]).zip(most)
    {
        let measure = Measure::new(part, &format!("{what}, {name}"), value, "MiB");
        report.add(match most {
            Some(most) => measure.target(Target::AtMost(most)),
            None => measure,
        });
    }
}

/// Bytes in MiB.
pub fn mib(bytes: u64) -> f64 {
    bytes as f64 / (1024.0 * 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_times_are_found_behind_any_name() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 1 2 3 4 150 50 30 20 20 0 9 0 1 2 3";
        assert_eq!(parse(stat), Some([Duration::from_secs(2), Duration::from_millis(500)]));
        assert_eq!(parse("7 (a) S 1"), None);
    }
}
