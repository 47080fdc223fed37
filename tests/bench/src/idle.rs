//! What the system takes while it is connected and has no work.

use std::time::Duration;

use crate::{
    options::{Options, Part},
    report::{Measure, Report, Target},
    system::System,
    usage::{self, Cpu},
};

/// How long it is watched.
const TIME: Duration = Duration::from_secs(5);

/// MiB that scheduler and agent may have.
const MEMORY: [f64; 2] = [20.0, 12.0];

/// What counts as no CPU, in percent: the kernel counts in steps of 0.2 over the
/// time that is watched.
const CPU: f64 = 0.4;

/// Runs the part.
pub async fn run(options: &Options, report: &mut Report) -> anyhow::Result<()> {
    let system = System::start(options).await?;
    let before = Cpu::of(&system)?;
    tokio::time::sleep(TIME).await;
    let cpu = Cpu::of(&system)?.since(before);

    let resident = usage::memory(&system)?.map(|[resident, _]| resident);
    usage::report_memory(report, Part::Idle, "resident, idle", resident, Some(MEMORY));
    for (name, time) in usage::NAMES.into_iter().zip(cpu.own) {
        let percent = 100.0 * time.as_secs_f64() / TIME.as_secs_f64();
        let measure = Measure::new(Part::Idle, &format!("CPU, idle, {name}"), percent, "%");
        report.add(measure.target(Target::AtMost(CPU)));
    }
    Ok(())
}
