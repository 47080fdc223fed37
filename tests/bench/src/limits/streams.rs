//! MiB a second through a hash to the disk: from a child's pipe, and from a file.

use std::{
    fs::{self, File},
    io::{Read, Write as _},
    path::Path,
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::{Context as _, ensure};
use rustix::pipe::fcntl_setpipe_size;
use sha2::{Digest as _, Sha256};

use crate::{
    generator::{self, BLOCK},
    page_cache,
};

/// Bytes of one read.
const READ: usize = 256 * 1024;

/// Size of the pipe, in bytes: the most that any user may ask for.
const PIPE: usize = 1024 * 1024;

/// MiB a second of text that a child writes.
pub fn text(folder: &Path, mib: u64) -> anyhow::Result<f64> {
    page_cache::touch(folder, mib)?;
    let begun = Instant::now();
    let mut child = Command::new("/proc/self/exe")
        .args(["write-text", "--mib", &mib.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let pipe = child.stdout.take().context("the child has no stdout")?;
    // A smaller pipe is slower, not wrong.
    let _ = fcntl_setpipe_size(&pipe, PIPE);
    let hash = store(pipe, &folder.join("text"), mib)?;
    let rate = mib as f64 / begun.elapsed().as_secs_f64();
    let status = child.wait()?;
    ensure!(status.success(), "the child that writes text: {status}");
    ensure!(hash == generator::text_hash(mib), "another text was written");
    fs::remove_file(folder.join("text"))?;
    Ok(rate)
}

/// MiB a second of a file that is in the page cache, as a job has left it.
pub fn copy(folder: &Path, mib: u64) -> anyhow::Result<f64> {
    page_cache::touch(folder, mib)?;
    let file = File::create_new(folder.join("file"))?;
    generator::write_file(file.try_clone()?, mib)?;
    // What is written back later would be measured with the copy.
    file.sync_data()?;
    let begun = Instant::now();
    let hash = store(File::open(folder.join("file"))?, &folder.join("copy"), mib)?;
    let rate = mib as f64 / begun.elapsed().as_secs_f64();
    ensure!(hash == generator::file_hash(mib), "another file was written");
    Ok(rate)
}

/// Reads to the end; stores and hashes it. Durable when this returns.
fn store(mut from: impl Read, to: &Path, mib: u64) -> anyhow::Result<Vec<u8>> {
    let mut file = File::create_new(to)?;
    let (mut hash, mut buffer, mut stored) = (Sha256::new(), vec![0; READ], 0);
    loop {
        let length = from.read(&mut buffer)?;
        if length == 0 {
            break;
        }
        hash.update(&buffer[..length]);
        file.write_all(&buffer[..length])?;
        stored += length as u64;
    }
    file.sync_data()?;
    ensure!(stored == mib * BLOCK as u64, "{stored} bytes came, not {mib} MiB");
    Ok(hash.finalize().to_vec())
}
