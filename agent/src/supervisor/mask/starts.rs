//! Where a secret may begin: an index of the first bytes of all forms of all secrets.
//! It is exact but for the case of letters; what it finds is to be compared.

use super::form::{self, Form};

/// Bytes of a start. No form of a secret is shorter.
const LENGTH: usize = super::SHORTEST;

/// A start, big endian, so that what begins with the same bytes is side by side.
type Start = u32;

/// The first bytes of all forms of all secrets.
pub(super) struct Starts {
    entries: Vec<Entry>,
    /// One bit for each hash of a start.
    filter: Box<[u64]>,
    /// Bits of a product that are not its hash.
    shift: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    start: Start,
    secret: u32,
    form: Form,
}

impl Starts {
    /// Indexes secrets, none of which is shorter than a start.
    pub(super) fn new(secrets: &[Box<[u8]>]) -> Self {
        let mut entries = Vec::new();
        for (secret, number) in secrets.iter().zip(0..) {
            for form in form::ALL {
                form.starts(secret, |start| {
                    entries.push(Entry { start: fold(start), secret: number, form });
                });
            }
        }
        entries.sort_unstable();
        entries.dedup();
        // One bit in 32 is set, so that nearly all ordinary text passes; the filter of
        // some secrets fits the nearest cache.
        let bits = (entries.len() * 32).next_power_of_two().clamp(1 << 12, 1 << 24);
        let shift = Start::BITS - bits.ilog2();
        let mut filter = vec![0; bits / 64].into_boxed_slice();
        for entry in &entries {
            let hash = hash(entry.start, shift);
            filter[hash / 64] |= 1 << (hash % 64);
        }
        Self { entries, filter, shift }
    }

    /// The first position, from one on, at which a secret may begin, or begin and be
    /// cut by the end of the text.
    pub(super) fn next(&self, text: &[u8], from: usize) -> Option<usize> {
        let whole = text[from..].array_windows().position(|window: &[u8; LENGTH]| {
            let hash = hash(fold(*window), self.shift);
            self.filter[hash / 64] >> (hash % 64) & 1 == 1
        });
        let cut = || {
            let tail = from.max(text.len().saturating_sub(LENGTH - 1));
            (tail..text.len()).find(|&at| self.candidates(&text[at..]).next().is_some())
        };
        whole.map(|position| from + position).or_else(cut)
    }

    /// The secrets that a text may begin with, by number, and in which form.
    pub(super) fn candidates(&self, text: &[u8]) -> impl Iterator<Item = (usize, Form)> {
        let length = text.len().min(LENGTH);
        let mut start = [0; LENGTH];
        start[..length].copy_from_slice(&text[..length]);
        let any = Start::MAX.checked_shr(8 * length as u32).unwrap_or(0);
        let first = fold(start) & !any;
        let from = self.entries.partition_point(|entry| entry.start < first);
        self.entries[from..]
            .iter()
            .take_while(move |entry| entry.start <= first | any)
            .map(|entry| (entry.secret as usize, entry.form))
    }
}

/// Letters of both cases become the same, as do some other bytes.
fn fold(start: [u8; LENGTH]) -> Start {
    Start::from_be_bytes(start) | 0x2020_2020
}

fn hash(start: Start, shift: u32) -> usize {
    (start.wrapping_mul(0x9e37_79b1) >> shift) as usize
}
