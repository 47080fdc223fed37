//! Changes of a definition by single fields. They are made in the document, which is
//! then read again, so that an export tells them and what is invalid is refused.

use serde_json::{Map, Value};

use super::{Definition, Invalid, command, read, report};

/// What to change; what is none stays. An empty text or list takes out what an
/// application can do without.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// The name. In a definition with several languages this and the next two change
    /// the text that stands for the whole: the English one, or else the first.
    pub name: Option<String>,
    /// A longer name.
    pub title: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// The program.
    pub executable: Option<String>,
    /// Its parameters.
    pub cmdparams: Option<String>,
    /// The UUID.
    pub uuid: Option<String>,
    /// The short name for monitoring.
    pub code: Option<String>,
    /// The version.
    pub version: Option<String>,
    /// The home page.
    pub homepage: Option<String>,
    /// A picture.
    pub image: Option<String>,
    /// The container image.
    pub oci_image: Option<String>,
    /// Who wrote it.
    pub author: Option<String>,
    /// Its licence.
    pub license: Option<String>,
    /// What sort of application it is.
    pub category: Option<String>,
    /// Words by which it is found.
    pub tags: Option<Vec<String>>,
    /// Codes of the credentials that it needs.
    pub requirements: Option<Vec<String>>,
}

impl Definition {
    /// The definition with a change.
    pub fn with(&self, change: Change) -> Result<Self, Invalid> {
        let mut document = self.document.clone();
        if let Value::Object(map) = &mut document {
            apply(map, change);
        }
        read::definition(document, report()).map_err(Invalid::of_fields)
    }
}

fn apply(map: &mut Map<String, Value>, change: Change) {
    set_localized(map, "name", change.name);
    set_localized(map, "description", change.description);
    if change.title.as_deref() == Some("") {
        map.shift_remove("title");
    } else {
        set_localized(map, "title", change.title);
    }
    if let Some(executable) = change.executable {
        map.insert("executable".to_owned(), executable.into());
    }
    if let Some(cmdparams) = change.cmdparams {
        set_each(map, &[command::TEMPLATE, command::OLDER], &cmdparams.into());
    }
    for (key, text) in [
        ("uuid", change.uuid),
        ("code", change.code),
        ("version", change.version),
        ("homepage", change.homepage),
        ("image", change.image),
        ("ociimage", change.oci_image),
        ("author", change.author),
        ("license", change.license),
        ("category", change.category),
    ] {
        match text {
            // What is taken out leaves the others in their order.
            Some(text) if text.is_empty() => drop(map.shift_remove(key)),
            Some(text) => drop(map.insert(key.to_owned(), text.into())),
            None => {}
        }
    }
    set_list(map, &["tags", "topics"], change.tags);
    set_list(map, &["requirements"], change.requirements);
}

fn set_localized(map: &mut Map<String, Value>, key: &str, text: Option<String>) {
    let Some(text) = text else { return };
    if let Some(Value::Object(languages)) = map.get_mut(key) {
        let english = languages.keys().position(|has| has.eq_ignore_ascii_case("en"));
        if let Some(main) = languages.values_mut().nth(english.unwrap_or(0)) {
            *main = text.into();
            return;
        }
    }
    map.insert(key.to_owned(), text.into());
}

fn set_list(map: &mut Map<String, Value>, keys: &[&str], list: Option<Vec<String>>) {
    match list {
        Some(list) if list.is_empty() => keys.iter().for_each(|key| drop(map.shift_remove(*key))),
        Some(list) => set_each(map, keys, &list.into()),
        None => {}
    }
}

/// Sets each of the keys that is there, for none must tell what is no longer true;
/// the first if none is.
fn set_each(map: &mut Map<String, Value>, keys: &[&str], value: &Value) {
    let there: Vec<_> = keys.iter().filter(|key| map.contains_key(**key)).copied().collect();
    let set = if there.is_empty() { &keys[..1] } else { &there };
    for key in set {
        map.insert((*key).to_owned(), value.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::{super::parse, *};

    const OLD: &str = r#"{"name": {"cs": "Sonda", "en": "Probe"}, "homepage": "https://a.cz/",
        "cmdparams": "-a", "executable": "probe", "description": "d", "environment": {},
        "topics": ["x"], "extra": 1}"#;

    fn some(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn a_change_is_exported_and_all_else_stays() {
        let change = Change {
            name: some("Prober"),
            cmdparams: some("-b {X}"),
            homepage: some(""),
            version: some("1.0"),
            tags: Some(vec!["y".to_owned()]),
            ..Change::default()
        };
        let changed = parse(OLD).unwrap().with(change).unwrap();
        assert_eq!(changed.name.get("cs"), "Sonda");
        assert_eq!(changed.name.main(), "Prober");
        assert_eq!(changed.cmdparams, "-b {X}");
        assert_eq!(
            changed.document().to_string(),
            r#"{"name":{"cs":"Sonda","en":"Prober"},"cmdparams":"-b {X}","executable":"probe","#
                .to_owned()
                + r#""description":"d","environment":{},"topics":["y"],"extra":1,"version":"1.0"}"#
        );
        assert_eq!(parse(&changed.export()).unwrap(), changed);
    }

    #[test]
    fn no_change_is_no_change() {
        let old = parse(OLD).unwrap();
        assert_eq!(old.with(Change::default()).unwrap(), old);
    }

    #[test]
    fn a_change_to_what_is_invalid_is_refused() {
        let change = Change {
            name: some(" "),
            executable: some(""),
            version: some("1.x"),
            ..Change::default()
        };
        let faults = parse(OLD).unwrap().with(change).unwrap_err().faults;
        let paths: Vec<_> = faults.iter().map(|fault| fault.path.as_str()).collect();
        assert_eq!(paths, ["name", "executable", "version"]);
    }
}
