//! What session and supervisor say to each other, over a Unix socket in the
//! agent's folder: JSON messages, each after its length (u32, little endian).
//!
//! The two may be of different versions, as the supervisor outlives an upgrade:
//! fields are only ever added, with defaults.

use std::{
    collections::BTreeMap,
    fmt, io,
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// The version of this program. A session replaces an idle supervisor of another one.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Most bytes in one message: a batch of launches with large environments.
const MAX_MESSAGE: usize = 64 * 1024 * 1024;

/// Longest path that a Unix socket's address surely holds, in bytes.
const MAX_PATH: usize = 100;

/// Names one attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AttemptKey {
    /// The job.
    pub job_id: i64,
    /// Number of the attempt within the job.
    pub attempt: i32,
    /// The fence under which it was offered.
    pub fence: i64,
}

impl fmt::Display for AttemptKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "job {} attempt {}", self.job_id, self.attempt)
    }
}

/// From the session.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Request {
    /// Launch these. One that is held already is left as it is.
    Launch(Vec<Launch>),
    /// End it: SIGTERM, its grace period, then SIGKILL for all that is left.
    Cancel(AttemptKey),
    /// Kill it at once and forget it: it is superseded.
    Kill(AttemptKey),
    /// Its end is on record: forget it, with its folder.
    Forget(AttemptKey),
    /// The session has read its log up to here; what comes after is to be announced.
    Seen(AttemptKey, u64),
    /// The scheduler has this much of its log.
    Durable(AttemptKey, u64),
}

/// From the supervisor.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Event {
    /// First: who the supervisor is and what it holds.
    Hello {
        /// Version of its program.
        #[serde(default)]
        version: String,
        /// What it holds.
        held: Vec<Held>,
    },
    /// A process was started.
    Started(AttemptKey, Started),
    /// A log has grown to this length. Said once until the session has `Seen` it.
    LogGrew(AttemptKey, u64),
    /// An attempt waits for this host, and why; an empty reason: it goes on.
    Waits(AttemptKey, String),
    /// An attempt has ended; its whole output is in its log.
    Ended(AttemptKey, Box<Completion>),
}

/// Everything that is needed to launch an attempt.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Launch {
    /// The attempt.
    pub key: AttemptKey,
    /// The program and its arguments.
    pub command: Vec<String>,
    /// The job's variables.
    pub environment: BTreeMap<String, String>,
    /// How long it may run, in milliseconds; none for no limit.
    pub timeout_ms: Option<u64>,
    /// Time between SIGTERM and SIGKILL, in milliseconds.
    pub grace_ms: u64,
    /// What holds for its spool.
    #[serde(default)]
    pub quota: Quota,
    /// Names of the variables whose values are masked in its output; of files, the content.
    #[serde(default)]
    pub secrets: Vec<String>,
    /// Names of variables that hold the path of a file that must be there.
    #[serde(default)]
    pub required_files: Vec<String>,
    /// Files to be written before the launch.
    #[serde(default)]
    pub files: Vec<File>,
}

impl Launch {
    /// Bytes of its files and variables: nearly all that it holds.
    pub fn size(&self) -> usize {
        let files = self.files.iter().map(|file| file.content.len());
        files.chain(self.environment.values().map(String::len)).sum()
    }
}

/// A file that is delivered to a job.
#[derive(Clone, Serialize, Deserialize)]
pub struct File {
    /// The variable that holds its path.
    pub variable: String,
    /// Its name.
    pub name: String,
    /// What is in it.
    #[serde(with = "base64_text")]
    pub content: Vec<u8>,
}

impl fmt::Debug for File {
    /// What is in it may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "File({}, {:?}, {} bytes)", self.variable, self.name, self.content.len())
    }
}

/// Bytes as text, which is what JSON has.
mod base64_text {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<u8>, D::Error> {
        STANDARD.decode(String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// How much output may wait on this host for the scheduler.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quota {
    /// Bytes of one attempt, with framing.
    pub attempt_bytes: u64,
    /// Bytes of all attempts together.
    pub agent_bytes: u64,
    /// What happens beyond that.
    pub overflow: Overflow,
}

impl Default for Quota {
    fn default() -> Self {
        let gibibyte = 1024 * 1024 * 1024;
        Self { attempt_bytes: gibibyte, agent_bytes: 8 * gibibyte, overflow: Overflow::default() }
    }
}

/// What happens to a job whose output does not fit into the spool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Overflow {
    /// It waits in its writes.
    #[default]
    Block,
    /// It goes on; the beginning and the end of its output are kept.
    HeadTail,
    /// It is ended.
    Fail,
}

/// A process that was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// Its process id.
    pub pid: i64,
    /// When, in microseconds since the Unix epoch.
    pub at: i64,
}

/// An attempt that the supervisor holds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Held {
    /// The attempt.
    pub key: AttemptKey,
    /// Length of its log, in bytes with framing.
    pub log_length: u64,
    /// Time between SIGTERM and SIGKILL, in milliseconds.
    #[serde(default)]
    pub grace_ms: u64,
    /// Its process, once it was started.
    pub started: Option<Started>,
    /// What it waits for on this host; empty if it does not.
    #[serde(default)]
    pub waits: String,
    /// How it ended, once it has.
    pub ended: Option<Box<Completion>>,
    /// What its process was told of its trace; empty if nothing.
    #[serde(default)]
    pub traceparent: String,
}

/// Why an attempt ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cause {
    /// The process exited by itself.
    #[default]
    Exited,
    /// A signal ended it that neither a cancel nor a timeout sent.
    Signaled,
    /// It could not be launched.
    LaunchFailed,
    /// It was cancelled.
    Cancelled,
    /// It ran longer than allowed.
    TimedOut,
    /// The supervisor that had it is gone, and its processes with it.
    Lost,
    /// Its output did not fit into the spool.
    OutputLimit,
}

/// How an attempt ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Completion {
    /// Why.
    pub cause: Cause,
    /// Exit code, if the process exited or could not be launched.
    pub exit_code: Option<i32>,
    /// Number of the signal that ended it, if one did.
    pub signal: Option<i32>,
    /// Its process, if one was started.
    pub started: Option<Started>,
    /// How long it ran, in microseconds, by the monotonic clock.
    pub elapsed_us: u64,
    /// CPU time in user mode, in microseconds.
    pub user_cpu_us: u64,
    /// CPU time in the kernel, in microseconds.
    pub system_cpu_us: u64,
    /// Largest resident set of one process, in bytes.
    pub peak_memory_bytes: u64,
    /// What it wrote to stdout and to stderr; none if nobody has counted.
    pub streams: Option<[Stream; 2]>,
    /// Length of its log, in bytes with framing.
    pub log_length: u64,
    /// Processes that were killed after the main one had ended.
    pub leftovers: Vec<Leftover>,
    /// What went wrong on the host, as a sentence; empty if nothing did.
    pub trouble: String,
    /// Its working directory is not empty.
    pub has_files: bool,
    /// Files whose names have secrets in them, and the names by which they are stored.
    #[serde(default)]
    pub masked_names: BTreeMap<String, String>,
}

/// Size and hash of an output stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stream {
    /// Bytes written.
    pub bytes: u64,
    /// SHA-256 of them.
    pub sha256: [u8; 32],
}

/// A process that outlived the main one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Leftover {
    /// Its process id.
    pub pid: i64,
    /// The name of its program.
    pub name: String,
}

/// Appends a message to `buffer`.
pub fn encode(message: &impl Serialize, buffer: &mut Vec<u8>) {
    let start = buffer.len();
    buffer.extend_from_slice(&[0; 4]);
    serde_json::to_writer(&mut *buffer, message)
        .expect("these messages have no map with other keys than text, and memory does not fail");
    let length = u32::try_from(buffer.len() - start - 4).unwrap_or(u32::MAX);
    buffer[start..start + 4].copy_from_slice(&length.to_le_bytes());
}

/// The first message of `bytes` and its size with the length; none if it is not
/// there whole.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> io::Result<Option<(T, usize)>> {
    let Some(length) = bytes.first_chunk::<4>() else { return Ok(None) };
    let length = u32::from_le_bytes(*length) as usize;
    if length > MAX_MESSAGE {
        return Err(io::Error::other(format!("a message of {length} bytes is none of ours")));
    }
    let Some(body) = bytes.get(4..4 + length) else { return Ok(None) };
    Ok(Some((serde_json::from_slice(body).map_err(io::Error::other)?, 4 + length)))
}

/// The socket's path, short enough for an address. The second value must live as
/// long as the path is used.
fn address(folder: &Path) -> io::Result<(PathBuf, Option<std::fs::File>)> {
    let path = crate::spool::socket(folder);
    if path.as_os_str().len() <= MAX_PATH {
        return Ok((path, None));
    }
    let open = std::fs::File::open(folder)?;
    let name = path.file_name().unwrap_or_default();
    let fd = std::os::fd::AsRawFd::as_raw_fd(&open);
    Ok((Path::new("/proc/self/fd").join(fd.to_string()).join(name), Some(open)))
}

/// Listens in the agent's folder; an earlier supervisor's socket is replaced.
pub fn listen(folder: &Path) -> io::Result<UnixListener> {
    let (path, _open) = address(folder)?;
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    UnixListener::bind(path)
}

/// Connects to the supervisor of the agent's folder.
pub fn connect(folder: &Path) -> io::Result<UnixStream> {
    let (path, _open) = address(folder)?;
    UnixStream::connect(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_return_unchanged_and_wait_until_they_are_whole() {
        let key = AttemptKey { job_id: 1, attempt: 2, fence: 3 };
        let mut bytes = Vec::new();
        encode(&Request::Cancel(key), &mut bytes);
        let first = bytes.len();
        encode(&Request::Seen(key, u64::MAX), &mut bytes);
        for cut in 0..first {
            assert!(decode::<Request>(&bytes[..cut]).unwrap().is_none());
        }
        let (message, size) = decode::<Request>(&bytes).unwrap().unwrap();
        assert!(matches!(message, Request::Cancel(found) if found == key));
        assert_eq!(size, first);
        let (message, _) = decode::<Request>(&bytes[first..]).unwrap().unwrap();
        assert!(matches!(message, Request::Seen(found, u64::MAX) if found == key));
        assert!(decode::<Request>(&[0xff; 8]).is_err());
    }

    #[test]
    fn a_folder_with_a_long_name_has_a_socket_too() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("x".repeat(200));
        std::fs::create_dir(&deep).unwrap();
        let listener = listen(&deep).unwrap();
        connect(&deep).unwrap();
        listener.accept().unwrap();
        listen(&deep).unwrap();
    }
}
