//! What an action there is here: the kinds have their names, and most of their settings.

use crate::{
    actions::{Action, Registry, Settings},
    domain::{environment::Variables, ids::RunTemplateId},
};

/// The kinds that come.
const KINDS: [&str; 9] = [
    "CustomCommand",
    "Github",
    "RedmineIssue",
    "Reschedule",
    "Sleep",
    "Stop",
    "ToDo",
    "TriggerJenkins",
    "WebHook",
];

/// Where the repositories of applications are.
const GITHUB: &str = "https://github.com/";

/// An action as it is here.
#[derive(Debug)]
pub struct Mapped<'r> {
    /// What kind it is of.
    pub kind: &'r dyn Action,
    /// What it is told.
    pub settings: Variables,
    /// What is otherwise here, as a sentence.
    pub remark: Option<&'static str>,
    read: Settings,
}

impl Mapped<'_> {
    /// The run template that it makes jobs of.
    pub fn leads_to(&self) -> Option<RunTemplateId> {
        self.kind.leads_to(&self.read)
    }
}

/// What an action of this kind is here, with these settings there; or why it cannot come.
pub fn action<'r>(
    registry: &'r Registry,
    module: &str,
    there: &Variables,
    homepage: Option<&str>,
) -> Result<Mapped<'r>, String> {
    if !KINDS.contains(&module) {
        return Err("there is no such action here that could be told the same".to_owned());
    }
    let kind = registry.find(module).map_err(|error| error.to_string())?;
    let known = |name: &str| kind.all_fields().any(|field| field.name == name);
    let mut settings = there.clone();
    settings.retain(|name, value| known(name) && !value.is_empty());
    if module == "Github" {
        let repository = homepage.and_then(|page| page.strip_prefix(GITHUB));
        let repository = repository.map(|path| path.trim_end_matches('/').to_owned());
        settings.extend(repository.map(|path| ("repository".to_owned(), path)));
    }
    let read = kind.accept(&settings).map_err(|error| error.to_string())?;
    let remark = (module == "WebHook")
        .then_some("its web hook is told a JSON document of the job here, and not its output");
    Ok(Mapped { kind, settings, remark, read })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn there(pairs: &[(&str, &str)]) -> Variables {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn what_has_a_kind_here_comes_with_its_settings() {
        let registry = Registry::default();
        let hook = there(&[("uri", "https://example.org/hook"), ("unknown", "x")]);
        let hook = action(&registry, "WebHook", &hook, None).unwrap();
        assert_eq!(hook.kind.name(), "WebHook");
        assert_eq!(hook.settings, there(&[("uri", "https://example.org/hook")]));
        assert!(hook.remark.is_some() && hook.leads_to().is_none());
        let issue = there(&[("token", "t0ken")]);
        let issue = action(&registry, "Github", &issue, Some("https://github.com/a/b/")).unwrap();
        assert_eq!(issue.settings["repository"], "a/b");
        let sleep = action(&registry, "Sleep", &there(&[("seconds", "")]), None).unwrap();
        assert!(sleep.settings.is_empty());
    }

    #[test]
    fn what_cannot_come_says_why() {
        let registry = Registry::default();
        let why = |module: &str, pairs: &[(&str, &str)]| {
            action(&registry, module, &there(pairs), Some("https://example.org")).unwrap_err()
        };
        assert!(why("Zabbix", &[]).contains("no such action"));
        assert!(why("ChainRuntemplate", &[("run_template_id", "1")]).contains("no such action"));
        assert!(why("WebHook", &[]).contains("uri is missing"));
        let said = why("Github", &[("token", "t0ken")]);
        assert!(said.contains("repository is missing") && !said.contains("t0ken"), "{said}");
    }
}
