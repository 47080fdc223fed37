//! A proxy on loopback between agent and scheduler, which can cut, delay and
//! swallow what goes through it.

use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

/// What happens to what goes through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// It goes through.
    Pass,
    /// It goes through after a while.
    Delay(Duration),
    /// It is swallowed, in both directions; connections stay open and hear nothing.
    BlackHole,
    /// Connections are cut, and new ones too.
    Cut,
}

#[derive(Debug)]
struct State {
    mode: Mode,
    connections: Vec<TcpStream>,
    /// Bytes that went from agents to the scheduler.
    sent: u64,
}

/// A running proxy.
#[derive(Clone, Debug)]
pub struct Proxy {
    shared: Arc<(Mutex<State>, Condvar)>,
    address: SocketAddr,
}

impl Proxy {
    /// Starts one in front of `target`.
    pub fn start(target: SocketAddr) -> std::io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let address = listener.local_addr()?;
        let state = State { mode: Mode::Pass, connections: Vec::new(), sent: 0 };
        let proxy = Self { shared: Arc::new((Mutex::new(state), Condvar::new())), address };
        let accepting = proxy.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                // A scheduler that is not there is what a client sees as well.
                let _ = accepting.connect(client, target);
            }
        });
        Ok(proxy)
    }

    /// Its endpoint.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Changes what happens from now on.
    pub fn set(&self, mode: Mode) {
        let mut state = self.lock();
        state.mode = mode;
        if mode == Mode::Cut {
            for connection in state.connections.drain(..) {
                let _ = connection.shutdown(Shutdown::Both);
            }
        }
        self.shared.1.notify_all();
    }

    /// Bytes that agents have sent through it.
    pub fn sent(&self) -> u64 {
        self.lock().sent
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn connect(&self, client: TcpStream, target: SocketAddr) -> std::io::Result<()> {
        if self.lock().mode == Mode::Cut {
            return client.shutdown(Shutdown::Both);
        }
        let server = TcpStream::connect(target)?;
        for stream in [&client, &server] {
            stream.set_nodelay(true)?;
            self.lock().connections.push(stream.try_clone()?);
        }
        for (from, to, up) in
            [(client.try_clone()?, server.try_clone()?, true), (server, client, false)]
        {
            let proxy = self.clone();
            thread::spawn(move || proxy.pump(from, to, up));
        }
        Ok(())
    }

    /// Carries one direction of one connection.
    fn pump(&self, mut from: TcpStream, mut to: TcpStream, up: bool) {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(length @ 1..) = from.read(&mut buffer) {
            if !self.let_through(length, up) || to.write_all(&buffer[..length]).is_err() {
                break;
            }
        }
        let _ = from.shutdown(Shutdown::Both);
        let _ = to.shutdown(Shutdown::Both);
    }

    /// Waits as the mode says; false if the connection is to be cut.
    fn let_through(&self, length: usize, up: bool) -> bool {
        let mut state = self.lock();
        let mut delayed = false;
        loop {
            match state.mode {
                Mode::Cut => return false,
                // TCP would send again what a black hole has swallowed: it is late.
                Mode::BlackHole => {
                    state = self.shared.1.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
                Mode::Delay(delay) if !delayed => {
                    delayed = true;
                    let waited = self.shared.1.wait_timeout(state, delay);
                    state = waited.unwrap_or_else(PoisonError::into_inner).0;
                }
                Mode::Delay(_) | Mode::Pass => break,
            }
        }
        if up {
            state.sent += length as u64;
        }
        true
    }
}
