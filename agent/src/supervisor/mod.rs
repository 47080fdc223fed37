//! The process side of the agent: starts the processes of attempts, reads their
//! pipes, keeps their output and how they ended. It has no network and no
//! asynchronous runtime, stays small so that it forks fast, and outlives the
//! session: a restart or upgrade of the agent touches no running job.
//!
//! ```text
//! server (main thread) ─ Request ─► attempts ─► workers ─► launch_job
//!        ▲                                        program   (find it)
//!        └──── Event ◄── hub ◄────────────────    capture   (pipes ─► spool)
//!                          ▲ recover (what an earlier one left)
//!                                                 tree      (nothing stays behind)
//! ```

mod attempts;
mod capture;
mod files;
mod hub;
mod launch_job;
mod mask;
mod names;
mod program;
mod recorder;
mod recover;
mod server;
mod sys;
mod tree;
mod wake;
mod workers;

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::DirBuilderExt as _,
    path::Path,
    sync::Arc,
};

use rustix::{
    fs::{FlockOperation, flock},
    process::{getpid, set_child_subreaper, setsid},
    stdio::dup2_stdout,
};

use crate::{link, spool};

/// Why a supervisor cannot run.
#[derive(Debug, thiserror::Error)]
pub enum SupervisorError {
    /// There is one already.
    #[error("another supervisor runs in {0} already")]
    Taken(String),
    /// The folder cannot be used.
    #[error("the agent's folder {folder} cannot be used: {reason}")]
    Folder {
        /// The folder.
        folder: String,
        /// Why.
        reason: io::Error,
    },
    /// The kernel refused.
    #[error("the supervisor cannot be set up: {0}")]
    System(#[from] io::Error),
}

/// Runs the supervisor in `folder` until no session is connected and it holds no
/// attempt. Writes an empty line to stdout once sessions can connect.
pub fn run(folder: &Path) -> Result<(), SupervisorError> {
    let unusable =
        |reason| SupervisorError::Folder { folder: folder.display().to_string(), reason };
    make_private(folder).map_err(unusable)?;
    make_private(&spool::attempts(folder)).map_err(unusable)?;
    let folder = &fs::canonicalize(folder).map_err(unusable)?;
    let _lock = lock(folder)?;
    // Its own session: a signal to the terminal's or the agent's group is not for it.
    let _ = setsid();
    set_child_subreaper(Some(getpid())).map_err(io::Error::from)?;
    sys::outlive_signals()?;
    let hub = Arc::new(hub::Hub::default());
    recover::recover(folder, &hub).map_err(unusable)?;
    let listener = link::listen(folder).map_err(unusable)?;
    tell_ready()?;
    server::serve(folder, &listener, &hub)?;
    Ok(())
}

/// Makes a folder that only this user can read, if it is not there.
fn make_private(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

fn lock(folder: &Path) -> Result<File, SupervisorError> {
    let path = spool::supervisor_lock(folder);
    let mut file = OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
    flock(&file, FlockOperation::NonBlockingLockExclusive)
        .map_err(|_| SupervisorError::Taken(folder.display().to_string()))?;
    file.set_len(0)?;
    writeln!(file, "{}", std::process::id())?;
    Ok(file)
}

/// Tells the session that started this process, and lets go of its pipe.
fn tell_ready() -> io::Result<()> {
    let mut stdout = io::stdout();
    // A session that is gone already is none to tell.
    let _ = stdout.write_all(b"\n").and_then(|()| stdout.flush());
    dup2_stdout(File::open("/dev/null")?)?;
    Ok(())
}
