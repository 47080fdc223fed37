//! The commands about jobs, a file for each that has more than a few lines.

mod cancel;
mod create;
mod delete;
mod env;
mod filter;
mod follow;
mod list;
mod logs;
mod patience;
mod run;
mod script;
mod show;
mod sinks;
mod verify;
mod watch;
mod why;

pub use cancel::Cancel;
pub use create::Create;
pub use delete::Delete;
pub use env::env;
pub use filter::Filter;
pub use follow::{Follow, Followed};
pub use list::List;
pub use logs::Logs;
pub use run::Run;
pub use script::{EnvFile, Script};
pub use show::{job_value as value, show};
pub use sinks::Raw;
pub use verify::verify;
pub use watch::Watch;
pub use why::why;

/// Who asks, for the record: `user@host`.
pub fn requested_by() -> String {
    let user = std::env::var("USER").or_else(|_| std::env::var("LOGNAME"));
    let user = user.unwrap_or_else(|_| format!("uid {}", rustix::process::geteuid().as_raw()));
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let by: String = format!("{user}@{host}").chars().filter(|c| !c.is_control()).collect();
    by.chars().take(128).collect()
}
