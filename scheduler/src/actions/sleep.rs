//! `Sleep`: the job's next action waits. Nothing is held meanwhile: the next one has its
//! time in the outbox.

use std::future::ready;

use tokio::time::Instant;

use super::{Action, EndedJob, Field, Performing, Settings, Takes};
use crate::store::Effect;

/// Lets the next action wait.
#[derive(Debug)]
pub(super) struct Sleep;

impl Action for Sleep {
    fn name(&self) -> &'static str {
        "Sleep"
    }

    fn about(&self) -> &'static str {
        "lets the next action of the job wait"
    }

    fn fields(&self) -> &'static [Field] {
        const FIELDS: &[Field] = &[Field::optional(
            "seconds",
            "how long it waits: seconds, or a duration such as 10m",
            Takes::Seconds,
        )
        .or("60")];
        FIELDS
    }

    fn perform<'a>(
        &'a self,
        settings: &'a Settings,
        _: &'a EndedJob,
        _: Instant,
    ) -> Performing<'a> {
        let time = settings.duration("seconds").unwrap_or_default();
        Box::pin(ready(Ok(Effect::Wait(time))))
    }
}
