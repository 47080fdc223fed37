//! `ToDo`: makes a task in a list of Microsoft To Do.

use std::time::Duration;

use chrono::DateTime;
use serde_json::json;

use super::{
    EndedJob, Field, Settings, Takes,
    asking::{Ask, Asked, below, unnamed},
};
use crate::{domain::action::Within, requests::Answer};

/// Longest time until a task is due.
const YEAR: Duration = Duration::from_secs(366 * 24 * 3600);

/// Makes a task in Microsoft To Do.
#[derive(Debug)]
pub(super) struct ToDo;

impl Ask for ToDo {
    const NAME: &'static str = "ToDo";
    const ABOUT: &'static str = "makes a task in Microsoft To Do";
    const FIELDS: &'static [Field] = &[
        Field::required("list_id", "the list that the task is put in", Takes::Text),
        Field::required("access_token", "a token that may write the list", Takes::Text).secret(),
        Field::optional("task_title", "the task's title; {NAME} stands for a fact", Takes::Text)
            .or("{APPLICATION_NAME} - Job #{JOB_ID}"),
        Field::optional("body", "what it says; {NAME} stands for a fact", Takes::Lines)
            .or("Job {JOB_ID} of {COMPANY_NAME} is {STATE}, exit code {EXIT_CODE}."),
        Field::optional(
            "importance",
            "how important it is",
            Takes::OneOf(&["low", "normal", "high"]),
        )
        .or("normal"),
        Field::optional(
            "due_datetime",
            "when it is due, such as 2026-12-24T12:00:00, UTC",
            Takes::Text,
        ),
        Field::optional(
            "due_in",
            "how long after the job's end it is due, instead",
            Takes::Duration(Duration::ZERO, YEAR),
        ),
        Field::optional("api", "the URL of Microsoft Graph", Takes::Site)
            .or("https://graph.microsoft.com/v1.0")
            .secret(),
    ];

    fn request(settings: &Settings, ended: &EndedJob) -> Result<Asked, String> {
        let filled = |field: &str| ended.facts.fill(settings.text(field), Within::Text);
        let mut document = json!({
            "title": filled("task_title"),
            "importance": settings.text("importance"),
            "body": { "content": filled("body"), "contentType": "text" },
        });
        let after = settings.duration("due_in").and_then(|after| {
            let end = DateTime::parse_from_rfc3339(&ended.facts.text("ENDED")).ok()?;
            let due = end.to_utc() + chrono::Duration::from_std(after).ok()?;
            Some(due.format("%Y-%m-%dT%H:%M:%S").to_string())
        });
        let due = after.unwrap_or_else(|| filled("due_datetime"));
        if !due.is_empty() {
            document["dueDateTime"] = json!({ "dateTime": due, "timeZone": "UTC" });
        }
        let path = ["me", "todo", "lists", settings.text("list_id"), "tasks"];
        Ok(Asked::post(below(settings, "api", &path)?, &document)
            .with("Authorization", format!("Bearer {}", settings.text("access_token"))))
    }

    fn outcome(_: &Settings, server: &str, answer: &Answer) -> Result<String, String> {
        match answer.json()["id"].as_str() {
            Some(_) => Ok(format!("made a task at {server}")),
            None => Err(unnamed(server, answer, "a task's id", "api")),
        }
    }
}
