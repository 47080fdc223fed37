//! What of a job's environment is secret: the only place that decides whether the value of
//! a variable, or another text, may be shown. Scripts, listings, sentences about values and
//! command lines all ask here.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use crate::domain::environment::{Given, Resolved};

/// Least bytes of a secret that is looked for in other texts. A shorter one is in many by
/// chance.
const SHORTEST: usize = 4;

/// What stands in place of a secret.
pub const MASK: &str = "***";

/// The secrets of an environment. It has no `Debug`, which would tell them.
pub struct Secrets {
    /// The variables that are secret themselves; of files, the content is.
    own: BTreeSet<String>,
    /// Other variables with a secret in their value.
    holders: BTreeSet<String>,
    /// Of these the secret cannot be told from the rest of the value.
    whole: BTreeSet<String>,
    /// Variables with values that are looked for in texts, the longest first.
    values: Vec<(String, String)>,
}

impl Secrets {
    /// The secrets of resolved variables. A value has a secret in it if a macro brought one
    /// in, however short, or if the same text is there. The path of a file is no secret.
    pub fn of(environment: &BTreeMap<String, Resolved>) -> Self {
        let secret = |known: &Resolved| known.secret && !known.value.is_empty();
        let own = environment.iter().filter(|(_, known)| secret(known));
        let texts = own.clone().filter(|(_, known)| known.file.is_none());
        let mut secrets = Self::new(
            own.map(|(name, _)| name.clone()).collect(),
            texts.map(|(name, known)| (name, &known.value)),
        );
        if secrets.own.is_empty() {
            return secrets;
        }
        for (name, known) in environment.iter().filter(|(_, known)| known.file.is_none()) {
            let brought_in = known.macros.iter().filter_map(|name| environment.get(name));
            let brought_in = brought_in.filter(|known| secret(known) && known.file.is_none());
            let brought_in: Vec<&str> = brought_in.map(|known| known.value.as_str()).collect();
            if secrets.own.contains(name) {
                continue;
            }
            if !brought_in.is_empty() || secrets.are_in(&known.value) {
                secrets.holders.insert(name.clone());
            }
            let findable =
                |secret: &&str| secret.len() >= SHORTEST && known.value.contains(*secret);
            if !brought_in.iter().all(findable) {
                secrets.whole.insert(name.clone());
            }
        }
        secrets
    }

    /// The secrets among variables that are not resolved.
    pub fn given(given: &Given) -> Self {
        let values = given.values.iter().filter(|(name, _)| given.secret.contains(*name));
        Self::new(given.secret.clone(), values)
    }

    fn new<'a>(
        own: BTreeSet<String>,
        values: impl Iterator<Item = (&'a String, &'a String)>,
    ) -> Self {
        let values = values.filter(|(_, value)| value.len() >= SHORTEST);
        let mut values: Vec<_> =
            values.map(|(name, value)| (name.clone(), value.clone())).collect();
        values.sort_by_key(|(_, value)| Reverse(value.len()));
        Self { own, holders: BTreeSet::new(), whole: BTreeSet::new(), values }
    }

    /// The variables that are secret themselves; of files, the content is.
    pub fn own(&self) -> impl Iterator<Item = &String> {
        self.own.iter()
    }

    /// Those, and then the variables that have a secret in their value.
    pub fn names(&self) -> impl Iterator<Item = &String> {
        self.own.iter().chain(&self.holders)
    }

    /// Whether a variable is secret, or has a secret in its value.
    pub fn are_in_value_of(&self, name: &str) -> bool {
        self.own.contains(name) || self.holders.contains(name)
    }

    /// Whether a text has a secret in it that is long enough to be told.
    pub fn are_in(&self, text: &str) -> bool {
        self.found_in(text).is_some()
    }

    /// Which secret a text has in it.
    pub fn found_in(&self, text: &str) -> Option<&String> {
        let found = self.values.iter().find(|(_, value)| text.contains(value.as_str()));
        found.map(|(name, _)| name)
    }

    /// The value of a variable for people; of a file, its path.
    pub fn shown(&self, name: &str, known: &Resolved) -> String {
        let secret = known.file.is_none() && self.own.contains(name);
        if secret || self.whole.contains(name) {
            MASK.to_owned()
        } else {
            self.masked(&known.value)
        }
    }

    /// A text for people, with the secrets masked that it contains.
    pub fn masked(&self, text: &str) -> String {
        self.values.iter().fold(text.to_owned(), |text, (_, value)| text.replace(value, MASK))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::environment::{File, Layer, Value, Variables, resolve};

    fn of(secret: &[(&str, &str)], plain: &[(&str, &str)]) -> BTreeMap<String, Resolved> {
        let texts = |pairs: &[(&str, &str)]| -> Variables {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        let mut given = Given::from(texts(plain));
        for (name, value) in texts(secret) {
            given.set(name, Value::Text(value), true);
        }
        let file = File { name: "key.pem".to_owned(), content: b"x".to_vec() };
        given.set("KEY".to_owned(), Value::File(file), true);
        resolve(&[(Layer::Job, &given)]).unwrap()
    }

    #[test]
    fn a_value_with_a_secret_in_it_is_known_however_that_came_in() {
        let secret = [("TOKEN", "OtherSecret88"), ("PIN", "12"), ("NESTED", "{DAY}-x")];
        let plain = [
            ("BY_MACRO", "pre-{TOKEN}-post"),
            ("BY_TEXT", "is OtherSecret88"),
            ("SHORT", "pin {PIN}"),
            ("BY_CHANCE", "3124"),
            ("UNEXPANDED", "<{NESTED}>"),
            ("PATH_OF", "see {KEY}"),
            ("DAY", "monday"),
        ];
        let environment = of(&secret, &plain);
        let secrets = Secrets::of(&environment);
        let names: Vec<&str> = secrets.names().map(String::as_str).collect();
        let holders = ["BY_MACRO", "BY_TEXT", "SHORT", "UNEXPANDED"];
        assert_eq!(names, [&["KEY", "NESTED", "PIN", "TOKEN"][..], &holders].concat());
        let shown = |name: &str| secrets.shown(name, &environment[name]);
        assert_eq!(shown("BY_MACRO"), "pre-***-post");
        assert_eq!(shown("BY_TEXT"), "is ***");
        assert_eq!([shown("SHORT"), shown("UNEXPANDED"), shown("PIN")], [MASK; 3]);
        assert_eq!([shown("BY_CHANCE"), shown("DAY")], ["3124", "monday"]);
        assert!(shown("KEY").ends_with("key.pem") && shown("PATH_OF").ends_with("key.pem"));
    }

    #[test]
    fn of_two_secrets_the_longer_is_masked_whole() {
        let environment = of(&[("A", "hunter"), ("B", "hunter22")], &[]);
        assert_eq!(Secrets::of(&environment).masked("x hunter22 hunter"), "x *** ***");
    }
}
