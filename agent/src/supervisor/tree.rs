//! The processes of an attempt, wherever they hid, and how they end.
//!
//! They are the process group of the main process, its descendants, and the
//! orphans that escaped both (`setsid`, double fork). Orphans of all attempts
//! become children of this process' main thread, as it is their subreaper; each is
//! told by the marker in its environment, or by its working directory.

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs, io,
    os::{fd::OwnedFd, unix::ffi::OsStrExt as _},
    path::Path,
    time::{Duration, Instant},
};

use multiflexi_program::say;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{
        Pid, PidfdFlags, Signal, WaitOptions, getpid, kill_process_group, pidfd_open,
        pidfd_send_signal, test_kill_process_group, waitpid,
    },
};

use super::hub::Hub;
use crate::{
    link::{AttemptKey, Leftover},
    spool::{self, MARKER},
};

/// What has closed its pipes and is about to end is there for a moment longer: it is no
/// leftover.
const LEAVING: Duration = Duration::from_millis(20);

/// How long killed processes may take to be gone; only one that hangs in the
/// kernel takes longer.
const GONE: Duration = Duration::from_secs(5);

/// The processes of one attempt.
pub(super) struct Tree<'a> {
    pub(super) hub: &'a Hub,
    pub(super) key: AttemptKey,
    pub(super) folder: &'a Path,
    /// The main process, which is also the number of its group.
    pub(super) main: Pid,
}

/// What killing came to.
#[derive(Debug, Default)]
pub(super) struct Killed {
    /// What was killed.
    pub(super) leftovers: Vec<Leftover>,
    /// What did not end.
    pub(super) survivors: Vec<Leftover>,
}

impl Tree<'_> {
    /// Whether there is surely nothing but the main process: a cheap answer for
    /// the usual case.
    pub(super) fn is_alone(&self) -> bool {
        children_of_main_thread().is_empty() && test_kill_process_group(self.main).is_err()
    }

    /// The living processes but the main one. Orphans that have ended are reaped.
    pub(super) fn others(&self) -> BTreeSet<i32> {
        let mut found = BTreeSet::new();
        let mut add = |pid: i32| {
            if pid != self.main.as_raw_pid() && found.insert(pid) {
                descendants(pid, &mut found);
            }
        };
        for pid in children_of_main_thread() {
            if !reap(pid) && self.owns(pid) {
                add(pid);
            }
        }
        if test_kill_process_group(self.main).is_ok() {
            group_members(self.main.as_raw_pid()).into_iter().for_each(&mut add);
        }
        descendants(self.main.as_raw_pid(), &mut found);
        found.retain(|pid| *pid != self.main.as_raw_pid() && is_alive(*pid));
        found
    }

    /// Whether an orphan is this attempt's.
    fn owns(&self, pid: i32) -> bool {
        match self.folder.parent().and_then(|attempts| owner(pid, attempts)) {
            // What another attempt's end has overlooked is nobody's: it goes with ours.
            Some(key) => key == self.key || self.hub.get(key).is_none_or(|other| other.has_ended()),
            // It wiped its traces: it is ours if it can be nobody else's.
            None => self.hub.is_alone(self.key),
        }
    }

    /// Sends a signal to the group and to everything outside of it.
    pub(super) fn signal(&self, signal: Signal) {
        // Those outside are looked for first, as their parents in the group know them
        // while they live. The group gets it at once and before them: a shell whose
        // child was asked to end before it was would take that for the child's wish.
        let group = self.main.as_raw_pid();
        let outside = self
            .others()
            .into_iter()
            .filter(|pid| stat(*pid).is_none_or(|stat| stat.group != group));
        let outside: Vec<OwnedFd> = outside.filter_map(open).collect();
        let _ = kill_process_group(self.main, signal);
        for process in outside {
            let _ = pidfd_send_signal(&process, signal);
        }
    }

    /// Kills everything but the main process, until nothing is left.
    pub(super) fn kill_others(&self) -> Killed {
        let deadline = Instant::now() + GONE;
        wait_for_all(&self.watch_others(), Instant::now() + LEAVING);
        let mut leftovers = BTreeSet::new();
        loop {
            // First their names: what is dead has none.
            let others = self.others();
            let named = |pid: &i32| Leftover { pid: i64::from(*pid), name: name(*pid) };
            let found: Vec<Leftover> = others.iter().map(named).collect();
            if found.is_empty() || Instant::now() >= deadline {
                let leftovers = leftovers.into_iter().collect();
                return Killed { leftovers, survivors: found };
            }
            leftovers.extend(found);
            let processes: Vec<OwnedFd> = others.iter().filter_map(|pid| open(*pid)).collect();
            for process in &processes {
                let _ = pidfd_send_signal(process, Signal::KILL);
            }
            let _ = kill_process_group(self.main, Signal::KILL);
            wait_for_all(&processes, deadline);
        }
    }

    /// Descriptors that become readable when one of the others ends.
    pub(super) fn watch_others(&self) -> Vec<OwnedFd> {
        self.others().into_iter().filter_map(open).collect()
    }
}

/// Waits until all these processes have ended.
fn wait_for_all(processes: &[OwnedFd], deadline: Instant) {
    for process in processes {
        let left = deadline.saturating_duration_since(Instant::now());
        let mut fds = [PollFd::new(process, PollFlags::IN)];
        let _ = poll(&mut fds, Timespec::try_from(left).ok().as_ref());
    }
}

fn open(pid: i32) -> Option<OwnedFd> {
    pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok()
}

/// Takes the status of an orphan that has ended; false if it lives.
fn reap(pid: i32) -> bool {
    let Some(pid) = Pid::from_raw(pid) else { return true };
    !matches!(waitpid(Some(pid), WaitOptions::NOHANG), Ok(None))
}

/// The children of this process' main thread: orphans, as it starts no process.
fn children_of_main_thread() -> Vec<i32> {
    let main = getpid().as_raw_pid();
    children(&format!("/proc/self/task/{main}/children"))
}

fn children(file: &str) -> Vec<i32> {
    let list = fs::read_to_string(file).unwrap_or_default();
    list.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

/// Adds all descendants of a process.
fn descendants(pid: i32, found: &mut BTreeSet<i32>) {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return };
    for thread in threads.flatten() {
        let file = thread.path().join("children");
        for child in children(&file.to_string_lossy()) {
            if found.insert(child) {
                descendants(child, found);
            }
        }
    }
}

/// The members of a process group that the group's number does not name otherwise:
/// those that were adopted by somebody else.
fn group_members(group: i32) -> Vec<i32> {
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = processes.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid| stat(*pid).is_some_and(|stat| stat.group == group)).collect()
}

struct Stat {
    state: char,
    group: i32,
}

/// State and group of a process. Its name, in parentheses, may hold anything.
fn stat(pid: i32) -> Option<Stat> {
    let text = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let end = text.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(text.get(end + 2..)?).ok()?;
    let mut fields = rest.split(' ');
    let state = fields.next()?.chars().next()?;
    Some(Stat { state, group: fields.nth(1)?.parse().ok()? })
}

fn is_alive(pid: i32) -> bool {
    stat(pid).is_some_and(|stat| !matches!(stat.state, 'Z' | 'X'))
}

fn name(pid: i32) -> String {
    let name = fs::read(format!("/proc/{pid}/comm")).unwrap_or_default();
    String::from_utf8_lossy(&name).trim_end().to_owned()
}

/// The attempt below the folder `attempts` that a process belongs to, by the marker in
/// its environment or by where it works. An attempt of another agent on this host may
/// have the same name: only the whole path tells them apart.
fn owner(pid: i32, attempts: &Path) -> Option<AttemptKey> {
    let below = |path: &Path| {
        let name = path.strip_prefix(attempts).ok()?.iter().next()?;
        spool::parse(name.to_str()?)
    };
    let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    let marker = format!("{MARKER}=");
    let marked = environment.split(|byte| *byte == 0).find_map(|variable| {
        below(Path::new(OsStr::from_bytes(variable.strip_prefix(marker.as_bytes())?)))
    });
    marked.or_else(|| below(&fs::read_link(format!("/proc/{pid}/cwd")).ok()?))
}

/// Kills the processes of attempts that an earlier supervisor left, and waits until
/// they are gone.
pub(super) fn kill_left(agent: &Path, left: &[AttemptKey]) -> io::Result<()> {
    let attempts = spool::attempts(agent);
    let own = getpid().as_raw_pid();
    let deadline = Instant::now() + GONE;
    loop {
        let processes = fs::read_dir("/proc")?.flatten();
        let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
        let found: Vec<i32> = pids
            .filter(|pid| *pid != own && is_alive(*pid))
            .filter(|pid| owner(*pid, &attempts).is_some_and(|key| left.contains(&key)))
            .collect();
        if found.is_empty() {
            return Ok(());
        }
        if Instant::now() >= deadline {
            return Err(io::Error::other(format!(
                "processes {found:?}, which an earlier supervisor left, cannot be killed"
            )));
        }
        let open: Vec<OwnedFd> = found.iter().filter_map(|pid| open(*pid)).collect();
        for (pid, process) in found.iter().zip(&open) {
            say!("killing {} ({pid}), which an earlier supervisor left", name(*pid));
            let _ = pidfd_send_signal(process, Signal::KILL);
        }
        wait_for_all(&open, deadline);
    }
}
