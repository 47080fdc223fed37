//! `JobService.DeleteJobs`: many jobs at once.

use multiflexi_proto::v1::{DeleteJobsRequest, DeleteJobsResponse};
use tokio_stream::{StreamExt as _, wrappers::ReceiverStream};
use tonic::Status;

use super::job_id;
use crate::{
    api::{Answers, Services, status::invalid},
    domain::job::State,
    removal::Told,
};

/// Most ids in one request.
const MAX_IDS: usize = 1000;

impl Services {
    pub(super) async fn delete(
        &self,
        request: DeleteJobsRequest,
    ) -> Result<Answers<DeleteJobsResponse>, Status> {
        let DeleteJobsRequest { job_ids, listed, dry_run } = request;
        let removed = match (job_ids.len(), &listed) {
            (1..=MAX_IDS, None) => {
                let mut ids: Vec<_> = job_ids.into_iter().map(job_id).collect::<Result<_, _>>()?;
                ids.sort_unstable();
                ids.dedup();
                self.removal.listed(ids, dry_run).await?
            }
            (0, Some(listed)) => {
                let filter = self.filter(listed).await?;
                let on_agent = filter.states.iter().find(|state| State::ON_AGENT.contains(state));
                if let Some(state) = on_agent {
                    let reason =
                        format!("jobs that are {state} are on an agent: cancel them first");
                    return Err(invalid("listed.states", reason));
                }
                self.known(&filter).await?;
                self.removal.matching(filter, dry_run)
            }
            (0, None) => return Err(invalid("job_ids", "name jobs, or say which are listed")),
            (_, Some(_)) => {
                return Err(invalid("job_ids", "name jobs or say which are listed, not both"));
            }
            (ids, None) => {
                let reason = format!("there are {ids} ids: one request may have up to {MAX_IDS}");
                return Err(invalid("job_ids", reason));
            }
        };
        let answer = |told: Told| Ok(DeleteJobsResponse { removed: told?.jobs });
        Ok(Box::pin(ReceiverStream::new(removed).map(answer)))
    }
}
