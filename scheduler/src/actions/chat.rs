//! `Slack` and `Teams`: say it where people talk, through the incoming webhook of a channel.

use serde_json::json;

use super::{
    EndedJob, Field, Settings, Takes,
    asking::{Ask, Asked, url},
};
use crate::{domain::action::Within, requests::Answer};

const URI: Field =
    Field::required("uri", "the URL of the channel's incoming webhook", Takes::Url).secret();

const TEXT: Field = Field::optional("text", "what is said; {NAME} stands for a fact", Takes::Lines)
    .or("{APPLICATION_NAME} of {COMPANY_NAME}: job {JOB_ID} {STATE}");

/// Says it in a channel of Slack.
#[derive(Debug)]
pub(super) struct Slack;

impl Ask for Slack {
    const NAME: &'static str = "Slack";
    const ABOUT: &'static str = "says it in a channel of Slack";
    const FIELDS: &'static [Field] = &[URI, TEXT];

    fn request(settings: &Settings, ended: &EndedJob) -> Result<Asked, String> {
        let text = ended.facts.fill(settings.text("text"), Within::Markup);
        Ok(Asked::post(url(settings, "uri", &ended.facts)?, &json!({ "text": text })))
    }

    fn outcome(_: &Settings, server: &str, _: &Answer) -> Result<String, String> {
        Ok(format!("said it at {server}"))
    }
}

/// Says it in a channel of Microsoft Teams.
#[derive(Debug)]
pub(super) struct Teams;

impl Ask for Teams {
    const NAME: &'static str = "Teams";
    const ABOUT: &'static str = "says it in a channel of Microsoft Teams";
    const FIELDS: &'static [Field] = &[URI, TEXT];

    fn request(settings: &Settings, ended: &EndedJob) -> Result<Asked, String> {
        let facts = &ended.facts;
        let text = facts.fill(settings.text("text"), Within::Text);
        let fact = |title: &str, name: &str| json!({ "title": title, "value": facts.text(name) });
        let card = json!({
            "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
            "type": "AdaptiveCard",
            "version": "1.4",
            "body": [
                { "type": "TextBlock", "text": text, "weight": "Bolder", "wrap": true },
                { "type": "FactSet", "facts": [
                    fact("Run template", "RUNTEMPLATE_NAME"),
                    fact("Exit code", "EXIT_CODE"),
                    fact("Ended", "ENDED"),
                ] },
            ],
        });
        let kind = "application/vnd.microsoft.card.adaptive";
        let document = json!({
            "type": "message",
            "attachments": [{ "contentType": kind, "contentUrl": null, "content": card }],
        });
        Ok(Asked::post(url(settings, "uri", facts)?, &document))
    }

    fn outcome(_: &Settings, server: &str, _: &Answer) -> Result<String, String> {
        Ok(format!("said it at {server}"))
    }
}
