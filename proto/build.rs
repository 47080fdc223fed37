//! Compiles the protocol with protox, so that no machine needs a protoc.

use std::{env, error::Error, fs, path::PathBuf};

use prost::Message as _;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=multiflexi");
    let mut files: Vec<PathBuf> = fs::read_dir("multiflexi/v1")?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    files.sort();
    let descriptors = protox::compile(&files, ["."])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("descriptors.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure()
        // `AgentService.Connect` is a call; clients are made from a channel.
        .build_transport(false)
        .bytes(".multiflexi.v1.AppendLogRequest.frames")
        .bytes(".multiflexi.v1.UploadArtifactRequest.content")
        .bytes(".multiflexi.v1.DownloadArtifactResponse.content")
        .bytes(".multiflexi.v1.LogRecord.data")
        .compile_fds(descriptors)?;
    Ok(())
}
