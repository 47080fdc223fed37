//! What the machine allows, measured with small code that knows nothing of the
//! system: the yardstick for its numbers, in the same run and on the same disk.

mod commits;
mod spawns;
mod streams;

use crate::{
    options::{Options, Part},
    report::{Measure, Report},
};

/// Processes a second with captured output.
pub const SPAWNS: &str = "spawns of /bin/true, stdout and stderr captured";

/// Durable commits a second, one after the other, to a file that grows.
pub const APPENDS: &str = "durable commits: append 4 KiB, fdatasync";

/// The same within a file that has its size already, as the log of a database has
/// once it is in use: the filesystem has nothing of its own to write.
pub const COMMITS: &str = "durable commits: overwrite 4 KiB, fdatasync";

/// MiB a second of a process' text that is hashed and stored.
pub const TEXT: &str = "text from a child's pipe to a file: SHA-256, fdatasync";

/// MiB a second of a file that is hashed and stored.
pub const COPY: &str = "file to file: SHA-256, fdatasync";

/// Runs the part.
pub fn run(options: &Options, report: &mut Report) -> anyhow::Result<()> {
    let folder = tempfile::Builder::new().prefix("mf-bench-").tempdir_in(&options.dir)?;
    let folder = folder.path();
    let mut add = |what, value, unit| report.add(Measure::new(Part::Limits, what, value, unit));
    add(SPAWNS, spawns::per_second()?, "spawns/s");
    add(APPENDS, commits::appends_per_second(folder)?, "commits/s");
    add(COMMITS, commits::overwrites_per_second(folder)?, "commits/s");
    add(TEXT, streams::text(folder, options.mib)?, "MiB/s");
    add(COPY, streams::copy(folder, options.mib)?, "MiB/s");
    Ok(())
}
