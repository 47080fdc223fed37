//! How long a stream whose connection breaks is begun again.

use std::time::Duration;

use tokio::time::Instant;
use tonic::Status;

use crate::{
    connect::Server,
    failure::{Failure, is_broken_connection},
};

/// How long a broken connection is tried again.
const LONGEST: Duration = Duration::from_secs(300);

/// Pauses between tries: doubled up to the second.
const BACKOFF: [Duration; 2] = [Duration::from_millis(50), Duration::from_secs(2)];

/// Begins a stream again while its connection is broken, and not for ever.
#[derive(Debug)]
pub struct Patience {
    broken_since: Option<Instant>,
    pause: Duration,
}

impl Patience {
    /// Nothing is broken.
    pub fn new() -> Self {
        Self { broken_since: None, pause: BACKOFF[0] }
    }

    /// Waits a while after a stream has ended so, and connects again if that helps; the failure
    /// if it does not. `progressed`: something had come since the last time.
    pub async fn reconnect(
        &mut self,
        server: &mut Server,
        status: Status,
        progressed: bool,
    ) -> Result<(), Failure> {
        if progressed {
            *self = Self::new();
        }
        let since = *self.broken_since.get_or_insert_with(Instant::now);
        if !is_broken_connection(&status) || since.elapsed() > LONGEST {
            return Err(status.into());
        }
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(BACKOFF[1]);
        if let Ok(connected) = server.reconnect().await {
            *server = connected;
        }
        Ok(())
    }
}
