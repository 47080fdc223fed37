//! Masks the secrets of a job in its output, before any of it is stored: each is
//! replaced by [`MARK`], in whatever [form](form::Form) it is printed. What is written
//! depends only on the stream's bytes, never on how they were cut into reads, and a
//! stream without secrets is written as it is. Nothing here reads, writes or waits.
//!
//! An automaton of all forms of a job's secrets would have millions of states. Only
//! the first bytes of each form are indexed instead ([`Starts`]), so that most bytes of
//! ordinary text cost one look at a small table; where a start is found, the form itself
//! is compared. Text that resembles a secret at length costs more: each position of it
//! is compared for as long as it does.

mod form;
mod starts;
#[cfg(test)]
mod tests;

use std::{mem, sync::Arc};

use form::Reading;
use starts::Starts;

use crate::link::Launch;

/// What is written in place of a secret, however long it is.
pub(super) const MARK: &[u8] = b"***";

/// Least bytes of a secret. A shorter one is found by chance in much output, and each
/// mark there would tell it.
pub(super) const SHORTEST: usize = 4;

/// Most bytes of a secret file: what is larger is no text that a job would print, and
/// would be costly to look for.
const LARGEST: usize = 64 * 1024;

/// Least bytes of a line of a secret. Short lines of keys and configurations are
/// often words, or brackets, of any output.
const SHORTEST_LINE: usize = 8;

/// The secrets of a job, prepared to be found. It has no `Debug`, which would tell them.
pub(super) struct Secrets {
    /// The secrets and their lines.
    secrets: Vec<Box<[u8]>>,
    starts: Starts,
    too_short: Vec<usize>,
}

/// What begins at a position of a text.
struct Seen {
    /// Bytes of the longest secret; 0 is none.
    length: usize,
    /// A secret, or a longer one, may still become of it with the bytes that follow.
    open: bool,
}

impl Secrets {
    /// Prepares the values of all secrets of a job. White space around them is no part
    /// of them; each line of a longer one, a private key say, is a secret too.
    pub(super) fn new(values: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Self {
        let mut secrets: Vec<Box<[u8]>> = Vec::new();
        let mut too_short = Vec::new();
        for (position, value) in values.into_iter().enumerate() {
            let value = value.as_ref();
            let secret = value.trim_ascii();
            if secret.len() >= SHORTEST {
                secrets.push(secret.into());
                secrets.extend(lines(secret).into_iter().map(Box::from));
            } else if !value.is_empty() {
                too_short.push(position);
            }
        }
        secrets.sort_unstable();
        secrets.dedup();
        let starts = Starts::new(&secrets);
        Self { secrets, starts, too_short }
    }

    /// Prepares the secrets of a launch.
    pub(super) fn of(launch: &Launch) -> Self {
        Self::new(launch.secrets.iter().map(|name| value(launch, name)))
    }

    /// The names of a launch's secrets that are too short to be masked.
    pub(super) fn unmasked(launch: &Launch) -> Vec<&str> {
        let short = Self::of(launch).too_short;
        short.into_iter().filter_map(|at| launch.secrets.get(at)).map(String::as_str).collect()
    }

    /// The variables of a launch's secret files that are too large to be masked.
    pub(super) fn too_large(launch: &Launch) -> Vec<&str> {
        let files = launch.files.iter().filter(|file| file.content.len() > LARGEST);
        files.map(|file| file.variable.as_str()).filter(|name| is_secret(launch, name)).collect()
    }

    /// A text of the agent's own, with the secrets masked that are in it.
    pub(super) fn masked(self: &Arc<Self>, text: &str) -> String {
        let (mut masker, mut out) = (Masker::new(self), Vec::new());
        masker.push(text.as_bytes(), &mut out);
        masker.finish(&mut out);
        String::from_utf8_lossy(&out).into_owned()
    }

    /// The same of a text that somebody has cut: it may end in the middle of a secret.
    pub(super) fn masked_cut(self: &Arc<Self>, text: &str) -> String {
        let (mut masker, mut out) = (Masker::new(self), Vec::new());
        masker.push(text.as_bytes(), &mut out);
        match masker.pending() {
            ..SHORTEST => masker.finish(&mut out),
            _ => out.extend_from_slice(MARK),
        }
        String::from_utf8_lossy(&out).into_owned()
    }

    /// Whether there is nothing to mask.
    pub(super) fn is_empty(&self) -> bool {
        self.secrets.is_empty()
    }

    /// The positions of the values that are too short to be masked.
    #[cfg(test)]
    pub(super) fn too_short(&self) -> &[usize] {
        &self.too_short
    }

    /// Compares what may begin at a position.
    fn look(&self, text: &[u8], at: usize) -> Seen {
        let text = &text[at..];
        let mut seen = Seen { length: 0, open: false };
        for (secret, form) in self.starts.candidates(text) {
            match form.read(&self.secrets[secret], text) {
                Reading::Differs => {}
                // Nothing can be whole: that one is open says it all.
                Reading::Cut if text.len() < SHORTEST => return Seen { length: 0, open: true },
                Reading::Cut => seen.open = true,
                Reading::Whole { length, open } => {
                    seen.length = seen.length.max(length);
                    seen.open |= open;
                }
            }
        }
        seen
    }
}

fn is_secret(launch: &Launch, name: &str) -> bool {
    launch.secrets.iter().any(|secret| secret == name)
}

/// What is secret of a variable: its value, or the content of its file.
fn value<'a>(launch: &'a Launch, name: &str) -> &'a [u8] {
    if let Some(file) = launch.files.iter().find(|file| file.variable == name) {
        return if file.content.len() <= LARGEST { &file.content } else { &[] };
    }
    launch.environment.get(name).map(String::as_bytes).unwrap_or_default()
}

/// The lines of a secret that are long enough to be masked alone. Keys in environment
/// variables and JSON often have `\n` spelled out where a job prints new lines.
fn lines(secret: &[u8]) -> Vec<&[u8]> {
    let mut lines = Vec::new();
    let mut rest = secret;
    while !rest.is_empty() {
        let ends = |at: &usize| {
            matches!(rest[*at], b'\n' | b'\r') || matches!(rest[*at..], [b'\\', b'n' | b'r', ..])
        };
        let end = (0..rest.len()).find(ends).unwrap_or(rest.len());
        let line = rest[..end].trim_ascii();
        // Certificates have such lines too.
        let frames_key = line.starts_with(b"-----") && line.ends_with(b"-----");
        if line.len() >= SHORTEST_LINE && !frames_key {
            lines.push(line);
        }
        let separator = if rest[end..].starts_with(b"\\") { 2 } else { 1 };
        rest = rest.get(end + separator..).unwrap_or_default();
    }
    lines
}

/// Masks one stream. A tail that really is the beginning of a secret is held back
/// until more comes, or the end: written after some time it would tell the first part
/// of a secret that is printed in two. The tail of ordinary output is none, so it is
/// not late; and no tail is longer than the longest form of the longest secret.
pub(super) struct Masker {
    secrets: Arc<Secrets>,
    held: Vec<u8>,
    /// Bytes at the beginning of `held` for which a mark is written. They are kept
    /// because a longer secret, or another one, may begin in them.
    masked: usize,
}

impl Masker {
    /// The beginning of a stream.
    pub(super) fn new(secrets: &Arc<Secrets>) -> Self {
        Self { secrets: Arc::clone(secrets), held: Vec::new(), masked: 0 }
    }

    /// Takes in the next bytes of the stream; adds to `out` what is certain.
    pub(super) fn push(&mut self, data: &[u8], out: &mut Vec<u8>) {
        if self.secrets.is_empty() {
            out.extend_from_slice(data);
        } else {
            self.advance(data, false, out);
        }
    }

    /// The stream has ended: what was held back is no secret, but may contain some.
    pub(super) fn finish(&mut self, out: &mut Vec<u8>) {
        self.advance(&[], true, out);
    }

    /// Bytes that are held back.
    pub(super) fn pending(&self) -> usize {
        self.held.len() - self.masked
    }

    /// The longest secret at each position is masked, also where it begins in another
    /// one: secrets that overlap become one mark.
    fn advance(&mut self, data: &[u8], ended: bool, out: &mut Vec<u8>) {
        let mut held = mem::take(&mut self.held);
        let text = if held.is_empty() {
            data
        } else {
            held.extend_from_slice(data);
            &held
        };
        // Up to here the text is written or masked.
        let mut done = self.masked;
        let mut next = 0;
        let undecided = loop {
            let Some(at) = self.secrets.starts.next(text, next) else { break text.len() };
            let seen = self.secrets.look(text, at);
            if seen.length > 0 {
                if at >= done {
                    out.extend_from_slice(&text[done..at]);
                    out.extend_from_slice(MARK);
                }
                done = done.max(at + seen.length);
            }
            if seen.open && !ended {
                break at;
            }
            next = at + 1;
        };
        if done < undecided {
            out.extend_from_slice(&text[done..undecided]);
        }
        self.masked = done.saturating_sub(undecided);
        self.held = text[undecided..].to_vec();
    }
}
