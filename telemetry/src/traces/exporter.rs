//! Takes spans from the queue and sends them to the collector. A collector that is away is
//! tried again while the queue fills; what does not fit meanwhile is dropped by who has it.

use std::time::Duration;

use tokio::{
    sync::mpsc,
    task::JoinHandle,
    time::{Instant, timeout, timeout_at},
};
use tokio_util::sync::CancellationToken;
use tonic::{
    Code, Request, Status,
    metadata::{AsciiMetadataKey, AsciiMetadataValue, MetadataMap},
    transport::{Channel, Endpoint},
};

use super::{Settings, dropped, sent, span::attribute};
use crate::otlp::{
    collector::trace::v1::{ExportTraceServiceRequest, trace_service_client::TraceServiceClient},
    common::v1::InstrumentationScope,
    resource::v1::Resource,
    trace::v1::{ResourceSpans, ScopeSpans, Span},
};

/// Pauses between tries: doubled up to the second.
const PAUSE: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(30)];

/// How often a message is sent before its spans are dropped for newer ones.
const TRIES: u32 = 5;

/// How long the last spans may take when the process stops.
const STOP: Duration = Duration::from_secs(3);

/// A handle on what sends.
#[derive(Debug)]
pub struct Exporter {
    task: JoinHandle<()>,
    stop: CancellationToken,
}

impl Exporter {
    /// Sends what waits, and nothing more; not for long.
    pub async fn stop(self) {
        self.stop.cancel();
        // Who does not answer until then does not get them.
        let _ = timeout(STOP, self.task).await;
    }
}

/// Starts to send what comes into the queue.
pub(super) fn start(settings: Settings) -> (mpsc::Sender<Span>, Exporter) {
    let (queue, waiting) = mpsc::channel(settings.queue);
    let stop = CancellationToken::new();
    let worker = Worker::new(settings, waiting, stop.clone());
    (queue, Exporter { task: tokio::spawn(worker.run()), stop })
}

struct Worker {
    client: Option<TraceServiceClient<Channel>>,
    headers: MetadataMap,
    resource: Resource,
    settings: Settings,
    waiting: mpsc::Receiver<Span>,
    stop: CancellationToken,
    /// The collector's absence was said.
    said: bool,
}

impl Worker {
    fn new(settings: Settings, waiting: mpsc::Receiver<Span>, stop: CancellationToken) -> Self {
        let endpoint = Endpoint::from_shared(settings.endpoint.clone());
        let client = endpoint.map(|endpoint| {
            let endpoint = endpoint.connect_timeout(settings.timeout).timeout(settings.timeout);
            TraceServiceClient::new(endpoint.connect_lazy())
        });
        let mut headers = MetadataMap::new();
        for (name, value) in &settings.headers {
            let name = name.to_ascii_lowercase().parse::<AsciiMetadataKey>();
            match (name, value.parse::<AsciiMetadataValue>()) {
                (Ok(name), Ok(value)) => _ = headers.insert(name, value),
                // What it holds is nobody's business.
                _ => tracing::warn!("a header for the collector cannot be sent"),
            }
        }
        let mut attributes: Vec<_> =
            settings.resource.iter().map(|(name, value)| attribute(name, value.as_str())).collect();
        let instance = uuid::Uuid::new_v4().to_string();
        attributes.push(attribute("service.instance.id", instance.as_str()));
        attributes.push(attribute("service.version", env!("CARGO_PKG_VERSION")));
        let host = rustix::system::uname();
        attributes.push(attribute("host.name", &*host.nodename().to_string_lossy()));
        attributes.push(attribute("process.pid", i64::from(std::process::id())));
        let resource = Resource { attributes };
        let client = client.ok();
        Self { client, headers, resource, settings, waiting, stop, said: false }
    }

    async fn run(mut self) {
        let mut spans = Vec::with_capacity(self.settings.batch);
        loop {
            self.gather(&mut spans).await;
            if spans.is_empty() {
                return;
            }
            self.export(std::mem::take(&mut spans)).await;
        }
    }

    /// Waits for spans; there are none once the process stops.
    async fn gather(&mut self, spans: &mut Vec<Span>) {
        let Self { waiting, stop, settings, .. } = self;
        let batch = settings.batch;
        if stop.run_until_cancelled(waiting.recv_many(spans, batch)).await.is_some() {
            let deadline = Instant::now() + settings.delay;
            while spans.len() < batch {
                let more = waiting.recv_many(spans, batch - spans.len());
                let more = timeout_at(deadline, stop.run_until_cancelled(more)).await;
                if !matches!(more, Ok(Some(1..))) {
                    break;
                }
            }
        }
        while spans.len() < batch
            && let Ok(span) = waiting.try_recv()
        {
            spans.push(span);
        }
    }

    async fn export(&mut self, spans: Vec<Span>) {
        let count = spans.len();
        let scope = InstrumentationScope {
            name: "multiflexi".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let scope_spans = vec![ScopeSpans { scope: Some(scope), spans }];
        let resource = Some(self.resource.clone());
        let all = ResourceSpans { resource, scope_spans };
        let message = ExportTraceServiceRequest { resource_spans: vec![all] };
        let mut pause = PAUSE[0];
        for tries in 1.. {
            let failed = match self.send(message.clone()).await {
                Ok(rejected) => {
                    let rejected = usize::try_from(rejected).unwrap_or_default().min(count);
                    dropped(rejected);
                    sent(count - rejected);
                    self.said = false;
                    return;
                }
                Err(status) => status,
            };
            if !self.said {
                self.said = true;
                let reason = failed.message();
                tracing::warn!(reason, "the trace collector takes no spans; the jobs go on");
            }
            if !passes(failed.code()) || tries >= TRIES || self.stop.is_cancelled() {
                return dropped(count);
            }
            self.stop.run_until_cancelled(tokio::time::sleep(pause)).await;
            pause = (pause * 2).min(PAUSE[1]);
        }
    }

    /// How many spans were not taken.
    async fn send(&mut self, message: ExportTraceServiceRequest) -> Result<i64, Status> {
        let client = self.client.as_mut();
        let client = client.ok_or_else(|| Status::invalid_argument("its URL is none"))?;
        let request = Request::from_parts(self.headers.clone(), Default::default(), message);
        let answer = timeout(self.settings.timeout, client.export(request)).await;
        let answer = answer.map_err(|_| Status::deadline_exceeded("it does not answer"))??;
        let partial = answer.into_inner().partial_success;
        Ok(partial.map_or(0, |partial| partial.rejected_spans))
    }
}

/// Whether it may be taken later, as the specification has it.
fn passes(code: Code) -> bool {
    matches!(
        code,
        Code::Cancelled
            | Code::DeadlineExceeded
            | Code::ResourceExhausted
            | Code::Aborted
            | Code::OutOfRange
            | Code::Unavailable
            | Code::DataLoss
            // What a broken connection is to tonic.
            | Code::Unknown
    )
}
