//! Which variables of a run template have another value here than in the PHP program,
//! because another of those who give them wins.

use crate::domain::environment::{Given, Layer, resolve};

/// What the PHP program gives every job, whatever else is said.
const LOGGER: (&str, &str) = ("EASE_LOGGER", "syslog|console|console");

/// A variable whose value differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Its name.
    pub variable: String,
    /// Its value there; none if it is secret.
    pub there: Option<String>,
    /// Who gives it there.
    pub there_by: String,
    /// Its value here; none if it is secret.
    pub here: Option<String>,
    /// Who gives it here.
    pub here_by: String,
}

/// Who gives variables to the jobs of a run template.
#[derive(Clone, Copy, Debug)]
pub struct Layers<'g> {
    /// The application.
    pub application: &'g Given,
    /// The company.
    pub company: &'g Given,
    /// The credentials.
    pub credentials: &'g Given,
    /// The run template.
    pub run_template: &'g Given,
}

/// The variables of which another value reaches the job.
pub fn differences(layers: Layers<'_>, secret: impl Fn(&str) -> bool) -> Vec<Difference> {
    let Layers { application, company, credentials, run_template } = layers;
    let here = [
        (Layer::Application, application),
        (Layer::Company, company),
        (Layer::Credential, credentials),
        (Layer::RunTemplate, run_template),
    ];
    let mut logger = Given::default();
    if here.iter().any(|(_, given)| given.contains(LOGGER.0)) {
        logger = Given::from([(LOGGER.0.to_owned(), LOGGER.1.to_owned())]);
    }
    let there = [
        (Layer::Application, application),
        (Layer::RunTemplate, run_template),
        (Layer::Credential, credentials),
        (Layer::Company, company),
        (Layer::System, &logger),
    ];
    // A value that becomes too long fails each job, there and here.
    let (Ok(here), Ok(there)) = (resolve(&here), resolve(&there)) else { return Vec::new() };
    // A secret may stand in another value, by a macro.
    let all = here.iter().chain(&there);
    let secrets: Vec<&String> = all
        .filter(|(name, known)| !known.value.is_empty() && (known.secret || secret(name)))
        .map(|(_, known)| &known.value)
        .collect();
    let differs = here.iter().filter_map(|(name, here)| {
        let there = there.get(name).filter(|there| there.value != here.value)?;
        let holds = |value: &String| secrets.iter().any(|secret| value.contains(secret.as_str()));
        let named = here.secret || there.secret || secret(name);
        let hidden = named || holds(&here.value) || holds(&there.value);
        let shown = |value: &String| (!hidden).then(|| value.clone());
        Some(Difference {
            variable: name.clone(),
            there: shown(&there.value),
            there_by: there.layer.to_string(),
            here: shown(&here.value),
            here_by: here.layer.to_string(),
        })
    });
    differs.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(pairs: &[(&str, &str)]) -> Given {
        let pairs = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Given::from(pairs.collect::<crate::domain::environment::Variables>())
    }

    #[test]
    fn only_what_another_wins_with_another_value_is_named() {
        let application = given(&[("A", "app"), ("LOG", "{A}"), ("D", "app")]);
        let company = given(&[("A", "company"), ("SAME", "x"), ("C", "company")]);
        let mut credentials = given(&[("C", "credential"), ("T", "one")]);
        credentials.secret.insert("T".to_owned());
        let run_template =
            given(&[("A", "template"), ("SAME", "x"), ("T", "two"), ("EASE_LOGGER", "file")]);
        let layers = Layers {
            application: &application,
            company: &company,
            credentials: &credentials,
            run_template: &run_template,
        };
        let found = differences(layers, |_| false);
        let names: Vec<&str> = found.iter().map(|one| one.variable.as_str()).collect();
        assert_eq!(names, ["A", "C", "EASE_LOGGER", "LOG", "T"]);
        assert_eq!(found[0].there.as_deref(), Some("company"));
        assert_eq!(found[0].here.as_deref(), Some("template"));
        assert_eq!(
            (found[0].there_by.as_str(), found[0].here_by.as_str()),
            ("company", "run template")
        );
        assert_eq!(
            (found[3].there.as_deref(), found[3].here.as_deref()),
            (Some("company"), Some("template"))
        );
        assert_eq!((&found[4].there, &found[4].here), (&None, &None), "secrets are masked");
        assert_eq!(found[2].there.as_deref(), Some("syslog|console|console"));
    }
}
