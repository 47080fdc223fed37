//! Reads the text of a condition, word by word.

use std::{iter::Peekable, str::FromStr};

use super::{Condition, ConditionError, Number, Test};
use crate::domain::job::State;

/// Longest condition, in bytes.
pub(super) const MAX_LENGTH: usize = 1000;

/// Most that stands within each other.
const MAX_DEPTH: usize = 32;

impl FromStr for Condition {
    type Err = ConditionError;

    fn from_str(text: &str) -> Result<Self, ConditionError> {
        let text = text.trim();
        if text.len() > MAX_LENGTH {
            let wanted = format!("it is longer than {MAX_LENGTH} bytes");
            return Err(ConditionError::Unreadable {
                at: MAX_LENGTH + 1,
                found: String::new(),
                wanted,
            });
        }
        let mut reader = Reader { words: words(text)?.into_iter().peekable(), end: text.len() };
        let test = reader.any(0)?;
        match reader.words.next() {
            None => Ok(Self { text: text.to_owned(), test }),
            Some(word) => Err(word.wrong("&&, || or nothing more was expected")),
        }
    }
}

/// A word of a condition, and which character it begins with.
struct Word<'t> {
    at: usize,
    text: &'t str,
}

impl Word<'_> {
    fn wrong(&self, wanted: impl Into<String>) -> ConditionError {
        let found = self.text.chars().take(40).collect();
        ConditionError::Unreadable { at: self.at, found, wanted: wanted.into() }
    }
}

/// What is a word besides names and numbers; the longer first.
const SIGNS: [&str; 13] = ["==", "!=", "<=", ">=", "&&", "||", "..", "<", ">", "!", "(", ")", ","];

/// The words of a text.
fn words(text: &str) -> Result<Vec<Word<'_>>, ConditionError> {
    let letter = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let (mut words, mut rest) = (Vec::new(), text.trim_start());
    while !rest.is_empty() {
        let at = text[..text.len() - rest.len()].chars().count() + 1;
        let name = rest.find(|c| !letter(c)).unwrap_or(rest.len());
        let sign = SIGNS.into_iter().find(|sign| rest.starts_with(sign)).map(str::len);
        let length = if name > 0 { Some(name) } else { sign };
        let Some(length) = length else {
            let to = rest.chars().next().map_or(0, char::len_utf8);
            return Err(Word { at, text: &rest[..to] }.wrong(
                "a condition has exit, state, attempt, in, ==, !=, <, <=, >, >=, &&, ||, ! and \
                 parentheses",
            ));
        };
        let (word, after) = rest.split_at(length);
        words.push(Word { at, text: word });
        rest = after.trim_start();
    }
    Ok(words)
}

struct Reader<'t, I: Iterator<Item = Word<'t>>> {
    words: Peekable<I>,
    /// Length of the whole text.
    end: usize,
}

impl<'t, I: Iterator<Item = Word<'t>>> Reader<'t, I> {
    /// Whether the text has no word at all.
    fn is_empty(&self) -> bool {
        self.end == 0
    }

    fn take(&mut self, text: &str) -> bool {
        self.words.next_if(|word| word.text == text).is_some()
    }

    fn next(&mut self, wanted: &str) -> Result<Word<'t>, ConditionError> {
        self.words.next().ok_or_else(|| Word { at: self.end + 1, text: "" }.wrong(wanted))
    }

    fn any(&mut self, depth: usize) -> Result<Test, ConditionError> {
        let mut tests = vec![self.all(depth)?];
        while self.take("||") {
            tests.push(self.all(depth)?);
        }
        Ok(if tests.len() == 1 { tests.remove(0) } else { Test::Any(tests) })
    }

    fn all(&mut self, depth: usize) -> Result<Test, ConditionError> {
        let mut tests = vec![self.one(depth)?];
        while self.take("&&") {
            tests.push(self.one(depth)?);
        }
        Ok(if tests.len() == 1 { tests.remove(0) } else { Test::All(tests) })
    }

    fn one(&mut self, depth: usize) -> Result<Test, ConditionError> {
        let wanted = "exit, state, attempt, ! or ( was expected";
        let first = "success, fail, always or a condition such as \"exit in 2..5\" was expected";
        let word = self.next(if self.is_empty() { first } else { wanted })?;
        let alone = "success, fail and always stand alone: a condition says state == succeeded";
        match word.text {
            _ if depth > MAX_DEPTH => Err(word.wrong("too much stands within each other")),
            "!" => Ok(Test::Not(Box::new(self.one(depth + 1)?))),
            "(" => {
                let test = self.any(depth + 1)?;
                let close = self.next("a ) was expected")?;
                if close.text == ")" { Ok(test) } else { Err(close.wrong("a ) was expected")) }
            }
            "exit" => self.number(Number::Exit),
            "attempt" => self.number(Number::Attempt),
            "state" => self.state(),
            "success" | "fail" | "always" => Err(word.wrong(alone)),
            _ if word.at == 1 => Err(word.wrong(first)),
            _ => Err(word.wrong(wanted)),
        }
    }

    fn state(&mut self) -> Result<Test, ConditionError> {
        let wanted = "==, != or in was expected after state";
        let how = self.next(wanted)?;
        match how.text {
            "==" => Ok(Test::State(vec![self.name()?])),
            "!=" => Ok(Test::Not(Box::new(Test::State(vec![self.name()?])))),
            "in" => {
                let mut states = vec![self.name()?];
                while self.take(",") {
                    states.push(self.name()?);
                }
                Ok(Test::State(states))
            }
            _ => Err(how.wrong(wanted)),
        }
    }

    fn name(&mut self) -> Result<State, ConditionError> {
        let known = State::ENDED.map(State::name).join(", ");
        let wanted = format!("a state was expected: {known}");
        let word = self.next(&wanted)?;
        let state = State::ENDED.into_iter().find(|state| state.name() == word.text);
        state.ok_or_else(|| word.wrong(wanted))
    }

    fn number(&mut self, number: Number) -> Result<Test, ConditionError> {
        let wanted = "==, !=, <, <=, >, >= or in was expected";
        let how = self.next(wanted)?;
        let (least, most) = (i32::MIN, i32::MAX);
        let ranges = match how.text {
            "in" => {
                let mut ranges = vec![self.range()?];
                while self.take(",") {
                    ranges.push(self.range()?);
                }
                ranges
            }
            "==" | "!=" | "<" | "<=" | ">" | ">=" => {
                let value = self.value()?;
                match how.text {
                    "==" => vec![(value, value)],
                    "!=" => vec![(least, value - 1), (value + 1, most)],
                    "<" => vec![(least, value - 1)],
                    "<=" => vec![(least, value)],
                    ">" => vec![(value + 1, most)],
                    _ => vec![(value, most)],
                }
            }
            _ => return Err(how.wrong(wanted)),
        };
        Ok(Test::Number(number, ranges))
    }

    fn range(&mut self) -> Result<(i32, i32), ConditionError> {
        let from = self.value()?;
        Ok((from, if self.take("..") { self.value()? } else { from }))
    }

    fn value(&mut self) -> Result<i32, ConditionError> {
        let wanted = "a whole number was expected, 0 to 1000000";
        let word = self.next(wanted)?;
        let value = word.text.parse().ok().filter(|value| (0..=1_000_000).contains(value));
        value.ok_or_else(|| word.wrong(wanted))
    }
}
