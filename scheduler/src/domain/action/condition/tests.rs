//! What conditions say, and what is refused.

use super::{read::MAX_LENGTH, *};
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
    assert!(holds("state in failed , lost", Lost, None) && holds("!!exit < 1", Succeeded, Some(0)));
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
        ("", 1, "success, fail, always or a condition"),
        ("Succes", 1, "success, fail, always or a condition"),
        ("success || exit == 3", 1, "success, fail and always stand alone"),
        ("exit == 3 || fail", 14, "success, fail and always stand alone"),
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

#[test]
fn what_can_never_hold_is_refused_when_it_is_new_and_read_when_it_is_stored() {
    for text in [
        "exit in 5..2",
        "exit in 5..2, 7",
        "exit == 300",
        "exit > 255 || state == lost",
        "exit < 0",
        "attempt < 1",
        "attempt == 0",
        "exit == 1 && exit == 2",
        "state == lost && state == failed",
        "exit != 0 && !(exit != 0)",
        "attempt > 3 && attempt <= 3",
    ] {
        assert_eq!(Condition::accept(text), Err(ConditionError::Never), "{text}");
        assert!(text.parse::<Condition>().is_ok(), "{text}");
    }
    for text in [
        "exit == 255",
        "exit != 0",
        "exit < 300",
        "!(exit in 0..255)",
        "exit == 1 || exit == 2",
        "attempt > 3 && attempt < 5",
        "exit in 2..5 && exit >= 5",
    ] {
        assert!(Condition::accept(text).is_ok(), "{text}");
    }
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
