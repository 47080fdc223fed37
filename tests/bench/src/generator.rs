//! What the measured jobs run: this program under a hidden command, so that no
//! other program's speed is what is measured. The content can be made again, to
//! check what was stored of it.

use std::{
    fs::File,
    io::{self, Write as _},
};

use clap::{Args, Subcommand};
use sha2::{Digest as _, Sha256};

/// Bytes of a block.
pub const BLOCK: usize = 1024 * 1024;

/// The file that [`Generator::WriteFile`] leaves.
pub const FILE: &str = "result.bin";

/// The commands of jobs.
#[derive(Clone, Debug, Subcommand)]
pub enum Generator {
    /// Writes text to stdout as fast as it can
    #[command(hide = true)]
    WriteText(Amount),
    /// Writes a file that does not compress, then one line
    #[command(hide = true)]
    WriteFile(Amount),
}

/// How much.
#[derive(Clone, Copy, Debug, Args)]
pub struct Amount {
    /// Size, in MiB
    #[arg(long)]
    mib: u64,
}

impl Generator {
    /// Writes it.
    pub fn run(&self) -> anyhow::Result<()> {
        match self {
            Self::WriteText(Amount { mib }) => {
                let (block, mut stdout) = (text(), io::stdout().lock());
                for _ in 0..*mib {
                    stdout.write_all(&block)?;
                }
                stdout.flush()?;
            }
            Self::WriteFile(Amount { mib }) => {
                write_file(File::create_new(FILE)?, *mib)?;
                println!("written");
            }
        }
        Ok(())
    }
}

/// Writes what [`Generator::WriteFile`] writes.
pub fn write_file(mut file: File, mib: u64) -> io::Result<()> {
    let mut noise = Noise::default();
    for _ in 0..mib {
        file.write_all(noise.next_block())?;
    }
    Ok(())
}

/// SHA-256 of what [`Generator::WriteText`] writes.
pub fn text_hash(mib: u64) -> Vec<u8> {
    let (block, mut hash) = (text(), Sha256::new());
    (0..mib).for_each(|_| hash.update(&block));
    hash.finalize().to_vec()
}

/// SHA-256 of what [`Generator::WriteFile`] writes.
pub fn file_hash(mib: u64) -> Vec<u8> {
    let (mut noise, mut hash) = (Noise::default(), Sha256::new());
    (0..mib).for_each(|_| hash.update(noise.next_block()));
    hash.finalize().to_vec()
}

/// A block of lines as a program's log has them: a part of each is the same, a part
/// is not, so that it compresses like a log and not like a single word.
fn text() -> Vec<u8> {
    let (mut random, mut text) = (Random::default(), Vec::with_capacity(BLOCK + 128));
    let mut number = 1;
    while text.len() < BLOCK {
        let (account, amount) = (random.next(), random.next() % 10_000_000);
        writeln!(
            text,
            "INFO import: line {number} of the statement, account {account:016x}, amount {}.{:02} EUR",
            amount / 100,
            amount % 100,
        )
        .expect("a vector takes everything");
        number += 1;
    }
    text.truncate(BLOCK - 1);
    text.push(b'\n');
    text
}

/// Blocks of bytes that do not compress, each another.
struct Noise {
    random: Random,
    block: Vec<u8>,
}

impl Default for Noise {
    fn default() -> Self {
        Self { random: Random::default(), block: vec![0; BLOCK] }
    }
}

impl Noise {
    fn next_block(&mut self) -> &[u8] {
        for word in self.block.chunks_exact_mut(8) {
            word.copy_from_slice(&self.random.next().to_le_bytes());
        }
        &self.block
    }
}

/// Marsaglia's xorshift64: the same numbers each time, and faster than memory.
struct Random(u64);

impl Default for Random {
    fn default() -> Self {
        Self(0x2545_F491_4F6C_DD1D)
    }
}

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_of_text_has_its_size_and_ends_a_line() {
        let block = text();
        assert_eq!(block.len(), BLOCK);
        assert_eq!(block.last(), Some(&b'\n'));
        assert!(block.is_ascii());
    }

    #[test]
    fn blocks_of_noise_differ() {
        let mut noise = Noise::default();
        let first = noise.next_block().to_vec();
        assert_ne!(first, noise.next_block());
        assert_eq!(file_hash(2), file_hash(2));
    }
}
