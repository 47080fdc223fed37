//! Signals that ask a program to stop.

use std::io;

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};
use tokio_util::sync::CancellationToken;

/// A token that the first SIGTERM or SIGINT cancels. Must be called within a
/// runtime; from then on these signals no longer end the process by themselves.
pub fn on_signal() -> io::Result<CancellationToken> {
    let token = CancellationToken::new();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let asked = token.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("asked to stop");
        asked.cancel();
    });
    Ok(token)
}

/// How a program that has work under way is to stop; each is stronger than the one
/// before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stop {
    /// It is not.
    #[default]
    No,
    /// At once; its work goes on without it, and the next one takes it over.
    HandOver,
    /// When the work that it has is done; it takes no more.
    Drain,
    /// As soon as the work that it has is cancelled.
    Cancel,
}

/// What a program with work under way was asked: SIGHUP hands over, the first
/// SIGTERM or SIGINT drains, the second cancels. Must be called within a runtime.
pub fn in_steps() -> io::Result<watch::Receiver<Stop>> {
    let (say, asked) = watch::channel(Stop::No);
    let mut hand_over = signal(SignalKind::hangup())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::spawn(async move {
        loop {
            let stop = tokio::select! {
                _ = hand_over.recv() => Stop::HandOver,
                _ = terminate.recv() => next_step(*say.borrow()),
                _ = interrupt.recv() => next_step(*say.borrow()),
            };
            tracing::info!(?stop, "asked to stop");
            say.send_modify(|now| *now = stop.max(*now));
        }
    });
    Ok(asked)
}

fn next_step(now: Stop) -> Stop {
    if now >= Stop::Drain { Stop::Cancel } else { Stop::Drain }
}
