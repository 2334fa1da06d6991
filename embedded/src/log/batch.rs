//! Record batches of Kafka's format 2, read and rewritten in place.
//!
//! The checksum covers all that follows it. Base offset and leader epoch stand before it, so a broker fills them in
//! without touching it; only a log-append time makes a new one necessary. The records themselves are walked here rather
//! than decoded, because a decoder allocates what a record merely claims to hold.

use bytes::{Bytes, BytesMut};

use super::codec;
use crate::txn::ProducerIdentity;

const BASE_OFFSET: usize = 0;
const LENGTH: usize = 8;
const LEADER_EPOCH: usize = 12;
const MAGIC: usize = 16;
const CHECKSUM: usize = 17;
const ATTRIBUTES: usize = 21;
const LAST_OFFSET_DELTA: usize = 23;
const BASE_TIMESTAMP: usize = 27;
const MAX_TIMESTAMP: usize = 35;
const PRODUCER_ID: usize = 43;
const PRODUCER_EPOCH: usize = 51;
const BASE_SEQUENCE: usize = 53;
const RECORD_COUNT: usize = 57;
const RECORDS: usize = 61;

const COMPRESSION_MASK: i16 = 0b111;
const LOG_APPEND_TIME: i16 = 1 << 3;
const TRANSACTIONAL: i16 = 1 << 4;
const CONTROL: i16 = 1 << 5;
/// The base timestamp is the time from which on tombstones and markers of the batch may go (KIP-534).
const DELETE_HORIZON: i16 = 1 << 6;

/// The least that a batch takes up, and where its records begin.
pub(super) const HEADER_BYTES: usize = RECORDS;

/// A batch with a header that has been checked.
#[derive(Debug, Clone)]
pub(crate) struct Batch {
    pub(crate) bytes: Bytes,
    pub(crate) base_offset: i64,
    pub(crate) last_offset: i64,
    pub(crate) base_timestamp: i64,
    pub(crate) max_timestamp: i64,
    pub(crate) producer_id: i64,
    pub(crate) producer_epoch: i16,
    pub(crate) base_sequence: i32,
    pub(crate) record_count: i32,
    attributes: i16,
}

/// What of a record matters to a broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RecordInfo {
    pub(crate) offset: i64,
    pub(crate) timestamp: i64,
    pub(crate) has_key: bool,
}

/// Why bytes are no batch that may be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BadBatch {
    /// Cut off, of an impossible length, or with a wrong checksum.
    Corrupt,
    /// Well-formed, and yet nothing that a producer may send.
    Invalid(&'static str),
    /// One of the two formats that were given up in 2017.
    OldFormat,
}

impl Batch {
    /// Splits the next batch off, and checks it as a broker checks what a producer sends.
    pub(crate) fn split_from(bytes: &mut Bytes) -> Result<Self, BadBatch> {
        let batch = Self::split_verified(bytes)?;
        batch.check()?;
        Ok(batch)
    }

    /// Reads the one batch that these bytes of a log are; a log also holds markers, and batches with gaps.
    pub(super) fn stored(mut bytes: Bytes) -> Result<Self, BadBatch> {
        let batch = Self::split_verified(&mut bytes)?;
        let fits = batch.last_offset >= batch.base_offset && batch.record_count >= 1;
        if fits && bytes.is_empty() { Ok(batch) } else { Err(BadBatch::Corrupt) }
    }

    /// How many bytes the batch takes up that begins with these, if that can be.
    pub(super) fn size_of_next(header: &[u8]) -> Option<usize> {
        let length = i32::from_be_bytes(field(header, LENGTH).ok()?);
        let size = usize::try_from(length).ok()?.checked_add(LEADER_EPOCH)?;
        let is_batch = size >= RECORDS && field::<1>(header, MAGIC).ok()? == [2];
        is_batch.then_some(size)
    }

    /// Splits the next batch off, whatever it is for, if its checksum is right.
    fn split_verified(bytes: &mut Bytes) -> Result<Self, BadBatch> {
        let length = i32::from_be_bytes(field(bytes, LENGTH)?);
        if field::<1>(bytes, MAGIC)? != [2] {
            return Err(BadBatch::OldFormat);
        }
        let size = usize::try_from(length).map_err(|_| BadBatch::Corrupt)?.saturating_add(LEADER_EPOCH);
        if size < RECORDS || size > bytes.len() {
            return Err(BadBatch::Corrupt);
        }
        let own = bytes.split_to(size);
        if crc32c::crc32c(&own[ATTRIBUTES..]).to_be_bytes() != field(&own, CHECKSUM)? {
            return Err(BadBatch::Corrupt);
        }
        let base_offset = i64::from_be_bytes(field(&own, BASE_OFFSET)?);
        let last_delta = i32::from_be_bytes(field(&own, LAST_OFFSET_DELTA)?);
        Ok(Self {
            base_offset,
            last_offset: base_offset.saturating_add(i64::from(last_delta)),
            base_timestamp: i64::from_be_bytes(field(&own, BASE_TIMESTAMP)?),
            max_timestamp: i64::from_be_bytes(field(&own, MAX_TIMESTAMP)?),
            producer_id: i64::from_be_bytes(field(&own, PRODUCER_ID)?),
            producer_epoch: i16::from_be_bytes(field(&own, PRODUCER_EPOCH)?),
            base_sequence: i32::from_be_bytes(field(&own, BASE_SEQUENCE)?),
            record_count: i32::from_be_bytes(field(&own, RECORD_COUNT)?),
            attributes: i16::from_be_bytes(field(&own, ATTRIBUTES)?),
            bytes: own,
        })
    }

    fn check(&self) -> Result<(), BadBatch> {
        let span = self.last_offset.wrapping_sub(self.base_offset);
        if self.record_count < 1 || span != i64::from(self.record_count) - 1 {
            return Err(BadBatch::Invalid("the count of records and their offsets do not fit together"));
        }
        if self.attributes & CONTROL != 0 {
            return Err(BadBatch::Invalid("a client may not write control batches"));
        }
        if self.attributes & DELETE_HORIZON != 0 {
            return Err(BadBatch::Invalid("a client may not say when tombstones go"));
        }
        if self.is_idempotent() && (self.producer_epoch < 0 || self.base_sequence < 0) {
            return Err(BadBatch::Invalid("a producer id without an epoch or a sequence"));
        }
        if self.attributes & COMPRESSION_MASK > 4 {
            return Err(BadBatch::Invalid("an unknown compression"));
        }
        if self.is_compressed() {
            return Ok(());
        }
        let mut records = self.records();
        for expected in 0..self.record_count {
            match records.next() {
                Some(Ok(record)) if record.offset == self.base_offset.wrapping_add(i64::from(expected)) => {}
                _ => return Err(BadBatch::Invalid("the records are not what the header says")),
            }
        }
        if records.rest.is_empty() { Ok(()) } else { Err(BadBatch::Corrupt) }
    }

    pub(crate) fn is_idempotent(&self) -> bool {
        self.producer_id >= 0
    }

    pub(crate) fn is_transactional(&self) -> bool {
        self.attributes & TRANSACTIONAL != 0
    }

    /// Whether it is the marker of a transaction's end.
    pub(super) fn is_control(&self) -> bool {
        self.attributes & CONTROL != 0
    }

    /// Of a marker: whether the transaction was committed.
    pub(super) fn is_commit(&self) -> bool {
        let committed = self.look_at_raw(|records| {
            records.flatten().next().and_then(|record| record.key).is_some_and(|key| key.ends_with(&[0, 1]))
        });
        committed.unwrap_or(false)
    }

    /// From when on its tombstones and markers may go, in milliseconds since 1970.
    pub(super) fn delete_horizon(&self) -> Option<i64> {
        (self.attributes & DELETE_HORIZON != 0).then_some(self.base_timestamp)
    }

    /// The epoch of the leader that stored it.
    pub(super) fn leader_epoch(&self) -> i32 {
        field(&self.bytes, LEADER_EPOCH).map_or(-1, i32::from_be_bytes)
    }

    fn is_compressed(&self) -> bool {
        self.attributes & COMPRESSION_MASK != 0
    }

    pub(crate) fn has_log_append_time(&self) -> bool {
        self.attributes & LOG_APPEND_TIME != 0
    }

    /// The sequence of the last record; sequences wrap to zero.
    pub(crate) fn last_sequence(&self) -> i32 {
        // Records that compaction took away had sequences too.
        let last = i64::from(self.base_sequence) + (self.last_offset - self.base_offset);
        i32::try_from(last % (i64::from(i32::MAX) + 1)).unwrap_or(0)
    }

    /// The batch as it is stored: at its offset, in the leader's epoch, and stamped if the topic wants that.
    pub(crate) fn placed(&self, base_offset: i64, leader_epoch: i32, log_append_ms: Option<i64>) -> Self {
        // A copy, so that the log does not hold on to the whole request.
        let mut bytes = BytesMut::from(&self.bytes[..]);
        bytes[BASE_OFFSET..LENGTH].copy_from_slice(&base_offset.to_be_bytes());
        bytes[LEADER_EPOCH..MAGIC].copy_from_slice(&leader_epoch.to_be_bytes());
        let mut placed = Self {
            base_offset,
            last_offset: base_offset + i64::from(self.record_count) - 1,
            bytes: Bytes::new(),
            ..*self
        };
        if let Some(stamp) = log_append_ms {
            placed.attributes |= LOG_APPEND_TIME;
            placed.max_timestamp = stamp;
            bytes[ATTRIBUTES..LAST_OFFSET_DELTA].copy_from_slice(&placed.attributes.to_be_bytes());
            bytes[MAX_TIMESTAMP..PRODUCER_ID].copy_from_slice(&stamp.to_be_bytes());
            let checksum = crc32c::crc32c(&bytes[ATTRIBUTES..]);
            bytes[CHECKSUM..ATTRIBUTES].copy_from_slice(&checksum.to_be_bytes());
        }
        placed.bytes = bytes.freeze();
        placed
    }

    /// The marker that ends a transaction in a partition.
    pub(crate) fn marker(
        base_offset: i64,
        leader_epoch: i32,
        now_ms: i64,
        producer: ProducerIdentity,
        committed: bool,
    ) -> Self {
        // One record of 16 bytes: its header, a key that says how it ended, and a value with the coordinator's epoch.
        const RECORD: [u8; 17] = [32, 0, 0, 0, 8, 0, 0, 0, 0, 12, 0, 0, 0, 0, 0, 0, 0];
        const OUTCOME: usize = RECORDS + 8;
        let attributes = TRANSACTIONAL | CONTROL;
        let mut bytes = BytesMut::zeroed(RECORDS);
        bytes.extend_from_slice(&RECORD);
        bytes[OUTCOME] = u8::from(committed);
        bytes[BASE_OFFSET..LENGTH].copy_from_slice(&base_offset.to_be_bytes());
        let length = i32::try_from(bytes.len() - LEADER_EPOCH).unwrap_or(i32::MAX);
        bytes[LENGTH..LEADER_EPOCH].copy_from_slice(&length.to_be_bytes());
        bytes[LEADER_EPOCH..MAGIC].copy_from_slice(&leader_epoch.to_be_bytes());
        bytes[MAGIC] = 2;
        bytes[ATTRIBUTES..LAST_OFFSET_DELTA].copy_from_slice(&attributes.to_be_bytes());
        bytes[BASE_TIMESTAMP..MAX_TIMESTAMP].copy_from_slice(&now_ms.to_be_bytes());
        bytes[MAX_TIMESTAMP..PRODUCER_ID].copy_from_slice(&now_ms.to_be_bytes());
        bytes[PRODUCER_ID..PRODUCER_EPOCH].copy_from_slice(&producer.id.to_be_bytes());
        bytes[PRODUCER_EPOCH..BASE_SEQUENCE].copy_from_slice(&producer.epoch.to_be_bytes());
        bytes[BASE_SEQUENCE..RECORD_COUNT].copy_from_slice(&(-1_i32).to_be_bytes());
        bytes[RECORD_COUNT..RECORDS].copy_from_slice(&1_i32.to_be_bytes());
        let checksum = crc32c::crc32c(&bytes[ATTRIBUTES..]);
        bytes[CHECKSUM..ATTRIBUTES].copy_from_slice(&checksum.to_be_bytes());
        Self {
            bytes: bytes.freeze(),
            base_offset,
            last_offset: base_offset,
            base_timestamp: now_ms,
            max_timestamp: now_ms,
            producer_id: producer.id,
            producer_epoch: producer.epoch,
            base_sequence: -1,
            record_count: 1,
            attributes,
        }
    }

    pub(crate) fn producer(&self) -> ProducerIdentity {
        ProducerIdentity { id: self.producer_id, epoch: self.producer_epoch }
    }

    /// Looks at the records, unpacked if need be. `None` if they cannot be.
    pub(crate) fn look<T>(&self, at: impl FnOnce(Records<'_>) -> T) -> Option<T> {
        if !self.is_compressed() {
            return Some(at(self.records()));
        }
        let unpacked = codec::unpack(self.attributes & COMPRESSION_MASK, &self.bytes[RECORDS..])?;
        Some(at(Records { batch: self, rest: &unpacked }))
    }

    /// Looks at the records as they are written. `None` if they cannot be unpacked.
    pub(super) fn look_at_raw<T>(&self, at: impl FnOnce(RawRecords<'_>) -> T) -> Option<T> {
        let base_offset = self.base_offset;
        if !self.is_compressed() {
            return Some(at(RawRecords { base_offset, rest: &self.bytes[RECORDS..] }));
        }
        let unpacked = codec::unpack(self.attributes & COMPRESSION_MASK, &self.bytes[RECORDS..])?;
        Some(at(RawRecords { base_offset, rest: &unpacked }))
    }

    /// The batch with only these of its records, and with a horizon for its tombstones if that is given. Offsets and
    /// sequences stay, and so does the codec. `None` if there is no record, or the batch would be too large to be one.
    pub(super) fn rebuilt(&self, kept: &[RawRecord<'_>], horizon: Option<i64>) -> Option<Self> {
        let base_timestamp = horizon.unwrap_or(self.base_timestamp);
        let shift = self.base_timestamp.wrapping_sub(base_timestamp);
        let mut records = Vec::new();
        let mut max_timestamp = i64::MIN;
        for record in kept {
            max_timestamp = max_timestamp.max(self.base_timestamp.wrapping_add(record.timestamp_delta));
            record.write_to(&mut records, shift);
        }
        if kept.is_empty() {
            return None;
        }
        let attributes = self.attributes | horizon.map_or(0, |_| DELETE_HORIZON);
        let packed = codec::pack(attributes & COMPRESSION_MASK, records)?;
        let mut bytes = BytesMut::with_capacity(RECORDS + packed.len());
        bytes.extend_from_slice(&self.bytes[..RECORDS]);
        bytes.extend_from_slice(&packed);
        let max_timestamp = if self.has_log_append_time() { self.max_timestamp } else { max_timestamp };
        let record_count = i32::try_from(kept.len()).ok()?;
        let length = i32::try_from(bytes.len() - LEADER_EPOCH).ok()?;
        bytes[LENGTH..LEADER_EPOCH].copy_from_slice(&length.to_be_bytes());
        bytes[ATTRIBUTES..LAST_OFFSET_DELTA].copy_from_slice(&attributes.to_be_bytes());
        bytes[BASE_TIMESTAMP..MAX_TIMESTAMP].copy_from_slice(&base_timestamp.to_be_bytes());
        bytes[MAX_TIMESTAMP..PRODUCER_ID].copy_from_slice(&max_timestamp.to_be_bytes());
        bytes[RECORD_COUNT..RECORDS].copy_from_slice(&record_count.to_be_bytes());
        let checksum = crc32c::crc32c(&bytes[ATTRIBUTES..]);
        bytes[CHECKSUM..ATTRIBUTES].copy_from_slice(&checksum.to_be_bytes());
        Some(Self { bytes: bytes.freeze(), base_timestamp, max_timestamp, record_count, attributes, ..*self })
    }

    /// The records of a batch that is not compressed.
    fn records(&self) -> Records<'_> {
        Records { batch: self, rest: &self.bytes[RECORDS..] }
    }
}

/// Walks the records of a batch; ends at the first that is malformed, with an error.
#[derive(Debug)]
pub(crate) struct Records<'a> {
    batch: &'a Batch,
    rest: &'a [u8],
}

impl Iterator for Records<'_> {
    type Item = Result<RecordInfo, BadBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let record = self.read().ok_or(BadBatch::Corrupt);
        if record.is_err() {
            self.rest = &[];
        }
        Some(record)
    }
}

impl Records<'_> {
    fn read(&mut self) -> Option<RecordInfo> {
        let size = usize::try_from(varint(&mut self.rest)?).ok()?;
        let (mut body, rest) = self.rest.split_at_checked(size)?;
        self.rest = rest;
        body = body.get(1..)?;
        let timestamp_delta = varint(&mut body)?;
        let offset_delta = varint(&mut body)?;
        let key_length = varint(&mut body)?;
        let timestamp = if self.batch.has_log_append_time() {
            self.batch.max_timestamp
        } else {
            self.batch.base_timestamp.wrapping_add(timestamp_delta)
        };
        let offset = self.batch.base_offset.wrapping_add(offset_delta);
        Some(RecordInfo { offset, timestamp, has_key: key_length >= 0 })
    }
}

/// A record as it is written.
#[derive(Debug, Clone, Copy)]
pub(super) struct RawRecord<'a> {
    pub(super) offset: i64,
    pub(super) key: Option<&'a [u8]>,
    pub(super) is_tombstone: bool,
    attributes: u8,
    timestamp_delta: i64,
    /// From the offset's delta on.
    rest: &'a [u8],
    /// Its length and all of it.
    whole: &'a [u8],
}

impl RawRecord<'_> {
    fn write_to(&self, records: &mut Vec<u8>, shift: i64) {
        if shift == 0 {
            records.extend_from_slice(self.whole);
            return;
        }
        let mut body = vec![self.attributes];
        put_varint(&mut body, self.timestamp_delta.wrapping_add(shift));
        body.extend_from_slice(self.rest);
        put_varint(records, i64::try_from(body.len()).unwrap_or(i64::MAX));
        records.extend_from_slice(&body);
    }
}

/// Walks records as they are written; ends at the first that is malformed, with an error.
#[derive(Debug)]
pub(super) struct RawRecords<'a> {
    base_offset: i64,
    rest: &'a [u8],
}

impl<'a> Iterator for RawRecords<'a> {
    type Item = Result<RawRecord<'a>, BadBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let record = self.read().ok_or(BadBatch::Corrupt);
        if record.is_err() {
            self.rest = &[];
        }
        Some(record)
    }
}

impl<'a> RawRecords<'a> {
    fn read(&mut self) -> Option<RawRecord<'a>> {
        let from = self.rest;
        let size = usize::try_from(varint(&mut self.rest)?).ok()?;
        let (body, rest) = self.rest.split_at_checked(size)?;
        self.rest = rest;
        let whole = &from[..from.len() - rest.len()];
        let (attributes, mut body) = body.split_first()?;
        let timestamp_delta = varint(&mut body)?;
        let rest = body;
        let offset = self.base_offset.wrapping_add(varint(&mut body)?);
        let key = chunk(&mut body).ok()?;
        let is_tombstone = chunk(&mut body).ok()?.is_none();
        Some(RawRecord { offset, key, is_tombstone, attributes: *attributes, timestamp_delta, rest, whole })
    }
}

/// Bytes after their length; nothing where that is negative.
fn chunk<'a>(bytes: &mut &'a [u8]) -> Result<Option<&'a [u8]>, BadBatch> {
    let length = varint(bytes).ok_or(BadBatch::Corrupt)?;
    let Ok(length) = usize::try_from(length) else { return Ok(None) };
    let (chunk, rest) = bytes.split_at_checked(length).ok_or(BadBatch::Corrupt)?;
    *bytes = rest;
    Ok(Some(chunk))
}

fn put_varint(bytes: &mut Vec<u8>, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)).cast_unsigned();
    loop {
        let low = rest.to_le_bytes()[0] & 0x7f;
        rest >>= 7;
        if rest == 0 {
            bytes.push(low);
            return;
        }
        bytes.push(low | 0x80);
    }
}

fn field<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N], BadBatch> {
    bytes.get(at..).and_then(|rest| rest.first_chunk::<N>()).copied().ok_or(BadBatch::Corrupt)
}

/// A zigzag-encoded number of at most 64 bits.
fn varint(bytes: &mut &[u8]) -> Option<i64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some((value >> 1).cast_signed() ^ -(value & 1).cast_signed());
        }
    }
    None
}

#[cfg(test)]
#[path = "batch_tests.rs"]
pub(crate) mod tests;
