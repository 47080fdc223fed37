//! `Github` and `RedmineIssue`: open an issue.

use serde_json::json;

use super::{
    EndedJob, Field, SettingError, Settings, Takes,
    asking::{Ask, Asked, below, unnamed},
};
use crate::{domain::action::Within, requests::Answer};

const TITLE: &str = "{APPLICATION_NAME} problem";

/// What is said of a job where there is room.
pub(super) const TEXT: &str = "Job {JOB_ID} of run template {RUNTEMPLATE_NAME} ({COMPANY_NAME}) is {STATE}.\n\n\
    Attempt: {ATTEMPT}\nExit code: {EXIT_CODE}\nCommand: {COMMAND}\nAgent: {AGENT}\n\
    Ended: {ENDED}\n{TROUBLE}\n\n{STDERR}";

/// Opens an issue at GitHub.
#[derive(Debug)]
pub(super) struct Github;

impl Ask for Github {
    const NAME: &'static str = "Github";
    const ABOUT: &'static str = "opens an issue at GitHub";
    const FIELDS: &'static [Field] = &[
        Field::required("repository", "its repository, such as owner/name", Takes::Text),
        Field::required("token", "a token that may write its issues", Takes::Text).secret(),
        Field::optional("title", "the issue's title; {NAME} stands for a fact", Takes::Text)
            .or(TITLE),
        Field::optional("body", "what it says; {NAME} stands for a fact", Takes::Lines).or(TEXT),
        Field::optional("labels", "its labels, with a comma between each", Takes::Text).or("Bug"),
        Field::optional("api", "the URL of GitHub's API", Takes::Site)
            .or("https://api.github.com")
            .secret(),
    ];

    fn check(settings: &Settings) -> Result<(), SettingError> {
        let repository = settings.text("repository");
        let part = |part: &str| {
            let letters = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            !part.is_empty() && part != "." && part != ".." && part.chars().all(letters)
        };
        match repository.split_once('/') {
            Some((owner, name)) if part(owner) && part(name) => Ok(()),
            _ => Err(SettingError::new(
                "repository",
                format!("repository is {repository:?}: it takes an owner and a name, owner/name"),
            )),
        }
    }

    fn request(settings: &Settings, ended: &EndedJob) -> Result<Asked, String> {
        let filled = |field: &str| ended.facts.fill(settings.text(field), Within::Text);
        let (owner, name) = settings.text("repository").split_once('/').unwrap_or_default();
        let labels = settings.text("labels").split(',').map(str::trim);
        let labels: Vec<&str> = labels.filter(|label| !label.is_empty()).collect();
        let document =
            json!({ "title": filled("title"), "body": filled("body"), "labels": labels });
        let url = below(settings, "api", &["repos", owner, name, "issues"])?;
        Ok(Asked::post(url, &document)
            .with("Accept", "application/vnd.github+json".to_owned())
            .with("X-GitHub-Api-Version", "2022-11-28".to_owned())
            .with("Authorization", format!("Bearer {}", settings.text("token"))))
    }

    fn outcome(settings: &Settings, server: &str, answer: &Answer) -> Result<String, String> {
        let repository = settings.text("repository");
        match answer.json()["number"].as_i64() {
            Some(number) => Ok(format!("opened issue {number} of {repository}")),
            None => Err(unnamed(server, answer, "an issue's number", "api")),
        }
    }
}

/// Opens an issue in Redmine.
#[derive(Debug)]
pub(super) struct RedmineIssue;

impl Ask for RedmineIssue {
    const NAME: &'static str = "RedmineIssue";
    const ABOUT: &'static str = "opens an issue in Redmine";
    const FIELDS: &'static [Field] = &[
        Field::required("url", "the URL of Redmine", Takes::Site).secret(),
        Field::required("token", "the API access key of its author", Takes::Text).secret(),
        Field::required("project_id", "id or identifier of its project", Takes::Text),
        Field::optional("tracker_id", "the id of its tracker", Takes::Id).or("1"),
        Field::optional("subject", "its subject; {NAME} stands for a fact", Takes::Text).or(TITLE),
        Field::optional("description", "what it says; {NAME} stands for a fact", Takes::Lines)
            .or(TEXT),
    ];

    fn request(settings: &Settings, ended: &EndedJob) -> Result<Asked, String> {
        let filled = |field: &str| ended.facts.fill(settings.text(field), Within::Text);
        let document = json!({ "issue": {
            "project_id": settings.text("project_id"),
            "tracker_id": settings.number("tracker_id"),
            "subject": filled("subject").chars().take(255).collect::<String>(),
            "description": filled("description"),
        } });
        Ok(Asked::post(below(settings, "url", &["issues.json"])?, &document)
            .with("X-Redmine-API-Key", settings.text("token").to_owned()))
    }

    fn outcome(_: &Settings, server: &str, answer: &Answer) -> Result<String, String> {
        match answer.json()["issue"]["id"].as_i64() {
            Some(id) => Ok(format!("opened issue {id} at {server}")),
            None => Err(unnamed(server, answer, "an issue's id", "url")),
        }
    }
}
