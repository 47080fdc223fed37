//! How our programs are watched: an endpoint with metrics for Prometheus, and traces
//! that go to an OpenTelemetry collector. Both only look: nothing here decides, nothing
//! here makes anybody wait, and what cannot be delivered is dropped and counted.

pub mod endpoint;
mod process;
pub mod traces;

/// The generated messages, client and server of OTLP, for traces.
#[allow(missing_docs, clippy::all, unused_qualifications, rustdoc::all)]
pub mod otlp {
    /// What collectors serve.
    pub mod collector {
        /// Traces.
        pub mod trace {
            /// Version 1.
            pub mod v1 {
                tonic::include_proto!("opentelemetry.proto.collector.trace.v1");
            }
        }
    }
    /// Values.
    pub mod common {
        /// Version 1.
        pub mod v1 {
            tonic::include_proto!("opentelemetry.proto.common.v1");
        }
    }
    /// Who sends.
    pub mod resource {
        /// Version 1.
        pub mod v1 {
            tonic::include_proto!("opentelemetry.proto.resource.v1");
        }
    }
    /// Spans.
    pub mod trace {
        /// Version 1.
        pub mod v1 {
            tonic::include_proto!("opentelemetry.proto.trace.v1");
        }
    }
}

pub use prometheus_client as metrics;
