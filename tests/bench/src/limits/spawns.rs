//! Processes a second, from this small process on a thread for each processor.

use std::{
    os::unix::process::CommandExt as _,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{anyhow, ensure};

use crate::batch::PROGRAM;

/// How long is measured.
const TIME: Duration = Duration::from_secs(2);

/// Runs before anything is measured.
const WARM_UP: u32 = 50;

/// Spawns a second.
pub fn per_second() -> anyhow::Result<f64> {
    let threads = thread::available_parallelism()?.get();
    (0..WARM_UP).try_for_each(|_| spawn())?;
    let begun = Instant::now();
    let spawned = thread::scope(|scope| {
        let threads: Vec<_> =
            (0..threads).map(|_| scope.spawn(move || spawn_until(begun + TIME))).collect();
        let counts = threads
            .into_iter()
            .map(|thread| thread.join().map_err(|_| anyhow!("a thread panicked"))?);
        counts.sum::<anyhow::Result<u32>>()
    })?;
    Ok(f64::from(spawned) / begun.elapsed().as_secs_f64())
}

fn spawn_until(end: Instant) -> anyhow::Result<u32> {
    let mut spawned = 0;
    while Instant::now() < end {
        spawn()?;
        spawned += 1;
    }
    Ok(spawned)
}

/// One process in a group of its own. Nothing here keeps the standard library from
/// `posix_spawn`, which does not copy the parent's memory tables.
fn spawn() -> anyhow::Result<()> {
    let child = Command::new(PROGRAM)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()?;
    let output = child.wait_with_output()?;
    ensure!(output.status.success(), "{PROGRAM}: {}", output.status);
    Ok(())
}
