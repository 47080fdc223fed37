//! `JobService`: each larger answer is in a file of its own.

mod answer;
mod create;
mod delete;
mod explain;
mod list;
mod script;
mod tail;
mod watch;

use multiflexi_proto::v1::{
    CancelJobRequest, CancelJobResponse, CreateJobsRequest, CreateJobsResponse, DeleteJobRequest,
    DeleteJobResponse, DeleteJobsRequest, DeleteJobsResponse, ExplainJobRequest,
    ExplainJobResponse, GenerateScriptRequest, GenerateScriptResponse, GetJobEnvironmentRequest,
    GetJobEnvironmentResponse, GetJobRequest, GetJobResponse, ListJobsRequest, ListJobsResponse,
    RunJobRequest, RunJobResponse, TailLogRequest, TailLogResponse, VerifyJobRequest,
    VerifyJobResponse, WatchRequest, WatchResponse, job_service_server::JobService,
};
use tonic::{Request, Response, Status};

use super::{Answers, Services, parse};
use crate::{
    domain::ids::{AttemptKey, JobId},
    store::{AttemptRow, CancelJob, CreateJobs, JobPage, Listed, QueueJob, Start},
    telemetry::Submission,
};

use answer::{attempt, job};
pub(super) use answer::{from_state, to_state};
use create::new_jobs;

fn job_id(id: i64) -> Result<JobId, Status> {
    parse::id("job_id", "job", id).map(JobId)
}

impl Services {
    /// What keeps a job's output from being stored just now, if anything does.
    fn present_trouble(&self, job: JobId, attempt: &AttemptRow) -> Option<String> {
        let key = AttemptKey { job, number: attempt.number, fence: attempt.fence };
        self.logs.get(key).and_then(|log| log.trouble())
    }
}

#[tonic::async_trait]
impl JobService for Services {
    async fn create_jobs(
        &self,
        request: Request<CreateJobsRequest>,
    ) -> Result<Response<CreateJobsResponse>, Status> {
        let metadata = request.metadata().clone();
        let mut new = new_jobs(request.into_inner())?;
        let watched = Submission::begin(&metadata, &mut new.environment);
        let (queue, delayed) = (new.queue, new.start != Start::AtOnce);
        let created = self.store.begin_change(CreateJobs(new)).await?;
        let created = match queue && !delayed {
            true => self.dispatch.job_being_queued(created).await?,
            false => created.await?,
        };
        watched.done(&created);
        let job_ids = created.into_iter().map(|id| id.0).collect();
        if delayed {
            self.dispatch.job_delayed();
        }
        Ok(Response::new(CreateJobsResponse { job_ids }))
    }

    async fn get_job(
        &self,
        request: Request<GetJobRequest>,
    ) -> Result<Response<GetJobResponse>, Status> {
        let id = job_id(request.into_inner().job_id)?;
        let mut job = job(self.store.job(id).await?);
        let attempts = self.store.attempts(id).await?;
        if let Some(trouble) = attempts.last().and_then(|last| self.present_trouble(id, last)) {
            job.trouble = trouble;
        }
        let attempts = attempts.into_iter().map(attempt).collect();
        let actions = self.store.actions_of_job(id).await?;
        let actions = actions.into_iter().map(|row| self.performed(row)).collect();
        Ok(Response::new(GetJobResponse { job: Some(job), attempts, actions }))
    }

    async fn list_jobs(
        &self,
        request: Request<ListJobsRequest>,
    ) -> Result<Response<ListJobsResponse>, Status> {
        let mut request = request.into_inner();
        list::without_usual_order(&mut request);
        let (list, size, token) = parse::pages("job", &mut request)?;
        let page = JobPage::parse(size, &token)?;
        let filter = self.filter(&request).await?;
        let Listed { rows, next } = self.store.jobs(&filter, page).await?;
        if rows.is_empty() {
            self.known(&filter).await?;
        }
        let next_page_token = list.seal(&next);
        let jobs = rows.into_iter().map(job).collect();
        Ok(Response::new(ListJobsResponse { jobs, next_page_token }))
    }

    async fn run_job(
        &self,
        request: Request<RunJobRequest>,
    ) -> Result<Response<RunJobResponse>, Status> {
        let request = request.into_inner();
        let (job, by) = (job_id(request.job_id)?, parse::requested_by(request.requested_by)?);
        let queued = self.store.begin_change(QueueJob { job, by }).await?;
        let queued = self.dispatch.job_being_queued(queued).await?;
        Ok(Response::new(RunJobResponse { attempt: queued.attempt }))
    }

    async fn cancel_job(
        &self,
        request: Request<CancelJobRequest>,
    ) -> Result<Response<CancelJobResponse>, Status> {
        let request = request.into_inner();
        let (id, by) = (job_id(request.job_id)?, parse::requested_by(request.requested_by)?);
        let cancelled = self.store.change(CancelJob { job: id, by }).await?;
        self.dispatch.cancelled(id, cancelled).await;
        Ok(Response::new(CancelJobResponse { job: Some(job(self.store.job(id).await?)) }))
    }

    async fn delete_job(
        &self,
        request: Request<DeleteJobRequest>,
    ) -> Result<Response<DeleteJobResponse>, Status> {
        let id = job_id(request.into_inner().job_id)?;
        self.removal.job(id).await?;
        Ok(Response::new(DeleteJobResponse {}))
    }

    type DeleteJobsStream = Answers<DeleteJobsResponse>;

    async fn delete_jobs(
        &self,
        request: Request<DeleteJobsRequest>,
    ) -> Result<Response<Self::DeleteJobsStream>, Status> {
        self.delete(request.into_inner()).await.map(Response::new)
    }

    async fn explain_job(
        &self,
        request: Request<ExplainJobRequest>,
    ) -> Result<Response<ExplainJobResponse>, Status> {
        let job = job_id(request.into_inner().job_id)?;
        self.explain(job).await.map(Response::new)
    }

    async fn verify_job(
        &self,
        request: Request<VerifyJobRequest>,
    ) -> Result<Response<VerifyJobResponse>, Status> {
        let job = job_id(request.into_inner().job_id)?;
        let found = self.artifacts.verify(job).await?;
        Ok(Response::new(VerifyJobResponse {
            attempts: found.attempts,
            artifacts: found.artifacts,
            bytes: found.bytes,
            faults: found.faults,
        }))
    }

    async fn generate_script(
        &self,
        request: Request<GenerateScriptRequest>,
    ) -> Result<Response<GenerateScriptResponse>, Status> {
        let request = request.into_inner();
        let job = job_id(request.job_id)?;
        self.script(job, request).await.map(Response::new)
    }

    async fn get_job_environment(
        &self,
        request: Request<GetJobEnvironmentRequest>,
    ) -> Result<Response<GetJobEnvironmentResponse>, Status> {
        let job = job_id(request.into_inner().job_id)?;
        self.environment(job).await.map(Response::new)
    }

    type TailLogStream = Answers<TailLogResponse>;

    async fn tail_log(
        &self,
        request: Request<TailLogRequest>,
    ) -> Result<Response<Self::TailLogStream>, Status> {
        let for_peer = request.metadata().contains_key(tail::FOR_PEER);
        let request = request.into_inner();
        let job = job_id(request.job_id)?;
        self.tail(job, request, for_peer).await.map(Response::new)
    }

    type WatchStream = Answers<WatchResponse>;

    async fn watch(
        &self,
        request: Request<WatchRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        self.watch_jobs(request.into_inner()).await.map(Response::new)
    }
}
