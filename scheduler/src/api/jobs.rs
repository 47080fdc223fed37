//! `JobService`, but for the log, which is in [`super::tail`].

use multiflexi_proto::{
    duration, timestamp,
    v1::{
        self, CancelJobRequest, CancelJobResponse, CreateJobsRequest, CreateJobsResponse,
        DeleteJobRequest, DeleteJobResponse, ExplainJobRequest, ExplainJobResponse,
        GenerateScriptRequest, GenerateScriptResponse, GetJobEnvironmentRequest,
        GetJobEnvironmentResponse, GetJobRequest, GetJobResponse, ListJobsRequest,
        ListJobsResponse, RunJobRequest, RunJobResponse, TailLogRequest, TailLogResponse,
        VerifyJobRequest, VerifyJobResponse, job_service_server::JobService,
    },
};
use std::{ops::Range, time::Duration};
use tonic::{Request, Response, Status};

use super::{Answers, Services, environment, parse, status::invalid};
use crate::{
    domain::{
        exit_code,
        ids::{ApplicationId, AttemptKey, CompanyId, JobId, RunTemplateId},
        job::State,
    },
    store::{
        AttemptRow, CancelJob, Cancelled, CreateJobs, JobFilter, JobOrder, JobPage, JobRow,
        NewJobs, QueueJob, Start,
    },
};

/// Most jobs that one request creates.
const MAX_COUNT: i32 = 100_000;

/// Longest name of who asks, in characters.
const MAX_REQUESTED_BY: usize = 128;

/// Longest name of a request, in bytes.
const MAX_REQUEST_ID: usize = 64;

/// The protocol's name of a state.
pub(super) fn to_state(state: State) -> v1::JobState {
    match state {
        State::Loaded => v1::JobState::Loaded,
        State::Queued => v1::JobState::Queued,
        State::Offered => v1::JobState::Offered,
        State::Running => v1::JobState::Running,
        State::Unreachable => v1::JobState::Unreachable,
        State::Finishing => v1::JobState::Finishing,
        State::Succeeded => v1::JobState::Succeeded,
        State::Failed => v1::JobState::Failed,
        State::Cancelled => v1::JobState::Cancelled,
        State::TimedOut => v1::JobState::TimedOut,
        State::Lost => v1::JobState::Lost,
    }
}

pub(super) fn from_state(number: i32) -> Result<State, Status> {
    State::ALL
        .into_iter()
        .find(|state| to_state(*state) as i32 == number)
        .ok_or_else(|| invalid("states", format!("{number} is no state of a job")))
}

fn job(row: JobRow) -> v1::Job {
    v1::Job {
        id: row.id.0,
        run_template_id: row.run_template.0.0,
        run_template_name: row.run_template.1,
        application_id: row.application.0.0,
        application_name: row.application.1,
        company_id: row.company.0.0,
        company_name: row.company.1,
        state: to_state(row.state).into(),
        attempt: row.attempt,
        environment: environment::shown(row.environment, Some(&row.definition)),
        created: Some(timestamp(row.created)),
        queued: row.queued.map(timestamp),
        started: row.started.map(timestamp),
        ended: row.ended.map(timestamp),
        meaning: exit_code::meaning(row.state, row.exit_code, row.signal, &row.definition),
        severity: exit_code::severity(row.state, row.exit_code, row.signal, &row.definition)
            .map(|severity| severity.to_string())
            .unwrap_or_default(),
        exit_code: row.exit_code,
        signal: row.signal,
        agent: row.agent.unwrap_or_default(),
        trouble: row.trouble.unwrap_or_default(),
        priority: row.priority,
        not_before: row.due.map(timestamp),
    }
}

pub(super) fn attempt(row: AttemptRow) -> v1::Attempt {
    let stream = |stream: Option<(i64, String)>| {
        stream
            .map(|(size_bytes, hash)| v1::StreamSummary { size_bytes, sha256: super::hash(&hash) })
    };
    let [user, system] = row.cpu_us.map(|us| duration(Duration::from_micros(us.unsigned_abs())));
    let [stdout, stderr] = row.streams;
    v1::Attempt {
        number: row.number,
        fence: row.fence.0,
        state: to_state(row.state).into(),
        agent: row.agent,
        command: row.command,
        pid: row.pid.unwrap_or_default(),
        offered: Some(timestamp(row.offered)),
        started: row.started.map(timestamp),
        ended: row.ended.map(timestamp),
        meaning: exit_code::meaning(row.state, row.exit_code, row.signal, &row.definition),
        exit_code: row.exit_code,
        signal: row.signal,
        usage: row.state.is_terminal().then_some(v1::ResourceUsage {
            user_cpu: Some(user),
            system_cpu: Some(system),
            peak_memory_bytes: row.peak_memory_bytes,
        }),
        stdout: stream(stdout),
        stderr: stream(stderr),
        leftovers: row
            .leftovers
            .into_iter()
            .map(|leftover| v1::Leftover { pid: leftover.pid, name: leftover.name })
            .collect(),
        trouble: row.trouble.unwrap_or_default(),
        choice: row.choice.unwrap_or_default(),
        retry_due: row.retry_due.map(timestamp),
    }
}

/// Who asks, for the record.
pub(super) fn requested_by(value: String) -> Result<String, Status> {
    let characters = value.chars().count();
    if characters > MAX_REQUESTED_BY || value.chars().any(char::is_control) {
        let reason = format!(
            "requested_by has {characters} characters: it may have up to {MAX_REQUESTED_BY}, \
             and no control characters"
        );
        return Err(invalid("requested_by", reason));
    }
    Ok(value)
}

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

fn new_jobs(request: CreateJobsRequest) -> Result<NewJobs, Status> {
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
        environment: parse::given(request.environment, request.secrets)?,
        count: request.count.max(1).unsigned_abs(),
        queue: request.queue,
        start,
        priority: request.priority.map(parse::priority).transpose()?,
        request_id: Some(request.request_id).filter(|id| !id.is_empty()),
        by: requested_by(request.requested_by)?,
    })
}

fn job_id(id: i64) -> Result<JobId, Status> {
    parse::id("job_id", "job", id).map(JobId)
}

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

impl Services {
    /// Reads which jobs are to be listed.
    async fn filter(&self, request: &ListJobsRequest) -> Result<JobFilter, Status> {
        let any = v1::JobState::Unspecified as i32;
        let states = request.states.iter().filter(|state| **state != any);
        let (created_from, created_before) = (&request.created_from, &request.created_before);
        let (ended_from, ended_before) = (&request.ended_from, &request.ended_before);
        let created = range("created", created_from.as_ref(), created_before.as_ref())?;
        let ended = range("ended", ended_from.as_ref(), ended_before.as_ref())?;
        let (name, ascending) = match request.order_by.trim().split_once(' ') {
            Some((name, "desc")) => (name, false),
            None if request.order_by.is_empty() => ("", false),
            _ => (request.order_by.trim(), true),
        };
        let order = match name {
            "" if ended.is_some() => JobOrder::Ended,
            "" if created.is_some() => JobOrder::Created,
            "" | "id" => JobOrder::Id,
            "created" => JobOrder::Created,
            "ended" => JobOrder::Ended,
            other => {
                let other: String = other.chars().take(40).collect();
                let reason = format!(
                    "{other:?} is nothing that jobs are sorted by: use id, created or ended, or \
                     one of these with \" desc\""
                );
                return Err(invalid("order_by", reason));
            }
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
        let new = new_jobs(request.into_inner())?;
        let (queue, delayed) = (new.queue, new.start != Start::AtOnce);
        let created = self.store.begin_change(CreateJobs(new)).await?;
        if queue && !delayed {
            // A claim that is woken now shares the transaction.
            self.dispatch.job_queued();
        }
        let job_ids = created.await?.into_iter().map(|id| id.0).collect();
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
        Ok(Response::new(GetJobResponse { job: Some(job), attempts }))
    }

    async fn list_jobs(
        &self,
        request: Request<ListJobsRequest>,
    ) -> Result<Response<ListJobsResponse>, Status> {
        let request = request.into_inner();
        let page = JobPage::parse(request.page_size, &request.page_token)?;
        let filter = self.filter(&request).await?;
        let rows = self.store.jobs(&filter, page).await?;
        if rows.is_empty() {
            // An id that is not there is a mistake, not an empty list.
            if let Some(template) = filter.run_template {
                self.store.run_template(template).await?;
            }
            if let Some(company) = filter.company {
                self.store.company(company).await?;
            }
            if let Some(application) = filter.application {
                self.store.application(application).await?;
            }
        }
        let next_page_token = page.next(filter.order, &rows);
        let jobs = rows.into_iter().map(job).collect();
        Ok(Response::new(ListJobsResponse { jobs, next_page_token }))
    }

    async fn run_job(
        &self,
        request: Request<RunJobRequest>,
    ) -> Result<Response<RunJobResponse>, Status> {
        let request = request.into_inner();
        let (job, by) = (job_id(request.job_id)?, requested_by(request.requested_by)?);
        let queued = self.store.begin_change(QueueJob { job, by }).await?;
        self.dispatch.job_queued();
        let queued = queued.await?;
        Ok(Response::new(RunJobResponse { attempt: queued.attempt }))
    }

    async fn cancel_job(
        &self,
        request: Request<CancelJobRequest>,
    ) -> Result<Response<CancelJobResponse>, Status> {
        let request = request.into_inner();
        let (id, by) = (job_id(request.job_id)?, requested_by(request.requested_by)?);
        match self.store.change(CancelJob { job: id, by }).await? {
            Cancelled::Ended(offer) => {
                if let Some(key) = offer {
                    self.dispatch.withdraw(key, "the job was cancelled").await;
                }
                self.events.notify(id);
                // It may have left a place under a limit.
                self.dispatch.job_queued();
            }
            Cancelled::OnAgent(agent, key) => self.dispatch.cancel(agent, key).await,
        }
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
        let request = request.into_inner();
        let job = job_id(request.job_id)?;
        self.tail(job, request).await.map(Response::new)
    }
}
