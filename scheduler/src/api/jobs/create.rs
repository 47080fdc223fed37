//! Reads which jobs are to be created.

use multiflexi_proto::v1::CreateJobsRequest;
use tonic::Status;

use crate::{
    api::{parse, status::invalid},
    domain::ids::{CompanyId, RunTemplateId},
    store::{NewJobs, Start},
};

/// Most jobs that one request creates.
const MAX_COUNT: i32 = 100_000;

/// Longest name of a request, in bytes.
const MAX_REQUEST_ID: usize = 64;

/// When the new jobs may be claimed.
fn start(request: &CreateJobsRequest) -> Result<Start, Status> {
    let delay = parse::duration("delay", request.delay.as_ref())?;
    let start = match (&request.not_before, delay) {
        (None, None) => return Ok(Start::AtOnce),
        (Some(_), Some(_)) => {
            return Err(invalid("delay", "give either not_before or a delay, not both"));
        }
        (None, Some(delay)) => Start::After(delay),
        (Some(time), None) => Start::At(parse::time("not_before", time)?),
    };
    if !request.queue {
        return Err(invalid("queue", "jobs that are to be run at a time have to be queued"));
    }
    Ok(start)
}

/// The jobs that a request creates.
pub(super) fn new_jobs(request: CreateJobsRequest) -> Result<NewJobs, Status> {
    if !(0..=MAX_COUNT).contains(&request.count) {
        let reason =
            format!("count is {}: one request creates 1 to {MAX_COUNT} jobs", request.count);
        return Err(invalid("count", reason));
    }
    if request.request_id.len() > MAX_REQUEST_ID {
        let reason = format!(
            "request_id has {} bytes: it may have up to {MAX_REQUEST_ID}",
            request.request_id.len()
        );
        return Err(invalid("request_id", reason));
    }
    let template = parse::id("run_template_id", "run template", request.run_template_id)?;
    let start = start(&request)?;
    Ok(NewJobs {
        run_template: RunTemplateId(template),
        company: parse::optional_id("company_id", "company", request.company_id)?.map(CompanyId),
        environment: parse::given(request.environment, request.secrets, request.files)?,
        count: request.count.max(1).unsigned_abs(),
        queue: request.queue,
        start,
        priority: request.priority.map(parse::priority).transpose()?,
        request_id: Some(request.request_id).filter(|id| !id.is_empty()),
        by: parse::requested_by(request.requested_by)?,
        slot: None,
    })
}
