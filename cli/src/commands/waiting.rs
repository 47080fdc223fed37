//! What somebody who waits for jobs is told: why nothing happens, on stderr, once that has
//! lasted a while and again when the reason changes; and that it was long enough.

use std::{convert::Infallible, time::Duration};

use multiflexi_program::say;
use serde_json::json;

use crate::{
    exit_code::Exit,
    failure::Failure,
    output::{Format, remark},
};

/// How long nothing is said, and how often is looked again after that.
const WHILE: [Duration; 2] = [Duration::from_secs(3), Duration::from_secs(5)];

/// Tells why it has to be waited, as often as that changes; `reason` looks for it, and finds
/// none while all goes well. Never ends.
pub async fn tell(format: Format, mut reason: impl AsyncFnMut() -> Option<String>) -> Infallible {
    let mut told = None;
    let mut pause = WHILE[0];
    loop {
        tokio::time::sleep(pause).await;
        pause = WHILE[1];
        let found = reason().await;
        if let Some(reason) = found.as_ref().filter(|_| found != told) {
            match format {
                Format::Text => remark(&format!("waiting: {reason}")),
                Format::Json => say!("{}", json!({ "waiting": reason })),
            }
        }
        told = found;
    }
}

/// Ends after so long; never if no limit is given.
pub async fn long_enough(limit: Option<Duration>) {
    match limit {
        Some(limit) => tokio::time::sleep(limit).await,
        None => std::future::pending().await,
    }
}

/// The failure of one who has waited long enough for `what`, which goes on.
pub fn waited(what: &str, hint: String) -> Failure {
    Failure::new(Exit::Waited, format!("that was waited for long enough; {what}")).hint(hint)
}
