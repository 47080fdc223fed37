//! How traces are sent, said by the variables that all of OpenTelemetry's programs read.

use std::time::Duration;

use super::TraceId;

/// Spans that may wait, spans in one message, and how long they are gathered: what the
/// specification says.
const QUEUE: usize = 2048;
const BATCH: usize = 512;
const DELAY: Duration = Duration::from_secs(5);

/// How long the collector may take to answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Which traces are sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampler {
    /// The share of traces, from 0 to 1.
    ratio: f64,
    /// A client that has decided is followed.
    follows: bool,
}

impl Default for Sampler {
    fn default() -> Self {
        Self { ratio: 1.0, follows: true }
    }
}

impl Sampler {
    /// Whether a trace is sent. `given` is what was decided by who is above.
    pub(super) fn samples(self, trace: TraceId, given: Option<bool>) -> bool {
        if let Some(given) = given.filter(|_| self.follows) {
            return given;
        }
        let mut low = [0; 8];
        low.copy_from_slice(&trace.0[8..]);
        // As all of OpenTelemetry's samplers do, so that they agree: by the id.
        (u64::from_be_bytes(low) >> 1) as f64 <= self.ratio * (1_u64 << 63) as f64
            && self.ratio > 0.0
    }

    fn read(name: &str, argument: Option<String>) -> Result<Self, String> {
        let (follows, kind) = match name.strip_prefix("parentbased_") {
            Some(kind) => (true, kind),
            None => (false, name),
        };
        let ratio = match kind {
            "always_on" => 1.0,
            "always_off" => 0.0,
            "traceidratio" => {
                let argument = argument.unwrap_or_else(|| "1".to_owned());
                let ratio = argument.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio));
                ratio.ok_or_else(|| {
                    format!("OTEL_TRACES_SAMPLER_ARG is {argument:?}: it is a number from 0 to 1")
                })?
            }
            _ => {
                return Err(format!(
                    "OTEL_TRACES_SAMPLER is {name:?}: take always_on, always_off, traceidratio, \
                     or one of these after parentbased_"
                ));
            }
        };
        Ok(Self { ratio, follows })
    }
}

/// How traces are sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The collector's URL.
    pub(super) endpoint: String,
    /// What is said to it with each message.
    pub(super) headers: Vec<(String, String)>,
    /// What this process is.
    pub(super) resource: Vec<(String, String)>,
    /// Which traces.
    pub(super) sampler: Sampler,
    /// How many spans may wait.
    pub(super) queue: usize,
    /// How many are sent at once.
    pub(super) batch: usize,
    /// How long they are gathered.
    pub(super) delay: Duration,
    /// How long the collector may take to answer.
    pub(super) timeout: Duration,
}

impl Settings {
    /// Reads the variables; `program` is what this one is called if they do not say. None if
    /// they name no collector; an error, as a sentence, if it cannot be served.
    pub fn read(
        program: &str,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<Self>, String> {
        let variable = |name: &str| variable(name).filter(|value| !value.trim().is_empty());
        // What is said of traces wins over what is said of everything.
        let of_traces = |name: &str| {
            let own = format!("OTEL_EXPORTER_OTLP_TRACES_{name}");
            let (own, value) = match variable(&own) {
                Some(value) => (own, value),
                None => {
                    let all = format!("OTEL_EXPORTER_OTLP_{name}");
                    let value = variable(&all)?;
                    (all, value)
                }
            };
            Some((own, value))
        };
        let disabled = variable("OTEL_SDK_DISABLED")
            .is_some_and(|disabled| disabled.eq_ignore_ascii_case("true"));
        if disabled || variable("OTEL_TRACES_EXPORTER").is_some_and(|name| name == "none") {
            return Ok(None);
        }
        let Some((name, endpoint)) = of_traces("ENDPOINT") else { return Ok(None) };
        if let Some((name, protocol)) = of_traces("PROTOCOL").filter(|(_, value)| value != "grpc") {
            return Err(format!(
                "{name} is {protocol:?}: traces are sent by grpc alone, to the collector's port \
                 for that, which is usually 4317"
            ));
        }
        let uri: Option<tonic::codegen::http::Uri> = endpoint.parse().ok();
        if !uri.is_some_and(|uri| uri.scheme_str() == Some("http") && uri.host().is_some()) {
            return Err(format!(
                "{name} is {endpoint:?}: it must be a URL such as http://127.0.0.1:4317; for \
                 https, run a collector on this host"
            ));
        }
        let sampler = match variable("OTEL_TRACES_SAMPLER") {
            Some(name) => Sampler::read(&name, variable("OTEL_TRACES_SAMPLER_ARG"))?,
            None => Sampler::default(),
        };
        let number = |name: &str, otherwise: u64| match variable(name) {
            None => Ok(otherwise),
            Some(value) => value
                .parse::<u64>()
                .ok()
                .filter(|number| *number > 0)
                .ok_or_else(|| format!("{name} is {value:?}: it is a number from 1 on")),
        };
        let queue = number("OTEL_BSP_MAX_QUEUE_SIZE", QUEUE as u64)?.min(1 << 20);
        let batch = number("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", BATCH as u64)?.min(queue);
        let delay = number("OTEL_BSP_SCHEDULE_DELAY", DELAY.as_millis() as u64)?;
        let timeout = match of_traces("TIMEOUT") {
            Some((name, _)) => number(&name, 1)?,
            None => TIMEOUT.as_millis() as u64,
        };
        let mut resource = pairs(variable("OTEL_RESOURCE_ATTRIBUTES"));
        if let Some(service) = variable("OTEL_SERVICE_NAME") {
            resource.retain(|(name, _)| name != "service.name");
            resource.push(("service.name".to_owned(), service));
        } else if !resource.iter().any(|(name, _)| name == "service.name") {
            resource.push(("service.name".to_owned(), program.to_owned()));
        }
        Ok(Some(Self {
            endpoint,
            headers: pairs(of_traces("HEADERS").map(|(_, value)| value)),
            resource,
            sampler,
            queue: usize::try_from(queue).unwrap_or(QUEUE),
            batch: usize::try_from(batch).unwrap_or(BATCH),
            delay: Duration::from_millis(delay),
            timeout: Duration::from_millis(timeout),
        }))
    }
}

/// Reads `name=value,…`; what is none is left out.
fn pairs(text: Option<String>) -> Vec<(String, String)> {
    let text = text.unwrap_or_default();
    let pairs = text.split(',').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (decode(name), decode(value))).collect()
}

/// Reads what is escaped as in a URL.
fn decode(text: &str) -> String {
    let text = text.trim();
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let escaped = after.first_chunk::<2>().filter(|_| *first == b'%');
        let escaped = escaped.and_then(|digits| std::str::from_utf8(digits).ok());
        match escaped.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Option<Settings>, String> {
        Settings::read("ours", |name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    const ENDPOINT: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4317");

    #[test]
    fn nothing_is_sent_unless_a_collector_is_named() {
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&[("OTEL_EXPORTER_OTLP_ENDPOINT", " ")]), Ok(None));
        assert_eq!(read(&[ENDPOINT, ("OTEL_SDK_DISABLED", "true")]), Ok(None));
        assert_eq!(read(&[ENDPOINT, ("OTEL_TRACES_EXPORTER", "none")]), Ok(None));
        let settings = read(&[ENDPOINT]).unwrap().unwrap();
        assert_eq!(settings.resource, [("service.name".to_owned(), "ours".to_owned())]);
        assert_eq!((settings.queue, settings.batch), (QUEUE, BATCH));
    }

    #[test]
    fn what_is_said_of_traces_wins() {
        let own = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://traces:4317");
        let headers = ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Basic%20QQ==, x=y");
        let service = [
            ("OTEL_RESOURCE_ATTRIBUTES", "service.name=a,deployment.environment=test"),
            ("OTEL_SERVICE_NAME", "b"),
        ];
        let settings = read(&[ENDPOINT, own, headers, service[0], service[1]]).unwrap().unwrap();
        assert_eq!(settings.endpoint, "http://traces:4317");
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(settings.headers, [pair("authorization", "Basic QQ=="), pair("x", "y")]);
        let resource = [pair("deployment.environment", "test"), pair("service.name", "b")];
        assert_eq!(settings.resource, resource);
    }

    #[test]
    fn what_cannot_be_served_is_said() {
        for (name, value) in [
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://collector:4317"),
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "collector"),
            ("OTEL_TRACES_SAMPLER", "jaeger_remote"),
            ("OTEL_BSP_SCHEDULE_DELAY", "soon"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "-1"),
        ] {
            let said = read(&[ENDPOINT, (name, value)]).unwrap_err();
            assert!(said.contains(name) && said.contains(value), "{said}");
        }
        let ratio = [("OTEL_TRACES_SAMPLER", "traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", "2")];
        assert!(read(&[ENDPOINT, ratio[0], ratio[1]]).unwrap_err().contains("\"2\""));
    }

    #[test]
    fn samplers_decide_by_the_trace_and_follow_who_is_above() {
        let of =
            |name: &str, argument: &str| Sampler::read(name, Some(argument.to_owned())).unwrap();
        let low = TraceId([0; 16]);
        let high = TraceId([0xff; 16]);
        for trace in [low, high] {
            assert!(of("always_on", "").samples(trace, None));
            assert!(!of("always_off", "").samples(trace, None));
            assert!(!of("parentbased_always_on", "").samples(trace, Some(false)));
            assert!(of("parentbased_always_off", "").samples(trace, Some(true)));
            assert!(of("always_on", "").samples(trace, Some(false)));
            assert!(of("traceidratio", "1").samples(trace, None));
            assert!(!of("traceidratio", "0").samples(trace, None));
        }
        assert!(of("traceidratio", "0.5").samples(low, None));
        assert!(!of("traceidratio", "0.5").samples(high, None));
    }
}
