//! Who the agent is: its name among people, and a random name kept in its folder
//! that tells it from another agent of that name. A lock keeps a second agent out
//! of the folder.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::DirBuilderExt as _,
    path::Path,
};

use rustix::fs::{FlockOperation, flock};

use super::{Config, Error};
use crate::spool;

/// An agent's identity; its folder stays locked while this lives.
#[derive(Debug)]
pub(super) struct Identity {
    pub(super) name: String,
    pub(super) instance: String,
    /// Changes when the host boots.
    pub(super) boot: String,
    _lock: File,
}

impl Identity {
    pub(super) fn take(config: &Config) -> Result<Self, Error> {
        let folder = &config.directory;
        let unusable = |reason| Error::Folder { folder: folder.display().to_string(), reason };
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(unusable)?;
        let lock = spool::session_lock(folder);
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(lock);
        let lock = lock.map_err(unusable)?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive)
            .map_err(|_| Error::Taken(folder.display().to_string()))?;
        let instance = instance(folder).map_err(unusable)?;
        let name = config.name.clone().unwrap_or_else(host_name);
        Ok(Self { name, instance, boot: boot(), _lock: lock })
    }
}

fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// The kernel's name for the time since it was booted.
fn boot() -> String {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    boot.trim().to_owned()
}

/// The folder's random name, made at its first use.
fn instance(folder: &Path) -> io::Result<String> {
    let file = spool::instance(folder);
    match fs::read_to_string(&file) {
        Ok(known) if !known.trim().is_empty() => return Ok(known.trim().to_owned()),
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let new = uuid::Uuid::new_v4().simple().to_string();
    let half_written = file.with_extension("new");
    let mut writing = File::create(&half_written)?;
    writeln!(writing, "{new}")?;
    writing.sync_all()?;
    fs::rename(half_written, file)?;
    Ok(new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_instance_stays_the_same_in_a_folder() {
        let [one, two] = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let first = instance(one.path()).unwrap();
        assert_eq!(instance(one.path()).unwrap(), first);
        assert_ne!(instance(two.path()).unwrap(), first);
    }
}
