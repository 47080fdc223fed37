//! Requests that go out over HTTP, for actions. They go to public addresses, and to those
//! others that the scheduler was told to allow; no redirect and no proxy takes them
//! elsewhere. What comes back is read as far as it may be of use, and never quoted with the
//! URL that was asked: there may be secrets in it.

mod authorities;
mod networks;
mod resolver;

use std::{
    error::Error as StdError,
    fmt,
    net::IpAddr,
    sync::Arc,
    time::{Duration, SystemTime},
};

use reqwest::{
    Client, Method, Response, StatusCode,
    header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER},
    redirect,
};
use rustls::CertificateError;
use tokio::sync::OnceCell;
use url::{Host, Url};

pub use authorities::Authorities;
pub use networks::{Networks, NoNetwork, Private};
use resolver::{Refused, Resolver};

use crate::telemetry;

/// The header that says which trace a request belongs to, as W3C has it.
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Most bytes of an answer that are read.
const MOST_READ: usize = 64 * 1024;

/// Most characters of an answer that are quoted.
const MOST_QUOTED: usize = 200;

/// Longest time that a server can ask to be left alone for.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// How long a connection is kept for the next request.
const IDLE: Duration = Duration::from_secs(30);

/// Sends requests.
#[derive(Clone, Debug, Default)]
pub struct Requests {
    allowed: Arc<Networks>,
    authorities: Authorities,
    /// Made with the first request: it reads the host's certificates.
    client: Arc<OnceCell<Client>>,
}

/// A request.
#[derive(Clone)]
pub struct Request {
    /// Its method, such as POST.
    pub method: String,
    /// Where it goes.
    pub url: Url,
    /// Its headers.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: Vec<u8>,
    /// How long it may take, its answer included.
    pub timeout: Duration,
}

impl fmt::Debug for Request {
    /// URL, headers and body may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Request({} to {}, {} bytes)", self.method, server(&self.url), self.body.len())
    }
}

/// An answer that says yes.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its status, such as 200.
    pub status: u16,
    /// Its body, as far as it was read.
    pub body: Vec<u8>,
}

impl Answer {
    /// What its body says, if that is JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// Why there is no such answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct RequestError {
    /// Why, as a sentence.
    pub reason: String,
    /// It may go well later.
    pub again: bool,
    /// The server wants to be left alone for so long.
    pub after: Option<Duration>,
}

impl RequestError {
    fn never(reason: String) -> Self {
        Self { reason, again: false, after: None }
    }

    fn later(reason: String) -> Self {
        Self { reason, again: true, after: None }
    }
}

/// Reads the URL of something that can be asked.
pub fn url(text: &str) -> Result<Url, String> {
    let wrong = "it takes a URL such as https://example.org/path";
    let url = Url::parse(text).map_err(|error| format!("{wrong} ({error})"))?;
    match url.scheme() {
        "http" | "https" if url.has_host() => Ok(url),
        other => Err(format!("{wrong}, and not one that begins with {other}:")),
    }
}

/// The server that a URL names, without what else may be in the URL.
pub fn server(url: &Url) -> String {
    url.origin().ascii_serialization()
}

/// Checks a method, and a header, from outside; the error is a sentence.
pub fn check_method(name: &str) -> Result<(), String> {
    let letters = !name.is_empty() && name.chars().all(|c| c.is_ascii_uppercase());
    match letters && name.len() <= 20 {
        true => Ok(()),
        false => Err("it takes a method such as POST, in capital letters".to_owned()),
    }
}

/// Checks a header from outside; the error is a sentence that does not quote the value.
pub fn check_header(name: &str, value: &str) -> Result<(), String> {
    let name_is = HeaderName::from_bytes(name.as_bytes());
    let own = ["host", "content-length", "transfer-encoding", "connection"];
    match (name_is, HeaderValue::from_str(value)) {
        (Ok(known), _) if own.contains(&known.as_str()) => {
            Err(format!("the header {name} is set by the request itself"))
        }
        (Ok(_), Ok(_)) => Ok(()),
        (Err(_), _) => {
            Err(format!("{:?} is no name of a header", name.chars().take(40).collect::<String>()))
        }
        (_, Err(_)) => Err(format!("the value of the header {name} cannot be sent")),
    }
}

impl Requests {
    /// Sends requests to public addresses and to these networks; trusts these authorities
    /// besides the host's.
    pub fn new(allowed: Networks, authorities: Authorities) -> Self {
        Self { allowed: Arc::new(allowed), authorities, ..Self::default() }
    }

    /// Sends a request; an answer that says no is an error.
    pub async fn send(&self, request: Request) -> Result<Answer, RequestError> {
        let Request { method, url, headers, body, timeout } = request;
        let server = server(&url);
        let unusable = |what: &dyn fmt::Display| {
            RequestError::never(format!("{server} cannot be asked: {what}"))
        };
        let ip = match url.host() {
            Some(Host::Ipv4(ip)) => Some(IpAddr::V4(ip)),
            Some(Host::Ipv6(ip)) => Some(IpAddr::V6(ip)),
            _ => None,
        };
        // A name is checked when it is resolved.
        ip.map_or(Ok(()), |ip| self.allowed.check(ip)).map_err(|it| forbidden(&server, &it))?;
        let method = Method::from_bytes(method.as_bytes()).map_err(|error| unusable(&error))?;
        let mut sent = HeaderMap::new();
        for (name, value) in &headers {
            check_header(name, value).map_err(|error| unusable(&error))?;
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|error| unusable(&error))?;
            let value = HeaderValue::from_str(value).map_err(|error| unusable(&error))?;
            sent.append(name, value);
        }
        if let Some(parent) = telemetry::traceparent()
            && let Ok(parent) = HeaderValue::try_from(parent)
        {
            sent.entry(TRACEPARENT).or_insert(parent);
        }
        let client = self.client.get_or_try_init(|| self.build()).await?;
        let request = client.request(method, url).headers(sent).body(body).timeout(timeout);
        let response = request.send().await.map_err(|error| explain(&server, timeout, &error))?;
        let (status, after) = (response.status(), retry_after(response.headers()));
        let body = read(response).await;
        judge(&server, status, body, after)
    }

    async fn build(&self) -> Result<Client, RequestError> {
        // Whoever was first has chosen the same.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Client::builder()
            .tls_certs_merge(self.authorities.certificates())
            .dns_resolver(Arc::new(Resolver(Arc::clone(&self.allowed))))
            .redirect(redirect::Policy::none())
            .no_proxy()
            .referer(false)
            .pool_idle_timeout(IDLE)
            .user_agent(concat!("multiflexi-scheduler/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| {
                let reason = root(&error);
                RequestError::later(format!(
                    "no request can be sent ({reason}): install ca-certificates, or name a file of \
                     them with SSL_CERT_FILE"
                ))
            })
    }
}

/// What an answer means.
fn judge(
    server: &str,
    status: StatusCode,
    body: Vec<u8>,
    after: Option<Duration>,
) -> Result<Answer, RequestError> {
    if status.is_success() {
        return Ok(Answer { status: status.as_u16(), body });
    }
    let mut reason = format!("{server} answered {status}");
    if status.is_redirection() {
        reason.push_str(", and redirects are not followed: name the address that it leads to");
        return Err(RequestError::never(reason));
    }
    let said = String::from_utf8_lossy(&body);
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    if !said.is_empty() {
        let quoted: String = said.chars().take(MOST_QUOTED).collect();
        reason = format!("{reason}: {quoted}");
    }
    let again = status.is_server_error()
        || [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_EARLY, StatusCode::TOO_MANY_REQUESTS]
            .contains(&status);
    Err(RequestError { reason, again, after: after.filter(|_| again) })
}

/// Reads the beginning of an answer. One that breaks off has been given all the same.
async fn read(mut response: Response) -> Vec<u8> {
    let mut body = Vec::new();
    while let Ok(Some(bytes)) = response.chunk().await {
        let room = MOST_READ - body.len();
        body.extend_from_slice(&bytes[..bytes.len().min(room)]);
        if body.len() == MOST_READ {
            break;
        }
    }
    body
}

/// How long a server wants to be left alone: seconds, or a time.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match value.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let time = SystemTime::from(chrono::DateTime::parse_from_rfc2822(value).ok()?);
            time.duration_since(SystemTime::now()).unwrap_or_default()
        }
    };
    Some(wait.min(LONGEST_WAIT))
}

fn forbidden(server: &str, private: &Private) -> RequestError {
    RequestError::never(format!(
        "{server} is not asked, as its address is {private}: if it may be, start the scheduler \
         with --allow-private-requests {}",
        private.ip
    ))
}

/// Why nothing was answered.
fn explain(server: &str, timeout: Duration, error: &reqwest::Error) -> RequestError {
    let causes = || std::iter::successors(error.source(), |cause| (*cause).source());
    if let Some(Refused(private)) = causes().find_map(|cause| cause.downcast_ref()) {
        return forbidden(server, private);
    }
    if let Some(wrong) = causes().find_map(certificate) {
        return RequestError::later(format!(
            "{server} is told nothing, as its certificate is not trusted ({wrong}): if it is of an \
             authority of your own, start the scheduler with --request-ca FILE"
        ));
    }
    if error.is_builder() {
        return RequestError::never(format!("{server} cannot be asked: {}", root(error)));
    }
    RequestError::later(match (error.is_timeout(), error.is_connect()) {
        (true, _) => {
            format!("{server} has not answered within {}", humantime::format_duration(timeout))
        }
        (_, true) => format!("{server} cannot be reached: {}", root(error)),
        _ => format!("{server} broke off: {}", root(error)),
    })
}

/// What is wrong with a server's certificate, if that is the cause of an error.
fn certificate<'e>(cause: &'e (dyn StdError + 'static)) -> Option<&'e CertificateError> {
    // What happens on a connection is within errors of input and output, which hide it from
    // `source`.
    if let Some(within) = cause.downcast_ref::<std::io::Error>() {
        return certificate(within.get_ref()?);
    }
    match cause.downcast_ref()? {
        rustls::Error::InvalidCertificate(wrong) => Some(wrong),
        _ => None,
    }
}

/// The first cause of an error: the others quote the URL.
fn root(error: &reqwest::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| (*cause).source());
    causes.last().map_or_else(|| "the request is not sound".to_owned(), ToString::to_string)
}

#[cfg(test)]
mod tests;
