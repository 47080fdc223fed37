//! The connection to the scheduler.

use std::time::Duration;

use multiflexi_proto::{
    MAX_MESSAGE,
    v1::{
        action_service_client::ActionServiceClient,
        agent_admin_service_client::AgentAdminServiceClient,
        application_service_client::ApplicationServiceClient,
        artifact_service_client::ArtifactServiceClient,
        company_service_client::CompanyServiceClient,
        credential_service_client::CredentialServiceClient,
        credential_type_service_client::CredentialTypeServiceClient,
        job_service_client::JobServiceClient, queue_service_client::QueueServiceClient,
        retention_service_client::RetentionServiceClient,
        run_template_service_client::RunTemplateServiceClient,
        schedule_service_client::ScheduleServiceClient, secret_service_client::SecretServiceClient,
        zabbix_service_client::ZabbixServiceClient,
    },
};
use tonic::transport::{Channel, Endpoint};

use crate::{
    failure::Failure,
    greeting::{Connector, Greeting},
};

/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(5);

/// How often a connection on which an answer is waited for is tried, and how long a sign of
/// life may take: a scheduler may hang, or its host be gone.
const ALIVE: [Duration; 2] = [Duration::from_secs(10), Duration::from_secs(15)];

/// How long an answer may take to begin. What takes longest removes many jobs.
const ANSWER: Duration = Duration::from_secs(600);

/// How much may be on its way to us, in bytes: of a stream, and of the connection.
const WINDOW: [u32; 2] = [4 * 1024 * 1024, 8 * 1024 * 1024];

/// A connection to the scheduler.
#[derive(Clone, Debug)]
pub struct Server {
    urls: String,
    channel: Channel,
}

macro_rules! client {
    ($(#[$doc:meta])* $name:ident: $client:ident) => {
        $(#[$doc])*
        pub fn $name(&self) -> $client<Channel> {
            $client::new(self.channel.clone())
                .max_decoding_message_size(MAX_MESSAGE)
                .max_encoding_message_size(MAX_MESSAGE)
        }
    };
}

impl Server {
    /// Checks that these can be schedulers: URLs, with commas between if several share one
    /// database.
    pub fn endpoints(urls: &str) -> Result<Vec<Endpoint>, Failure> {
        urls.split(',').map(endpoint).collect()
    }

    /// Connects to the first scheduler of `urls` that is there.
    pub async fn connect(urls: &str) -> Result<Self, Failure> {
        let mut failure = None;
        for (url, endpoint) in urls.split(',').zip(Self::endpoints(urls)?) {
            let endpoint = endpoint
                .http2_keep_alive_interval(ALIVE[0])
                .keep_alive_timeout(ALIVE[1])
                .timeout(ANSWER)
                .initial_stream_window_size(WINDOW[0])
                .initial_connection_window_size(WINDOW[1]);
            let (connector, greeting) = Connector::new(CONNECT);
            let channel = match endpoint.connect_with_connector(connector).await {
                Ok(channel) => channel,
                Err(error) => {
                    failure = Some(Failure::unreachable(url, &root_cause(&error)));
                    continue;
                }
            };
            match tokio::time::timeout(CONNECT, greeting).await {
                Ok(Ok(Greeting::Other)) => {
                    failure = Some(Failure::no_scheduler(url, "is no multiflexi-scheduler"));
                }
                Ok(Ok(Greeting::Nothing) | Err(_)) => {
                    let what = "has closed the connection without a word: it is no \
                                multiflexi-scheduler, or one that is about to end";
                    failure = Some(Failure::no_scheduler(url, what));
                }
                // One that is busy may take longer.
                Ok(Ok(Greeting::Settings)) | Err(_) => {
                    return Ok(Self { urls: urls.to_owned(), channel });
                }
            }
        }
        Err(failure.unwrap_or_else(|| invalid(urls)))
    }

    /// Connects again.
    pub async fn reconnect(&self) -> Result<Self, Failure> {
        Self::connect(&self.urls).await
    }

    client!(
        /// Jobs.
        jobs: JobServiceClient
    );
    client!(
        /// The queue.
        queue: QueueServiceClient
    );
    client!(
        /// Retention.
        retention: RetentionServiceClient
    );
    client!(
        /// Artifacts.
        artifacts: ArtifactServiceClient
    );
    client!(
        /// Companies.
        companies: CompanyServiceClient
    );
    client!(
        /// Applications.
        applications: ApplicationServiceClient
    );
    client!(
        /// Run templates.
        run_templates: RunTemplateServiceClient
    );
    client!(
        /// Schedules.
        schedules: ScheduleServiceClient
    );
    client!(
        /// Actions.
        actions: ActionServiceClient
    );
    client!(
        /// Secrets.
        secrets: SecretServiceClient
    );
    client!(
        /// Types of credentials.
        credential_types: CredentialTypeServiceClient
    );
    client!(
        /// Credentials.
        credentials: CredentialServiceClient
    );
    client!(
        /// Agents.
        agents: AgentAdminServiceClient
    );
    client!(
        /// Zabbix.
        zabbix: ZabbixServiceClient
    );
}

fn invalid(url: &str) -> Failure {
    Failure::usage(format!("{url:?} is no URL of a scheduler")).hint(
        "it looks like http://HOST:7780; `multiflexi-cli context:show` tells where it is from",
    )
}

fn endpoint(url: &str) -> Result<Endpoint, Failure> {
    let endpoint = Endpoint::from_shared(url.to_owned()).map_err(|_| invalid(url))?;
    if endpoint.uri().scheme_str() == Some("https") {
        let message = format!("{url:?} asks for TLS, which is not supported yet");
        return Err(Failure::usage(message).hint("take http:// and a network that you trust"));
    }
    let has_host = endpoint.uri().host().is_some_and(|host| !host.is_empty());
    if !has_host || endpoint.uri().scheme_str() != Some("http") {
        return Err(invalid(url));
    }
    Ok(endpoint)
}

/// What is at the bottom of an error: `Connection refused`, not `transport error`.
pub fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}
