//! What a job hands on to one that an action launches: texts that speak of it, its own
//! variables, and files that it has left. What was secret stays secret.

use std::collections::BTreeSet;

use super::{EndedJob, Failed, SettingError, Settings};
use crate::{
    artifacts::Artifacts,
    domain::{
        action::{Facts, Within},
        environment::{self, File, Given, MAX_FILES, Resolved, Value, Variables},
        ids::{AttemptKey, Fence, JobId},
        job::{Secrets, environment_of},
    },
    store::Store,
};

/// What a value begins with that is the content of a file which the job has left.
const FILE: &str = "@file:";

/// What people are told of a field of variables.
pub(super) const ABOUT: &str = "variables of the new job, NAME=VALUE, a line each; in a value \
     {NAME} stands for a fact or a variable of the job that has ended, and @file:NAME for the \
     content of an artifact of it";

/// Reads the jobs that hand something on.
#[derive(Clone, Debug)]
pub(super) struct Parents {
    store: Store,
    artifacts: Artifacts,
}

/// Variables, NAME=VALUE a line each; the error is a sentence.
fn lines(text: &str) -> Result<Vec<(&str, &str)>, String> {
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    lines
        .map(|line| {
            let wrong = || format!("{line:?} is no variable such as NAME=VALUE");
            let (name, value) = line.split_once('=').ok_or_else(wrong)?;
            let name = name.trim();
            environment::check_name(name).map_err(|error| error.to_string())?;
            Ok((name, value.trim()))
        })
        .collect()
}

/// Refuses variables that are none, and files that no job can have left.
pub(super) fn check(settings: &Settings, field: &str) -> Result<(), SettingError> {
    let refuse = |sentence: String| SettingError::new(field, sentence);
    for (_, value) in lines(settings.text(field)).map_err(refuse)? {
        let outside = |path: &&str| {
            path.is_empty() || path.starts_with('/') || path.split('/').any(|part| part == "..")
        };
        if let Some(path) = value.strip_prefix(FILE).filter(outside) {
            return Err(refuse(format!(
                "{path:?} is no file that a job leaves: take its path in the job's folder, such as \
                 {FILE}out/report.json"
            )));
        }
    }
    Ok(())
}

impl Parents {
    pub(super) fn new(store: Store, artifacts: Artifacts) -> Self {
        Self { store, artifacts }
    }

    /// What these variables of a new job are.
    pub(super) async fn given(&self, text: &str, ended: &EndedJob) -> Result<Given, Failed> {
        let lines = lines(text).map_err(Failed::never)?;
        let mut given = Given::default();
        if lines.is_empty() {
            return Ok(given);
        }
        let own = self.variables(ended.id, ended.attempt).await?;
        let (known, secret) = known(&ended.facts, &own);
        for (name, value) in lines {
            if let Some(artifact) = value.strip_prefix(FILE) {
                let file = self.file(ended, &known.fill(artifact, Within::Text)).await?;
                given.set(name.to_owned(), Value::File(file), false);
                continue;
            }
            // A file is handed on as a file.
            let whole = value.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
            let whole = whole.and_then(|name| own.get(name));
            if let Some(Resolved { file: Some(file), secret, .. }) = whole {
                given.set(name.to_owned(), Value::File(file.clone()), *secret);
                continue;
            }
            let is_secret = secret.iter().any(|name| value.contains(&format!("{{{name}}}")));
            let text = known.fill(value, Within::Text);
            given.set(name.to_owned(), Value::Text(text), is_secret);
        }
        check_all(&given)?;
        Ok(given)
    }

    /// The variables of a job's attempt, as its run template has them now.
    async fn variables(
        &self,
        id: JobId,
        number: i32,
    ) -> Result<std::collections::BTreeMap<String, Resolved>, Failed> {
        let later = |error: &dyn std::fmt::Display| {
            Failed::later(format!("the variables of job {id} cannot be read: {error}"))
        };
        let job = self.store.job(id).await.map_err(|error| later(&error))?;
        let template = self.store.run_template(job.run_template.0).await;
        let template = template.map_err(|error| later(&error))?.template;
        let key = AttemptKey { job: id, number, fence: Fence(0) };
        // What it hands on is in no trace of its own.
        let told = Variables::new();
        environment_of(key, &template, &job.environment, &told).map_err(|error| later(&error))
    }

    /// An artifact as a file.
    async fn file(&self, ended: &EndedJob, name: &str) -> Result<File, Failed> {
        let (job, attempt) = (ended.id, ended.attempt);
        let what = |why: &dyn std::fmt::Display| {
            format!("the artifact {name:?} of job {job} cannot be handed on: {why}")
        };
        let found = self.store.artifact_of(job, attempt, name).await;
        let found = found.map_err(|error| Failed::later(what(&error)))?;
        let missing = || Failed::never(what(&"its last attempt has left no such file"));
        let artifact = found.ok_or_else(missing)?;
        if artifact.size > MAX_FILES as i64 {
            let why = format!("it has {} bytes, and {MAX_FILES} are the most", artifact.size);
            return Err(Failed::never(what(&why)));
        }
        let content = self.artifacts.content(&artifact, 0, MAX_FILES).await;
        let content = content.map_err(|error| Failed::later(what(&error)))?;
        let name = name.rsplit('/').next().unwrap_or(name).to_owned();
        Ok(File { name, content })
    }
}

/// Refuses variables that no job can be given.
pub(super) fn check_all(given: &Given) -> Result<(), Failed> {
    let texts = environment::check(&given.values).map_err(|error| error.to_string());
    let files = environment::check_files(&given.files).map_err(|error| error.to_string());
    texts.and(files).map_err(Failed::never)
}

/// What is known of a job, its variables included; and the names of those that are secret.
/// A fact wins over a variable of its name.
fn known(
    facts: &Facts,
    own: &std::collections::BTreeMap<String, Resolved>,
) -> (Facts, BTreeSet<String>) {
    let mut known = Facts::default();
    for (name, variable) in own {
        known.set(name, variable.value.clone());
    }
    // The path of a file is no secret.
    let is_text = |name: &&String| own.get(*name).is_some_and(|variable| variable.file.is_none());
    let mut secret: BTreeSet<String> = Secrets::of(own).names().filter(is_text).cloned().collect();
    for (name, fact) in facts.iter() {
        known.set(name, fact.clone());
        secret.remove(name);
    }
    (known, secret)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        action::Fact,
        environment::{Layer, Resolved},
    };

    fn resolved(value: &str, secret: bool) -> Resolved {
        let (value, layer) = (value.to_owned(), Layer::Job);
        let macros = BTreeSet::new();
        Resolved { value, layer, overridden: Vec::new(), secret, macros, file: None }
    }

    #[test]
    fn what_holds_a_secret_is_secret_and_a_fact_wins() {
        let own = [
            ("TOKEN", resolved("hunter2", true)),
            ("URL", resolved("https://x/?t=hunter2", false)),
            ("PLAIN", resolved("hello", false)),
            ("STATE", resolved("a variable", true)),
        ];
        let own = own.map(|(name, resolved)| (name.to_owned(), resolved)).into();
        let facts = Facts::from([("STATE", Fact::Text("failed".to_owned()))]);
        let (known, secret) = known(&facts, &own);
        assert_eq!(secret, ["TOKEN", "URL"].map(str::to_owned).into());
        assert_eq!(known.fill("{STATE} {PLAIN}", Within::Text), "failed hello");
    }

    #[test]
    fn what_is_no_variable_is_refused() {
        assert_eq!(lines("\nA=b=c\n B = d \n").unwrap(), [("A", "b=c"), ("B", "d")]);
        assert!(lines("A").unwrap_err().contains("\"A\""));
        assert!(lines("A-B=c").unwrap_err().contains("\"A-B\""));
    }
}
