//! The system under test: a scheduler and an agent as processes of their own, on a
//! new folder, and one connection of a client.

use std::{path::Path, time::Duration};

use anyhow::{Context as _, ensure};
use multiflexi_fixture::{Agent, AgentOptions, Scheduler, SchedulerOptions, programs};
use multiflexi_proto::{
    MAX_MESSAGE,
    v1::{
        Artifact, CreateApplicationRequest, CreateCompanyRequest, CreateJobsRequest,
        CreateRunTemplateRequest, GetQueueStatusRequest, Job, JobState, ListArtifactsRequest,
        ListJobsRequest, application_service_client::ApplicationServiceClient,
        artifact_service_client::ArtifactServiceClient,
        company_service_client::CompanyServiceClient, job_service_client::JobServiceClient,
        queue_service_client::QueueServiceClient,
        run_template_service_client::RunTemplateServiceClient,
    },
};
use tempfile::TempDir;
use tonic::transport::{Channel, Endpoint};

use crate::options::Options;

/// How much may be on its way to the client, in bytes: of a stream, and of the
/// connection. As the command line has it.
const WINDOW: [u32; 2] = [4 * 1024 * 1024, 8 * 1024 * 1024];

/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(5);

/// The states of a job that has not ended.
const OPEN: [JobState; 6] = [
    JobState::Loaded,
    JobState::Queued,
    JobState::Offered,
    JobState::Running,
    JobState::Unreachable,
    JobState::Finishing,
];

/// A scheduler, an agent, a client, a company. Ends the agent first, then the
/// scheduler, then removes the folder.
#[derive(Debug)]
pub struct System {
    agent: Agent,
    scheduler: Scheduler,
    channel: Channel,
    company: i64,
    folder: TempDir,
}

impl System {
    /// Starts everything, fresh.
    pub async fn start(options: &Options) -> anyhow::Result<Self> {
        Self::start_with(options, SchedulerOptions::default()).await
    }

    /// Starts everything, fresh, with a scheduler of these options.
    pub async fn start_with(
        options: &Options,
        scheduler: SchedulerOptions,
    ) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("mf-bench-").tempdir_in(&options.dir)?;
        let scheduler = Scheduler::start(&folder.path().join("data"), scheduler);
        let agent = AgentOptions { slots: options.slots, ..AgentOptions::default() };
        let agent = Agent::start(&folder.path().join("agent"), &scheduler.url(), agent);
        let channel = Endpoint::from_shared(scheduler.url())?
            .connect_timeout(CONNECT)
            .tcp_nodelay(true)
            .initial_stream_window_size(WINDOW[0])
            .initial_connection_window_size(WINDOW[1])
            .connect()
            .await?;
        let company = CreateCompanyRequest { name: "Acme".to_owned(), ..Default::default() };
        let company = CompanyServiceClient::new(channel.clone()).create_company(company).await?;
        let company = company.into_inner().company.context("the answer has no company")?.id;
        Ok(Self { agent, scheduler, channel, company, folder })
    }

    /// The client of jobs. Its clones share the one connection.
    pub fn jobs(&self) -> JobServiceClient<Channel> {
        JobServiceClient::new(self.channel.clone()).max_decoding_message_size(MAX_MESSAGE)
    }

    /// The connection of the client.
    pub fn channel(&self) -> Channel {
        self.channel.clone()
    }

    /// The folder that everything is in.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The scheduler.
    pub fn scheduler(&self) -> &Scheduler {
        &self.scheduler
    }

    /// The process ids, in the order of [`crate::usage::NAMES`].
    pub fn pids(&self) -> [i32; 3] {
        let supervisor = self.agent.supervisor().unwrap_or_default();
        [self.scheduler.pid(), self.agent.pid(), supervisor]
    }

    /// A run template of a program.
    pub async fn template(&self, executable: &Path, cmdparams: &str) -> anyhow::Result<i64> {
        let executable = executable.to_str().context("a program's path is not text")?.to_owned();
        let name = format!("{executable} {cmdparams}").trim_end().to_owned();
        let application = CreateApplicationRequest {
            name,
            executable,
            cmdparams: cmdparams.to_owned(),
            ..Default::default()
        };
        let made = ApplicationServiceClient::new(self.channel.clone())
            .create_application(application)
            .await?
            .into_inner();
        let template = CreateRunTemplateRequest {
            name: "template".to_owned(),
            application_id: made.application.context("the answer has no application")?.id,
            company_id: self.company,
            ..CreateRunTemplateRequest::default()
        };
        let made = RunTemplateServiceClient::new(self.channel.clone())
            .create_run_template(template)
            .await?
            .into_inner();
        Ok(made.run_template.context("the answer has no run template")?.id)
    }

    /// A run template of this very program under one of its hidden commands.
    pub async fn generator(&self, command: &str, mib: u64) -> anyhow::Result<i64> {
        // Not `current_exe`: a build may have replaced the file that runs now.
        let own = programs::scheduler().with_file_name(env!("CARGO_BIN_NAME"));
        self.template(&own, &format!("{command} --mib {mib}")).await
    }

    /// Submits jobs in one call; their ids.
    pub async fn submit(&self, template: i64, count: u32) -> anyhow::Result<Vec<i64>> {
        let request = CreateJobsRequest {
            run_template_id: template,
            count: i32::try_from(count)?,
            queue: true,
            ..CreateJobsRequest::default()
        };
        let jobs = self.jobs().create_jobs(request).await?.into_inner().job_ids;
        ensure!(jobs.len() == count as usize, "{count} jobs were asked for, made: {}", jobs.len());
        Ok(jobs)
    }

    /// Submits one job.
    pub async fn submit_one(&self, template: i64) -> anyhow::Result<i64> {
        self.submit(template, 1).await?.pop().context("the answer has no job")
    }

    /// Some of the jobs that have not ended.
    pub async fn open_jobs(&self) -> anyhow::Result<Vec<Job>> {
        let states = OPEN.map(Into::into).to_vec();
        let request = ListJobsRequest { states, ..ListJobsRequest::default() };
        Ok(self.jobs().list_jobs(request).await?.into_inner().jobs)
    }

    /// Fails unless there are `count` jobs in all and each has succeeded.
    pub async fn ensure_succeeded(&self, count: u32) -> anyhow::Result<()> {
        let mut queue = QueueServiceClient::new(self.channel.clone());
        let counts = queue.get_queue_status(GetQueueStatusRequest {}).await?.into_inner().counts;
        let found: Vec<_> =
            counts.iter().map(|entry| (entry.state().name(), entry.count)).collect();
        ensure!(
            found == [(JobState::Succeeded.name(), i64::from(count))],
            "{count} jobs should have succeeded and no other should be there, but: {found:?}"
        );
        Ok(())
    }

    /// An artifact of a job.
    pub async fn artifact(&self, job: i64, filename: &str) -> anyhow::Result<Artifact> {
        let request = ListArtifactsRequest { job_id: job, ..ListArtifactsRequest::default() };
        let mut artifacts = ArtifactServiceClient::new(self.channel.clone());
        let found = artifacts.list_artifacts(request).await?.into_inner().artifacts;
        let names: Vec<_> = found.iter().map(|artifact| artifact.filename.clone()).collect();
        found
            .into_iter()
            .find(|artifact| artifact.filename == filename && !artifact.failed)
            .with_context(|| format!("job {job} has no artifact {filename}, only {names:?}"))
    }
}
