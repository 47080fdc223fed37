//! Durable commits a second: what a database's log does for each change that is
//! alone in its transaction.

use std::{
    fs::File,
    io::{self, Seek as _, Write as _},
    path::Path,
    time::{Duration, Instant},
};

/// How long is measured.
const TIME: Duration = Duration::from_secs(2);

/// Bytes of a commit.
const COMMIT: usize = 4 * 1024;

/// Commits of a log before it begins again at its start: as many pages as SQLite's
/// has between two checkpoints.
const LOG: usize = 1000;

/// Commits a second to a file of `folder` that grows with each.
pub fn appends_per_second(folder: &Path) -> io::Result<f64> {
    commit(&mut File::create_new(folder.join("appends"))?, usize::MAX)
}

/// Commits a second within a file of `folder` that keeps its size.
pub fn overwrites_per_second(folder: &Path) -> io::Result<f64> {
    let mut file = File::create_new(folder.join("overwrites"))?;
    file.write_all(&vec![0; LOG * COMMIT])?;
    file.sync_all()?;
    file.rewind()?;
    commit(&mut file, LOG)
}

/// Commits a second, from the file's start again after `length`.
fn commit(file: &mut File, length: usize) -> io::Result<f64> {
    let page = [7; COMMIT];
    let (mut commits, begun) = (0, Instant::now());
    while begun.elapsed() < TIME {
        file.write_all(&page)?;
        file.sync_data()?;
        commits += 1;
        if commits % length == 0 {
            file.rewind()?;
        }
    }
    Ok(commits as f64 / begun.elapsed().as_secs_f64())
}
