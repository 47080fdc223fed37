//! `QueueService`.

use std::time::Duration;

use multiflexi_proto::{
    timestamp,
    v1::{
        AgentLoad, ClearQueueRequest, ClearQueueResponse, CompanyLoad, GetQueueStatusRequest,
        GetQueueStatusResponse, PauseQueueRequest, PauseQueueResponse, ProcessQueueRequest,
        ProcessQueueResponse, ResumeQueueRequest, ResumeQueueResponse, StateCount,
        queue_service_server::QueueService,
    },
};
use tokio::sync::mpsc;
use tokio_stream::{StreamExt as _, wrappers::ReceiverStream};
use tonic::{Request, Response, Status};

use super::{Answers, Services, jobs, parse, status::invalid};
use crate::{
    domain::job::State,
    removal::{Ended, Told},
    store::{AgentLoad as AgentSlots, PauseQueue, ProcessQueue, Processed},
};

/// How often somebody who waits for the queue is told how far it is, if nothing tells sooner.
const LOOK: Duration = Duration::from_millis(300);

/// What has failed.
const FAILED: [State; 3] = [State::Failed, State::TimedOut, State::Lost];

fn count(jobs: usize) -> i64 {
    i64::try_from(jobs).unwrap_or(i64::MAX)
}

#[tonic::async_trait]
impl QueueService for Services {
    async fn get_queue_status(
        &self,
        _: Request<GetQueueStatusRequest>,
    ) -> Result<Response<GetQueueStatusResponse>, Status> {
        let counts = self.store.queue_counts().await?;
        let connected = self.store.connected_agents().await?;
        let small = |count: i64| i32::try_from(count).unwrap_or(i32::MAX);
        let sum = |part: fn(&AgentSlots) -> i64| small(connected.iter().map(part).sum());
        let companies = counts.companies.into_iter().map(|company| CompanyLoad {
            company_id: company.id.0,
            company_name: company.name,
            waiting: company.waiting,
            on_agents: company.on_agents,
        });
        let agents = connected.iter().map(|agent| AgentLoad {
            agent: agent.name.clone(),
            slots_total: small(agent.slots),
            slots_busy: small(agent.busy),
        });
        Ok(Response::new(GetQueueStatusResponse {
            counts: counts
                .states
                .into_iter()
                .map(|(state, count)| StateCount { state: jobs::to_state(state).into(), count })
                .collect(),
            delayed: counts.delayed,
            oldest_queued: counts.oldest_queued.map(timestamp),
            agents_connected: i32::try_from(connected.len()).unwrap_or(i32::MAX),
            slots_total: sum(|agent| agent.slots),
            slots_busy: sum(|agent| agent.busy),
            paused_by: counts.paused_by,
            companies: companies.collect(),
            agents: agents.collect(),
        }))
    }

    type ProcessQueueStream = Answers<ProcessQueueResponse>;

    async fn process_queue(
        &self,
        _: Request<ProcessQueueRequest>,
    ) -> Result<Response<Self::ProcessQueueStream>, Status> {
        let Processed { queued, waited } = self.store.change(ProcessQueue).await?;
        self.dispatch.job_queued();
        let (answers, outgoing) = mpsc::channel(1);
        let (store, events) = (self.store.clone(), self.events.clone());
        let mut answer = ProcessQueueResponse {
            queued: count(queued.len()),
            waited: count(waited.len()),
            ..ProcessQueueResponse::default()
        };
        let mut open = [waited, queued].concat();
        tokio::spawn(async move {
            loop {
                let looked = store.progress_of(&open).await.map(|progress| {
                    answer.failed += progress.failed;
                    answer.left = count(progress.left.len());
                    open = progress.left;
                    answer
                });
                // The last job tells at once that it has ended, and with it most often all.
                let bell = open.last().filter(|_| looked.is_ok());
                let bell = bell.map(|last| events.subscribe(*last));
                if answers.send(looked.map_err(Status::from)).await.is_err() {
                    return;
                }
                let Some(mut bell) = bell else { return };
                let _ = tokio::time::timeout(LOOK, bell.changed()).await;
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(outgoing))))
    }

    async fn pause_queue(
        &self,
        request: Request<PauseQueueRequest>,
    ) -> Result<Response<PauseQueueResponse>, Status> {
        let by = parse::requested_by(request.into_inner().requested_by)?;
        let changed = self.store.change(PauseQueue { pause: true, by }).await?;
        Ok(Response::new(PauseQueueResponse { changed }))
    }

    async fn resume_queue(
        &self,
        request: Request<ResumeQueueRequest>,
    ) -> Result<Response<ResumeQueueResponse>, Status> {
        let by = parse::requested_by(request.into_inner().requested_by)?;
        let changed = self.store.change(PauseQueue { pause: false, by }).await?;
        self.dispatch.job_queued();
        Ok(Response::new(ResumeQueueResponse { changed }))
    }

    type ClearQueueStream = Answers<ClearQueueResponse>;

    async fn clear_queue(
        &self,
        request: Request<ClearQueueRequest>,
    ) -> Result<Response<Self::ClearQueueStream>, Status> {
        let request = request.into_inner();
        let mut states = Vec::with_capacity(request.states.len());
        for number in &request.states {
            let state = jobs::from_state(*number)?;
            if !state.is_terminal() {
                let reason = format!("jobs that are {state} have not ended: cancel them first");
                return Err(invalid("states", reason));
            }
            states.push(state);
        }
        let which = Ended {
            states: if states.is_empty() { FAILED.into() } else { states },
            age: parse::duration("older_than", request.older_than.as_ref())?.unwrap_or_default(),
            dry_run: request.dry_run,
        };
        let removed = self.removal.ended(which);
        let answer = |told: Told| Ok(ClearQueueResponse { removed: told?.jobs });
        Ok(Response::new(Box::pin(ReceiverStream::new(removed).map(answer))))
    }
}
