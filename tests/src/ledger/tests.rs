use std::io::Write;

use super::*;
use std::fs::File;

fn attempt(uid: u64, key: Option<&str>) -> Attempt<'_> {
    Attempt {
        generation: 3,
        topic: "orders",
        partition: 2,
        offset: 10,
        key,
        seq: 4,
        uid,
        attempt: 1,
        start_ns: 5,
        end_ns: 6,
        outcome: Outcome::Done,
    }
}

#[test]
fn what_is_recorded_is_read_back_whatever_the_key_contains() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ledger");
    let ledger = Ledger::open(&path, "run", "a").unwrap();
    let keys =
        [None, Some(""), Some("-"), Some("\\-"), Some("tab\tfeed\nback\\slash"), Some("ключ"), Some("\\t")];
    for (uid, key) in (0..).zip(keys) {
        ledger.record(&attempt(uid, key)).unwrap();
    }
    let entries = load(&path).unwrap();
    let read: Vec<Option<&str>> = entries.iter().map(|entry| entry.key.as_deref()).collect();
    assert_eq!(read, keys);
    let last = entries.last().unwrap();
    assert_eq!(
        (last.run.as_str(), last.instance.as_str(), last.generation, last.offset),
        ("run", "a", 3, 10)
    );
}

#[test]
fn a_line_cut_short_by_a_kill_is_ignored_and_does_not_spoil_the_next_one() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ledger");
    Ledger::open(&path, "run", "a").unwrap().record(&attempt(1, None)).unwrap();
    File::options().append(true).open(&path).unwrap().write_all(b"run\ta\t3\torders\t2\t11\tk").unwrap();
    assert_eq!(load(&path).unwrap().len(), 1);

    Ledger::open(&path, "run", "b").unwrap().record(&attempt(2, None)).unwrap();
    let entries = load(&path).unwrap();
    assert_eq!(entries.iter().map(|entry| entry.uid).collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn a_whole_line_that_makes_no_sense_is_an_error_with_its_place() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ledger");
    std::fs::write(&path, "what\tis\tthis\n").unwrap();
    let error = load(&path).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Parse);
    assert!(error.to_string().contains("ledger:1:"), "{error}");
}

#[test]
fn lines_of_many_threads_do_not_mix() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ledger");
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let ledger = Ledger::open(&path, "run", &thread.to_string()).unwrap();
            scope.spawn(move || {
                for uid in 0..2_000 {
                    ledger.record(&attempt(uid, Some("key"))).unwrap();
                }
            });
        }
    });
    assert_eq!(load(&path).unwrap().len(), 8_000);
}

#[test]
fn producer_lines_and_events_are_read_back() {
    let directory = tempfile::tempdir().unwrap();
    let produced = Produced {
        uid: 9,
        topic: "t".to_owned(),
        partition: 1,
        offset: 5,
        key: Some("k".to_owned()),
        seq: 2,
    };
    let path = directory.path().join("produced");
    ProducerLedger::open(&path).unwrap().record(&produced).unwrap();
    assert_eq!(ProducerLedger::load(&path).unwrap(), [produced]);

    let kinds = [
        EventKind::Assigned,
        EventKind::Revoked,
        EventKind::Lost,
        EventKind::Settled(1),
        EventKind::CommitSent(2),
        EventKind::CommitAccepted(3),
        EventKind::CommitRefused(4),
    ];
    let path = directory.path().join("events");
    let log = EventLog::open(&path).unwrap();
    for kind in kinds {
        let event = Event {
            at_ns: 1,
            instance: "a".to_owned(),
            generation: 2,
            topic: "t".to_owned(),
            partition: 0,
            kind,
        };
        log.record(&event).unwrap();
    }
    let read: Vec<EventKind> = EventLog::load(&path).unwrap().into_iter().map(|event| event.kind).collect();
    assert_eq!(read, kinds);
}
