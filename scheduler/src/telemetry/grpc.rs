//! Counts and times requests, by method and code. Methods are those of our protocol; a path
//! that is none of them is counted as `other`, so that nobody outside makes names here.

use std::{
    collections::HashMap,
    pin::Pin,
    sync::{Arc, LazyLock, OnceLock},
    task::{Context, Poll, ready},
    time::Instant,
};

use hyper::body::Frame;
use multiflexi_proto::DESCRIPTORS;
use multiflexi_telemetry::metrics::{
    metrics::{counter::Counter, family::Family, histogram::Histogram},
    registry::{Registry, Unit},
};
use prost::Message as _;
use prost_types::FileDescriptorSet;
use tonic::{
    Code,
    body::Body,
    codegen::{
        Body as HttpBody, Service,
        http::{HeaderMap, Request, Response},
    },
};
use tower_layer::Layer;

use super::{metrics, metrics::latency, seconds};

const CODES: usize = 17;

const STATUS: &str = "grpc-status";

/// A method: its number of calls by code, and how long they took, once there are any.
#[derive(Debug)]
struct Method {
    name: String,
    /// Its answers are a stream, which lasts as long as somebody wants.
    streams: bool,
    calls: [OnceLock<Counter>; CODES],
    time: OnceLock<Histogram>,
}

impl Method {
    fn new(name: String, streams: bool) -> Self {
        Self { name, streams, calls: [const { OnceLock::new() }; CODES], time: OnceLock::new() }
    }

    fn over(&self, begun: Instant, code: Code) {
        let Calls { calls, time } = &metrics().calls;
        if let Some(counter) = self.calls.get(code as usize) {
            let labels = || [("method", self.name.clone()), ("code", name(code).to_owned())];
            counter.get_or_init(|| calls.get_or_create_owned(&labels())).inc();
        }
        if !self.streams {
            let labels = || [("method", self.name.clone())];
            let time = self.time.get_or_init(|| time.get_or_create_owned(&labels()));
            time.observe(seconds(begun.elapsed()));
        }
    }
}

/// Our methods by their paths, and one for all others.
struct Methods {
    known: HashMap<String, Arc<Method>>,
    other: Arc<Method>,
}

static METHODS: LazyLock<Methods> = LazyLock::new(|| {
    let mut known = HashMap::new();
    // They are our own: if they cannot be read, calls are counted as others.
    let descriptors = FileDescriptorSet::decode(DESCRIPTORS).unwrap_or_default();
    for file in &descriptors.file {
        for service in &file.service {
            for method in &service.method {
                let name = format!("{}/{}", service.name(), method.name());
                let path = format!("/{}.{name}", file.package());
                known.insert(path, Arc::new(Method::new(name, method.server_streaming())));
            }
        }
    }
    Methods { known, other: Arc::new(Method::new("other".to_owned(), true)) }
});

/// What is counted of calls.
#[derive(Debug)]
pub(super) struct Calls {
    calls: Family<[(&'static str, String); 2], Counter>,
    time: Family<[(&'static str, String); 1], Histogram>,
}

impl Default for Calls {
    fn default() -> Self {
        Self { calls: Family::default(), time: Family::new_with_constructor(latency) }
    }
}

impl Calls {
    pub(super) fn register(&self, all: &mut Registry) {
        let about = "gRPC calls that are over, by method and code";
        all.register("grpc_requests", about, self.calls.clone());
        let about = "How long gRPC calls took, but for those whose answers are a stream";
        all.register_with_unit("grpc_request_duration", about, Unit::Seconds, self.time.clone());
    }
}

/// Has every call measured.
#[derive(Clone, Copy, Debug, Default)]
pub struct Measured;

impl<S> Layer<S> for Measured {
    type Service = MeasuredService<S>;

    fn layer(&self, inner: S) -> MeasuredService<S> {
        MeasuredService(inner)
    }
}

/// A service whose calls are measured.
#[derive(Clone, Debug)]
pub struct MeasuredService<S>(S);

impl<S> Service<Request<Body>> for MeasuredService<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
    S::Future: Send + 'static,
{
    type Response = Response<MeasuredBody>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let Methods { known, other } = &*METHODS;
        let method = known.get(request.uri().path()).unwrap_or(other);
        let mut call = Call { method: Arc::clone(method), begun: Instant::now(), over: false };
        let answer = self.0.call(request);
        Box::pin(async move {
            let response = answer.await?;
            // An error without a body is in the headers.
            call.read(response.headers());
            Ok(response.map(|body| MeasuredBody { body, call }))
        })
    }
}

/// A call that goes on; one that is dropped before its end was cancelled.
#[derive(Debug)]
struct Call {
    method: Arc<Method>,
    begun: Instant,
    over: bool,
}

impl Call {
    fn read(&mut self, headers: &HeaderMap) {
        if let Some(status) = headers.get(STATUS) {
            self.over(Code::from_bytes(status.as_bytes()));
        }
    }

    fn over(&mut self, code: Code) {
        if !std::mem::replace(&mut self.over, true) {
            self.method.over(self.begun, code);
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.over(Code::Cancelled);
    }
}

/// The answers of a call that is measured: the last frame says how it ended.
#[derive(Debug)]
pub struct MeasuredBody {
    body: Body,
    call: Call,
}

impl HttpBody for MeasuredBody {
    type Data = <Body as HttpBody>::Data;
    type Error = <Body as HttpBody>::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        match &frame {
            Some(Ok(frame)) => {
                if let Some(trailers) = frame.trailers_ref() {
                    self.call.read(trailers);
                }
            }
            Some(Err(_)) => self.call.over(Code::Unknown),
            None => self.call.over(Code::Ok),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }
}

/// The code's name as the specification has it.
fn name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_of_the_protocol_has_its_name() {
        let create = &METHODS.known["/multiflexi.v1.JobService/CreateJobs"];
        assert_eq!((create.name.as_str(), create.streams), ("JobService/CreateJobs", false));
        assert!(METHODS.known["/multiflexi.v1.AgentService/Connect"].streams);
    }
}
