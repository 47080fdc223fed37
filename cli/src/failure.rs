//! Why a command did not succeed, as its user reads it: one sentence, and what to
//! do about it.

use std::{
    error::Error as _,
    io::{self, Write as _},
    process::ExitCode,
};

use anstyle::{AnsiColor, Style};
use multiflexi_program::say;
use tonic::{Code, Status};

use crate::{
    connect::root_cause,
    exit_code::Exit,
    output::{Format, visible},
};

/// A command's failure.
#[derive(Debug)]
pub struct Failure {
    exit: Exit,
    message: String,
    hint: Option<String>,
    /// Nothing is said: whoever read our output has stopped reading.
    silent: bool,
}

impl Failure {
    /// A failure without advice.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), hint: None, silent: false }
    }

    /// Arguments that cannot be understood.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// Whether a request failed for what it says, and not for how things are.
    pub fn is_about_values(status: &Status) -> bool {
        matches!(status.code(), Code::InvalidArgument | Code::AlreadyExists)
    }

    /// Says what to do about it.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// No scheduler answers.
    pub fn unreachable(server: &str, reason: &str) -> Self {
        Self::new(Exit::Unreachable, format!("no scheduler answers at {server}: {reason}")).hint(
            "start one with `multiflexi-cli dev --data-dir DIR`, or name another with --server, \
             --context or MULTIFLEXI_SERVER",
        )
    }

    /// Something else listens where a scheduler should.
    pub fn no_scheduler(server: &str, what: &str) -> Self {
        Self::new(Exit::Unreachable, format!("what listens at {server} {what}"))
            .hint("name a scheduler with --server, --context or MULTIFLEXI_SERVER")
    }

    /// Our own output cannot be written.
    pub fn stdout(error: &io::Error) -> Self {
        let silent = error.kind() == io::ErrorKind::BrokenPipe;
        let message = format!("the output cannot be written: {error}");
        Self { silent, ..Self::new(Exit::CannotWrite, message) }
    }

    /// Tells the user; returns the exit code.
    pub fn report(&self, format: Format) -> ExitCode {
        if self.silent {
            return ExitCode::SUCCESS;
        }
        match format {
            Format::Text => {
                let bold = |colour: AnsiColor| Style::new().fg_color(Some(colour.into())).bold();
                let (red, cyan) = (bold(AnsiColor::Red), bold(AnsiColor::Cyan));
                let mut stderr = anstream::stderr().lock();
                // Nowhere is left to say that this failed.
                let _ = writeln!(stderr, "{red}error:{red:#} {}", visible(&self.message));
                if let Some(hint) = &self.hint {
                    let _ = writeln!(stderr, "{cyan}hint:{cyan:#} {}", visible(hint));
                }
            }
            Format::Json => {
                let error = serde_json::json!({ "error": {
                    "code": self.exit.name(),
                    "exit_code": self.exit as u8,
                    "message": self.message,
                    "hint": self.hint,
                }});
                say!("{error}");
            }
        }
        self.exit.into()
    }
}

/// Whether an error says that the connection, and not the request, is at fault.
pub fn is_broken_connection(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::Unavailable
            | Code::Unknown
            | Code::Cancelled
            | Code::Aborted
            | Code::DeadlineExceeded
    ) || (status.code() == Code::Internal && status.source().is_some())
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        let exit = match status.code() {
            Code::NotFound => Exit::NotFound,
            Code::InvalidArgument | Code::OutOfRange => Exit::Invalid,
            Code::AlreadyExists | Code::FailedPrecondition | Code::Aborted => Exit::Conflict,
            Code::ResourceExhausted => Exit::Full,
            Code::DataLoss => Exit::Damaged,
            Code::Unavailable | Code::DeadlineExceeded => Exit::Unreachable,
            // Nobody has answered that: the connection says it.
            _ if status.source().is_some() => Exit::Unreachable,
            _ => Exit::Internal,
        };
        let hint = match exit {
            Exit::Full => Some("nothing was changed: try again when there is room"),
            Exit::NotFound => Some("the :list commands show what there is"),
            Exit::Unreachable if status.source().is_some() => {
                Some("whether it was done is not known: look at the scheduler, then at what it has")
            }
            _ => None,
        };
        let message = match (status.source(), status.message()) {
            (Some(cause), _) if exit == Exit::Unreachable => {
                format!("the scheduler does not answer: {}", root_cause(cause))
            }
            (_, "") => format!("the scheduler answers {:?}", status.code()),
            (_, message) => message.to_owned(),
        };
        Self { exit, message, hint: hint.map(str::to_owned), silent: false }
    }
}
