//! Tells Zabbix what happens: phases of jobs, what there is to be watched, and how the queue
//! and the agents are. The events in the database are the outbox: how far Zabbix has been
//! told is recorded there, after it has answered. One of several schedulers tells it.
//!
//! Off unless a server is named. Nothing waits for Zabbix but this.

pub mod discovery;
mod gauges;
mod link;
mod phases;
mod progress;
mod protocol;
mod refused;
mod sender;

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    domain::ids::RunTemplateId,
    events::Events,
    store::{ForgetZabbix, Store, StoreError},
};

pub use link::{Away, Link, Psk};
pub use protocol::{Taken, Value};
pub use refused::Item;

/// The port of a server that names none.
pub const PORT: u16 = 10051;

/// How often Zabbix can be told at most how the queue and the agents are.
const SHORTEST_INTERVAL: Duration = Duration::from_secs(1);

/// How many hexadecimal digits a pre-shared key has: Zabbix takes no others.
const KEY_DIGITS: std::ops::RangeInclusive<usize> = 32..=512;

/// Longest name of a host in Zabbix.
const MAX_HOST: usize = 128;

/// The key of the item that a test is sent to.
pub const TEST: &str = "multiflexi.test";

/// How Zabbix is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The server.
    pub link: Link,
    /// The host that has the items of what belongs to no company, and of companies that have
    /// none of their own.
    pub host: String,
    /// How often it is told how the queue and the agents are.
    pub interval: Duration,
}

/// What the settings and the command line say; empty where they do not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Given {
    /// `host` or `host:port`.
    pub server: String,
    /// The host in Zabbix.
    pub host: Option<String>,
    /// How often it is told how the queue and the agents are.
    pub interval: Duration,
    /// The pre-shared key's name.
    pub psk_identity: Option<String>,
    /// Its file.
    pub psk_file: Option<PathBuf>,
    /// `zabbix_sender`.
    pub program: PathBuf,
}

impl Settings {
    /// Reads what is given; none if no server is named. What is wrong with it, as a sentence.
    pub fn read(given: Given, own_host: &str) -> Result<Option<Self>, String> {
        if given.server.is_empty() {
            return Ok(None);
        }
        let (host, port) = server(&given.server)?;
        if given.interval < SHORTEST_INTERVAL {
            return Err(format!(
                "ZABBIX_INTERVAL is {}: take {} or longer",
                humantime::format_duration(given.interval),
                humantime::format_duration(SHORTEST_INTERVAL)
            ));
        }
        let identity = given.psk_identity.filter(|identity| !identity.is_empty());
        let psk = match (identity, given.psk_file) {
            (None, None) => None,
            (Some(identity), Some(file)) => {
                check_key(&file)?;
                Some(Psk { identity, file, program: program(&given.program)? })
            }
            _ => {
                return Err("a pre-shared key for Zabbix has a name and a file: set \
                            ZABBIX_TLS_PSK_IDENTITY and ZABBIX_TLS_PSK_FILE, or neither"
                    .to_owned());
            }
        };
        let own = given.host.filter(|host| !host.is_empty());
        let own = own.unwrap_or_else(|| own_host.to_owned());
        check_host(&own)?;
        let link = Link { host, port, psk };
        Ok(Some(Self { link, host: own, interval: given.interval }))
    }
}

/// Refuses a file that is no pre-shared key, in a sentence that does not quote it.
fn check_key(file: &std::path::Path) -> Result<(), String> {
    let key = std::fs::read(file)
        .map_err(|error| format!("the key {} cannot be read: {error}", file.display()))?;
    let digits = key.trim_ascii();
    if KEY_DIGITS.contains(&digits.len())
        && digits.len() % 2 == 0
        && digits.iter().all(u8::is_ascii_hexdigit)
    {
        return Ok(());
    }
    Err(format!(
        "{} holds no pre-shared key, which is {} to {} hexadecimal digits in one line: make one \
         with openssl rand -hex 32",
        file.display(),
        KEY_DIGITS.start(),
        KEY_DIGITS.end()
    ))
}

/// Reads `host`, `host:port`, `[address]:port` or an IPv6 address.
fn server(text: &str) -> Result<(String, u16), String> {
    let unusable = || {
        format!(
            "ZABBIX_SERVER is {text:?}: name one server, as zabbix.example, zabbix.example:10051 \
             or [2001:db8::1]:10051"
        )
    };
    let (host, port) = match text.strip_prefix('[').and_then(|text| text.split_once(']')) {
        Some((host, "")) => (host, None),
        Some((host, port)) => (host, Some(port.strip_prefix(':').ok_or_else(unusable)?)),
        None => match text.split_once(':') {
            Some((host, port)) if !port.contains(':') => (host, Some(port)),
            _ => (text, None),
        },
    };
    let port = port.map_or(Ok(PORT), str::parse).map_err(|_| unusable())?;
    let is_name = |host: &str| {
        let fits = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_');
        !host.is_empty() && host.chars().all(fits)
    };
    let is_address = |host: &str| {
        let (address, zone) = host.split_once('%').unwrap_or((host, "0"));
        address.parse::<std::net::Ipv6Addr>().is_ok() && is_name(zone)
    };
    let fits = if text.starts_with('[') { is_address(host) } else { is_name(host) };
    match port != 0 && (fits || is_address(host)) {
        true => Ok((host.to_owned(), port)),
        false => Err(unusable()),
    }
}

/// Finds a program by its path, or on the PATH.
fn program(name: &std::path::Path) -> Result<PathBuf, String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = if name.components().count() > 1 {
        Some(name.to_owned())
    } else {
        std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
    };
    found.filter(|file| file.is_file()).ok_or_else(|| {
        format!(
            "a pre-shared key for Zabbix needs the program {}, which is not on this host: install \
             Zabbix's package zabbix-sender (Debian: zabbix-agent), or name it with ZABBIX_SENDER",
            name.display()
        )
    })
}

/// Refuses what can be no host's name in Zabbix, in a sentence.
pub fn check_host(name: &str) -> Result<(), String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, ' ' | '.' | '-' | '_');
    if !name.is_empty() && name.len() <= MAX_HOST && name.chars().all(fits) && name == name.trim() {
        return Ok(());
    }
    let name: String = name.chars().take(MAX_HOST).collect();
    Err(format!(
        "{name:?} is no name of a host in Zabbix: use up to {MAX_HOST} letters, digits, spaces, \
         dots, - and _"
    ))
}

/// How it goes, for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Condition {
    /// Since when the server takes nothing, in microseconds since the Unix epoch, and why.
    pub away: Option<(i64, String)>,
    /// When it last took something.
    pub last_taken: Option<i64>,
    /// Items that it does not know, each with how many of its values wait; none if its values
    /// do not wait any more.
    pub unknown: Vec<(Item, Option<usize>)>,
    /// Values of such items that were given up.
    pub lost: u64,
}

impl Condition {
    /// The server takes nothing, at this time and for this reason; whether the reason is new.
    fn goes_away(&mut self, now: i64, reason: String) -> bool {
        let before = self.away.take();
        let is_new = before.as_ref().is_none_or(|(_, before)| *before != reason);
        self.away = Some((before.map_or(now, |(since, _)| since), reason));
        is_new
    }
}

/// Why a result was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotTaken {
    /// Why, as a sentence.
    pub reason: String,
    /// It may be taken later.
    pub again: bool,
}

/// A handle on what tells Zabbix.
#[derive(Clone, Debug)]
pub struct Zabbix {
    store: Store,
    settings: Option<Arc<Settings>>,
    condition: Arc<Mutex<Condition>>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Zabbix {
    /// Begins where it was left, if there are settings.
    pub async fn start(
        settings: Option<Settings>,
        store: &Store,
        events: &Events,
    ) -> Result<Self, StoreError> {
        let zabbix = Self {
            store: store.clone(),
            settings: settings.map(Arc::new),
            condition: Arc::default(),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        };
        match &zabbix.settings {
            None => store.change(ForgetZabbix).await?,
            Some(settings) => {
                let sender = sender::Sender::new(
                    (store.clone(), events),
                    Arc::clone(settings),
                    Arc::clone(&zabbix.condition),
                    zabbix.stop.clone(),
                );
                zabbix.tasks.spawn(sender.run());
            }
        }
        Ok(zabbix)
    }

    /// How Zabbix is told, if it is.
    pub fn settings(&self) -> Option<&Settings> {
        self.settings.as_deref()
    }

    /// How it goes here.
    pub fn condition(&self) -> Condition {
        self.condition.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sends a value to the test's item; what the server answers. None if there are no settings.
    pub async fn test(&self) -> Option<Result<Taken, Away>> {
        let settings = self.settings.as_ref()?;
        let now = chrono::Utc::now();
        let text = format!("sent at {}", now.to_rfc3339());
        let stamp = now.timestamp_nanos_opt().unwrap_or_default();
        let value = Value::new(&settings.host, TEST.to_owned(), text, stamp);
        Some(settings.link.send(vec![value]).await)
    }

    /// Sends the result of a run template's job to the item `zabbix_action[key]` of its host,
    /// with a key of its own if none is given; what came of it, as a sentence.
    pub async fn result(
        &self,
        template: RunTemplateId,
        key: &str,
        value: String,
    ) -> Result<String, NotTaken> {
        let not = |reason: String, again: bool| NotTaken { reason, again };
        let Some(settings) = &self.settings else {
            let reason = "no Zabbix server is configured: start the scheduler with ZABBIX_SERVER";
            return Err(not(reason.to_owned(), true));
        };
        let templates = self.store.watched_of(&[template.0]).await;
        let templates = templates.map_err(|error| not(error.to_string(), true))?;
        let gone = || not(format!("run template {template} is not there any more"), false);
        let template = templates.get(&template).ok_or_else(gone)?;
        let key = if key.is_empty() { discovery::result_key(template) } else { key.to_owned() };
        let host = template.company.host.as_deref().unwrap_or(&settings.host);
        let stamp = chrono::Utc::now().timestamp_nanos_opt().unwrap_or_default();
        let value = Value::new(host, format!("zabbix_action[{key}]"), value, stamp);
        match settings.link.send(vec![value]).await {
            Err(away) => Err(not(away.to_string(), true)),
            Ok(Taken { processed: 0, .. }) => {
                let reason =
                    format!("Zabbix has no item zabbix_action[{key}] on the host {host:?}");
                Err(not(reason, true))
            }
            Ok(_) => Ok(format!("Zabbix took a value for zabbix_action[{key}] of {host}")),
        }
    }

    /// Waits until what it is at is recorded.
    pub async fn stop(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(server: &str) -> Given {
        Given { server: server.to_owned(), interval: Duration::from_secs(60), ..Given::default() }
    }

    #[test]
    fn nothing_is_told_unless_a_server_is_named() {
        assert_eq!(Settings::read(given(""), "here"), Ok(None));
        let settings = Settings::read(given("zabbix.example"), "here").unwrap().unwrap();
        assert_eq!(settings.link.to_string(), "zabbix.example:10051");
        assert_eq!(settings.host, "here");
    }

    #[test]
    fn zabbix_is_not_flooded() {
        let with = |interval| Settings::read(Given { interval, ..given("zabbix") }, "own");
        for short in [Duration::ZERO, Duration::from_millis(999)] {
            let said = with(short).unwrap_err();
            assert!(said.contains("ZABBIX_INTERVAL") && said.contains("1s or longer"), "{said}");
        }
        let told = with(Duration::from_secs(1)).unwrap().unwrap();
        assert_eq!(told.interval, Duration::from_secs(1));
    }

    #[test]
    fn a_server_is_a_host_with_or_without_a_port() {
        assert_eq!(server("h:99"), Ok(("h".to_owned(), 99)));
        assert_eq!(server("[::1]:99"), Ok(("::1".to_owned(), 99)));
        assert_eq!(server("::1"), Ok(("::1".to_owned(), PORT)));
        assert_eq!(server("[fe80::1%eth0]"), Ok(("fe80::1%eth0".to_owned(), PORT)));
        assert_eq!(server("10.0.0.1"), Ok(("10.0.0.1".to_owned(), PORT)));
        let no_servers = ["a:b:c", "x,y", "x, y:1", "[h]:1", "::1:g", "h;1", "%eth0"];
        let wrong_ports = ["h:", "h:0", ":1", "[::1]99", "http://h", "h:70000"];
        for wrong in no_servers.into_iter().chain(wrong_ports) {
            assert!(server(wrong).unwrap_err().contains(wrong), "{wrong}");
        }
    }

    #[test]
    fn a_key_has_a_name_a_file_and_a_program() {
        let key = |identity: Option<&str>, file: Option<&str>, program: &str| {
            let given = Given {
                psk_identity: identity.map(str::to_owned),
                psk_file: file.map(PathBuf::from),
                program: program.into(),
                ..given("h")
            };
            Settings::read(given, "here")
        };
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("psk");
        let file = file.to_str().unwrap();
        for wrong in ["nothex", "", &"0".repeat(31), &"0".repeat(514), &"g0".repeat(16)] {
            std::fs::write(file, wrong).unwrap();
            let said = key(Some("me"), Some(file), "sh").unwrap_err();
            assert!(said.contains("/psk holds no pre-shared key"), "{said}");
        }
        std::fs::write(file, "0f".repeat(16) + "\n").unwrap();
        assert!(key(Some("me"), None, "sh").unwrap_err().contains("ZABBIX_TLS_PSK_FILE"));
        let said = key(Some("me"), Some("/nonexistent"), "sh").unwrap_err();
        assert!(said.contains("/nonexistent"), "{said}");
        let said = key(Some("me"), Some(file), "no_such_sender").unwrap_err();
        assert!(said.contains("no_such_sender"), "{said}");
        let psk = key(Some("me"), Some(file), "sh").unwrap().unwrap().link.psk.unwrap();
        assert!(psk.program.is_absolute(), "{psk:?}");
    }

    #[test]
    fn what_can_be_no_host_in_zabbix_is_refused() {
        assert_eq!(check_host("Acme s.r.o."), Ok(()));
        for wrong in ["", " a", "a/b", "é", &"a".repeat(129)] {
            assert!(check_host(wrong).unwrap_err().contains("no name of a host"), "{wrong}");
        }
    }
}
