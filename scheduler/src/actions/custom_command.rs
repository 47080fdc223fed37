//! `CustomCommand`: runs a command of the user's. It is a job as any other, on an agent: its
//! output is recorded, its time is limited, and what is secret in it is masked. Its run
//! template is made with the first.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    Action, EndedJob, Failed, Field, Performing, SettingError, Settings, Takes,
    parent::{self, Parents},
};
use crate::{
    domain::{
        action::Within,
        environment::{File, Given, Value},
        retry::RetryPolicy,
    },
    store::{COMMAND, Effect},
};

const VARIABLES: &str = "variables";

/// Most characters of a fact that a command is given.
const LONGEST_FACT: usize = 4096;

/// A day.
const DAY: Duration = Duration::from_secs(24 * 3600);

/// Runs a command on an agent.
#[derive(Debug)]
pub(super) struct CustomCommand(pub(super) Option<Parents>);

impl CustomCommand {
    async fn launch(&self, settings: &Settings, ended: &EndedJob) -> Result<Effect, Failed> {
        let mut given = Given::default();
        for (name, fact) in ended.facts.iter() {
            // What a process cannot be given, or needs not.
            let text = fact.within(Within::Text);
            let text = text.chars().filter(|c| *c != '\0').take(LONGEST_FACT).collect();
            given.set(format!("PARENT_{name}"), Value::Text(text), false);
        }
        if let Some(parents) = &self.0 {
            let Given { values, files, secret } =
                parents.given(settings.text(VARIABLES), ended).await?;
            let is_secret = |name: &str| secret.contains(name);
            for (name, text) in values {
                let secret = is_secret(&name);
                given.set(name, Value::Text(text), secret);
            }
            for (name, file) in files {
                let secret = is_secret(&name);
                given.set(name, Value::File(file), secret);
            }
        }
        // A file, so that no value changes what the shell reads.
        let content = settings.text("command").as_bytes().to_vec();
        let command = Value::File(File { name: "command.sh".to_owned(), content });
        given.set(COMMAND.to_owned(), command, false);
        parent::check_all(&given)?;
        let timeout = settings.duration("timeout").unwrap_or(DAY);
        Ok(Effect::Command(timeout, given))
    }
}

impl Action for CustomCommand {
    fn name(&self) -> &'static str {
        "CustomCommand"
    }

    fn about(&self) -> &'static str {
        "runs a command on an agent, as a job of its own"
    }

    fn fields(&self) -> &'static [Field] {
        const FIELDS: &[Field] = &[
            Field::required(
                "command",
                "what the shell (sh) is given; it knows the facts as $PARENT_JOB_ID and so on",
                Takes::Lines,
            ),
            Field::optional(
                "timeout",
                "how long it may run",
                Takes::Duration(Duration::from_secs(1), DAY),
            )
            .or("1h"),
            Field::optional(VARIABLES, parent::ABOUT, Takes::Lines),
        ];
        FIELDS
    }

    fn knows_facts(&self, _: &Settings) -> bool {
        true
    }

    fn timeout(&self, _: &Settings) -> Duration {
        super::TIMEOUT
    }

    fn check(&self, settings: &Settings) -> Result<(), SettingError> {
        parent::check(settings, VARIABLES)
    }

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
