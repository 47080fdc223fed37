//! What exit codes and signals mean: what the application declares, or else by
//! convention: 0 success, 1 warning, 126 and 127 from the shell, 255 critical failure
//! (the PHP MultiFlexi's own list).

use super::{
    application::{Definition, Severity},
    job::State,
};

/// How bad an outcome is; none while there is none.
pub fn severity(
    state: State,
    exit_code: Option<i32>,
    signal: Option<i32>,
    application: &Definition,
) -> Option<Severity> {
    match state {
        State::Cancelled => return Some(Severity::Info),
        State::TimedOut | State::Lost => return Some(Severity::Error),
        _ if !state.is_terminal() => return None,
        _ => {}
    }
    if is_not_whole(state, exit_code, signal) {
        return Some(Severity::Error);
    }
    let code = exit_code.filter(|_| signal.is_none());
    let declared = code.and_then(|code| application.exit_codes.get(&code));
    Some(match (declared, code) {
        (Some(declared), _) => declared.severity,
        (None, Some(0)) => Severity::Success,
        (None, Some(1)) => Severity::Warning,
        (None, Some(255)) => Severity::Critical,
        (None, _) => Severity::Error,
    })
}

/// What an outcome means, in a few words; empty while there is none.
pub fn meaning(
    state: State,
    exit_code: Option<i32>,
    signal: Option<i32>,
    application: &Definition,
) -> String {
    match state {
        State::Cancelled => return ended_by("cancelled", exit_code, signal),
        State::TimedOut => return ended_by("timed out", exit_code, signal),
        State::Lost => return "lost".to_owned(),
        _ if !state.is_terminal() => return String::new(),
        _ => {}
    }
    match (exit_code, signal) {
        _ if is_not_whole(state, exit_code, signal) => "its output is not whole".to_owned(),
        (_, Some(signal)) => format!("killed by {}", signal_name(signal)),
        (Some(code), None) => {
            let declared = application.exit_codes.get(&code);
            let declared = declared.map(|declared| declared.description.get("en"));
            let declared = declared.filter(|text| !text.is_empty());
            declared.unwrap_or_else(|| exit_code_meaning(code)).to_owned()
        }
        (None, None) => String::new(),
    }
}

/// Whether it is for want of its output that an attempt has failed: its process has not.
fn is_not_whole(state: State, exit_code: Option<i32>, signal: Option<i32>) -> bool {
    state == State::Failed && exit_code == Some(0) && signal.is_none()
}

fn ended_by(what: &str, exit_code: Option<i32>, signal: Option<i32>) -> String {
    match (exit_code, signal) {
        (_, Some(signal)) => format!("{what}, ended by {}", signal_name(signal)),
        (Some(code), None) => format!("{what}, exited with {code}"),
        (None, None) => what.to_owned(),
    }
}

fn exit_code_meaning(code: i32) -> &'static str {
    match code {
        0 => "success",
        1 => "warning",
        2 => "usage error",
        126 => "command not executable",
        127 => "command not found",
        128..=192 => "ended by a signal, says the shell",
        255 => "critical failure",
        _ => "failure",
    }
}

/// `SIGKILL (9)`; a number without a name stands alone.
fn signal_name(signal: i32) -> String {
    let name = match signal {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL",
        6 => "SIGABRT",
        7 => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL",
        10 => "SIGUSR1",
        11 => "SIGSEGV",
        12 => "SIGUSR2",
        13 => "SIGPIPE",
        14 => "SIGALRM",
        15 => "SIGTERM",
        24 => "SIGXCPU",
        25 => "SIGXFSZ",
        31 => "SIGSYS",
        _ => return format!("signal {signal}"),
    };
    format!("{name} ({signal})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_is_explained() {
        let application = Definition::new("a", "a", "").unwrap();
        let meaning = |state, code, signal| meaning(state, code, signal, &application);
        let severity = |state, code, signal| severity(state, code, signal, &application);
        assert_eq!(severity(State::Succeeded, Some(0), None), Some(Severity::Success));
        assert_eq!(severity(State::Failed, Some(1), None), Some(Severity::Warning));
        assert_eq!(severity(State::Failed, None, Some(9)), Some(Severity::Error));
        assert_eq!(severity(State::Lost, None, None), Some(Severity::Error));
        assert_eq!(severity(State::Running, None, None), None);
        assert_eq!(meaning(State::Succeeded, Some(0), None), "success");
        assert_eq!(meaning(State::Failed, Some(127), None), "command not found");
        assert_eq!(meaning(State::Failed, Some(126), None), "command not executable");
        assert_eq!(meaning(State::Failed, Some(255), None), "critical failure");
        assert_eq!(meaning(State::Failed, None, Some(9)), "killed by SIGKILL (9)");
        assert_eq!(meaning(State::Failed, None, Some(40)), "killed by signal 40");
        assert_eq!(meaning(State::Cancelled, None, Some(15)), "cancelled, ended by SIGTERM (15)");
        assert_eq!(meaning(State::TimedOut, Some(3), None), "timed out, exited with 3");
        assert_eq!(meaning(State::Running, None, None), "");
        assert_eq!(meaning(State::Failed, Some(0), None), "its output is not whole");
        assert_eq!(severity(State::Failed, Some(0), None), Some(Severity::Error));
    }
}
