//! One span, as it is put together.

use std::time::{Duration, Instant, SystemTime};

use super::{SpanId, TraceId, TraceParent};
use crate::otlp::{
    common::v1::{AnyValue, KeyValue, any_value},
    trace::v1::{
        self as proto, Status,
        span::{Link, SpanKind},
        status::StatusCode,
    },
};

/// Most bytes of a text in a span.
const LONGEST: usize = 1024;

/// The flag that says that a trace is sampled.
const SAMPLED: u32 = 1;

/// A span that is sent when it is complete. Nothing happens with one of a trace that is not
/// sampled.
#[derive(Debug)]
#[must_use = "a span has to be sent"]
pub struct Span(Option<Box<proto::Span>>);

impl Span {
    /// One that is not sent.
    pub(super) fn none() -> Self {
        Self(None)
    }

    pub(super) fn new(
        name: &str,
        (trace, id, above): (TraceId, SpanId, Option<SpanId>),
        [start, end]: [SystemTime; 2],
    ) -> Self {
        Self(Some(Box::new(proto::Span {
            trace_id: trace.0.into(),
            span_id: id.0.into(),
            parent_span_id: above.map(|above| above.0.into()).unwrap_or_default(),
            flags: SAMPLED,
            name: name.to_owned(),
            kind: SpanKind::Internal.into(),
            start_time_unix_nano: nanoseconds(start),
            // Clocks are set; what ends before it begins is shown by nobody.
            end_time_unix_nano: nanoseconds(end.max(start)),
            ..proto::Span::default()
        })))
    }

    /// It answers a request.
    pub fn of_server(mut self) -> Self {
        if let Some(span) = &mut self.0 {
            span.kind = SpanKind::Server.into();
        }
        self
    }

    /// Says something of it. No secret may be in that.
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        if let Some(span) = &mut self.0 {
            span.attributes.push(attribute(name, value));
        }
        self
    }

    /// It has failed, and why: in general words, as the text may hold anything else.
    pub fn failed(mut self, why: &str) -> Self {
        if let Some(span) = &mut self.0 {
            let message = cut(why);
            span.status = Some(Status { message, code: StatusCode::Error.into() });
        }
        self
    }

    /// It came of another one.
    pub fn after(mut self, other: TraceParent) -> Self {
        if let Some(span) = &mut self.0 {
            span.links.push(Link {
                trace_id: other.trace.0.into(),
                span_id: other.span.0.into(),
                flags: u32::from(other.sampled),
                ..Link::default()
            });
        }
        self
    }

    /// Sends it.
    pub fn send(self) {
        if let Some(span) = self.0 {
            super::send(*span);
        }
    }
}

/// When something was that happened at `instant`.
pub fn time_of(instant: Instant) -> SystemTime {
    SystemTime::now().checked_sub(instant.elapsed()).unwrap_or(SystemTime::UNIX_EPOCH)
}

/// What is said of a span.
#[derive(Debug)]
pub struct Value(any_value::Value);

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self(any_value::Value::StringValue(cut(text)))
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self(any_value::Value::IntValue(number))
    }
}

pub(super) fn attribute(name: &str, value: impl Into<Value>) -> KeyValue {
    let value = Some(AnyValue { value: Some(value.into().0) });
    KeyValue { key: name.to_owned(), value }
}

fn cut(text: &str) -> String {
    let mut end = text.len().min(LONGEST);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

fn nanoseconds(time: SystemTime) -> u64 {
    let since: Duration = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
