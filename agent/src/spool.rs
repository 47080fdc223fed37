//! Where things are in the agent's folder. Session and supervisor share it.
//!
//! ```text
//! supervisor.sock   supervisor.lock   supervisor.log   session.lock   instance
//! attempts/<job>-<attempt>-<fence>/   there from before the launch until it is forgotten
//!     log       the framed output
//!     durable   how much of the log the disk was given back
//!     ended     how it ended, as JSON
//!     files/    files that were given as variables, a folder each
//!     work/     the working directory
//! ```

use std::path::{Path, PathBuf};

use crate::link::AttemptKey;

/// The variable that marks every process of an attempt: the attempt's folder.
pub const MARKER: &str = "MULTIFLEXI_ATTEMPT_FOLDER";

/// The socket between session and supervisor.
pub fn socket(folder: &Path) -> PathBuf {
    folder.join("supervisor.sock")
}

/// Locked by the supervisor while it lives; holds its process id.
pub fn supervisor_lock(folder: &Path) -> PathBuf {
    folder.join("supervisor.lock")
}

/// What the supervisor has to say.
pub fn supervisor_log(folder: &Path) -> PathBuf {
    folder.join("supervisor.log")
}

/// Locked by the session while it lives.
pub fn session_lock(folder: &Path) -> PathBuf {
    folder.join("session.lock")
}

/// The random name that tells this agent from others of its name.
pub fn instance(folder: &Path) -> PathBuf {
    folder.join("instance")
}

/// The folder of all attempts.
pub fn attempts(folder: &Path) -> PathBuf {
    folder.join("attempts")
}

/// The name of an attempt's folder.
pub fn name(key: AttemptKey) -> String {
    format!("{}-{}-{}", key.job_id, key.attempt, key.fence)
}

/// The attempt of this name.
pub fn parse(name: &str) -> Option<AttemptKey> {
    let mut numbers = name.splitn(3, '-');
    let mut next = || numbers.next()?.parse::<i64>().ok();
    let (job_id, attempt, fence) = (next()?, next()?, next()?);
    Some(AttemptKey { job_id, attempt: i32::try_from(attempt).ok()?, fence })
}

/// The folder of an attempt.
pub fn attempt(folder: &Path, key: AttemptKey) -> PathBuf {
    attempts(folder).join(name(key))
}

/// An attempt's log; it is not there before the first output.
pub fn log(attempt: &Path) -> PathBuf {
    attempt.join("log")
}

/// Holds how much of the beginning of an attempt's log was given back to the disk,
/// as a number; not there while all of it is.
pub fn durable(attempt: &Path) -> PathBuf {
    attempt.join("durable")
}

/// How an attempt ended, as JSON; not there before.
pub fn ended(attempt: &Path) -> PathBuf {
    attempt.join("ended")
}

/// The folder of the files that were given to an attempt; not there if there are none.
pub fn files(attempt: &Path) -> PathBuf {
    attempt.join("files")
}

/// An attempt's working directory.
pub fn work(attempt: &Path) -> PathBuf {
    attempt.join("work")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_attempts_can_be_read_back() {
        let key = AttemptKey { job_id: 12, attempt: 3, fence: 45 };
        assert_eq!(parse(&name(key)), Some(key));
        for other in ["", "1-2", "1-2-x", "a", "1-2-3-4"] {
            assert_eq!(parse(other), None, "{other:?}");
        }
    }
}
