//! `QueueService`.

use multiflexi_proto::{
    timestamp,
    v1::{
        GetQueueStatusRequest, GetQueueStatusResponse, ProcessQueueRequest, ProcessQueueResponse,
        StateCount, queue_service_server::QueueService,
    },
};
use tonic::{Request, Response, Status};

use super::{Services, jobs};
use crate::store::ProcessQueue;

#[tonic::async_trait]
impl QueueService for Services {
    async fn get_queue_status(
        &self,
        _: Request<GetQueueStatusRequest>,
    ) -> Result<Response<GetQueueStatusResponse>, Status> {
        let counts = self.store.queue_counts().await?;
        let slots = self.dispatch.agents().slots();
        let small = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
        Ok(Response::new(GetQueueStatusResponse {
            counts: counts
                .states
                .into_iter()
                .map(|(state, count)| StateCount { state: jobs::to_state(state).into(), count })
                .collect(),
            oldest_queued: counts.oldest_queued.map(timestamp),
            agents_connected: small(slots.agents),
            slots_total: small(slots.total),
            slots_busy: small(slots.busy),
        }))
    }

    async fn process_queue(
        &self,
        _: Request<ProcessQueueRequest>,
    ) -> Result<Response<ProcessQueueResponse>, Status> {
        let queued = self.store.change(ProcessQueue).await?;
        self.dispatch.job_queued();
        Ok(Response::new(ProcessQueueResponse {
            queued: i64::try_from(queued).unwrap_or(i64::MAX),
        }))
    }
}
