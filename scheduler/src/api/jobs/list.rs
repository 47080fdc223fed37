//! Reads which jobs are to be listed.

use std::ops::Range;

use multiflexi_proto::v1::{self, ListJobsRequest};
use tonic::Status;

use super::answer::from_state;
use crate::{
    api::{Services, parse},
    domain::ids::{ApplicationId, CompanyId, RunTemplateId},
    store::{JobFilter, JobOrder},
};

/// A range of times; none if neither end is given.
fn range(
    field: &str,
    from: Option<&prost_types::Timestamp>,
    before: Option<&prost_types::Timestamp>,
) -> Result<Option<Range<i64>>, Status> {
    if from.is_none() && before.is_none() {
        return Ok(None);
    }
    let end = |name: &str, time: Option<&prost_types::Timestamp>, none: i64| match time {
        Some(time) => parse::time(&format!("{field}_{name}"), time),
        None => Ok(none),
    };
    Ok(Some(end("from", from, i64::MIN)?..end("before", before, i64::MAX)?))
}

/// Takes an order away that is the one of a list whose caller names none: both are the same
/// list, and a page of one goes on in the other.
pub(super) fn without_usual_order(request: &mut ListJobsRequest) {
    let created = request.created_from.is_some() || request.created_before.is_some();
    let usual = match request.ended_from.is_some() || request.ended_before.is_some() {
        true => "ended desc",
        false if created => "created desc",
        false => "id desc",
    };
    if request.order_by.trim() == usual {
        request.order_by.clear();
    }
}

impl Services {
    /// Reads which jobs are to be listed.
    pub(super) async fn filter(&self, request: &ListJobsRequest) -> Result<JobFilter, Status> {
        let any = v1::JobState::Unspecified as i32;
        let states = request.states.iter().filter(|state| **state != any);
        let (created_from, created_before) = (&request.created_from, &request.created_before);
        let (ended_from, ended_before) = (&request.ended_from, &request.ended_before);
        let created = range("created", created_from.as_ref(), created_before.as_ref())?;
        let ended = range("ended", ended_from.as_ref(), ended_before.as_ref())?;
        let (name, ascending) = parse::direction(&request.order_by);
        // The newest first, if nothing is said.
        let ascending = ascending && !name.is_empty();
        let order = match name {
            "" if ended.is_some() => JobOrder::Ended,
            "" if created.is_some() => JobOrder::Created,
            "" | "id" => JobOrder::Id,
            "created" => JobOrder::Created,
            "ended" => JobOrder::Ended,
            other => return Err(parse::no_order(other, ["id", "created", "ended"])),
        };
        let template = request.run_template_id;
        let application = request.application_id;
        let agent = match request.agent.as_str() {
            "" => None,
            name => Some(self.store.agent_id(name).await?.ok_or_else(|| {
                Status::not_found(format!("there is no agent {name:?}: agent:list shows all"))
            })?),
        };
        Ok(JobFilter {
            states: states.map(|state| from_state(*state)).collect::<Result<_, _>>()?,
            run_template: parse::optional_id("run_template_id", "run template", template)?
                .map(RunTemplateId),
            company: parse::optional_id("company_id", "company", request.company_id)?
                .map(CompanyId),
            application: parse::optional_id("application_id", "application", application)?
                .map(ApplicationId),
            agent,
            exit_code: request.exit_code,
            created,
            ended,
            order,
            ascending,
        })
    }
    /// An id that is not there is a mistake, not an empty list.
    pub(super) async fn known(&self, filter: &JobFilter) -> Result<(), Status> {
        if let Some(template) = filter.run_template {
            self.store.run_template(template).await?;
        }
        if let Some(company) = filter.company {
            self.store.company(company).await?;
        }
        if let Some(application) = filter.application {
            self.store.application(application).await?;
        }
        Ok(())
    }
}
