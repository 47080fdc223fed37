//! How a chunk's bytes are encoded. Chunks below a kilobyte are kept as they are:
//! compressing them costs more than it saves.

use std::io::Write as _;

use bytes::Bytes;

use crate::domain::ids::JobId;

/// Chunks below this many bytes are stored raw.
const RAW_BELOW: usize = 1024;

/// zstd's level: logs shrink five- to tenfold at a speed above the network's.
const LEVEL: i32 = 1;

const RAW: &str = "raw";
const ZSTD: &str = "zstd";

/// The object that holds the chunk of `length` bytes from `start` on. What it holds is in its
/// name: a put that comes late, after one of more bytes, does not overwrite that.
pub(super) fn object_name((job, attempt): (JobId, i32), start: i64, length: i64) -> String {
    format!("logs/{job}/{attempt}/{start:020}-{length}")
}

/// Encodes a chunk; says how.
pub(super) fn encode(segments: &[Bytes]) -> std::io::Result<(&'static str, Vec<u8>)> {
    let length: usize = segments.iter().map(Bytes::len).sum();
    if length < RAW_BELOW {
        return Ok((RAW, segments.concat()));
    }
    let mut encoder = zstd::Encoder::new(Vec::with_capacity(length / 4), LEVEL)?;
    // Another byte in it is found when it is read, and not shown as what a job has written.
    encoder.include_checksum(true)?;
    for segment in segments {
        encoder.write_all(segment)?;
    }
    Ok((ZSTD, encoder.finish()?))
}

/// The chunk of `length` bytes that was encoded.
pub(super) fn decode(encoding: &str, content: Bytes, length: i64) -> Result<Bytes, String> {
    let length = usize::try_from(length).map_err(|_| format!("its length is {length}"))?;
    let decoded = match encoding {
        RAW => content,
        ZSTD => zstd::bulk::decompress(&content, length)
            .map_err(|error| format!("it cannot be decompressed: {error}"))?
            .into(),
        other => return Err(format!("its encoding {other:?} is unknown")),
    };
    if decoded.len() == length {
        Ok(decoded)
    } else {
        Err(format!("it has {} bytes where {length} were stored", decoded.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_compressed_chunk_with_another_byte_is_not_read() {
        let text = Bytes::from((0..900).map(|n| format!("{} ", n * n)).collect::<String>());
        let length = text.len() as i64;
        let (encoding, stored) = encode(std::slice::from_ref(&text)).unwrap();
        assert_eq!(decode(encoding, stored.clone().into(), length).as_ref(), Ok(&text));
        for at in 0..stored.len() {
            let mut other = stored.clone();
            other[at] ^= 0x10;
            let read = decode(encoding, other.into(), length);
            assert!(read.is_err() || read.as_ref() == Ok(&text), "byte {at}");
        }
    }

    proptest! {
        #[test]
        fn chunks_return_unchanged(
            segments in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..900), 0..6)
        ) {
            let segments: Vec<Bytes> = segments.into_iter().map(Bytes::from).collect();
            let plain = segments.concat();
            let (encoding, stored) = encode(&segments).unwrap();
            let length = plain.len() as i64;
            prop_assert_eq!(decode(encoding, stored.into(), length), Ok(Bytes::from(plain)));
        }
    }

    #[test]
    fn damage_is_found() {
        let (encoding, mut stored) = encode(&[Bytes::from(vec![7; 5000])]).unwrap();
        assert!(decode(encoding, stored.clone().into(), 4999).is_err());
        stored.truncate(stored.len() / 2);
        assert!(decode(encoding, stored.into(), 5000).is_err());
        assert!(decode("rot13", Bytes::new(), 0).is_err());
    }
}
