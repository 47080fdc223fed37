//! `TriggerJenkins`: starts a build. The user's API token needs no crumb.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{
    EndedJob, Field, SettingError, Settings, Takes,
    asking::{Ask, Asked, below, unnamed},
};
use crate::{domain::action::Within, requests::Answer};

/// Starts a build of a job in Jenkins.
#[derive(Debug)]
pub(super) struct TriggerJenkins;

/// Parameters of a build, NAME=VALUE a line each.
fn parameters(text: &str) -> Result<Vec<(&str, &str)>, String> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines
        .map(|line| {
            let pair = line.split_once('=').filter(|(name, _)| !name.is_empty());
            pair.ok_or_else(|| format!("{line:?} is no parameter such as NAME=VALUE"))
        })
        .collect()
}

impl Ask for TriggerJenkins {
    const NAME: &'static str = "TriggerJenkins";
    const ABOUT: &'static str = "starts a build in Jenkins";
    const FIELDS: &'static [Field] = &[
        Field::required("url", "the URL of Jenkins", Takes::Site).secret(),
        Field::required(
            "job_name",
            "the job that is built; folder/job if it is in one",
            Takes::Text,
        ),
        Field::optional("user", "who starts it", Takes::Text),
        Field::optional("api_token", "that user's API token", Takes::Text).secret(),
        Field::optional("token", "the job's own token for remote builds", Takes::Text).secret(),
        Field::optional(
            "parameters",
            "parameters of the build, NAME=VALUE, a line each; {NAME} stands for a fact",
            Takes::Lines,
        ),
    ];

    fn check(settings: &Settings) -> Result<(), SettingError> {
        let read = parameters(settings.text("parameters"));
        read.map(drop).map_err(|sentence| SettingError::new("parameters", sentence))
    }

    fn request(settings: &Settings, ended: &EndedJob) -> Result<Asked, String> {
        let mut path = Vec::new();
        for part in settings.text("job_name").split('/').filter(|part| !part.is_empty()) {
            path.extend(["job", part]);
        }
        let filled = parameters(settings.text("parameters"))?;
        path.push(if filled.is_empty() { "build" } else { "buildWithParameters" });
        let mut url = below(settings, "url", &path)?;
        if !settings.text("token").is_empty() {
            url.query_pairs_mut().append_pair("token", settings.text("token"));
        }
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        for (name, value) in filled {
            form.append_pair(name, &ended.facts.fill(value, Within::Text));
        }
        let kind = "application/x-www-form-urlencoded".to_owned();
        let mut headers = vec![("Content-Type".to_owned(), kind)];
        let (user, token) = (settings.text("user"), settings.text("api_token"));
        if !user.is_empty() {
            let basic = format!("Basic {}", STANDARD.encode(format!("{user}:{token}")));
            headers.push(("Authorization".to_owned(), basic));
        }
        Ok(Asked { method: "POST".to_owned(), url, headers, body: form.finish().into() })
    }

    fn outcome(settings: &Settings, server: &str, answer: &Answer) -> Result<String, String> {
        // That it was created: an item of the queue.
        match answer.status {
            201 => Ok(format!("started a build of {} at {server}", settings.text("job_name"))),
            _ => Err(unnamed(server, answer, "a build in the queue", "url")),
        }
    }
}
