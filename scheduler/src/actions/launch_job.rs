//! `LaunchJob` and `ChainRuntemplate`: a job of another run template of the same company.

use std::{future::ready, time::Duration};

use tokio::time::Instant;

use super::{Action, EndedJob, Field, Performing, Settings, Takes};
use crate::{domain::ids::RunTemplateId, store::Effect};

const RUN_TEMPLATE: &str = "run_template_id";

/// Launches a job. The PHP MultiFlexi has two names for it.
#[derive(Debug)]
pub(super) struct LaunchJob {
    pub(super) name: &'static str,
}

impl Action for LaunchJob {
    fn name(&self) -> &'static str {
        self.name
    }

    fn about(&self) -> &'static str {
        "queues a job of another run template of the same company"
    }

    fn fields(&self) -> &'static [Field] {
        const FIELDS: &[Field] =
            &[Field::required(RUN_TEMPLATE, "the run template whose job is queued", Takes::Id)];
        FIELDS
    }

    fn leads_to(&self, settings: &Settings) -> Option<RunTemplateId> {
        Some(RunTemplateId(settings.number(RUN_TEMPLATE)))
    }

    fn perform<'a>(
        &'a self,
        settings: &'a Settings,
        _: &'a EndedJob,
        _: Instant,
    ) -> Performing<'a> {
        let template = RunTemplateId(settings.number(RUN_TEMPLATE));
        Box::pin(ready(Ok(Effect::Launch(template, Duration::ZERO))))
    }
}
