//! `Mail`: tells people of the job, through the mail server that the scheduler was told.

use tokio::time::Instant;

use super::{Action, EndedJob, Failed, Field, Performing, SettingError, Settings, TIMEOUT, Takes};
use crate::{
    domain::action::Within,
    mail::{self, MailError, Mailer},
    store::Effect,
};

/// What has to be set for it.
const NO_SERVER: &str = "no mail can be sent: name the mail server to the scheduler with \
                         MULTIFLEXI_SMTP, such as smtp://mail.example.org";

/// Sends a mail.
#[derive(Debug)]
pub(super) struct Mail(pub(super) Option<Mailer>);

impl Mail {
    async fn send(&self, settings: &Settings, ended: &EndedJob) -> Result<Effect, Failed> {
        let Self(Some(mailer)) = self else { return Err(Failed::later(NO_SERVER.to_owned())) };
        let filled = |field: &str| ended.facts.fill(settings.text(field), Within::Text);
        let addresses = |field: &str| mail::addresses(settings.text(field)).map_err(Failed::never);
        let to = addresses("to")?;
        let cc = match settings.text("cc") {
            "" => Vec::new(),
            _ => addresses("cc")?,
        };
        // What a fact says must not begin another header.
        let subject: String =
            filled("subject").chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let mail = mail::Mail { id: ended.event.clone(), to, cc, subject, body: filled("body") };
        let timeout = settings.duration("timeout").unwrap_or(TIMEOUT);
        match mailer.send(mail, timeout).await {
            Ok(()) => {
                let to = settings.text("to");
                Ok(Effect::Nothing(format!("{} took a mail for {to}", mailer.server())))
            }
            Err(MailError { reason, again: true }) => Err(Failed::later(reason)),
            Err(MailError { reason, again: false }) => Err(Failed::never(reason)),
        }
    }
}

impl Action for Mail {
    fn name(&self) -> &'static str {
        "Mail"
    }

    fn about(&self) -> &'static str {
        "tells people of the job by mail"
    }

    fn fields(&self) -> &'static [Field] {
        const FIELDS: &[Field] = &[
            Field::required("to", "whom it is for, with a comma between each", Takes::Text),
            Field::optional("cc", "who gets it too", Takes::Text),
            Field::optional("subject", "its subject; {NAME} stands for a fact", Takes::Text)
                .or("{APPLICATION_NAME} of {COMPANY_NAME}: job {JOB_ID} {STATE}"),
            Field::optional("body", "what it says; {NAME} stands for a fact", Takes::Lines)
                .or(super::issues::TEXT),
        ];
        FIELDS
    }

    fn reaches_out(&self) -> bool {
        true
    }

    fn asks(&self, _: &Settings) -> Option<String> {
        Some("the mail server".to_owned())
    }

    fn check(&self, settings: &Settings) -> Result<(), SettingError> {
        for field in ["to", "cc"] {
            let text = settings.text(field);
            if let Err(sentence) = mail::addresses(text)
                && !text.is_empty()
            {
                let sentence = format!("{field} of Mail is {text:?}: {sentence}");
                return Err(SettingError::new(field, sentence));
            }
        }
        match self.0 {
            Some(_) => Ok(()),
            None => Err(SettingError::new("kind", NO_SERVER)),
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
