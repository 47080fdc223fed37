//! The main thread: takes connections of sessions, one at a time, and their
//! requests. It starts no process itself: orphans of all attempts become children
//! of this thread, and only they may be among them (see [`super::tree`]).

use std::{
    io::{self, Read as _},
    net::Shutdown,
    os::{
        fd::AsFd as _,
        unix::net::{UnixListener, UnixStream},
    },
    path::Path,
    sync::Arc,
    thread,
};

use multiflexi_program::say;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};

use super::{
    attempts::{Attempt, Wish},
    hub::Hub,
    launch_job,
    wake::Wake,
    workers::Workers,
};
use crate::{
    link::{self, AttemptKey, Event, Request},
    spool,
};

/// How long to wait for the first session.
const FIRST_SESSION: Timespec = Timespec { tv_sec: 30, tv_nsec: 0 };

/// How much is read from the session at once, in bytes.
const PIECE: usize = 64 * 1024;

/// A connected session.
struct Session {
    stream: Arc<UnixStream>,
    /// What has arrived of the next request.
    buffer: Vec<u8>,
}

/// Serves sessions until none is connected and nothing is held.
pub(super) fn serve(folder: &Path, listener: &UnixListener, hub: &Arc<Hub>) -> io::Result<()> {
    let forgotten = Arc::new(Wake::new()?);
    let workers = Workers::default();
    let mut session: Option<Session> = None;
    let mut waited = false;
    loop {
        let timeout = (!waited).then_some(&FIRST_SESSION);
        let ready = wait(listener, session.as_ref(), &forgotten, timeout)?;
        let timed_out = !(ready.connection || ready.request || ready.forgotten);
        waited |= ready.connection || timed_out;
        if ready.forgotten {
            forgotten.hush();
        }
        if ready.connection {
            let (stream, _) = listener.accept()?;
            session = Some(connect(stream, session.take(), hub)?);
        } else if ready.request
            && let Some(connected) = &mut session
        {
            let open = read(connected, &mut |request| {
                handle(folder, hub, &workers, &forgotten, request);
            });
            if !open {
                hub.disconnect();
                session = None;
            }
        }
        if waited && session.is_none() && hub.is_idle() {
            // What was forgotten a moment ago may still be there.
            workers.finish();
            return Ok(());
        }
    }
}

#[derive(Default)]
struct Ready {
    connection: bool,
    request: bool,
    forgotten: bool,
}

fn wait(
    listener: &UnixListener,
    session: Option<&Session>,
    forgotten: &Wake,
    timeout: Option<&Timespec>,
) -> io::Result<Ready> {
    let mut fds = vec![
        PollFd::from_borrowed_fd(listener.as_fd(), PollFlags::IN),
        PollFd::from_borrowed_fd(forgotten.as_fd(), PollFlags::IN),
    ];
    if let Some(session) = session {
        fds.push(PollFd::from_borrowed_fd(session.stream.as_fd(), PollFlags::IN));
    }
    loop {
        match poll(&mut fds, timeout) {
            Ok(_) => break,
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let ready = |index: usize| fds.get(index).is_some_and(|fd| !fd.revents().is_empty());
    Ok(Ready { connection: ready(0), forgotten: ready(1), request: ready(2) })
}

/// Makes a connection the session, in place of the one before.
fn connect(stream: UnixStream, before: Option<Session>, hub: &Arc<Hub>) -> io::Result<Session> {
    if let Some(before) = before {
        let _ = before.stream.shutdown(Shutdown::Both);
    }
    let stream = Arc::new(stream);
    let number = hub.connect();
    let (writes, hub) = (Arc::clone(&stream), Arc::clone(hub));
    thread::Builder::new()
        .name("events".into())
        .stack_size(128 * 1024)
        .spawn(move || hub.write_to(number, &writes))?;
    Ok(Session { stream, buffer: Vec::new() })
}

/// Takes the requests that have arrived; false if the session is gone.
fn read(session: &mut Session, handle: &mut dyn FnMut(Request)) -> bool {
    let filled = session.buffer.len();
    session.buffer.resize(filled + PIECE, 0);
    let read = (&*session.stream).read(&mut session.buffer[filled..]);
    session.buffer.truncate(filled + read.as_ref().copied().unwrap_or(0));
    match read {
        Ok(0) => return false,
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
        Err(_) => return false,
    }
    let mut at = 0;
    loop {
        match link::decode(&session.buffer[at..]) {
            Ok(Some((request, size))) => {
                handle(request);
                at += size;
            }
            Ok(None) => break,
            Err(error) => {
                say!("a session is dropped: it says what is not understood: {error}");
                return false;
            }
        }
    }
    session.buffer.drain(..at);
    true
}

fn handle(
    folder: &Path,
    hub: &Arc<Hub>,
    workers: &Workers,
    forgotten: &Arc<Wake>,
    request: Request,
) {
    match request {
        Request::Launch(launches) => {
            for launch in launches {
                let key = launch.key;
                match Attempt::new(folder, launch, &hub.spooled) {
                    Ok(attempt) => start(attempt, hub, workers, forgotten),
                    Err(error) => {
                        say!("{key} cannot be launched: {error}");
                        let spool = spool::log(&spool::attempt(folder, key));
                        let completion = launch_job::no_room(&error, spool);
                        hub.tell(&Event::Ended(key, Box::new(completion)));
                    }
                }
            }
        }
        Request::Cancel(key) => {
            if let Some(attempt) = hub.get(key) {
                attempt.want(Wish::Cancel);
            }
        }
        Request::Kill(key) => {
            if let Some(attempt) = hub.get(key) {
                attempt.want(Wish::Kill);
                if attempt.has_ended() {
                    forget(hub, workers, key);
                }
            }
        }
        Request::Forget(key) => forget(hub, workers, key),
        Request::Seen(key, length) => {
            if let Some(length) = hub.get(key).and_then(|attempt| attempt.seen(length)) {
                hub.tell(&Event::LogGrew(key, length));
            }
        }
        Request::Durable(key, offset) => {
            if let Some(attempt) = hub.get(key) {
                attempt.durable(offset);
            }
        }
    }
}

fn start(attempt: Attempt, hub: &Arc<Hub>, workers: &Workers, forgotten: &Arc<Wake>) {
    let attempt = Arc::new(attempt);
    if !hub.add(&attempt) {
        return;
    }
    let (hub, forgotten) = (Arc::clone(hub), Arc::clone(forgotten));
    workers.run(Box::new(move || {
        launch_job::launch_job(&attempt, &hub);
        if attempt.wish() == Wish::Kill {
            hub.remove(attempt.key());
            remove_folder(&attempt.folder);
            forgotten.ring();
        }
    }));
}

/// Forgets an attempt that has ended.
fn forget(hub: &Hub, workers: &Workers, key: AttemptKey) {
    if hub.get(key).is_some_and(|attempt| attempt.has_ended())
        && let Some(attempt) = hub.remove(key)
    {
        // Its files may be many: the server does not wait for them.
        workers.run(Box::new(move || remove_folder(&attempt.folder)));
    }
}

fn remove_folder(folder: &Path) {
    // Nearly always there is nothing else in it.
    let _ = std::fs::remove_file(spool::log(folder));
    let _ = std::fs::remove_file(spool::ended(folder));
    if std::fs::remove_dir(folder).is_ok() {
        return;
    }
    if let Err(error) = std::fs::remove_dir_all(folder)
        && error.kind() != io::ErrorKind::NotFound
    {
        say!("{} stays behind: {error}", folder.display());
    }
}
