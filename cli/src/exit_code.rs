//! Exit codes. `job:run` exits with the job's own; what is not the job's doing has
//! codes of its own, those of sysexits.h where one fits.

use std::process::ExitCode;

use clap::error::ErrorKind;
use multiflexi_proto::v1::{Attempt, JobState};

use crate::{arguments::advice, failure::Failure, output::Format};

/// What 0 means.
pub const SUCCESS: &str = "success; for job:run, the job's own exit code, or 128+N after signal N";

/// What all others mean that are not a job's own.
pub const MEANINGS: [(Exit, &str); 16] = [
    (Exit::JobsFailed, "queue:process: some of the jobs have failed"),
    (Exit::Usage, "usage: the arguments cannot be understood"),
    (Exit::Invalid, "the scheduler cannot take a value"),
    (Exit::NotFound, "there is no such thing"),
    (Exit::Unreachable, "no scheduler answers"),
    (Exit::Internal, "something failed that should not"),
    (Exit::CannotWrite, "a file cannot be written"),
    (Exit::Damaged, "what is stored is damaged; for job:run, output of the job is lost"),
    (Exit::Full, "not now, the scheduler has no room: try again later"),
    (Exit::Lost, "the job is lost: its agent did not come back"),
    (Exit::Conflict, "it cannot be done in the present state, or the name is taken"),
    (Exit::Configuration, "the job's configuration cannot be run"),
    (Exit::Waited, "--wait-at-most is over; the jobs go on"),
    (
        Exit::Detached,
        "job:run, queue:process or job:create was interrupted; what was asked for goes on",
    ),
    (Exit::Cancelled, "the job was cancelled"),
    (Exit::TimedOut, "the job ran longer than allowed"),
];

/// Shown below `--help`.
pub fn help() -> String {
    let others = MEANINGS.iter().map(|(exit, meaning)| (*exit as u8, *meaning));
    let all = [(0, SUCCESS)].into_iter().chain(others);
    let lines: String = all.map(|(code, meaning)| format!("  {code:<3}  {meaning}\n")).collect();
    format!(
        "Exit codes:\n{lines}With -f json, errors are JSON objects on stderr that name their code."
    )
}

/// Why a command did not succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Some of the jobs that were waited for have failed.
    JobsFailed = 63,
    /// The arguments cannot be understood.
    Usage = 64,
    /// The scheduler cannot take a value.
    Invalid = 65,
    /// There is no such thing.
    NotFound = 66,
    /// No scheduler answers.
    Unreachable = 69,
    /// Something failed that should not.
    Internal = 70,
    /// A file cannot be written.
    CannotWrite = 73,
    /// What is stored is not what it should be.
    Damaged = 74,
    /// The scheduler has no room.
    Full = 75,
    /// The job is lost.
    Lost = 76,
    /// The state of things does not allow it.
    Conflict = 77,
    /// The job's configuration cannot be run.
    Configuration = 78,
    /// The jobs took longer than was to be waited.
    Waited = 107,
    /// Who waited was interrupted; what was asked for goes on.
    Detached = 108,
    /// The job was cancelled.
    Cancelled = 109,
    /// The job ran longer than allowed.
    TimedOut = 110,
}

impl Exit {
    /// The name that JSON has for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::JobsFailed => "jobs_failed",
            Self::Damaged => "damaged",
            Self::Usage => "usage",
            Self::Invalid => "invalid",
            Self::NotFound => "not_found",
            Self::Unreachable => "unreachable",
            Self::Waited => "waited",
            Self::Internal => "internal",
            Self::CannotWrite => "cannot_write",
            Self::Full => "full",
            Self::Lost => "lost",
            Self::Conflict => "conflict",
            Self::Configuration => "configuration",
            Self::Detached => "detached",
            Self::Cancelled => "cancelled",
            Self::TimedOut => "timed_out",
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// The exit code of a job that has ended.
pub fn of_job(attempt: &Attempt) -> u8 {
    match attempt.state() {
        JobState::Succeeded => 0,
        JobState::Cancelled => Exit::Cancelled as u8,
        JobState::TimedOut => Exit::TimedOut as u8,
        JobState::Lost => Exit::Lost as u8,
        _ => match (attempt.exit_code, attempt.signal) {
            (_, Some(signal)) => u8::try_from(128 + signal).unwrap_or(u8::MAX),
            // Its process has not failed: its output is not whole.
            (Some(0), None) => Exit::Damaged as u8,
            (Some(code), None) => u8::try_from(code).unwrap_or(u8::MAX),
            (None, None) => Exit::Configuration as u8,
        },
    }
}

/// The exit code after the arguments could not be parsed, or were a wish for help.
pub fn of_parsing(error: &clap::Error, format: Format) -> ExitCode {
    let is_wish = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    if format == Format::Json && !is_wish {
        let failure = Failure::usage(sentence(&error.to_string()));
        return match advice::of(error) {
            Some(advice) => failure.hint(advice),
            None => failure,
        }
        .report(format);
    }
    // A closed stdout is nobody's mistake.
    let _ = error.print();
    if is_wish { ExitCode::SUCCESS } else { Exit::Usage.into() }
}

/// What is wrong with the arguments, without how they are used: the first paragraph.
fn sentence(text: &str) -> String {
    let lines = text.lines().map(str::trim).take_while(|line| !line.is_empty());
    let sentence = lines.collect::<Vec<_>>().join(" ");
    sentence.strip_prefix("error: ").unwrap_or(&sentence).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(state: JobState, exit_code: Option<i32>, signal: Option<i32>) -> u8 {
        of_job(&Attempt { state: state.into(), exit_code, signal, ..Attempt::default() })
    }

    #[test]
    fn a_job_has_its_own_exit_code() {
        assert_eq!(ended(JobState::Succeeded, Some(0), None), 0);
        for code in [1, 126, 127, 255] {
            assert_eq!(i32::from(ended(JobState::Failed, Some(code), None)), code);
        }
        assert_eq!(ended(JobState::Failed, None, Some(9)), 137);
        assert_eq!(ended(JobState::Failed, None, None), 78);
    }

    #[test]
    fn what_is_not_the_jobs_doing_has_codes_of_its_own() {
        assert_eq!(ended(JobState::Cancelled, Some(0), None), 109);
        assert_eq!(ended(JobState::TimedOut, None, Some(15)), 110);
        assert_eq!(ended(JobState::Lost, None, None), 76);
    }
}
