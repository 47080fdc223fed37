//! The command line of a job: the executable and its parameters. The parameters
//! are split into words as a POSIX shell would, and only then are placeholders
//! replaced, so that a value stays one value whatever it holds. No shell runs.

use std::mem;

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

/// A part of a word of a command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Text as it is.
    Literal(String),
    /// The value of the variable of this name.
    Variable(String),
}

/// One argument of a command line, or its program, before values are put in.
pub type Word = Vec<Piece>;

/// The program and its arguments. `{NAME}` and `${NAME}` stand for the value of a
/// variable; a name that is no variable stays as it is written.
pub fn build(
    executable: &str,
    parameters: &str,
    variables: &Variables,
) -> Result<Vec<String>, CommandLineError> {
    let words = words(executable, parameters, variables)?;
    Ok(words.iter().map(|word| fill(word, variables)).collect())
}

/// What [`build`] gives, with the places of the variables instead of their values.
/// It fails where [`build`] does, which depends on the values.
pub fn words(
    executable: &str,
    parameters: &str,
    variables: &Variables,
) -> Result<Vec<Word>, CommandLineError> {
    if executable.is_empty() {
        return Err(CommandLineError::NoExecutable);
    }
    let parameters = shell_words::split(parameters)
        .map_err(|_| CommandLineError::Quotes(parameters.chars().take(200).collect()))?;
    let mut words = vec![vec![Piece::Literal(executable.to_owned())]];
    words.extend(parameters.iter().map(|word| pieces(word, variables)));
    for (number, word) in words.iter().enumerate() {
        let texts = word.iter().filter_map(|piece| text(piece, variables));
        if texts.clone().any(|text| text.contains('\0')) {
            return Err(CommandLineError::ZeroByte);
        }
        let bytes = texts.map(str::len).sum();
        if bytes >= MAX_ARGUMENT {
            return Err(CommandLineError::TooLong { number, bytes });
        }
    }
    Ok(words)
}

/// A word with the values in their places; a variable that there is not is nothing.
pub fn fill(word: &Word, variables: &Variables) -> String {
    word.iter().filter_map(|piece| text(piece, variables)).collect()
}

fn text<'a>(piece: &'a Piece, variables: &'a Variables) -> Option<&'a str> {
    match piece {
        Piece::Literal(text) => Some(text),
        Piece::Variable(name) => variables.get(name).map(String::as_str),
    }
}

/// Finds the placeholders of one word, in one pass.
fn pieces(word: &str, variables: &Variables) -> Word {
    let mut pieces = Word::new();
    let mut literal = String::new();
    let mut rest = word;
    while let Some(open) = rest.find('{') {
        let name = rest[open + 1..].find('}').map(|close| &rest[open + 1..open + 1 + close]);
        match name.filter(|name| variables.contains_key(*name)) {
            Some(name) => {
                let dollar = usize::from(rest[..open].ends_with('$'));
                literal.push_str(&rest[..open - dollar]);
                if !literal.is_empty() {
                    pieces.push(Piece::Literal(mem::take(&mut literal)));
                }
                pieces.push(Piece::Variable(name.to_owned()));
                rest = &rest[open + name.len() + 2..];
            }
            None => {
                literal.push_str(&rest[..=open]);
                rest = &rest[open + 1..];
            }
        }
    }
    literal.push_str(rest);
    if !literal.is_empty() {
        pieces.push(Piece::Literal(literal));
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn split(parameters: &str, variables: &[(&str, &str)]) -> Vec<String> {
        let variables = variables.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        build("prog", parameters, &variables).unwrap().split_off(1)
    }

    #[test]
    fn words_are_split_as_a_shell_would() {
        assert_eq!(
            split("-c 'for i in 1 2; do echo $i; done'", &[]),
            ["-c", "for i in 1 2; do echo $i; done"]
        );
        assert_eq!(split("", &[]), [""; 0]);
    }

    #[test]
    fn placeholders_take_values_and_unknown_ones_stay() {
        let variables = [("NAME", "a b; rm -rf /"), ("EMPTY", "")];
        assert_eq!(
            split("--to={NAME} ${NAME} $NAME {EMPTY}", &variables),
            ["--to=a b; rm -rf /", "a b; rm -rf /", "$NAME", ""]
        );
        assert_eq!(
            split("{OTHER} {} { {{NAME}", &variables),
            ["{OTHER}", "{}", "{", "{a b; rm -rf /"]
        );
    }

    #[test]
    fn words_say_where_values_go() {
        let variables = [("V".to_owned(), "secret".to_owned())].into();
        let literal = |text: &str| Piece::Literal(text.to_owned());
        let value = || Piece::Variable("V".to_owned());
        assert_eq!(
            words("p {V}", "{V}${V} 'a {X} {V} b' ''", &variables).unwrap(),
            [
                vec![literal("p {V}")],
                vec![value(), value()],
                vec![literal("a {X} "), value(), literal(" b")],
                vec![],
            ]
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
