//! What all kinds have in common that ask a server over HTTP: they say what is asked, and
//! what came of it. Each request names the event, by the same id however often it is tried:
//! who hears of it twice can tell.

use std::fmt::Debug;

use tokio::time::Instant;
use url::Url;

use super::{Action, EndedJob, Failed, Field, Performing, SettingError, Settings, Takes};
use crate::{
    domain::action::{Facts, Within},
    requests::{self, Answer, Request, RequestError, Requests},
    store::Effect,
};

/// The headers that name the event.
const EVENT: [&str; 2] = ["Idempotency-Key", "X-MultiFlexi-Event"];

/// A kind that asks a server.
pub(super) trait Ask: Debug + Send + Sync {
    /// Its name.
    const NAME: &'static str;
    /// What it does, as a sentence for people.
    const ABOUT: &'static str;
    /// What it can be told.
    const FIELDS: &'static [Field];

    /// Checks settings that depend on each other.
    fn check(_settings: &Settings) -> Result<(), SettingError> {
        Ok(())
    }

    /// What is asked; the error is a sentence.
    fn request(settings: &Settings, ended: &EndedJob) -> Result<Asked, String>;

    /// What came of it, as a sentence; the error says that the answer, though it says yes, is not
    /// one of the server that was meant.
    fn outcome(settings: &Settings, server: &str, answer: &Answer) -> Result<String, String>;
}

/// What is asked of a server.
pub(super) struct Asked {
    pub(super) method: String,
    pub(super) url: Url,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Asked {
    /// A JSON document that is posted.
    pub(super) fn post(url: Url, document: &serde_json::Value) -> Self {
        let headers = vec![("Content-Type".to_owned(), "application/json".to_owned())];
        let body = document.to_string().into_bytes();
        Self { method: "POST".to_owned(), url, headers, body }
    }

    /// With another header.
    pub(super) fn with(mut self, name: &str, value: String) -> Self {
        self.headers.push((name.to_owned(), value));
        self
    }
}

/// The URL in a field, with facts in it.
pub(super) fn url(settings: &Settings, field: &str, facts: &Facts) -> Result<Url, String> {
    let filled = facts.fill(settings.text(field), Within::Url);
    requests::url(&filled).map_err(|error| format!("{field} cannot be used: {error}"))
}

/// What is below the URL in a field: these parts of a path, whatever is in them.
pub(super) fn below(settings: &Settings, field: &str, parts: &[&str]) -> Result<Url, String> {
    let mut url = requests::url(settings.text(field))
        .map_err(|error| format!("{field} cannot be used: {error}"))?;
    url.path_segments_mut()
        .map_err(|()| format!("{field} cannot be used: it has no path"))?
        .pop_if_empty()
        .extend(parts);
    Ok(url)
}

/// That an answer says yes and does not name what was to be made; `field` is where the address is
/// from.
pub(super) fn unnamed(server: &str, answer: &Answer, what: &str, field: &str) -> String {
    format!("{server} answered {} without {what}: look whether {field} is right", answer.status)
}

/// A kind of action that asks a server.
#[derive(Debug)]
pub(super) struct Asking<K> {
    requests: Requests,
    kind: std::marker::PhantomData<K>,
}

impl<K: Ask + 'static> Asking<K> {
    pub(super) fn boxed(requests: &Requests) -> Box<dyn Action> {
        Box::new(Self { requests: requests.clone(), kind: std::marker::PhantomData })
    }

    async fn ask(&self, settings: &Settings, ended: &EndedJob) -> Result<Effect, Failed> {
        let Asked { method, url, mut headers, body } =
            K::request(settings, ended).map_err(Failed::never)?;
        let own = |name: &str| headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(name));
        let event: Vec<_> = EVENT.into_iter().filter(|name| !own(name)).collect();
        headers.extend(event.iter().map(|name| ((*name).to_owned(), ended.event.clone())));
        let timeout = settings.duration("timeout").unwrap_or(super::TIMEOUT);
        let server = requests::server(&url);
        let request = Request { method, url, headers, body, timeout };
        match self.requests.send(request).await {
            Ok(answer) => {
                let outcome = K::outcome(settings, &server, &answer);
                outcome.map(Effect::Nothing).map_err(Failed::never)
            }
            Err(RequestError { reason, again, after }) => Err(Failed { reason, again, after }),
        }
    }
}

impl<K: Ask + 'static> Action for Asking<K> {
    fn name(&self) -> &'static str {
        K::NAME
    }

    fn about(&self) -> &'static str {
        K::ABOUT
    }

    fn fields(&self) -> &'static [Field] {
        K::FIELDS
    }

    fn reaches_out(&self) -> bool {
        true
    }

    fn asks(&self, settings: &Settings) -> Option<String> {
        let is_url = |field: &&Field| matches!(field.takes, Takes::Url | Takes::Site);
        let field = K::FIELDS.iter().find(is_url);
        let url = field.and_then(|field| requests::url(settings.text(field.name)).ok());
        Some(url.map_or(K::NAME.to_owned(), |url| requests::server(&url)))
    }

    fn check(&self, settings: &Settings) -> Result<(), SettingError> {
        K::check(settings)
    }

    fn perform<'a>(
        &'a self,
        settings: &'a Settings,
        ended: &'a EndedJob,
        _: Instant,
    ) -> Performing<'a> {
        Box::pin(self.ask(settings, ended))
    }
}
