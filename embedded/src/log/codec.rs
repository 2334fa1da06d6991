//! Looks into compressed batches, which is needed for few questions: which record is of a time, and has it a key; and
//! packs again what compaction has left of one.
//!
//! What a batch unpacks to is bounded, whatever it claims.

use std::io::{Read, Write};

/// A batch is refused to be larger than this when unpacked: far more than `max.message.bytes` packs in practice.
const MAX_BYTES: usize = 64 * 1024 * 1024;

/// What Java's clients put before blocks of Snappy, followed by two version numbers.
const SNAPPY_FRAME: &[u8] = b"\x82SNAPPY\0";
const SNAPPY_FRAME_HEADER: usize = 16;

/// Unpacks with the codec of that number, or gives up.
pub(super) fn unpack(codec: i16, packed: &[u8]) -> Option<Vec<u8>> {
    match codec {
        0 => Some(packed.to_vec()),
        1 => read_all(flate2::read::MultiGzDecoder::new(packed)),
        2 => unpack_snappy(packed),
        3 => read_all(lz4_flex::frame::FrameDecoder::new(packed)),
        4 => read_all(ruzstd::decoding::StreamingDecoder::new(packed).ok()?),
        _ => None,
    }
}

/// Packs with the codec of that number. `None` if there is none, or it cannot.
pub(super) fn pack(codec: i16, bytes: Vec<u8>) -> Option<Vec<u8>> {
    match codec {
        0 => Some(bytes),
        1 => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            encoder.write_all(&bytes).ok()?;
            encoder.finish().ok()
        }
        2 => snap::raw::Encoder::new().compress_vec(&bytes).ok(),
        3 => {
            let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
            encoder.write_all(&bytes).ok()?;
            encoder.finish().ok()
        }
        4 => {
            let level = ruzstd::encoding::CompressionLevel::Fastest;
            Some(ruzstd::encoding::compress_to_vec(bytes.as_slice(), level))
        }
        _ => None,
    }
}

fn read_all(packed: impl Read) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    packed.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes).ok()?;
    (bytes.len() <= MAX_BYTES).then_some(bytes)
}

fn unpack_snappy(packed: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    if !packed.starts_with(SNAPPY_FRAME) {
        unpack_block(packed, &mut bytes)?;
        return Some(bytes);
    }
    let mut rest = packed.get(SNAPPY_FRAME_HEADER..)?;
    while !rest.is_empty() {
        let (length, after) = rest.split_first_chunk::<4>()?;
        let (block, after) = after.split_at_checked(usize::try_from(i32::from_be_bytes(*length)).ok()?)?;
        unpack_block(block, &mut bytes)?;
        rest = after;
    }
    Some(bytes)
}

fn unpack_block(block: &[u8], bytes: &mut Vec<u8>) -> Option<()> {
    let length = snap::raw::decompress_len(block).ok()?;
    if bytes.len().checked_add(length)? > MAX_BYTES {
        return None;
    }
    bytes.extend_from_slice(&snap::raw::Decoder::new().decompress_vec(block).ok()?);
    Some(())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]
mod tests {
    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn snappy_is_read_with_and_without_the_frame_of_java() {
        let block = snap::raw::Encoder::new().compress_vec(b"records").unwrap();
        let mut framed = SNAPPY_FRAME.to_vec();
        framed.extend_from_slice(&[0, 0, 0, 1, 0, 0, 0, 1]);
        for _ in 0..2 {
            framed.extend_from_slice(&u32::try_from(block.len()).unwrap().to_be_bytes());
            framed.extend_from_slice(&block);
        }
        assert_eq!(unpack(2, &block).unwrap(), b"records");
        assert_eq!(unpack(2, &framed).unwrap(), b"recordsrecords");
        for cut in 1..framed.len() {
            // Between two blocks is the only place at which it may end.
            let whole = cut == SNAPPY_FRAME_HEADER || cut == SNAPPY_FRAME_HEADER + 4 + block.len();
            assert_eq!(unpack(2, &framed[..cut]).is_some(), whole, "cut at {cut}");
        }
    }

    #[test]
    fn what_unpacks_without_end_is_given_up() {
        assert_eq!(unpack(1, &gzip(b"records")).unwrap(), b"records");
        assert_eq!(unpack(1, &gzip(&vec![0; MAX_BYTES + 1])), None);
        // Snappy says beforehand how much it will be.
        assert_eq!(unpack(2, &[0xff, 0xff, 0xff, 0xff, 0x0f, 0]), None);
    }

    #[test]
    fn what_is_packed_is_unpacked_again() {
        for size in [0, 1, 1_000, 300_000] {
            let bytes: Vec<u8> = (0..size)
                .map(|number: u32| number.to_le_bytes()[usize::from(number.is_multiple_of(3))])
                .collect();
            for codec in 0..=4 {
                let packed = pack(codec, bytes.clone()).unwrap();
                assert_eq!(unpack(codec, &packed).as_ref(), Some(&bytes), "{size} bytes, codec {codec}");
            }
        }
        assert_eq!(pack(5, vec![1]), None);
    }

    #[test]
    fn garbage_is_given_up() {
        let garbage: Vec<u8> = (0..=255).collect();
        for codec in [1, 2, 3, 4, 5, 7, -1] {
            assert_eq!(unpack(codec, &garbage), None, "codec {codec}");
        }
    }
}
