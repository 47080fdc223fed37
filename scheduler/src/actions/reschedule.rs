//! `Reschedule`: a job of the same run template, later. It may go on for ever, and so there is
//! one that waits at most, however many ends and actions ask for it.

use std::{future::ready, time::Duration};

use tokio::time::Instant;

use super::{Action, EndedJob, Field, Performing, SettingError, Settings, Takes};
use crate::store::Effect;

/// The shortest delay.
const SHORTEST: Duration = Duration::from_secs(1);

/// Queues the run template's next job.
#[derive(Debug)]
pub(super) struct Reschedule;

impl Action for Reschedule {
    fn name(&self) -> &'static str {
        "Reschedule"
    }

    fn about(&self) -> &'static str {
        "queues another job of the same run template, for later"
    }

    fn fields(&self) -> &'static [Field] {
        const FIELDS: &[Field] = &[Field::optional(
            "delay",
            "how much later it is run: seconds, or a duration such as 1h",
            Takes::Seconds,
        )
        .or("3600")];
        FIELDS
    }

    /// It may go on for ever, and then not faster than a schedule could.
    fn check(&self, settings: &Settings) -> Result<(), SettingError> {
        match settings.duration("delay") {
            Some(delay) if delay < SHORTEST => {
                let reason = "delay of Reschedule is less than 1 second, and it may go on for ever: \
                              take 1 second or more";
                Err(SettingError::new("delay", reason))
            }
            _ => Ok(()),
        }
    }

    fn perform<'a>(
        &'a self,
        settings: &'a Settings,
        _: &'a EndedJob,
        _: Instant,
    ) -> Performing<'a> {
        let delay = settings.duration("delay").unwrap_or_default();
        Box::pin(ready(Ok(Effect::Again(delay))))
    }
}
