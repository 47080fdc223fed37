//! `Stop`: no more jobs of the run template.

use std::future::ready;

use tokio::time::Instant;

use super::{Action, EndedJob, Field, Performing, Settings};
use crate::store::Effect;

/// Makes the run template inactive.
#[derive(Debug)]
pub(super) struct Stop;

impl Action for Stop {
    fn name(&self) -> &'static str {
        "Stop"
    }

    fn about(&self) -> &'static str {
        "makes the run template inactive: no more jobs are made of it"
    }

    fn fields(&self) -> &'static [Field] {
        &[]
    }

    fn perform<'a>(&'a self, _: &'a Settings, _: &'a EndedJob, _: Instant) -> Performing<'a> {
        Box::pin(ready(Ok(Effect::Disable)))
    }
}
