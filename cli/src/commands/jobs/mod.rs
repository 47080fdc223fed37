//! The commands about jobs, a file for each that has more than a few lines.

mod cancel;
mod create;
mod env;
mod follow;
mod list;
mod logs;
mod run;
mod script;
mod show;
mod sinks;
mod verify;
mod why;

use multiflexi_proto::v1::DeleteJobRequest;
use serde_json::json;

use crate::{connect::Server, failure::Failure, output::Output};

pub use cancel::Cancel;
pub use create::Create;
pub use env::env;
pub use follow::{Follow, Followed};
pub use list::{List, StateName};
pub use logs::Logs;
pub use run::Run;
pub use script::{EnvFile, Script};
pub use show::show;
pub use sinks::Raw;
pub use verify::verify;
pub use why::why;

/// Who asks, for the record: `user@host`.
pub fn requested_by() -> String {
    let user = std::env::var("USER").or_else(|_| std::env::var("LOGNAME"));
    let user = user.unwrap_or_else(|_| format!("uid {}", rustix::process::geteuid().as_raw()));
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let by: String = format!("{user}@{host}").chars().filter(|c| !c.is_control()).collect();
    by.chars().take(128).collect()
}

/// Deletes a job.
pub async fn delete(server: &Server, output: Output, job_id: i64) -> Result<(), Failure> {
    server.jobs().delete_job(DeleteJobRequest { job_id }).await?;
    output.done(&json!({ "id": job_id, "deleted": true }), &format!("deleted job {job_id}"))
}
