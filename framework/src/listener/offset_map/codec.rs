//! Variable-length integers, base64 and the checksum of an offset map's text.

pub(super) const CHECKSUM_BYTES: usize = 4;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Seven bits a byte, the lowest first; the top bit says that more follow.
pub(super) fn write_varint(bytes: &mut Vec<u8>, mut number: u64) {
    loop {
        let low = u8::try_from(number & 0x7f).unwrap_or_default();
        number >>= 7;
        if number == 0 {
            bytes.push(low);
            return;
        }
        bytes.push(low | 0x80);
    }
}

/// Reads one number off the front; `None` if it is cut short, too large or longer than it needs to be.
pub(super) fn read_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        let low = u64::from(byte & 0x7f);
        if low.leading_zeros() < shift {
            return None;
        }
        number |= low << shift;
        if byte & 0x80 == 0 {
            return (*byte != 0 || shift == 0).then_some(number);
        }
    }
    None
}

pub(super) fn varint_length(number: u64) -> usize {
    let bits = usize::try_from(u64::BITS - number.leading_zeros()).unwrap_or(64);
    bits.div_ceil(7).max(1)
}

/// How many characters `bytes` bytes become, without padding.
pub(super) fn base64_length(bytes: usize) -> usize {
    bytes / 3 * 4 + [0, 2, 3][bytes % 3]
}

/// The text of `content` with its checksum behind it, after `prefix`.
pub(super) fn sealed(prefix: &str, mut content: Vec<u8>) -> String {
    content.extend_from_slice(&crc32c::crc32c(&content).to_be_bytes());
    let mut text = String::with_capacity(prefix.len() + base64_length(content.len()));
    text.push_str(prefix);
    for group in content.chunks(3) {
        let byte = |index: usize| u32::from(group.get(index).copied().unwrap_or_default());
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for shift in [18, 12, 6, 0].into_iter().take(group.len() + 1) {
            let index = usize::try_from(bits >> shift & 0x3f).unwrap_or_default();
            text.push(char::from(ALPHABET[index]));
        }
    }
    text
}

/// What is in front of the checksum, if that is right.
pub(super) fn checked(sealed: &[u8]) -> Option<&[u8]> {
    let (content, checksum) = sealed.split_last_chunk::<CHECKSUM_BYTES>()?;
    (crc32c::crc32c(content).to_be_bytes() == *checksum).then_some(content)
}

/// The bytes of a text; `None` if a character, or the length, is not that of one.
pub(super) fn from_base64(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3 + 2);
    for group in text.as_bytes().chunks(4) {
        if group.len() == 1 {
            return None;
        }
        let mut bits = 0u32;
        for index in 0..4 {
            let digit = group.get(index).map_or(Some(0), |character| digit_of(*character))?;
            bits = bits << 6 | digit;
        }
        let [_, decoded @ ..] = bits.to_be_bytes();
        let (kept, unused) = decoded.split_at(group.len() - 1);
        if unused.iter().any(|byte| *byte != 0) {
            return None;
        }
        bytes.extend_from_slice(kept);
    }
    Some(bytes)
}

fn digit_of(character: u8) -> Option<u32> {
    let digit = match character {
        b'A'..=b'Z' => character - b'A',
        b'a'..=b'z' => character - b'a' + 26,
        b'0'..=b'9' => character - b'0' + 52,
        b'-' => 62,
        b'_' => 63,
        _ => return None,
    };
    Some(u32::from(digit))
}
