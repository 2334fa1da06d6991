//! Transactions on a logical clock.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use super::*;

const TIMEOUT_MS: i32 = 1_000;

const COMMIT: End = End { committed: true, version2: false };
const ABORT: End = End { committed: false, version2: false };
const COMMIT_2: End = End { committed: true, version2: true };
const ABORT_2: End = End { committed: false, version2: true };

/// What the end of a transaction comes to, where no new producer id is expected.
fn end(
    ledger: &mut Ledger,
    producer: ProducerIdentity,
    end: End,
) -> Result<(ProducerIdentity, Option<Ended>), ResponseError> {
    ledger.end("id", producer, end, || panic!("a new producer id"))
}

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
    let ended = end(&mut ledger, producer, COMMIT).unwrap().1.unwrap();
    assert_eq!(ended.partitions, BTreeSet::from([part(0), part(1)]));
    assert_eq!((ended.groups.len(), ended.committed, ended.producer), (1, true, producer));
    // The answer was lost, and the producer asks again.
    assert_eq!(end(&mut ledger, producer, COMMIT), Ok((producer, None)));
    assert_eq!(end(&mut ledger, producer, ABORT), Err(ResponseError::InvalidTxnState));
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
    end(&mut ledger, producer, ABORT).unwrap();
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
    assert_eq!(end(&mut ledger, old, COMMIT), Err(fenced));
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
    assert_eq!(end(&mut ledger, producer, COMMIT), Err(ResponseError::ProducerFenced));
    // In version 2 the producer learns how it ended, and goes on once it aborts, too.
    let late =
        |ledger: &mut Ledger, committed| ledger.end("id", producer, End { committed, version2: true }, || 8);
    let next = ProducerIdentity { epoch: producer.epoch + 1, ..producer };
    assert_eq!(late(&mut ledger, true), Err(ResponseError::InvalidTxnState));
    assert_eq!(late(&mut ledger, false), Ok((next, None)));
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
    assert_eq!(end(&mut ledger, producer, COMMIT), Err(ResponseError::InvalidTxnState));
}

#[test]
fn a_producer_that_has_used_up_its_epochs_gets_a_new_id() {
    let (mut ledger, mut producer) = started();
    for _ in 0..i16::MAX {
        producer = ledger.init("id", TIMEOUT_MS, None, || 8).unwrap().0;
    }
    assert_eq!(producer, ProducerIdentity { id: 8, epoch: 0 });
}

#[test]
fn in_version_2_every_end_begins_an_epoch_and_is_answered_again_when_asked_again() {
    let (mut ledger, first) = started();
    ledger.add_partitions(0, "id", first, [part(0)]).unwrap();
    let (second, ended) = end(&mut ledger, first, COMMIT_2).unwrap();
    assert_eq!(second, ProducerIdentity { epoch: 1, ..first });
    assert_eq!(ended.unwrap().producer, second, "the marker fences what is late");
    assert_eq!(end(&mut ledger, first, COMMIT_2), Ok((second, None)), "the answer was lost");
    assert_eq!(end(&mut ledger, first, ABORT_2), Err(ResponseError::InvalidTxnState));
    assert_eq!(ledger.add_partitions(0, "id", first, [part(0)]), Err(ResponseError::ProducerFenced));
    // With a transaction open there is nothing to be asked again.
    ledger.add_partitions(0, "id", second, [part(0)]).unwrap();
    assert_eq!(end(&mut ledger, first, COMMIT_2), Err(ResponseError::ProducerFenced));
    let (third, _) = end(&mut ledger, second, ABORT_2).unwrap();
    assert_eq!(third.epoch, 2);
}

#[test]
fn in_version_2_nothing_can_be_aborted_but_not_committed() {
    let (mut ledger, first) = started();
    assert_eq!(end(&mut ledger, first, COMMIT_2), Err(ResponseError::InvalidTxnState));
    let (second, ended) = end(&mut ledger, first, ABORT_2).unwrap();
    assert_eq!((second.epoch, ended), (1, None));
    assert_eq!(end(&mut ledger, first, ABORT_2), Ok((second, None)));
    assert_eq!(end(&mut ledger, second, COMMIT_2), Err(ResponseError::InvalidTxnState));
}

#[test]
fn a_producer_that_asks_for_its_next_epoch_again_gets_the_same() {
    let (mut ledger, first) = started();
    let (second, _) = ledger.init("id", TIMEOUT_MS, Some(first), || 8).unwrap();
    assert_eq!(second.epoch, 1);
    assert_eq!(ledger.init("id", TIMEOUT_MS, Some(first), || 8), Ok((second, None)));
    // Another producer of the id ends that.
    ledger.init("id", TIMEOUT_MS, None, || 8).unwrap();
    assert_eq!(ledger.init("id", TIMEOUT_MS, Some(first), || 8), Err(ResponseError::ProducerFenced));
    assert_eq!(ledger.init("id", TIMEOUT_MS, Some(second), || 8), Err(ResponseError::ProducerFenced));
}

#[test]
fn in_version_2_the_last_epoch_is_followed_by_a_new_producer() {
    let (mut ledger, mut producer) = started();
    while producer.epoch < i16::MAX - 1 {
        producer = end(&mut ledger, producer, ABORT_2).unwrap().0;
    }
    ledger.add_partitions(0, "id", producer, [part(0)]).unwrap();
    let (next, ended) = ledger.end("id", producer, COMMIT_2, || 8).unwrap();
    assert_eq!(next, ProducerIdentity { id: 8, epoch: 0 });
    assert_eq!(ended.unwrap().producer, ProducerIdentity { epoch: i16::MAX, ..producer });
    assert_eq!(end(&mut ledger, producer, COMMIT_2), Ok((next, None)), "the answer was lost");
}

#[test]
fn a_transaction_does_not_grow_without_end() {
    let (mut ledger, producer) = started();
    for group in 0..MAX_GROUPS {
        ledger.add_group(0, "id", producer, &group.to_string()).unwrap();
    }
    assert_eq!(ledger.add_group(0, "id", producer, "more"), Err(ResponseError::PolicyViolation));
    assert_eq!(ledger.add_group(0, "id", producer, "0"), Ok(()));
}

#[test]
fn every_state_is_described() {
    let (mut ledger, producer) = started();
    let state = |ledger: &Ledger| {
        let described = ledger.describe("id").unwrap();
        (described.state, described.since_ms, described.partitions.len())
    };
    assert_eq!(ledger.describe("other"), None);
    assert_eq!(state(&ledger), (TxnState::Empty, None, 0));
    ledger.add_partitions(5, "id", producer, [part(1), part(0)]).unwrap();
    assert_eq!(state(&ledger), (TxnState::Ongoing, Some(5), 2));
    end(&mut ledger, producer, COMMIT).unwrap();
    assert_eq!(state(&ledger), (TxnState::CompleteCommit, Some(5), 0));
    ledger.add_group(9, "id", producer, "billing").unwrap();
    let (next, _) = end(&mut ledger, producer, ABORT_2).unwrap();
    assert_eq!(state(&ledger), (TxnState::CompleteAbort, Some(9), 0));
    assert_eq!(ledger.describe_all()[0].1.producer, next);
    for state in [TxnState::Empty, TxnState::Ongoing, TxnState::CompleteCommit, TxnState::CompleteAbort] {
        assert!(TxnState::NAMES.contains(&state.name()));
    }
}
