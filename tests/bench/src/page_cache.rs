//! Free memory that really is there. A virtual machine may have lent its free
//! memory to its host and gets it back page by page at the first touch, ten times
//! slower than a disk's cache is otherwise: whichever part came first would pay.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::Path,
};

use crate::generator::BLOCK;

/// How often the content of a part lies in the page cache at once: as its source
/// and as what is stored of it.
const COPIES: u64 = 2;

/// Touches as much memory as a part with `mib` MiB of content needs, and frees it.
pub fn touch(folder: &Path, mib: u64) -> io::Result<()> {
    let path = folder.join("page-cache");
    let mut file = File::create_new(&path)?;
    let block = vec![0; BLOCK];
    for _ in 0..mib * COPIES {
        file.write_all(&block)?;
    }
    // It never has to reach the disk.
    fs::remove_file(path)
}
