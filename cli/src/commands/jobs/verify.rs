//! `job:verify`.

use multiflexi_program::counted;
use multiflexi_proto::v1::VerifyJobRequest;
use serde_json::json;

use crate::{
    connect::Server,
    exit_code::Exit,
    failure::Failure,
    output::{Output, json},
};

/// Checks what is stored of a job. Faults are a failure of their own.
pub async fn verify(server: &Server, output: Output, job_id: i64) -> Result<(), Failure> {
    let found = server.jobs().verify_job(VerifyJobRequest { job_id }).await?.into_inner();
    let value = json!({
        "id": job_id,
        "attempts": found.attempts,
        "artifacts": found.artifacts,
        "bytes": found.bytes,
        "faults": found.faults,
    });
    let read = format!(
        "{}, {}, {}",
        counted(found.attempts, "attempt"),
        counted(found.artifacts, "artifact"),
        json::size(found.bytes)
    );
    if found.faults.is_empty() {
        return output.done(&value, &format!("job {job_id} is whole: {read}"));
    }
    output.done(&value, &found.faults.join("\n"))?;
    let faults = counted(found.faults.len(), "fault");
    let message = format!("job {job_id} has {faults} in {read}");
    Err(Failure::new(Exit::Damaged, message))
}
