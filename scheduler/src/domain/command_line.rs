//! The command line of a job: the executable and its parameters. The parameters
//! are split into words as a POSIX shell would, and only then are placeholders
//! replaced, so that a value stays one value whatever it holds. No shell runs.

use super::environment::Variables;

/// Most bytes in one argument: what Linux lets a process have in one string.
const MAX_ARGUMENT: usize = 128 * 1024;

/// A command line that cannot be built.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandLineError {
    /// There is no executable.
    #[error("the executable is empty")]
    NoExecutable,
    /// A quote is not closed.
    #[error("the command parameters have a quote that is not closed: {0}")]
    Quotes(String),
    /// A zero byte.
    #[error("the command line holds a zero byte, which no process can be given")]
    ZeroByte,
    /// An argument is too long.
    #[error("argument {number} has {bytes} bytes; a process can be given at most {MAX_ARGUMENT}")]
    TooLong {
        /// Which argument, the executable being 0.
        number: usize,
        /// Its size.
        bytes: usize,
    },
}

/// The program and its arguments. `{NAME}` and `${NAME}` stand for the value of a
/// variable; a name that is no variable stays as it is written.
pub fn build(
    executable: &str,
    parameters: &str,
    variables: &Variables,
) -> Result<Vec<String>, CommandLineError> {
    if executable.is_empty() {
        return Err(CommandLineError::NoExecutable);
    }
    let words = shell_words::split(parameters)
        .map_err(|_| CommandLineError::Quotes(parameters.chars().take(200).collect()))?;
    let mut command = vec![executable.to_owned()];
    command.extend(words.iter().map(|word| expand(word, variables)));
    for (number, argument) in command.iter().enumerate() {
        if argument.contains('\0') {
            return Err(CommandLineError::ZeroByte);
        }
        if argument.len() >= MAX_ARGUMENT {
            return Err(CommandLineError::TooLong { number, bytes: argument.len() });
        }
    }
    Ok(command)
}

/// Replaces the placeholders of one word, in one pass.
fn expand(word: &str, variables: &Variables) -> String {
    let mut expanded = String::with_capacity(word.len());
    let mut rest = word;
    while let Some(open) = rest.find('{') {
        let value = rest[open + 1..].find('}').and_then(|close| {
            let name = &rest[open + 1..open + 1 + close];
            Some((variables.get(name)?, open + close + 2))
        });
        match value {
            Some((value, end)) => {
                let dollar = usize::from(rest[..open].ends_with('$'));
                expanded.push_str(&rest[..open - dollar]);
                expanded.push_str(value);
                rest = &rest[end..];
            }
            None => {
                expanded.push_str(&rest[..=open]);
                rest = &rest[open + 1..];
            }
        }
    }
    expanded.push_str(rest);
    expanded
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn words(parameters: &str, variables: &[(&str, &str)]) -> Vec<String> {
        let variables = variables.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        build("prog", parameters, &variables).unwrap().split_off(1)
    }

    #[test]
    fn words_are_split_as_a_shell_would() {
        assert_eq!(
            words("-c 'for i in 1 2; do echo $i; done'", &[]),
            ["-c", "for i in 1 2; do echo $i; done"]
        );
        assert_eq!(words("", &[]), [""; 0]);
    }

    #[test]
    fn placeholders_take_values_and_unknown_ones_stay() {
        let variables = [("NAME", "a b; rm -rf /"), ("EMPTY", "")];
        assert_eq!(
            words("--to={NAME} ${NAME} $NAME {EMPTY}", &variables),
            ["--to=a b; rm -rf /", "a b; rm -rf /", "$NAME", ""]
        );
        assert_eq!(
            words("{OTHER} {} { {{NAME}", &variables),
            ["{OTHER}", "{}", "{", "{a b; rm -rf /"]
        );
    }

    #[test]
    fn impossible_command_lines_are_named() {
        let none = Variables::new();
        assert_eq!(build("", "", &none), Err(CommandLineError::NoExecutable));
        assert!(matches!(build("p", "'x", &none), Err(CommandLineError::Quotes(_))));
        assert_eq!(build("p\0", "", &none), Err(CommandLineError::ZeroByte));
        let long = "x".repeat(MAX_ARGUMENT);
        assert_eq!(
            build("p", &long, &none),
            Err(CommandLineError::TooLong { number: 1, bytes: MAX_ARGUMENT })
        );
    }

    proptest! {
        #[test]
        fn a_value_is_one_argument_whatever_it_holds(value in "[^\0]{0,40}") {
            let variables = [("V".to_owned(), value.clone())].into();
            let command = build("p", "before {V} after", &variables).unwrap();
            prop_assert_eq!(command, ["p", "before", value.as_str(), "after"]);
        }

        #[test]
        fn any_parameters_are_split_or_refused(parameters in ".{0,60}") {
            let _ = build("p", &parameters, &Variables::new());
        }
    }
}
