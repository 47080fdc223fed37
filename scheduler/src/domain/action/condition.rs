//! A condition on how a job has ended: `exit in 2..5 || state == timed_out`. It is read once,
//! at the door, and what is wrong with it is said with its place.

use std::{fmt, iter::Peekable, str::FromStr};

use crate::domain::job::State;

/// Longest condition, in bytes.
const MAX_LENGTH: usize = 1000;

/// Most that stands within each other.
const MAX_DEPTH: usize = 32;

/// How a job has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// Its state.
    pub state: State,
    /// The exit code; none if its process did not exit by itself.
    pub exit: Option<i32>,
    /// Number of the attempt that was its last.
    pub attempt: i32,
}

/// A condition on the end of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    text: String,
    test: Test,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Test {
    Any(Vec<Test>),
    All(Vec<Test>),
    Not(Box<Test>),
    State(Vec<State>),
    Number(Number, Ranges),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Number {
    Exit,
    Attempt,
}

/// Numbers from one to another, both included.
type Ranges = Vec<(i32, i32)>;

/// A text that is no condition.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the condition cannot be read at character {at}, {}: {wanted}",
    if .found.is_empty() { "its end".to_owned() } else { format!("{:?}", .found) }
)]
pub struct ConditionError {
    /// Which character, from 1 on.
    at: usize,
    /// What stands there.
    found: String,
    /// What should.
    wanted: String,
}

impl Condition {
    /// Whether it holds for an end. What asks for the exit code does not hold if there is
    /// none.
    pub fn holds(&self, end: End) -> bool {
        self.test.holds(end)
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl AsRef<str> for Condition {
    fn as_ref(&self) -> &str {
        &self.text
    }
}

impl Test {
    fn holds(&self, end: End) -> bool {
        match self {
            Self::Any(tests) => tests.iter().any(|test| test.holds(end)),
            Self::All(tests) => tests.iter().all(|test| test.holds(end)),
            Self::Not(test) => !test.holds(end),
            Self::State(states) => states.contains(&end.state),
            Self::Number(number, ranges) => {
                let value = match number {
                    Number::Exit => end.exit,
                    Number::Attempt => Some(end.attempt),
                };
                let within = |value| ranges.iter().any(|(from, to)| (*from..=*to).contains(&value));
                value.is_some_and(within)
            }
        }
    }
}

impl FromStr for Condition {
    type Err = ConditionError;

    fn from_str(text: &str) -> Result<Self, ConditionError> {
        let text = text.trim();
        if text.len() > MAX_LENGTH {
            let wanted = format!("it is longer than {MAX_LENGTH} bytes");
            return Err(ConditionError { at: MAX_LENGTH + 1, found: String::new(), wanted });
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
        ConditionError { at: self.at, found, wanted: wanted.into() }
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
        let word = self.next("exit, state, attempt, ! or ( was expected")?;
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
            _ => Err(word.wrong("exit, state, attempt, ! or ( was expected")),
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn holds(text: &str, state: State, exit: Option<i32>) -> bool {
        text.parse::<Condition>().unwrap().holds(End { state, exit, attempt: 2 })
    }

    #[test]
    fn conditions_speak_of_exit_code_state_and_attempt() {
        use State::{Failed, Lost, Succeeded, TimedOut};
        let text = "exit in 2..5 || state == timed_out";
        assert!(holds(text, Failed, Some(2)) && holds(text, Failed, Some(5)));
        assert!(!holds(text, Failed, Some(6)) && holds(text, TimedOut, None));
        assert!(holds("exit!=0&&!(exit in 3,10..12)", Failed, Some(4)));
        assert!(!holds("exit!=0&&!(exit in 3,10..12)", Failed, Some(11)));
        assert!(
            holds("state in failed , lost", Lost, None) && holds("!!exit < 1", Succeeded, Some(0))
        );
        assert!(holds("attempt >= 2 && attempt <= 2", Failed, None));
        // && binds closer.
        assert!(holds("exit == 0 || exit == 1 && state == failed", Succeeded, Some(0)));
        // There is no exit code.
        assert!(!holds("exit != 0", Lost, None) && holds("!(exit == 0)", Lost, None));
    }

    #[test]
    fn what_is_no_condition_is_said_with_its_place() {
        let said = |text: &str| text.parse::<Condition>().unwrap_err().to_string();
        for (text, at, what) in [
            ("", 1, "its end"),
            ("exit", 5, "its end"),
            ("exit = 2", 6, "\"=\""),
            ("exit in 2..", 12, "a whole number"),
            ("exit == 1 || stat == failed", 14, "\"stat\""),
            ("state == running", 10, "timed_out"),
            ("(exit == 1", 11, "a ) was"),
            ("exit == 1 exit == 2", 11, "&&, ||"),
            ("exit == 99999999999", 9, "whole number"),
            ("exit == -1", 9, "\"-\""),
            ("exit == 1 | exit == 2", 11, "\"|\""),
            ("exit == \u{17e}", 9, "\u{17e}"),
        ] {
            let said = said(text);
            assert!(said.contains(&format!("character {at},")) && said.contains(what), "{said}");
        }
        assert!(said(&"(".repeat(500)).contains("within each other"));
        assert!(said(&"!".repeat(500)).contains("within each other"));
        assert!(said(&" ".repeat(5).replace(' ', &"exit == 1 || ".repeat(30))).contains("longer"));
    }

    /// A condition that was built: how it is written.
    #[derive(Clone, Debug)]
    enum Built {
        Exit(&'static str, i32),
        In(i32, i32),
        State(State),
        Not(Box<Built>),
        Both(Box<Built>, Box<Built>),
        Either(Box<Built>, Box<Built>),
    }

    impl Built {
        fn text(&self) -> String {
            match self {
                Self::Exit(how, value) => format!("exit {how} {value}"),
                Self::In(from, to) => format!("exit in {from}..{to}"),
                Self::State(state) => format!("state == {state}"),
                Self::Not(inner) => format!("!({})", inner.text()),
                Self::Both(a, b) => format!("({}) && ({})", a.text(), b.text()),
                Self::Either(a, b) => format!("({}) || ({})", a.text(), b.text()),
            }
        }

        fn holds(&self, end: End) -> bool {
            match self {
                Self::Exit(how, value) => end.exit.is_some_and(|exit| match *how {
                    "==" => exit == *value,
                    "!=" => exit != *value,
                    "<" => exit < *value,
                    "<=" => exit <= *value,
                    ">" => exit > *value,
                    _ => exit >= *value,
                }),
                Self::In(from, to) => end.exit.is_some_and(|exit| exit >= *from && exit <= *to),
                Self::State(state) => end.state == *state,
                Self::Not(inner) => !inner.holds(end),
                Self::Both(a, b) => a.holds(end) && b.holds(end),
                Self::Either(a, b) => a.holds(end) || b.holds(end),
            }
        }
    }

    fn built() -> impl Strategy<Value = Built> {
        let how = prop::sample::select(vec!["==", "!=", "<", "<=", ">", ">="]);
        let leaf = prop_oneof![
            (how, 0..6).prop_map(|(how, value)| Built::Exit(how, value)),
            (0..6, 0..6).prop_map(|(from, to)| Built::In(from, to)),
            prop::sample::select(State::ENDED.to_vec()).prop_map(Built::State),
        ];
        leaf.prop_recursive(4, 16, 2, |inner| {
            let two = (inner.clone(), inner.clone());
            prop_oneof![
                inner.prop_map(|inner| Built::Not(Box::new(inner))),
                two.clone().prop_map(|(a, b)| Built::Both(Box::new(a), Box::new(b))),
                two.prop_map(|(a, b)| Built::Either(Box::new(a), Box::new(b))),
            ]
        })
    }

    proptest! {
        /// What is written means what it says, for every end.
        #[test]
        fn a_condition_holds_when_its_parts_say_so(
            built in built(),
            state in prop::sample::select(State::ENDED.to_vec()),
            exit in prop::option::of(0..6),
        ) {
            let text = built.text();
            prop_assume!(text.len() <= MAX_LENGTH);
            let end = End { state, exit, attempt: 1 };
            let read: Condition = text.parse().unwrap();
            prop_assert_eq!(read.holds(end), built.holds(end), "{}", text);
        }

        /// Whatever is given, it is read or refused, and never with a panic.
        #[test]
        fn any_text_is_read_or_refused(text in "[exitsanmpld=!<>&|().,0-9 \u{e1}-]{0,60}") {
            if let Ok(condition) = text.parse::<Condition>() {
                prop_assert_eq!(condition.to_string().parse::<Condition>(), Ok(condition));
            }
        }
    }
}
