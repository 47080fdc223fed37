//! `LaunchJob` and `ChainRuntemplate`: a job of another run template of the same company,
//! which can be given what the job that has ended knows and has left.

use tokio::time::Instant;

use super::{
    Action, EndedJob, Failed, Field, Performing, SettingError, Settings, Takes,
    parent::{self, Parents},
};
use crate::{
    domain::{environment::Given, ids::RunTemplateId, retry::RetryPolicy},
    store::Effect,
};

const RUN_TEMPLATE: &str = "run_template_id";

const VARIABLES: &str = "variables";

/// Launches a job. The PHP MultiFlexi has two names for it.
#[derive(Debug)]
pub(super) struct LaunchJob {
    pub(super) name: &'static str,
    /// None where there are no jobs to be read: nothing is handed on there.
    pub(super) parents: Option<Parents>,
}

impl LaunchJob {
    async fn launch(&self, settings: &Settings, ended: &EndedJob) -> Result<Effect, Failed> {
        let template = RunTemplateId(settings.number(RUN_TEMPLATE));
        let given = match &self.parents {
            Some(parents) => parents.given(settings.text(VARIABLES), ended).await?,
            None => Given::default(),
        };
        Ok(Effect::Launch(template, given))
    }
}

impl Action for LaunchJob {
    fn name(&self) -> &'static str {
        self.name
    }

    fn about(&self) -> &'static str {
        "queues a job of another run template of the same company"
    }

    fn fields(&self) -> &'static [Field] {
        const FIELDS: &[Field] = &[
            Field::required(RUN_TEMPLATE, "the run template whose job is queued", Takes::Id),
            Field::optional(VARIABLES, parent::ABOUT, Takes::Lines),
        ];
        FIELDS
    }

    fn leads_to(&self, settings: &Settings) -> Option<RunTemplateId> {
        Some(RunTemplateId(settings.number(RUN_TEMPLATE)))
    }

    fn knows_facts(&self, settings: &Settings) -> bool {
        !settings.text(VARIABLES).is_empty()
    }

    fn check(&self, settings: &Settings) -> Result<(), SettingError> {
        parent::check(settings, VARIABLES)
    }

    /// What is handed on may be in an object store that is away.
    fn retry(&self) -> RetryPolicy {
        RetryPolicy { max_attempts: 32, ..RetryPolicy::default() }
    }

    fn perform<'a>(
        &'a self,
        settings: &'a Settings,
        ended: &'a EndedJob,
        _: Instant,
    ) -> Performing<'a> {
        Box::pin(self.launch(settings, ended))
    }
}
