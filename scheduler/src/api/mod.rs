//! The gRPC services. They read requests, call, and answer; no rule lives here.

mod actions;
mod agents;
mod applications;
mod artifacts;
mod companies;
mod credential_types;
mod credentials;
mod definitions;
mod environment;
mod jobs;
mod parse;
mod performance;
mod queue;
mod retention;
mod run_templates;
mod schedules;
mod secrets;
mod status;
mod zabbix;

use std::{pin::Pin, time::Duration};

use multiflexi_proto::{
    DESCRIPTORS, MAX_MESSAGE,
    v1::{
        action_service_server::ActionServiceServer,
        agent_admin_service_server::AgentAdminServiceServer,
        agent_service_server::AgentServiceServer,
        application_service_server::ApplicationServiceServer,
        artifact_service_server::ArtifactServiceServer,
        company_service_server::CompanyServiceServer,
        credential_service_server::CredentialServiceServer,
        credential_type_service_server::CredentialTypeServiceServer,
        job_service_server::JobServiceServer, queue_service_server::QueueServiceServer,
        retention_service_server::RetentionServiceServer,
        run_template_service_server::RunTemplateServiceServer,
        schedule_service_server::ScheduleServiceServer, secret_service_server::SecretServiceServer,
        zabbix_service_server::ZabbixServiceServer,
    },
};
use tokio_stream::Stream;
use tonic::{
    Status,
    transport::server::{Router, Server},
};

use tower_layer::{Identity, Stack};

use crate::{
    actions::Actions, artifacts::Artifacts, dispatch::Dispatch, domain::retention::Keep,
    events::Events, logs::Logs, removal::Removal, sealing::Sealing, store::Store,
    telemetry::Measured, zabbix::Zabbix,
};

/// Answers that come one after the other.
type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// How much a sender may have on its way to us, in bytes: of one stream, and of a
/// connection. Enough for the bandwidth of a fast network; bounds our memory.
const WINDOW: [u32; 2] = [2 * 1024 * 1024, 4 * 1024 * 1024];

/// How often a silent connection is asked whether it lives.
const KEEPALIVE: Duration = Duration::from_secs(10);

/// What every call goes through.
pub(crate) type Watched = Stack<Measured, Identity>;

/// Everything that the services call.
#[derive(Clone, Debug)]
pub(crate) struct Services {
    pub(crate) store: Store,
    pub(crate) logs: Logs,
    pub(crate) artifacts: Artifacts,
    pub(crate) events: Events,
    pub(crate) dispatch: Dispatch,
    pub(crate) removal: Removal,
    pub(crate) sealing: Sealing,
    pub(crate) actions: Actions,
    pub(crate) zabbix: Zabbix,
    /// What is kept of ended jobs where their run template does not say.
    pub(crate) keep: Keep,
    /// Where days and hours are, for schedules that do not say.
    pub(crate) zone: chrono_tz::Tz,
}

/// The 32 bytes of a hash in hexadecimal; none if the text is no hash.
fn hash(hexadecimal: &str) -> Vec<u8> {
    let digits = hexadecimal.as_bytes().chunks(2);
    digits
        .map(|pair| {
            std::str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok())
        })
        .collect::<Option<_>>()
        .unwrap_or_default()
}

/// Our services, with health and reflection.
pub(crate) async fn router(
    services: Services,
) -> Result<Router<Watched>, tonic_reflection::server::Error> {
    macro_rules! service {
        ($server:ident) => {
            $server::new(services.clone())
                .max_decoding_message_size(MAX_MESSAGE)
                .max_encoding_message_size(MAX_MESSAGE)
        };
    }
    let (health, health_service) = tonic_health::server::health_reporter();
    health.set_serving::<JobServiceServer<Services>>().await;
    health.set_serving::<AgentServiceServer<Services>>().await;
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()?;
    let [stream, connection] = WINDOW;
    Ok(Server::builder()
        .layer(Measured)
        .http2_keepalive_interval(Some(KEEPALIVE))
        .initial_stream_window_size(stream)
        .initial_connection_window_size(connection)
        .add_service(health_service)
        .add_service(reflection)
        .add_service(service!(JobServiceServer))
        .add_service(service!(QueueServiceServer))
        .add_service(service!(RetentionServiceServer))
        .add_service(service!(ArtifactServiceServer))
        .add_service(service!(CompanyServiceServer))
        .add_service(service!(CredentialServiceServer))
        .add_service(service!(CredentialTypeServiceServer))
        .add_service(service!(ApplicationServiceServer))
        .add_service(service!(RunTemplateServiceServer))
        .add_service(service!(ScheduleServiceServer))
        .add_service(service!(ActionServiceServer))
        .add_service(service!(SecretServiceServer))
        .add_service(service!(ZabbixServiceServer))
        .add_service(service!(AgentServiceServer))
        .add_service(service!(AgentAdminServiceServer)))
}
