//! A supervisor in a folder of its own, and a session that talks to it.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use multiflexi_agent::link::{self, AttemptKey, Completion, Event, Held, Launch, Request};
use multiflexi_proto::frame::{self, Record};
use tempfile::TempDir;

/// A running supervisor. Whatever it left is killed when the test ends.
pub struct Supervisor {
    pub process: Child,
    folder: TempDir,
}

impl Supervisor {
    pub fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { process: spawn(folder.path()), folder }
    }

    /// kill -9.
    pub fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Another supervisor in the same folder.
    pub fn start_again(&mut self) {
        self.process = spawn(self.folder.path());
    }

    pub fn connect(&self) -> Session {
        let stream = link::connect(self.folder.path()).unwrap();
        let mut session = Session { stream, buffer: Vec::new(), hello: Vec::new(), ended: None };
        session.hello = match session.next() {
            Event::Hello { held, .. } => held,
            other => panic!("{other:?}"),
        };
        session
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn attempt(&self, key: AttemptKey) -> PathBuf {
        let name = format!("{}-{}-{}", key.job_id, key.attempt, key.fence);
        self.folder.path().join("attempts").join(name)
    }

    /// An attempt's log.
    pub fn log(&self, key: AttemptKey) -> Vec<Record> {
        let bytes = std::fs::read(self.attempt(key).join("log")).unwrap_or_default();
        frame::records(bytes.into()).collect::<Result<_, _>>().unwrap()
    }

    /// All bytes of one stream.
    pub fn text(&self, key: AttemptKey, stream: frame::Stream) -> Vec<u8> {
        let records = self.log(key).into_iter().filter(|record| record.stream == stream);
        records.flat_map(|record| record.data).collect()
    }

    pub fn work(&self, key: AttemptKey) -> PathBuf {
        self.attempt(key).join("work")
    }

    pub fn has_folder(&self, key: AttemptKey) -> bool {
        self.attempt(key).exists()
    }
}

fn spawn(folder: &Path) -> Child {
    let mut process = Command::new(env!("CARGO_BIN_EXE_multiflexi-agent"))
        .args(["supervisor", "--directory"])
        .arg(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut ready = String::new();
    BufReader::new(process.stdout.take().unwrap()).read_line(&mut ready).unwrap();
    assert_eq!(ready, "\n");
    process
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A connected session.
pub struct Session {
    stream: UnixStream,
    buffer: Vec<u8>,
    pub hello: Vec<Held>,
    /// An end that came while something else was waited for.
    pub ended: Option<Completion>,
}

impl Session {
    pub fn send(&mut self, request: &Request) {
        let mut bytes = Vec::new();
        link::encode(request, &mut bytes);
        self.stream.write_all(&bytes).unwrap();
    }

    pub fn try_next(&mut self) -> Option<Event> {
        loop {
            if let Some((event, size)) = link::decode(&self.buffer).unwrap() {
                self.buffer.drain(..size);
                return Some(event);
            }
            let mut piece = [0; 4096];
            let read = self.stream.read(&mut piece).unwrap_or(0);
            if read == 0 {
                return None;
            }
            self.buffer.extend_from_slice(&piece[..read]);
        }
    }

    pub fn next(&mut self) -> Event {
        self.try_next().expect("the supervisor is connected")
    }

    /// The end of an attempt; everything before it is passed over.
    pub fn end(&mut self, key: AttemptKey) -> Completion {
        loop {
            match self.next() {
                Event::Ended(ended, completion) if ended == key => return *completion,
                _ => {}
            }
        }
    }

    /// The process id of an attempt.
    pub fn started(&mut self, key: AttemptKey) -> i64 {
        loop {
            match self.next() {
                Event::Started(started, process) if started == key => return process.pid,
                Event::Ended(ended, completion) if ended == key => panic!("{completion:?}"),
                _ => {}
            }
        }
    }

    /// Waits until an attempt's log has grown.
    pub fn grown(&mut self, key: AttemptKey) -> u64 {
        loop {
            match self.next() {
                Event::LogGrew(grown, length) if grown == key => return length,
                Event::Ended(ended, completion) if ended == key => panic!("{completion:?}"),
                _ => {}
            }
        }
    }

    /// Waits until an attempt's log has grown; none if it has ended, which is kept.
    pub fn grown_or_ended(&mut self, key: AttemptKey) -> Option<u64> {
        loop {
            match self.next() {
                Event::LogGrew(grown, length) if grown == key => return Some(length),
                Event::Ended(ended, completion) if ended == key => {
                    self.ended = Some(*completion);
                    return None;
                }
                _ => {}
            }
        }
    }

    /// Launches a shell script and waits for its end.
    pub fn run(&mut self, script: &str) -> (AttemptKey, Completion) {
        let launch = shell(script);
        let key = launch.key;
        self.send(&Request::Launch(vec![launch]));
        (key, self.end(key))
    }
}

pub fn key() -> AttemptKey {
    use std::sync::atomic::{AtomicI64, Ordering};
    static JOB: AtomicI64 = AtomicI64::new(1);
    AttemptKey { job_id: JOB.fetch_add(1, Ordering::Relaxed), attempt: 1, fence: 7 }
}

pub fn launch(command: &[&str]) -> Launch {
    Launch {
        secrets: Vec::new(),
        required_files: Vec::new(),
        files: Vec::new(),
        key: key(),
        command: command.iter().map(|word| (*word).to_owned()).collect(),
        environment: Default::default(),
        timeout_ms: None,
        grace_ms: 10_000,
        quota: Default::default(),
    }
}

pub fn shell(script: &str) -> Launch {
    launch(&["sh", "-c", script])
}

/// Whether a process is there, be it as a zombie.
pub fn exists(pid: &str) -> bool {
    Path::new("/proc").join(pid.trim()).exists()
}

/// Whether a process runs.
pub fn runs(pid: &str) -> bool {
    let stat = std::fs::read_to_string(Path::new("/proc").join(pid.trim()).join("stat"));
    stat.is_ok_and(|stat| !stat.contains(") Z "))
}
