//! Batches of records with everything right or one thing wrong, and always with the right checksum, so that what is
//! behind the checksum is reached.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::Dice;

/// Where the part begins that the checksum is of.
const CHECKED_FROM: usize = 21;

pub(super) fn batch(dice: &mut Dice) -> Vec<u8> {
    let count = *dice.pick(&[1_i32, 1, 2, 5, 0, -1, i32::MAX]);
    let codec = if dice.one_in(3) { dice.below(8) } else { 0 };
    let flags = dice.pick(&[0, 0, 0, 0x08, 0x10, 0x10, 0x20, 0x30]);
    let attributes = i16::try_from(codec).unwrap_or_default() | flags;
    let plain = if dice.one_in(50) { vec![0; 8 * 1024 * 1024] } else { records(dice) };
    let body = if codec == 1 { gzip(&plain) } else { plain.into_iter().take(64 * 1024).collect() };

    let mut batch = Vec::new();
    batch.extend(0_i64.to_be_bytes());
    batch.extend(0_i32.to_be_bytes());
    batch.extend(dice.pick(&[-1_i32, 0, 1]).to_be_bytes());
    batch.push(if dice.one_in(20) { dice.byte() } else { 2 });
    batch.extend([0; 4]);
    batch.extend(attributes.to_be_bytes());
    batch.extend(count.wrapping_sub(1).to_be_bytes());
    batch.extend(dice.pick(&[1_700_000_000_000_i64, 0, -1, i64::MAX, i64::MIN]).to_be_bytes());
    batch.extend(dice.pick(&[1_700_000_000_000_i64, 0, -1, i64::MAX, i64::MIN]).to_be_bytes());
    batch.extend(dice.pick(&[-1_i64, 0, 1, 2, i64::MAX]).to_be_bytes());
    batch.extend(dice.pick(&[-1_i16, 0, 1, i16::MAX]).to_be_bytes());
    batch.extend(dice.pick(&[-1_i32, 0, 0, 1, i32::MAX]).to_be_bytes());
    batch.extend(count.to_be_bytes());
    batch.extend(body);
    let length = i32::try_from(batch.len() - 12).unwrap_or(i32::MAX);
    batch[8..12].copy_from_slice(&length.to_be_bytes());
    if dice.one_in(6) {
        let at = CHECKED_FROM + dice.below(batch.len() - CHECKED_FROM);
        batch[at] = dice.byte();
    }
    let checksum = crc32c::crc32c(&batch[CHECKED_FROM..]);
    batch[17..21].copy_from_slice(&checksum.to_be_bytes());
    batch
}

fn records(dice: &mut Dice) -> Vec<u8> {
    let mut records = Vec::new();
    for offset in 0..=dice.below(4) {
        let key = if dice.one_in(2) { vec![1] } else { vec![2, b'k'] };
        // Lengths, deltas and counts below 64 are their doubles.
        let mut record = vec![0, 0, u8::try_from(offset * 2).unwrap_or_default()];
        record.extend(key);
        record.extend([6, b'o', b'n', b'e', 0]);
        if dice.one_in(10) {
            let at = dice.below(record.len());
            record[at] = dice.byte();
        }
        records.push(u8::try_from(record.len() * 2).unwrap_or_default());
        records.extend(record);
    }
    records
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(plain).and_then(|()| encoder.finish()).unwrap_or_default()
}
