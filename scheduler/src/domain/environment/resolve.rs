//! One environment from the layers that give it, and macros in the values.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use super::{File, Given, MAX_VALUE, VariableError, Variables};

/// Who gives a variable; the later wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Layer {
    /// The application's definition: its defaults.
    Application,
    /// The company.
    Company,
    /// The credentials that the run template uses.
    Credential,
    /// The run template.
    RunTemplate,
    /// The job itself.
    Job,
    /// The system: what tells the process what it is.
    System,
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Application => "application",
            Self::Company => "company",
            Self::Credential => "credential",
            Self::RunTemplate => "run template",
            Self::Job => "job",
            Self::System => "system",
        })
    }
}

/// A variable with where it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// Its value, as the process gets it.
    pub value: String,
    /// Who gives it.
    pub layer: Layer,
    /// Who gives it too, and is not heard; the weakest first.
    pub overridden: Vec<Layer>,
    /// Who gives it says that it is never to be shown; of a file, its content.
    pub secret: bool,
    /// The variables whose values came into this one by macros.
    pub macros: BTreeSet<String>,
    /// The file, if it is one; the value is its path then, below [`FILES`](super::FILES).
    pub file: Option<File>,
}

/// One environment from layers, each later than the one before.
pub fn resolve(layers: &[(Layer, &Given)]) -> Result<BTreeMap<String, Resolved>, VariableError> {
    let mut resolved = BTreeMap::<String, Resolved>::new();
    for (layer, variables) in layers {
        let texts = variables.values.iter().map(|(name, text)| (name, text.clone(), None));
        let paths = variables.files.iter();
        let paths = paths.map(|(name, file)| (name, file.path(name), Some(file.clone())));
        for (name, value, file) in texts.chain(paths) {
            let (layer, secret) = (*layer, variables.secret.contains(name));
            let mut overridden = Vec::new();
            if let Some(weaker) = resolved.remove(name) {
                overridden = weaker.overridden;
                overridden.push(weaker.layer);
            }
            let macros = BTreeSet::new();
            let known = Resolved { value, layer, overridden, secret, macros, file };
            resolved.insert(name.clone(), known);
        }
    }
    let given: Vec<&String> = resolved
        .iter()
        .filter(|(_, resolved)| {
            let text = resolved.layer != Layer::System && resolved.file.is_none();
            text && resolved.value.contains('{')
        })
        .map(|(name, _)| name)
        .collect();
    let mut expanded = Vec::with_capacity(given.len());
    for name in given {
        expanded.push((name.clone(), expand(name, &resolved)?));
    }
    for (name, (value, macros)) in expanded {
        if let Some(known) = resolved.get_mut(&name) {
            (known.value, known.macros) = (value, macros);
        }
    }
    Ok(resolved)
}

/// The texts of all variables, of files their paths, and the files.
pub fn split(resolved: BTreeMap<String, Resolved>) -> (Variables, BTreeMap<String, File>) {
    let (mut texts, mut files) = (Variables::new(), BTreeMap::new());
    for (name, Resolved { value, file, .. }) in resolved {
        files.extend(file.map(|file| (name.clone(), file)));
        texts.insert(name, value);
    }
    (texts, files)
}

/// Replaces the macros of one value, in one pass: what they stand for is taken as it
/// is. `${NAME}` is left to whoever reads the value, a shell most likely; so is what
/// names no variable. Returns also which variables came in.
fn expand(
    name: &str,
    all: &BTreeMap<String, Resolved>,
) -> Result<(String, BTreeSet<String>), VariableError> {
    let mut macros = BTreeSet::new();
    let text = all.get(name).map(|known| known.value.as_str()).unwrap_or_default();
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(open) = rest.find('{') {
        let macro_of = rest[open + 1..].find('}').map(|close| &rest[open + 1..open + 1 + close]);
        let known = macro_of.filter(|_| !rest[..open].ends_with('$')).and_then(|m| all.get(m));
        match (known, macro_of) {
            (Some(known), Some(macro_of)) => {
                expanded.push_str(&rest[..open]);
                expanded.push_str(&known.value);
                macros.insert(macro_of.to_owned());
                rest = &rest[open + macro_of.len() + 2..];
            }
            _ => {
                expanded.push_str(&rest[..=open]);
                rest = &rest[open + 1..];
            }
        }
        if expanded.len() > MAX_VALUE {
            let (name, bytes) = (name.to_owned(), expanded.len());
            return Err(VariableError::TooLong { name, bytes });
        }
    }
    expanded.push_str(rest);
    Ok((expanded, macros))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(pairs: &[(&str, &str)]) -> Variables {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn given(pairs: &[(&str, &str)]) -> Given {
        variables(pairs).into()
    }

    #[test]
    fn who_gives_a_value_says_whether_it_is_secret() {
        let secret = Given { secret: ["A".to_owned()].into(), ..given(&[("A", "hidden")]) };
        let plain = given(&[("A", "shown")]);
        let resolved = resolve(&[(Layer::Company, &secret), (Layer::Job, &plain)]).unwrap();
        assert!(!resolved["A"].secret && resolved["A"].value == "shown");
        let resolved = resolve(&[(Layer::Company, &plain), (Layer::Job, &secret)]).unwrap();
        assert!(resolved["A"].secret && resolved["A"].value == "hidden");
    }

    #[test]
    fn the_later_layer_wins() {
        let template = given(&[("A", "template"), ("B", "template")]);
        let job = given(&[("B", "job"), ("C", "")]);
        let system = given(&[("B", "system")]);
        let layers =
            [(Layer::RunTemplate, &template), (Layer::Job, &job), (Layer::System, &system)];
        let resolved = resolve(&layers).unwrap();
        let of = |name: &str| {
            let Resolved { value, layer, overridden, .. } = &resolved[name];
            (value.as_str(), *layer, overridden.as_slice())
        };
        assert_eq!(of("A"), ("template", Layer::RunTemplate, &[][..]));
        let beaten = [Layer::RunTemplate, Layer::Job];
        assert_eq!(of("B"), ("system", Layer::System, &beaten[..]));
        assert_eq!(of("C"), ("", Layer::Job, &[][..]), "an empty value is a value");
    }

    #[test]
    fn macros_stand_for_other_values_and_nothing_else() {
        let people = given(&[
            ("DAY", "monday"),
            ("FILE", "{DAY}-{OTHER}.csv"),
            ("TWICE", "{FILE}"),
            ("SHELL", "for x in ${DAY} {} { {DAY"),
            ("ID", "is {MULTIFLEXI_JOB_ID}"),
        ]);
        let system = given(&[("MULTIFLEXI_JOB_ID", "{DAY}")]);
        let resolved = resolve(&[(Layer::Job, &people), (Layer::System, &system)]).unwrap();
        let value = |name: &str| resolved[name].value.as_str();
        assert_eq!(value("FILE"), "monday-{OTHER}.csv");
        assert_eq!(value("TWICE"), "{DAY}-{OTHER}.csv", "one pass");
        assert_eq!(resolved["FILE"].macros, ["DAY".to_owned()].into());
        assert!(resolved["SHELL"].macros.is_empty() && resolved["DAY"].macros.is_empty());
        assert_eq!(value("SHELL"), "for x in ${DAY} {} { {DAY");
        assert_eq!(value("ID"), "is {DAY}");
        assert_eq!(value("MULTIFLEXI_JOB_ID"), "{DAY}");
        let long = "x".repeat(MAX_VALUE / 2);
        let people = given(&[("A", &long), ("B", "{A}{A}{A}")]);
        assert!(matches!(
            resolve(&[(Layer::Job, &people)]),
            Err(VariableError::TooLong { name, .. }) if name == "B"
        ));
    }
}
