//! Compiles the OpenTelemetry protocol with protox, so that no machine needs a protoc.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=opentelemetry");
    let service = "opentelemetry/proto/collector/trace/v1/trace_service.proto";
    let descriptors = protox::compile([service], ["."])?;
    tonic_prost_build::configure().build_transport(false).compile_fds(descriptors)?;
    Ok(())
}
