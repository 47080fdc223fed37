//! `Zabbix`: sends a job's result to an item, through the server that the scheduler tells.

use tokio::time::Instant;

use super::{Action, EndedJob, Failed, Field, Performing, SettingError, Settings, Takes};
use crate::{
    artifacts::Artifacts,
    domain::action::Within,
    store::{Effect, Store},
    zabbix::{NotTaken, Zabbix, discovery},
};

/// Most bytes of a value: what Zabbix keeps of a text.
const MAX_VALUE: usize = 64 * 1024 - 1;

/// Sends a result to Zabbix.
#[derive(Debug)]
pub(super) struct SendResult {
    /// The way there.
    pub(super) zabbix: Option<Zabbix>,
    /// The jobs, and what they have left.
    pub(super) jobs: Option<(Store, Artifacts)>,
}

impl SendResult {
    async fn send(&self, settings: &Settings, ended: &EndedJob) -> Result<Effect, Failed> {
        let Some(zabbix) = &self.zabbix else {
            return Err(Failed::never("this program tells Zabbix nothing".to_owned()));
        };
        let value = match settings.text("metricsfile") {
            "" => ended.facts.fill(settings.text("value"), Within::Text),
            name => self.file(ended, name).await?,
        };
        match zabbix.result(ended.run_template, settings.text("key"), value).await {
            Ok(outcome) => Ok(Effect::Nothing(outcome)),
            Err(NotTaken { reason, again: true }) => Err(Failed::later(reason)),
            Err(NotTaken { reason, again: false }) => Err(Failed::never(reason)),
        }
    }

    /// What is in a file that the job has left.
    async fn file(&self, ended: &EndedJob, name: &str) -> Result<String, Failed> {
        let (job, attempt) = (ended.id, ended.attempt);
        let what = |why: &dyn std::fmt::Display| {
            format!("the artifact {name:?} of job {job} cannot be sent to Zabbix: {why}")
        };
        let Some((store, artifacts)) = &self.jobs else {
            return Err(Failed::never(what(&"this program reads no artifacts")));
        };
        let found = store.artifact_of(job, attempt, name).await;
        let found = found.map_err(|error| Failed::later(what(&error)))?;
        let missing = || Failed::never(what(&"its last attempt has left no such file"));
        let artifact = found.ok_or_else(missing)?;
        if artifact.size > MAX_VALUE as i64 {
            let why = format!("it has {} bytes, and {MAX_VALUE} are the most", artifact.size);
            return Err(Failed::never(what(&why)));
        }
        let content = artifacts.content(&artifact, 0, MAX_VALUE).await;
        let content = content.map_err(|error| Failed::later(what(&error)))?;
        Ok(String::from_utf8_lossy(&content).into_owned())
    }
}

/// Whether a text can be the parameters of an item's key in Zabbix: with a comma between each,
/// and without a bracket that would end them unless it is within quotes.
fn are_parameters(text: &str) -> bool {
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches(' ');
        rest = match rest.strip_prefix('"') {
            Some(quoted) => {
                let end = quoted.match_indices('"').map(|(end, _)| end);
                let mut end = end.filter(|end| !quoted[..*end].ends_with('\\'));
                let Some(end) = end.next() else { return false };
                quoted[end + 1..].trim_start_matches(' ')
            }
            None => {
                let (parameter, rest) = rest.split_at(rest.find(',').unwrap_or(rest.len()));
                if parameter.contains(']') || parameter.starts_with('[') {
                    return false;
                }
                rest
            }
        };
        match rest.strip_prefix(',') {
            Some(next) => rest = next,
            None => return rest.is_empty(),
        }
    }
}

impl Action for SendResult {
    fn name(&self) -> &'static str {
        discovery::ACTION
    }

    fn about(&self) -> &'static str {
        "sends the job's result to Zabbix, to the item zabbix_action[key]"
    }

    fn fields(&self) -> &'static [Field] {
        const FIELDS: &[Field] = &[
            Field::optional(
                "key",
                "what is in the brackets of the item's key [default: \
                 COMPANY_CODE-APPLICATION_CODE-RUNTEMPLATE_ID-data]",
                Takes::Text,
            ),
            Field::optional("value", "what is sent; {NAME} stands for a fact", Takes::Lines)
                .or("{STDOUT}"),
            Field::optional(
                "metricsfile",
                "a file that the job leaves, which is sent in its place",
                Takes::Text,
            ),
        ];
        FIELDS
    }

    fn reaches_out(&self) -> bool {
        true
    }

    fn check(&self, settings: &Settings) -> Result<(), SettingError> {
        let key = settings.text("key");
        if !are_parameters(key) {
            return Err(SettingError::new(
                "key",
                format!(
                    "key of Zabbix is {key:?}, which cannot stand in the brackets of an item's \
                     key: take letters, digits, . - and _, or put it in double quotes"
                ),
            ));
        }
        match self.zabbix.as_ref().and_then(Zabbix::settings) {
            Some(_) => Ok(()),
            None => Err(SettingError::new(
                "kind",
                "no Zabbix server is configured: start the scheduler with ZABBIX_SERVER",
            )),
        }
    }

    fn perform<'a>(
        &'a self,
        settings: &'a Settings,
        ended: &'a EndedJob,
        _: Instant,
    ) -> Performing<'a> {
        Box::pin(self.send(settings, ended))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_can_stand_in_brackets() {
        for key in ["", "acme-A-7-data", "a,b", "a\"b", "\"a]b\", c", "\"a\\\"b\""] {
            assert!(are_parameters(key), "{key}");
        }
        for wrong in ["[a", "a]b\"c", "]", "\"a", "\"a\"b", "a,b]", "a, [b"] {
            assert!(!are_parameters(wrong), "{wrong}");
        }
    }
}
