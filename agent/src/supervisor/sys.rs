//! The two calls of the kernel for which there is no safe crate.
#![allow(unsafe_code)]

use std::{io, mem::MaybeUninit, ptr, time::Duration};

use rustix::process::Pid;

/// How a process ended, and what it used.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ended {
    pub(super) exit_code: Option<i32>,
    pub(super) signal: Option<i32>,
    pub(super) user_cpu: Duration,
    pub(super) system_cpu: Duration,
    pub(super) peak_memory_bytes: u64,
}

/// Waits for a child that has ended, and takes its status and resource usage,
/// which `waitpid` does not tell.
pub(super) fn reap(pid: Pid) -> io::Result<Ended> {
    let mut status = 0;
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    let usage = loop {
        // SAFETY: both pointers are valid for the call, which writes to them only.
        let found =
            unsafe { libc::wait4(pid.as_raw_pid(), &raw mut status, 0, usage.as_mut_ptr()) };
        if found == pid.as_raw_pid() {
            // SAFETY: all zeroes is a valid value, and the kernel has written over it.
            break unsafe { usage.assume_init() };
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    };
    let time = |time: libc::timeval| {
        Duration::from_secs(time.tv_sec.unsigned_abs())
            + Duration::from_micros(time.tv_usec.unsigned_abs())
    };
    Ok(Ended {
        exit_code: libc::WIFEXITED(status).then(|| libc::WEXITSTATUS(status)),
        signal: libc::WIFSIGNALED(status).then(|| libc::WTERMSIG(status)),
        user_cpu: time(usage.ru_utime),
        system_cpu: time(usage.ru_stime),
        // Linux counts it in KiB.
        peak_memory_bytes: usage.ru_maxrss.unsigned_abs() * 1024,
    })
}

extern "C" fn nothing(_: libc::c_int) {}

/// Makes the signals that ask a program to end harmless. They get a handler, as
/// one that is ignored would be ignored by the jobs' processes too.
pub(super) fn outlive_signals() -> io::Result<()> {
    for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP] {
        // SAFETY: all zeroes is a valid `sigaction`; the handler does nothing, which
        // is safe at any time.
        let result = unsafe {
            let mut action: libc::sigaction = MaybeUninit::zeroed().assume_init();
            action.sa_sigaction = nothing as *const () as usize;
            action.sa_flags = libc::SA_RESTART;
            libc::sigaction(signal, &raw const action, ptr::null_mut())
        };
        if result != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}
