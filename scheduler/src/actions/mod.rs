//! Actions: what follows when a job has ended. The transaction that ends the job puts them
//! into the outbox; the [`performer`] takes them from there, one after the other for each
//! job, and records what came of each.
//!
//! A kind of action is an [`Action`] in the [`Registry`]: how it is called, which fields it
//! takes, and what it does. What it does to our own database it only says
//! ([`Effect`]): that is made in the transaction that records it, and so happens once.

mod asking;
mod chat;
mod custom_command;
mod event;
mod fields;
mod issues;
mod jenkins;
mod launch_job;
mod mail;
mod parent;
mod performer;
mod places;
mod reschedule;
mod sleep;
mod stop;
mod to_do;
mod web_hook;
mod zabbix;

use std::{fmt::Debug, pin::Pin, sync::Arc, time::Duration};

use tokio::time::Instant;

use crate::{
    artifacts::Artifacts,
    domain::{
        action::Facts,
        environment::{Given, Variables},
        ids::{JobId, RunTemplateId},
        job::MASK,
        retry::RetryPolicy,
    },
    mail::Mailer,
    requests::Requests,
    store::{Effect, SecretSettings, Store},
    zabbix::Zabbix,
};

pub use fields::{Field, SettingError, Settings, Takes};
pub use performer::{Actions, Launched};

/// How long an action may take that cannot be told.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A job that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndedJob {
    /// The job.
    pub id: JobId,
    /// Its last attempt.
    pub attempt: i32,
    /// Its run template.
    pub run_template: RunTemplateId,
    /// The id of what is told of it: the same in every try.
    pub event: String,
    /// What is known of it; nothing for a kind that says nothing of it.
    pub facts: Facts,
}

/// Why an action cannot be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// Why, as a sentence.
    pub reason: String,
    /// It may be possible later.
    pub again: bool,
    /// Not before so long, if it is.
    pub after: Option<Duration>,
}

impl Failed {
    /// It is never possible.
    pub fn never(reason: String) -> Self {
        Self { reason, again: false, after: None }
    }

    /// It may be possible later.
    pub fn later(reason: String) -> Self {
        Self { reason, again: true, after: None }
    }
}

/// Methods of requests that most servers know.
const USUAL_METHODS: [&str; 7] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];

/// Names in braces in a text that are written as those of facts are.
fn placeholders(text: &str) -> impl Iterator<Item = &str> {
    let names = text.split('{').zip(text.split('{').skip(1));
    names.filter_map(|(before, rest)| {
        let (name, _) = rest.split_once('}')?;
        let fits = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
        let is_name = name.starts_with(|c: char| c.is_ascii_uppercase()) && name.chars().all(fits);
        (is_name && !before.ends_with('$')).then_some(name)
    })
}

/// What an action comes to.
pub type Performing<'a> = Pin<Box<dyn Future<Output = Result<Effect, Failed>> + Send + 'a>>;

/// A kind of action.
pub trait Action: Debug + Send + Sync {
    /// Its name.
    fn name(&self) -> &'static str;

    /// What it does, as a sentence for people.
    fn about(&self) -> &'static str;

    /// What it can be told.
    fn fields(&self) -> &'static [Field];

    /// The run template that it makes jobs of, if it is another than that of the job which
    /// has ended.
    fn leads_to(&self, _settings: &Settings) -> Option<RunTemplateId> {
        None
    }

    /// Whether it reaches beyond our own database: it can be told how long a try may take
    /// and when to try again.
    fn reaches_out(&self) -> bool {
        false
    }

    /// Whom it asks, for people, if it reaches out: a few at once ask the same one at most.
    fn asks(&self, _settings: &Settings) -> Option<String> {
        self.reaches_out().then(|| self.name().to_owned())
    }

    /// Whether it is told what is known of the job.
    fn knows_facts(&self, _settings: &Settings) -> bool {
        self.reaches_out()
    }

    /// How long a try may take.
    fn timeout(&self, settings: &Settings) -> Duration {
        settings.duration("timeout").unwrap_or(TIMEOUT)
    }

    /// Refuses what it could not do, when it is told: settings that depend on each other or
    /// have a form of their own, or a scheduler that lacks something.
    fn check(&self, _settings: &Settings) -> Result<(), SettingError> {
        Ok(())
    }

    /// How often it is tried, and after which pauses, if it can be tried again and is not
    /// told.
    fn retry(&self) -> RetryPolicy {
        RetryPolicy::default()
    }

    /// Does it, until `deadline` at most: after that nobody waits for it any more.
    fn perform<'a>(
        &'a self,
        settings: &'a Settings,
        ended: &'a EndedJob,
        deadline: Instant,
    ) -> Performing<'a>;
}

/// A kind that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} is no kind of action: take {known}")]
pub struct UnknownKind {
    name: String,
    known: String,
}

/// The kinds of actions that there are.
#[derive(Clone, Debug)]
pub struct Registry {
    kinds: Arc<[Box<dyn Action>]>,
    /// What jobs have left; none where nothing is read of them.
    artifacts: Option<Artifacts>,
}

/// What kinds of actions work with.
#[derive(Clone, Debug, Default)]
pub struct Means {
    /// Sends requests to servers.
    pub requests: Requests,
    /// Sends mail.
    pub mailer: Option<Mailer>,
    /// The jobs that hand something on, and what they have left.
    pub jobs: Option<(Store, Artifacts)>,
    /// Tells Zabbix.
    pub zabbix: Option<Zabbix>,
}

impl Default for Registry {
    fn default() -> Self {
        Self::new(Means::default())
    }
}

impl Registry {
    /// All that we have.
    pub fn new(means: Means) -> Self {
        use asking::Asking;
        let Means { requests, mailer, jobs, zabbix } = means;
        let requests = &requests;
        let artifacts = jobs.as_ref().map(|(_, artifacts)| artifacts.clone());
        let send = zabbix::SendResult { zabbix, jobs: jobs.clone() };
        let parents = jobs.map(|(store, artifacts)| parent::Parents::new(store, artifacts));
        let launch =
            |name| Box::new(launch_job::LaunchJob { name, parents: parents.clone() }) as Box<_>;
        let kinds = Self::of(vec![
            launch("ChainRuntemplate"),
            Box::new(custom_command::CustomCommand(parents.clone())),
            Asking::<issues::Github>::boxed(requests),
            launch("LaunchJob"),
            Box::new(mail::Mail(mailer)),
            Asking::<issues::RedmineIssue>::boxed(requests),
            Box::new(reschedule::Reschedule),
            Asking::<chat::Slack>::boxed(requests),
            Box::new(sleep::Sleep),
            Box::new(stop::Stop),
            Asking::<chat::Teams>::boxed(requests),
            Asking::<to_do::ToDo>::boxed(requests),
            Asking::<jenkins::TriggerJenkins>::boxed(requests),
            Asking::<web_hook::WebHook>::boxed(requests),
            Box::new(send),
        ]);
        Self { artifacts, ..kinds }
    }

    /// A registry of these kinds.
    pub fn of(kinds: Vec<Box<dyn Action>>) -> Self {
        Self { kinds: kinds.into(), artifacts: None }
    }

    /// All kinds, by name.
    pub fn kinds(&self) -> impl Iterator<Item = &dyn Action> {
        self.kinds.iter().map(Box::as_ref)
    }

    /// The settings that kinds keep secret, by kind.
    pub fn secret_settings(&self) -> Vec<SecretSettings> {
        let secret = |kind: &dyn Action| {
            let fields = kind.all_fields().filter(|field| field.secret);
            (kind.name(), fields.map(|field| field.name).collect())
        };
        self.kinds().map(secret).filter(|(_, names): &SecretSettings| !names.is_empty()).collect()
    }

    /// The kind of this name, in whatever case.
    pub fn find(&self, name: &str) -> Result<&dyn Action, UnknownKind> {
        let found = self.kinds().find(|kind| kind.name().eq_ignore_ascii_case(name));
        found.ok_or_else(|| {
            let known: Vec<&str> = self.kinds().map(Action::name).collect();
            UnknownKind { name: name.chars().take(40).collect(), known: known.join(", ") }
        })
    }
}

impl dyn Action + '_ {
    /// All that it can be told.
    pub fn all_fields(&self) -> impl Iterator<Item = &'static Field> {
        let tries: &[Field] = if self.reaches_out() { &fields::TRIES } else { &[] };
        self.fields().iter().chain(tries)
    }

    /// Reads what it is told.
    pub fn read(&self, given: &Variables) -> Result<Settings, SettingError> {
        fields::read(self.name(), self.all_fields(), given)
    }

    /// Reads what it is to be told, and refuses what it could not do.
    pub fn accept(&self, given: &Variables) -> Result<Settings, SettingError> {
        let settings = self.read(given)?;
        settings.check_retry(self.name())?;
        self.check(&settings)?;
        Ok(settings)
    }

    /// What of it will hardly be meant, as sentences.
    pub fn remarks(&self, settings: &Settings) -> Vec<String> {
        let facts = event::example();
        let known = |name: &str| facts.iter().any(|(fact, _)| fact == name);
        let mut remarks = Vec::new();
        for field in self.all_fields().filter(|_| self.reaches_out()) {
            let (name, text) = (field.name, settings.text(field.name));
            match field.takes {
                Takes::Method if !USUAL_METHODS.contains(&text) => remarks.push(format!(
                    "{name} is {text}, which most servers refuse: usual ones are {}",
                    USUAL_METHODS.join(", ")
                )),
                Takes::Text | Takes::Lines | Takes::Url if name != "secret" => {
                    let unknown = placeholders(text).filter(|name| !known(name));
                    remarks.extend(unknown.map(|fact| {
                        format!(
                            "{{{fact}}} in {name} is no fact, and stays as it is: docs/actions.md \
                             has all facts"
                        )
                    }));
                }
                _ => {}
            }
        }
        remarks
    }

    /// What it is told, with what of that is secret.
    pub fn sealed(&self, values: Variables) -> Given {
        let secret = self.all_fields().filter(|field| field.secret).map(|field| field.name);
        let secret = secret.filter(|name| values.contains_key(*name)).map(str::to_owned);
        let secret = secret.collect();
        Given { secret, ..values.into() }
    }

    /// What it is told, for people: of a secret nothing, of a URL the server, and of a site what
    /// it is without who asks.
    pub fn shown(&self, given: Given) -> Variables {
        let Given { values, secret: sealed, .. } = given;
        let shown = |(name, value): (String, String)| {
            let field = self.all_fields().find(|field| field.name == name);
            let secret = sealed.contains(&name) || field.is_some_and(|field| field.secret);
            if !secret || value.is_empty() {
                return (name, value);
            }
            let url = crate::requests::url(&value).ok();
            let value = match (field.map(|field| field.takes), url) {
                (Some(Takes::Url), Some(url)) => {
                    format!("{}/{MASK}", crate::requests::server(&url))
                }
                (Some(Takes::Site), Some(url)) => fields::site(&url),
                _ => MASK.to_owned(),
            };
            (name, value)
        };
        values.into_iter().map(shown).collect()
    }
}

#[cfg(test)]
mod tests;
