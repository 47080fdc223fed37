//! `/metrics` over HTTP: a small server of its own, on an address of its own, so that
//! whoever may scrape need not be able to reach the services. A scrape reads what is
//! counted; what has to be asked for first is the caller's `look`.

use std::{convert::Infallible, io, net::SocketAddr, pin::Pin, sync::Arc, time::Duration};

use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header::{ACCEPT, ALLOW, CONTENT_TYPE},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus_client::{
    encoding::{prometheus_text, text},
    registry::Registry,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tokio_util::sync::CancellationToken;

pub use crate::process::Process;

/// Connections at once; more wait.
const CONNECTIONS: usize = 16;

/// How long a client may take to say what it wants.
const PATIENCE: Duration = Duration::from_secs(10);

/// The pause after a connection that could not be taken: there may be no file left.
const PAUSE: Duration = Duration::from_millis(100);

/// What Prometheus asks for first, and what is answered then.
const OPENMETRICS: &str = "application/openmetrics-text";
const OPENMETRICS_1: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What happens before metrics are read.
pub type Look = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// Why there is no endpoint.
#[derive(Debug, thiserror::Error)]
#[error("metrics cannot be served on {address}: {reason}; name another address with --metrics")]
pub struct EndpointError {
    /// The address.
    address: SocketAddr,
    /// Why.
    reason: io::Error,
}

/// An address that is listened on.
#[derive(Debug)]
pub struct Endpoint {
    listener: TcpListener,
    address: SocketAddr,
}

impl Endpoint {
    /// Listens.
    pub async fn open(address: SocketAddr) -> Result<Self, EndpointError> {
        let failed = |reason| EndpointError { address, reason };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, address })
    }

    /// The address, with the port that it was given.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers with what is in `registry`, after a `look`, until `stop`.
    pub async fn serve(self, registry: Registry, look: Look, stop: CancellationToken) {
        let registry = Arc::new(registry);
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        while let Some(place) = stop.run_until_cancelled(Arc::clone(&places).acquire_owned()).await
        {
            let Some(accepted) = stop.run_until_cancelled(self.listener.accept()).await else {
                return;
            };
            let (stream, _) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::debug!(%error, "a scrape cannot be taken");
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            };
            let (registry, look) = (Arc::clone(&registry), Arc::clone(&look));
            let stop = stop.clone();
            tokio::spawn(async move {
                stop.run_until_cancelled(connection(stream, registry, look)).await;
                drop(place);
            });
        }
    }
}

async fn connection(stream: TcpStream, registry: Arc<Registry>, look: Look) {
    let service = service_fn(|request| answer(request, Arc::clone(&registry), Arc::clone(&look)));
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = served.await {
        tracing::debug!(%error, "a scrape broke off");
    }
}

async fn answer(
    request: Request<Incoming>,
    registry: Arc<Registry>,
    look: Look,
) -> Result<Response<Full<Bytes>>, Infallible> {
    if request.method() != Method::GET {
        let mut answer = plain(StatusCode::METHOD_NOT_ALLOWED, "only GET is answered here\n");
        answer.headers_mut().insert(ALLOW, hyper::header::HeaderValue::from_static("GET"));
        return Ok(answer);
    }
    if request.uri().path() != "/metrics" {
        return Ok(plain(StatusCode::NOT_FOUND, "there is nothing here but /metrics\n"));
    }
    look().await;
    let accept = request.headers().get(ACCEPT).and_then(|accept| accept.to_str().ok());
    let open = accept.is_some_and(|accept| accept.contains(OPENMETRICS));
    let mut body = String::new();
    let encoded = match open {
        true => text::encode(&mut body, &registry),
        false => prometheus_text::encode(&mut body, &registry),
    };
    if encoded.is_err() {
        return Ok(plain(StatusCode::INTERNAL_SERVER_ERROR, "the metrics cannot be written\n"));
    }
    let kind = if open { OPENMETRICS_1 } else { prometheus_text::CONTENT_TYPE };
    Ok(response(StatusCode::OK, kind, body))
}

fn plain(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    response(status, "text/plain; charset=utf-8", text.to_owned())
}

fn response(status: StatusCode, kind: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static(kind));
    response
}
