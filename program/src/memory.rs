//! How this process asks the system for memory.

/// Keeps all memory in one arena. glibc gives each thread an arena of its own and
/// rarely gives one back: a process that moves gigabytes through a few megabytes of
/// buffers would hold several times what it uses. Call it first in `main`.
pub fn keep_small() {
    #[cfg(target_env = "gnu")]
    {
        #[expect(unsafe_code, reason = "no safe crate offers this setting")]
        // SAFETY: it only sets a parameter of the allocator, before other threads run.
        let set = unsafe { libc::mallopt(libc::M_ARENA_MAX, 1) };
        debug_assert_eq!(set, 1, "glibc knows this parameter");
    }
}
