//! Transactions on a logical clock.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use super::*;

const TIMEOUT_MS: i32 = 1_000;

fn part(partition: i32) -> (String, i32) {
    ("orders".to_owned(), partition)
}

/// Producer 7 in epoch 0, with nothing open.
fn started() -> (Ledger, ProducerIdentity) {
    let mut ledger = Ledger::default();
    let (producer, ended) = ledger.init("id", TIMEOUT_MS, None, || 7).unwrap();
    assert_eq!((producer, ended), (ProducerIdentity { id: 7, epoch: 0 }, None));
    (ledger, producer)
}

#[test]
fn a_transaction_ends_for_all_that_was_added_to_it() {
    let (mut ledger, producer) = started();
    ledger.add_partitions(0, "id", producer, [part(0), part(1), part(0)]).unwrap();
    ledger.add_group(0, "id", producer, "billing").unwrap();
    let ended = ledger.end("id", producer, true).unwrap().unwrap();
    assert_eq!(ended.partitions, BTreeSet::from([part(0), part(1)]));
    assert_eq!((ended.groups.len(), ended.committed, ended.producer), (1, true, producer));
    // The answer was lost, and the producer asks again.
    assert_eq!(ledger.end("id", producer, true), Ok(None));
    assert_eq!(ledger.end("id", producer, false), Err(ResponseError::InvalidTxnState));
}

#[test]
fn only_what_was_added_may_be_written() {
    let (mut ledger, producer) = started();
    let closed = Err(ResponseError::InvalidTxnState);
    assert_eq!(ledger.check_partition("id", producer, "orders", 0), closed);
    ledger.add_partitions(0, "id", producer, [part(0)]).unwrap();
    assert_eq!(ledger.check_partition("id", producer, "orders", 0), Ok(()));
    assert_eq!(ledger.check_partition("id", producer, "orders", 1), closed);
    assert_eq!(ledger.check_group("id", producer, "billing"), closed);
    ledger.end("id", producer, false).unwrap();
    assert_eq!(ledger.check_partition("id", producer, "orders", 0), closed);
}

#[test]
fn a_new_life_fences_the_old_one_and_aborts_what_it_left() {
    let (mut ledger, old) = started();
    ledger.add_partitions(0, "id", old, [part(0)]).unwrap();
    let (new, ended) = ledger.init("id", TIMEOUT_MS, None, || 8).unwrap();
    assert_eq!(new, ProducerIdentity { id: 7, epoch: 1 });
    let ended = ended.unwrap();
    assert_eq!((ended.committed, ended.producer), (false, new));
    let fenced = ResponseError::ProducerFenced;
    assert_eq!(ledger.add_partitions(0, "id", old, [part(0)]), Err(fenced));
    assert_eq!(ledger.end("id", old, true), Err(fenced));
    assert_eq!(ledger.init("id", TIMEOUT_MS, Some(old), || 8), Err(fenced));
    assert!(ledger.init("id", TIMEOUT_MS, Some(new), || 8).is_ok());
}

#[test]
fn what_is_open_for_too_long_is_aborted() {
    let (mut ledger, producer) = started();
    ledger.add_partitions(500, "id", producer, [part(0)]).unwrap();
    assert_eq!(ledger.expire(1_500, || 8), []);
    assert_eq!(ledger.expire(1_501, || 8).len(), 1);
    assert_eq!(ledger.expire(9_000, || 8), []);
    assert_eq!(ledger.end("id", producer, true), Err(ResponseError::ProducerFenced));
}

#[test]
fn what_makes_no_sense_is_refused() {
    let (mut ledger, producer) = started();
    let cases = [
        ("", TIMEOUT_MS, ResponseError::InvalidRequest),
        ("id", 0, ResponseError::InvalidTransactionTimeout),
        ("id", MAX_TIMEOUT_MS + 1, ResponseError::InvalidTransactionTimeout),
    ];
    for (id, timeout_ms, expected) in cases {
        assert_eq!(ledger.init(id, timeout_ms, None, || 8), Err(expected));
    }
    let stranger = ProducerIdentity { id: 9, ..producer };
    assert_eq!(ledger.check("id", stranger), Err(ResponseError::InvalidProducerIdMapping));
    assert_eq!(ledger.check("other", producer), Err(ResponseError::InvalidProducerIdMapping));
    assert_eq!(ledger.end("id", producer, true), Err(ResponseError::InvalidTxnState));
}

#[test]
fn a_producer_that_has_used_up_its_epochs_gets_a_new_id() {
    let (mut ledger, mut producer) = started();
    for _ in 0..i16::MAX {
        producer = ledger.init("id", TIMEOUT_MS, None, || 8).unwrap().0;
    }
    assert_eq!(producer, ProducerIdentity { id: 8, epoch: 0 });
}
