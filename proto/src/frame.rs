//! The framing of logs. A log is a sequence of records in the order they were
//! read; it has the same bytes in the agent's spool, on the wire and in the
//! scheduler's chunks, so that one number, the offset, says how far each is.
//!
//! A record is a header of 16 bytes (data length u32, stream u8, three zero
//! bytes, time i64 in microseconds since the Unix epoch; little endian) and its
//! data.

use bytes::{Buf, Bytes};

/// Bytes of a record before its data.
pub const HEADER: usize = 16;

/// Most bytes of data in one record.
pub const MAX_DATA: usize = 1024 * 1024;

/// One of a process' output streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Stream {
    /// The stream's position in arrays that hold something for each stream.
    pub fn index(self) -> usize {
        match self {
            Self::Stdout => 0,
            Self::Stderr => 1,
        }
    }

    fn code(self) -> u8 {
        match self {
            Self::Stdout => 1,
            Self::Stderr => 2,
        }
    }

    fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Stdout),
            2 => Some(Self::Stderr),
            _ => None,
        }
    }
}

/// What one read from a pipe returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Which stream it was.
    pub stream: Stream,
    /// When it was read, in microseconds since the Unix epoch.
    pub time: i64,
    /// The bytes that were read.
    pub data: Bytes,
}

/// Bytes that are no log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// A header that no writer makes.
    #[error("the log record at byte {at} has a damaged header")]
    Header {
        /// Where, from the beginning of the bytes that were read.
        at: usize,
    },
    /// The bytes end within a record.
    #[error("the log ends within the record at byte {at}")]
    Short {
        /// Where the record begins.
        at: usize,
    },
}

/// The header of a record with `len` bytes of data.
pub fn header(stream: Stream, time: i64, len: usize) -> [u8; HEADER] {
    debug_assert!(len <= MAX_DATA);
    let mut bytes = [0; HEADER];
    bytes[..4].copy_from_slice(&(len as u32).to_le_bytes());
    bytes[4] = stream.code();
    bytes[8..].copy_from_slice(&time.to_le_bytes());
    bytes
}

/// Stream, time and data length, or nothing if the header is damaged.
fn parse(header: &[u8; HEADER]) -> Option<(Stream, i64, usize)> {
    let [l0, l1, l2, l3, stream, 0, 0, 0, time @ ..] = *header else { return None };
    let len = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
    let stream = Stream::from_code(stream)?;
    (len <= MAX_DATA).then_some((stream, i64::from_le_bytes(time), len))
}

/// Size of the record that this header begins, with the header; none if no writer
/// makes such a header.
pub fn record_size(header: &[u8; HEADER]) -> Option<usize> {
    parse(header).map(|(_, _, len)| HEADER + len)
}

/// How many of `bytes` are whole records.
pub fn whole_records(bytes: &[u8]) -> Result<usize, FrameError> {
    let mut at = 0;
    while let Some(header) = bytes[at..].first_chunk::<HEADER>() {
        let (_, _, len) = parse(header).ok_or(FrameError::Header { at })?;
        if bytes.len() - at - HEADER < len {
            break;
        }
        at += HEADER + len;
    }
    Ok(at)
}

/// The records of `frames`, which share its memory. Ends after the first error.
pub fn records(frames: Bytes) -> Records {
    Records { rest: frames, at: 0 }
}

/// Iterates over the records of a log.
#[derive(Debug)]
pub struct Records {
    rest: Bytes,
    at: usize,
}

impl Records {
    fn fail(&mut self, error: FrameError) -> Option<Result<Record, FrameError>> {
        self.rest.clear();
        Some(Err(error))
    }
}

impl Iterator for Records {
    type Item = Result<Record, FrameError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let at = self.at;
        let Some(header) = self.rest.first_chunk::<HEADER>() else {
            return self.fail(FrameError::Short { at });
        };
        let Some((stream, time, len)) = parse(header) else {
            return self.fail(FrameError::Header { at });
        };
        if self.rest.len() - HEADER < len {
            return self.fail(FrameError::Short { at });
        }
        self.rest.advance(HEADER);
        self.at += HEADER + len;
        Some(Ok(Record { stream, time, data: self.rest.split_to(len) }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encode(records: &[Record]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for record in records {
            bytes.extend_from_slice(&header(record.stream, record.time, record.data.len()));
            bytes.extend_from_slice(&record.data);
        }
        bytes
    }

    fn any_record() -> impl Strategy<Value = Record> {
        (any::<bool>(), any::<i64>(), proptest::collection::vec(any::<u8>(), 0..40)).prop_map(
            |(out, time, data)| Record {
                stream: if out { Stream::Stdout } else { Stream::Stderr },
                time,
                data: data.into(),
            },
        )
    }

    proptest! {
        #[test]
        fn records_return_unchanged(log in proptest::collection::vec(any_record(), 0..20)) {
            let decoded: Result<Vec<_>, _> = records(encode(&log).into()).collect();
            prop_assert_eq!(decoded, Ok(log));
        }

        #[test]
        fn a_cut_log_loses_only_the_cut_record(
            log in proptest::collection::vec(any_record(), 1..20),
            cut in any::<prop::sample::Index>(),
        ) {
            let bytes = encode(&log);
            let bytes = &bytes[..cut.index(bytes.len())];
            let whole = whole_records(bytes).unwrap();
            let decoded: Vec<_> =
                records(Bytes::copy_from_slice(&bytes[..whole])).collect::<Result<_, _>>().unwrap();
            prop_assert_eq!(&decoded[..], &log[..decoded.len()]);
            let rest = bytes.len() - whole;
            prop_assert!(rest < HEADER + log[decoded.len()].data.len());
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = whole_records(&bytes);
            let _ = records(bytes.into()).count();
        }
    }

    #[test]
    fn a_damaged_header_is_named() {
        let mut bytes = encode(&[Record { stream: Stream::Stdout, time: 1, data: "x".into() }]);
        bytes.extend_from_slice(&[0xff; HEADER]);
        assert_eq!(whole_records(&bytes), Err(FrameError::Header { at: 17 }));
        assert_eq!(records(bytes.into()).last(), Some(Err(FrameError::Header { at: 17 })));
    }
}
