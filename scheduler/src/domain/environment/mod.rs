//! The variables of a job's process: texts, and files whose path they hold. Layers give
//! them, and the later wins: defaults of the application < company < credentials < run
//! template < job < system. In the values that people give, `{NAME}` stands for the value
//! of another variable.

mod file;
mod resolve;

use std::collections::{BTreeMap, BTreeSet};

pub use file::{FILES, File, FileError, MAX_FILES, check_files};
pub use resolve::{Layer, Resolved, resolve, split};

/// Variables by name, in a stable order.
pub type Variables = BTreeMap<String, String>;

/// Variables as somebody gives them: some are secret, some are files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Given {
    /// Those that are texts.
    pub values: Variables,
    /// Those that are files; no name is a text too.
    pub files: BTreeMap<String, File>,
    /// The names of those that are never shown, and stored sealed.
    pub secret: BTreeSet<String>,
}

impl Given {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty() && self.files.is_empty()
    }

    /// Whether there is one of this name.
    pub fn contains(&self, name: &str) -> bool {
        self.values.contains_key(name) || self.files.contains_key(name)
    }

    /// The names of all.
    pub fn names(&self) -> impl Iterator<Item = &String> {
        self.values.keys().chain(self.files.keys())
    }

    /// Sets a variable, in place of one of that name.
    pub fn set(&mut self, name: String, value: Value, secret: bool) {
        if secret {
            self.secret.insert(name.clone());
        } else {
            self.secret.remove(&name);
        }
        match value {
            Value::Text(text) => {
                self.files.remove(&name);
                self.values.insert(name, text);
            }
            Value::File(file) => {
                self.values.remove(&name);
                self.files.insert(name, file);
            }
        }
    }

    /// Sets and removes variables.
    pub fn change(&mut self, change: &VariableChange) {
        self.retain(|name| !change.unset.iter().any(|unset| unset == name));
        let secret = |name: &String| change.set.secret.contains(name);
        for (name, text) in &change.set.values {
            self.set(name.clone(), Value::Text(text.clone()), secret(name));
        }
        for (name, file) in &change.set.files {
            self.set(name.clone(), Value::File(file.clone()), secret(name));
        }
    }

    /// Only those of which this is true.
    pub fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        self.values.retain(|name, _| keep(name));
        self.files.retain(|name, _| keep(name));
        self.secret.retain(|name| keep(name));
    }
}

/// What a variable is given as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Its text.
    Text(String),
    /// A file, whose path is its text.
    File(File),
}

impl From<Variables> for Given {
    fn from(values: Variables) -> Self {
        Self { values, ..Self::default() }
    }
}

impl<const N: usize> From<[(String, String); N]> for Given {
    fn from(values: [(String, String); N]) -> Self {
        Variables::from(values).into()
    }
}

/// Variables that are set and variables that are removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VariableChange {
    /// To be set.
    pub set: Given,
    /// Names of those to be removed.
    pub unset: Vec<String>,
}

/// Most bytes in one variable: what Linux lets a process have in one string.
pub const MAX_VALUE: usize = 128 * 1024;

/// A variable that no process can have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VariableError {
    /// The name.
    #[error("{0:?} is no name for a variable: use letters, digits and _, and begin with no digit")]
    Name(String),
    /// The value holds a zero byte.
    #[error("the value of {0} holds a zero byte, which no process can be given")]
    ZeroByte(String),
    /// The value is too long.
    #[error("the value of {name} has {bytes} bytes; a process can be given at most {MAX_VALUE}")]
    TooLong {
        /// The name.
        name: String,
        /// The value's size.
        bytes: usize,
    },
}

/// Checks variables from outside.
pub fn check(variables: &Variables) -> Result<(), VariableError> {
    for (name, value) in variables {
        check_name(name)?;
        if value.contains('\0') {
            return Err(VariableError::ZeroByte(name.clone()));
        }
        if name.len() + value.len() + 2 > MAX_VALUE {
            return Err(VariableError::TooLong { name: name.clone(), bytes: value.len() });
        }
    }
    Ok(())
}

/// Checks a variable's name.
pub fn check_name(name: &str) -> Result<(), VariableError> {
    let mut letters = name.chars();
    let first = letters.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    if first && letters.all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return Ok(());
    }
    Err(VariableError::Name(name.chars().take(80).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(pairs: &[(&str, &str)]) -> Variables {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn impossible_variables_are_named() {
        for name in ["", "1A", "A-B", "A=B", "Á"] {
            assert!(
                matches!(check(&variables(&[(name, "")])), Err(VariableError::Name(_))),
                "{name:?}"
            );
        }
        assert!(check(&variables(&[("_a9", "any value, even 'this'\n")])).is_ok());
        assert_eq!(
            check(&variables(&[("A", "x\0y")])),
            Err(VariableError::ZeroByte("A".to_owned()))
        );
        let long = "x".repeat(MAX_VALUE);
        assert!(matches!(check(&variables(&[("A", &long)])), Err(VariableError::TooLong { .. })));
    }

    #[test]
    fn a_variable_is_a_text_or_a_file() {
        let file = File { name: "a".to_owned(), content: vec![0] };
        let mut given = Given::from(variables(&[("A", "text")]));
        given.set("A".to_owned(), Value::File(file.clone()), true);
        assert!(given.values.is_empty() && given.files["A"] == file && given.secret.contains("A"));
        given.set("A".to_owned(), Value::Text("text".to_owned()), false);
        assert_eq!(given, variables(&[("A", "text")]).into());
    }
}
