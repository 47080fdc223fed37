//! The variables of a job's process, and the order in which the layers that give
//! them win: run template < job. More layers (application defaults, company,
//! credentials) come below these two.

use std::collections::BTreeMap;

/// Variables by name, in a stable order.
pub type Variables = BTreeMap<String, String>;

/// Variables that are set and variables that are removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VariableChange {
    /// To be set.
    pub set: Variables,
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
        let mut letters = name.chars();
        let first = letters.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
        if !first || !letters.all(|c| c.is_ascii_alphanumeric() || c == '_') {
            return Err(VariableError::Name(name.chars().take(80).collect()));
        }
        if value.contains('\0') {
            return Err(VariableError::ZeroByte(name.clone()));
        }
        if name.len() + value.len() + 2 > MAX_VALUE {
            return Err(VariableError::TooLong { name: name.clone(), bytes: value.len() });
        }
    }
    Ok(())
}

/// One environment from layers, the later winning.
pub fn assemble<'a>(layers: impl IntoIterator<Item = &'a Variables>) -> Variables {
    let mut variables = Variables::new();
    for layer in layers {
        variables.extend(layer.iter().map(|(name, value)| (name.clone(), value.clone())));
    }
    variables
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(pairs: &[(&str, &str)]) -> Variables {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn the_later_layer_wins() {
        let template = variables(&[("A", "template"), ("B", "template")]);
        let job = variables(&[("B", "job"), ("C", "")]);
        assert_eq!(
            assemble([&template, &job]),
            variables(&[("A", "template"), ("B", "job"), ("C", "")])
        );
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
}
