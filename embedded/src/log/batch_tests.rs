//! Batches as producers write them, and as they should not.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use super::*;

/// A batch of records with the given keys and timestamps, as a producer sends it.
pub(crate) fn batch_of(records: &[(Option<&str>, i64)]) -> BytesMut {
    let records: Vec<_> = records.iter().map(|(key, timestamp)| (*key, None, *timestamp)).collect();
    built(&records)
}

/// A batch of records with the given keys and values, all of one time.
pub(crate) fn batch_with(records: &[(&str, Option<&str>)], timestamp: i64) -> BytesMut {
    let records: Vec<_> = records.iter().map(|(key, value)| (Some(*key), *value, timestamp)).collect();
    built(&records)
}

fn built(records: &[(Option<&str>, Option<&str>, i64)]) -> BytesMut {
    let base_timestamp = records.first().map_or(0, |record| record.2);
    let mut body = Vec::new();
    for (delta, (key, value, timestamp)) in (0..).zip(records) {
        let mut record = vec![0];
        put_varint(&mut record, timestamp - base_timestamp);
        put_varint(&mut record, delta);
        for text in [key, value] {
            put_varint(&mut record, text.map_or(-1, |text| text.len().try_into().unwrap()));
            record.extend_from_slice(text.unwrap_or_default().as_bytes());
        }
        put_varint(&mut record, 0);
        put_varint(&mut body, record.len().try_into().unwrap());
        body.extend_from_slice(&record);
    }
    let count = i32::try_from(records.len()).unwrap();
    let mut bytes = BytesMut::zeroed(RECORDS);
    bytes.extend_from_slice(&body);
    let length = i32::try_from(bytes.len() - LEADER_EPOCH).unwrap();
    let max_timestamp = records.iter().map(|record| record.2).max().unwrap_or(0);
    bytes[LENGTH..LEADER_EPOCH].copy_from_slice(&length.to_be_bytes());
    bytes[MAGIC] = 2;
    bytes[LAST_OFFSET_DELTA..BASE_TIMESTAMP].copy_from_slice(&(count - 1).to_be_bytes());
    bytes[BASE_TIMESTAMP..MAX_TIMESTAMP].copy_from_slice(&base_timestamp.to_be_bytes());
    bytes[MAX_TIMESTAMP..PRODUCER_ID].copy_from_slice(&max_timestamp.to_be_bytes());
    bytes[PRODUCER_ID..RECORD_COUNT].fill(0xff);
    bytes[RECORD_COUNT..RECORDS].copy_from_slice(&count.to_be_bytes());
    signed(bytes)
}

/// The same with its records packed.
pub(crate) fn compressed(batch: &[u8], codec: i16) -> BytesMut {
    let packed = codec::pack(codec, batch[RECORDS..].to_vec()).unwrap();
    let mut bytes = BytesMut::from(&batch[..RECORDS]);
    bytes.extend_from_slice(&packed);
    let length = i32::try_from(bytes.len() - LEADER_EPOCH).unwrap();
    bytes[LENGTH..LEADER_EPOCH].copy_from_slice(&length.to_be_bytes());
    bytes[ATTRIBUTES..LAST_OFFSET_DELTA].copy_from_slice(&codec.to_be_bytes());
    signed(bytes)
}

/// The same as a part of a producer's transaction.
pub(crate) fn in_transaction(bytes: BytesMut, id: i64, sequence: i32) -> BytesMut {
    transactional(numbered(bytes, id, 0, sequence))
}

/// The same from an idempotent producer.
pub(crate) fn sequenced(id: i64, epoch: i16, sequence: i32, count: usize) -> BytesMut {
    numbered(batch_of(&vec![(Some("key"), 1); count]), id, epoch, sequence)
}

fn numbered(mut bytes: BytesMut, id: i64, epoch: i16, sequence: i32) -> BytesMut {
    bytes[PRODUCER_ID..PRODUCER_EPOCH].copy_from_slice(&id.to_be_bytes());
    bytes[PRODUCER_EPOCH..BASE_SEQUENCE].copy_from_slice(&epoch.to_be_bytes());
    bytes[BASE_SEQUENCE..RECORD_COUNT].copy_from_slice(&sequence.to_be_bytes());
    signed(bytes)
}

/// The same as a part of a transaction.
pub(crate) fn transactional(mut bytes: BytesMut) -> BytesMut {
    bytes[ATTRIBUTES + 1] |= 1 << 4;
    signed(bytes)
}

fn signed(mut bytes: BytesMut) -> BytesMut {
    let checksum = crc32c::crc32c(&bytes[ATTRIBUTES..]);
    bytes[CHECKSUM..ATTRIBUTES].copy_from_slice(&checksum.to_be_bytes());
    bytes
}

#[test]
fn a_batch_is_split_off_and_placed_without_touching_its_checksum() {
    let mut bytes = batch_of(&[(Some("a"), 100), (None, 90)]);
    bytes.extend_from_slice(&batch_of(&[(None, 7)]));
    let mut bytes = bytes.freeze();
    let first = Batch::split_from(&mut bytes).unwrap();
    let second = Batch::split_from(&mut bytes).unwrap();
    assert_eq!((first.record_count, second.record_count, bytes.len()), (2, 1, 0));

    let placed = first.placed(40, 3, None);
    assert_eq!((placed.base_offset, placed.last_offset, placed.max_timestamp), (40, 41, 100));
    assert_eq!(placed.bytes[MAGIC..], first.bytes[MAGIC..]);
    assert_eq!(placed.bytes[LEADER_EPOCH..MAGIC], 3_i32.to_be_bytes());
    let records: Vec<_> = placed.records().map(Result::unwrap).collect();
    assert_eq!(records[0], RecordInfo { offset: 40, timestamp: 100, has_key: true });
    assert_eq!(records[1], RecordInfo { offset: 41, timestamp: 90, has_key: false });
}

#[test]
fn a_log_append_time_is_stamped_and_signed() {
    let batch = Batch::split_from(&mut batch_of(&[(None, 100), (None, 90)]).freeze()).unwrap();
    let mut placed = batch.placed(5, 0, Some(1_234)).bytes;
    let read = Batch::split_from(&mut placed).unwrap();
    assert!(read.has_log_append_time());
    assert!(read.records().all(|record| record.unwrap().timestamp == 1_234));
}

#[test]
fn what_is_no_batch_is_refused_whatever_byte_is_wrong() {
    let good = batch_of(&[(Some("a"), 100), (None, 90)]);
    for cut in 0..good.len() {
        assert!(Batch::split_from(&mut Bytes::copy_from_slice(&good[..cut])).is_err(), "cut at {cut}");
    }
    // Offset and leader epoch are the broker's to fill in.
    for at in (LENGTH..LEADER_EPOCH).chain(MAGIC..good.len()) {
        let mut bad = good.clone();
        bad[at] ^= 0x55;
        assert!(Batch::split_from(&mut bad.clone().freeze()).is_err(), "flipped at {at}");
    }
}

#[test]
fn what_is_signed_and_makes_no_sense_is_refused_too() {
    type Change = fn(&mut BytesMut);
    let changes: [(&str, Change); 7] = [
        ("control", |bytes| bytes[ATTRIBUTES + 1] |= 1 << 5),
        ("compression", |bytes| bytes[ATTRIBUTES + 1] |= 7),
        ("no records", |bytes| bytes[RECORD_COUNT..RECORDS].fill(0)),
        ("more records", |bytes| {
            bytes[RECORD_COUNT + 3] = 9;
            bytes[LAST_OFFSET_DELTA + 3] = 8;
        }),
        ("offsets", |bytes| bytes[LAST_OFFSET_DELTA] = 0x7f),
        ("producer without sequence", |bytes| bytes[PRODUCER_ID..PRODUCER_EPOCH].fill(0)),
        ("record length", |bytes| bytes[RECORDS] = 0x7e),
    ];
    for (what, change) in changes {
        let mut bytes = batch_of(&[(Some("a"), 100), (None, 90)]);
        change(&mut bytes);
        assert!(Batch::split_from(&mut signed(bytes).freeze()).is_err(), "{what}");
    }
}

#[test]
fn sequences_wrap_to_zero() {
    let bytes = sequenced(1, 0, i32::MAX - 1, 3);
    let batch = Batch::split_from(&mut bytes.freeze()).unwrap();
    assert_eq!(batch.last_sequence(), 0);
}

#[test]
fn a_marker_is_a_batch_that_only_the_broker_may_write() {
    let producer = ProducerIdentity { id: 7, epoch: 3 };
    let marker = Batch::marker(40, 2, 1_234, producer, true);
    let records: Vec<_> = marker.records().map(Result::unwrap).collect();
    assert_eq!(records, [RecordInfo { offset: 40, timestamp: 1_234, has_key: true }]);
    assert_eq!(marker.producer(), producer);
    let read = Batch::split_from(&mut marker.bytes.clone());
    assert_eq!(read.unwrap_err(), BadBatch::Invalid("a client may not write control batches"));
}
