//! Jobs that have ended, and what they were given.

use std::collections::BTreeSet;

use crate::{
    adoption::{
        php::{self, Php},
        source::Row,
    },
    domain::{
        environment::{Given, Value},
        job::State,
    },
};

/// What a job's row says of its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// It has not begun.
    Waits,
    /// It has begun and not ended.
    Runs,
    /// It has ended.
    Ended(Ended),
}

/// How and when a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// How.
    pub state: State,
    /// With what.
    pub exit_code: Option<i32>,
    /// When it was created, or planned for.
    pub created: i64,
    /// When it began.
    pub started: i64,
    /// When it ended.
    pub ended: i64,
}

/// What a job's row says of its life.
pub fn life(row: &Row) -> Life {
    let exit_code = row.int("exitcode").and_then(|code| i32::try_from(code).ok());
    let (begin, end) = (row.time("begin"), row.time("end"));
    let (started, ended) = match (begin, end, exit_code) {
        (None, None, _) => return Life::Waits,
        (Some(_), None, None) => return Life::Runs,
        // Some versions say how it ended and not when.
        (Some(begin), None, Some(_)) => (begin, begin),
        (None, Some(end), _) => (end, end),
        (Some(begin), Some(end), _) => (begin.min(end), end),
    };
    let created = row.time("schedule").filter(|time| *time <= started).unwrap_or(started);
    let state = if exit_code == Some(0) { State::Succeeded } else { State::Failed };
    Life::Ended(Ended { state, exit_code, created, started, ended })
}

/// The variables that a job had, and the names of those that no process can have; none if
/// they cannot be read.
pub fn environment(serialized: &[u8]) -> Option<(Given, BTreeSet<String>)> {
    let (mut given, mut left_out) = (Given::default(), BTreeSet::new());
    if serialized.is_empty() {
        return Some((given, left_out));
    }
    let php = php::unserialize(serialized).ok()?;
    // An object with its fields today, the fields alone in older versions.
    let fields = php.get("fields").filter(|fields| matches!(fields, Php::Map(_))).unwrap_or(&php);
    if !matches!(fields, Php::Map(_)) {
        return None;
    }
    for (name, field) in fields.entries() {
        let name = String::from_utf8_lossy(name).into_owned();
        // The system gives these, with what it is now.
        if name.starts_with("MULTIFLEXI_") {
            continue;
        }
        let value = match field {
            Php::Map(_) => field.get("value").and_then(Php::text),
            plain => plain.text(),
        };
        let value = value.unwrap_or_default();
        let text = String::from_utf8_lossy(&value).into_owned();
        match super::variables::check(&name, &text) {
            Ok(()) => given.set(name, Value::Text(text), is_secret(field)),
            Err(_) => drop(left_out.insert(name.chars().take(80).collect())),
        }
    }
    Some((given, left_out))
}

/// Whether a field of the PHP program is secret: it says so, it is a password, or a
/// credential gave it.
fn is_secret(field: &Php) -> bool {
    let says = |name: &str| field.get(name).is_some_and(Php::is_true);
    let text = |name: &str| {
        let text = field.get(name).and_then(Php::text).unwrap_or_default();
        String::from_utf8_lossy(&text).to_ascii_lowercase()
    };
    says("isSecret")
        || says("secret")
        || matches!(text("type").as_str(), "password" | "secret")
        || text("source").contains("credential")
}

/// The line that PHP gave to a shell, with secrets masked, as the words that it was.
pub fn command(line: &str, given: &Given) -> Vec<String> {
    let line = crate::domain::job::Secrets::given(given).masked(line);
    ["/bin/sh", "-c", &line].map(str::to_owned).into()
}

/// The actions that are switched on in the columns `success` and `fail`.
pub fn actions(serialized: Option<&[u8]>) -> Vec<String> {
    let Some(bytes) = serialized.filter(|bytes| !bytes.is_empty()) else { return Vec::new() };
    match php::unserialize(bytes) {
        Ok(php) => {
            let on = php.entries().iter().filter(|(_, switch)| switch.is_true());
            on.map(|(name, _)| String::from_utf8_lossy(name).into_owned()).collect()
        }
        Err(_) => vec!["what cannot be read".to_owned()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(value: &str, more: &str, count: usize) -> String {
        format!(
            "O:22:\"MultiFlexi\\ConfigField\":{}:{{s:29:\"\0MultiFlexi\\ConfigField\0value\";\
             s:{}:\"{value}\";{more}}}",
            1 + count,
            value.len()
        )
    }

    #[test]
    fn the_environment_of_a_job_is_read_with_what_is_secret_in_it() {
        let fields = format!(
            "a:4:{{s:1:\"A\";{}s:1:\"P\";{}s:1:\"C\";{}s:17:\"MULTIFLEXI_JOB_ID\";{}}}",
            field("žluť\"';", "", 0),
            field("hidden", "s:32:\"\0MultiFlexi\\ConfigField\0isSecret\";b:1;", 1),
            field("cred", "s:30:\"\0MultiFlexi\\ConfigField\0source\";s:11:\"Credential1\";", 1),
            field("7", "", 0),
        );
        let text = format!(
            "O:23:\"MultiFlexi\\ConfigFields\":2:{{s:5:\"debug\";b:0;\
             s:31:\"\0MultiFlexi\\ConfigFields\0fields\";{fields}}}"
        );
        let (given, left_out) = environment(text.as_bytes()).unwrap();
        assert_eq!(given.values["A"], "žluť\"';");
        assert_eq!(given.secret, ["C", "P"].map(str::to_owned).into());
        assert_eq!(given.values.len(), 3, "the system's own are left to it");
        assert!(left_out.is_empty());
        let (alone, _) = environment(fields.as_bytes()).unwrap();
        assert_eq!(alone, given, "older versions store the fields alone");
        assert_eq!(command("x hidden y", &given)[2], "x *** y");
    }

    #[test]
    fn other_forms_and_garbage_are_told_from_each_other() {
        let old = b"a:3:{s:1:\"A\";a:1:{s:5:\"value\";s:1:\"x\";}s:1:\"B\";i:7;s:3:\"1 2\";N;}";
        let (given, left_out) = environment(old).unwrap();
        assert_eq!((given.values["A"].as_str(), given.values["B"].as_str()), ("x", "7"));
        assert_eq!(left_out, ["1 2".to_owned()].into());
        assert_eq!(environment(b"O:23:\"MultiFlexi\\ConfigFields\":4:{s:5:\"deb"), None);
        assert_eq!(environment(b"{\"json\":1}"), None);
        assert_eq!(environment(b"i:1;"), None);
        assert!(environment(b"").unwrap().0.is_empty());
    }

    #[test]
    fn a_life_is_told_by_its_times_and_its_exit_code() {
        let row = |cells: &[(&'static str, &str)]| life(&Row::of(1, cells));
        assert_eq!(row(&[("schedule", "5")]), Life::Waits);
        assert_eq!(row(&[("begin", "5")]), Life::Runs);
        let cells = [("schedule", "4"), ("begin", "5"), ("end", "9"), ("exitcode", "3")];
        let Life::Ended(ended) = row(&cells) else { panic!("it has ended") };
        assert_eq!((ended.created, ended.started, ended.ended), (4, 5, 9));
        assert_eq!((ended.state, ended.exit_code), (State::Failed, Some(3)));
        let Life::Ended(ended) = row(&[("begin", "9"), ("end", "5"), ("exitcode", "0")]) else {
            panic!("it has ended")
        };
        assert_eq!((ended.started, ended.ended, ended.state), (5, 5, State::Succeeded));
        let Life::Ended(ended) = row(&[("end", "5")]) else { panic!("it has ended") };
        assert_eq!((ended.state, ended.exit_code), (State::Failed, None));
    }

    #[test]
    fn actions_that_are_switched_on_are_named() {
        let switches = b"a:2:{s:5:\"Sleep\";b:0;s:7:\"WebHook\";b:1;}";
        assert_eq!(actions(Some(switches)), ["WebHook"]);
        assert_eq!(actions(Some(b"garbage")).len(), 1);
        assert!(actions(None).is_empty() && actions(Some(b"")).is_empty());
    }
}
