//! A data directory that is opened, torn, damaged and opened again.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::fs;
use std::path::Path;

use kafka_protocol::messages::BrokerId;
use proptest::prelude::*;
use uuid::Uuid;

use super::journal::parse;
use super::*;
use crate::cluster::Cluster;
use crate::error::StartErrorKind;
use crate::group::settings::{GroupConfig, GroupSettings};
use crate::group::{CommittedOffset, Departure, JoinRequest, StoredGeneration, StoredMember, SyncRequest};
use crate::log::batch::Batch;
use crate::log::batch::tests::{batch_with, in_transaction, sequenced, transactional};
use crate::log::partition::{Appended, ReadFrom, Refused};
use crate::log::producers::ActiveProducer;
use crate::log::settings::Settings;
use crate::state::{State, StateSettings};
use crate::txn::{End, ProducerIdentity};

fn open(path: &Path) -> Result<State, StartError> {
    open_on(path, 1)
}

/// So many brokers, which retain offsets for a minute.
fn open_on(path: &Path, brokers: i32) -> Result<State, StartError> {
    let directory = Arc::new(DataDirectory::open(path)?);
    let settings = StateSettings {
        cluster: Cluster::of(brokers),
        groups: GroupSettings { offsets_retention_ms: 60_000, ..GroupSettings::default() },
        ..StateSettings::for_tests()
    };
    State::open(settings, Some(directory))
}

fn append(state: &State, topic: &str, bytes: bytes::Bytes) -> Result<Appended, Refused> {
    let topic = state.topics.by_name(topic).unwrap();
    topic.partition(0).unwrap().append(bytes, topic.behaviour(), 0, |_| Ok(()))
}

/// Each record's key and offset.
fn read(state: &State, topic: &str) -> Vec<i64> {
    let partition = state.topics.partition(topic, 0).unwrap();
    let offset = partition.span().start;
    let from = ReadFrom { offset, max_bytes: 10_000_000, oversized: true, committed_only: false };
    let mut bytes = partition.read(from).unwrap().bytes;
    let mut offsets = Vec::new();
    while !bytes.is_empty() {
        let batch = Batch::split_from(&mut bytes).unwrap();
        offsets.extend(batch.base_offset..=batch.last_offset);
    }
    offsets
}

fn committed(offset: i64) -> CommittedOffset {
    let metadata = "half way".to_owned();
    CommittedOffset { offset, leader_epoch: 4, metadata, committed_ms: 1_234, expires_ms: Some(i64::MAX) }
}

/// A directory with a topic and three batches of two records.
fn three_batches() -> (tempfile::TempDir, PathBuf, usize) {
    let directory = tempfile::tempdir().unwrap();
    let state = open(directory.path()).unwrap();
    state.create_topic("orders", 1, Settings::default()).unwrap();
    for _ in 0..3 {
        append(&state, "orders", batch_with(&[("a", Some("1")), ("b", None)], 5).freeze()).unwrap();
    }
    let file = directory.path().join("orders-0/00000000000000000000.log");
    let size = usize::try_from(fs::metadata(&file).unwrap().len()).unwrap() / 3;
    (directory, file, size)
}

#[test]
fn topics_offsets_producers_and_transactions_are_there_again() {
    let directory = tempfile::tempdir().unwrap();
    let state = open(directory.path()).unwrap();
    let cluster_id = state.cluster_id.clone();
    let mut settings = Settings::default();
    settings.set("retention.ms", "-1").unwrap();
    let topic = state.create_topic("orders", 2, settings.clone()).unwrap();
    state.topics.grow(&topic, 3, None, false).unwrap();
    state.create_topic("gone", 1, Settings::default()).unwrap();
    append(&state, "gone", sequenced(1, 0, 0, 1).freeze()).unwrap();
    append(&state, "orders", sequenced(7, 0, 0, 3).freeze()).unwrap();
    append(&state, "orders", sequenced(7, 0, 3, 3).freeze()).unwrap();
    state.topics.partition("orders", 0).unwrap().delete_until(3).unwrap();
    state
        .groups
        .with_new("billing", |group, _| {
            group.offsets.commit(&state.offsets, "billing", "orders", 0, committed(2)).unwrap();
            group.offsets.commit(&state.offsets, "billing", "gone", 0, committed(1)).unwrap();
            group.offsets.commit(&state.offsets, "billing", "orders", 1, committed(1)).unwrap();
            group.offsets.forget(&state.offsets, "billing", "orders", 1).unwrap();
        })
        .unwrap();
    let producer = state.begin_producer("teller", 10_000, None).unwrap();
    let partition = [("orders".to_owned(), 2)];
    state.transactions.lock().add_partitions(0, "teller", producer, partition).unwrap();
    state.transactions.lock().add_group(0, "teller", producer, "billing").unwrap();
    state.groups.with("billing", |group, _| {
        group
            .offsets
            .commit_later(&state.offsets, "billing", producer.id, ("orders", 2), committed(9))
            .unwrap();
    });
    state.delete_topic(&state.topics.by_name("gone").unwrap()).unwrap();
    let id = topic.id;
    drop((state, topic));

    let state = open(directory.path()).unwrap();
    assert_eq!(state.cluster_id, cluster_id);
    let found = state.topics.by_name("orders").unwrap();
    assert_eq!((found.id, found.partition_count(), found.settings()), (id, 3, settings));
    drop(found);
    assert!(state.topics.by_name("gone").is_none() && !directory.path().join("gone-0").exists());
    assert_eq!(read(&state, "orders"), [3, 4, 5]);
    let again = append(&state, "orders", sequenced(7, 0, 3, 3).freeze()).unwrap();
    assert_eq!(again.base_offset, 3, "a batch that is sent again is known");
    let next = append(&state, "orders", sequenced(7, 0, 6, 1).freeze()).unwrap();
    assert_eq!(next.base_offset, 6);
    let offsets = |state: &State| {
        let look = |group: &mut crate::group::Group, _| {
            let get = |partition| group.offsets.get("orders", partition).cloned();
            (
                get(0),
                get(1),
                get(2),
                group.offsets.get("gone", 0).is_some(),
                group.offsets.is_unstable("orders", 2),
            )
        };
        state.groups.with("billing", look).unwrap()
    };
    assert_eq!(offsets(&state), (Some(committed(2)), None, None, false, true));
    let end = End { committed: true, version2: false };
    state.end_transaction("teller", producer, end).unwrap();
    assert_eq!(offsets(&state).2, Some(committed(9)));
    assert!(state.new_producer_id() > producer.id, "no producer id is given twice");
    drop(state);

    let state = open(directory.path()).unwrap();
    assert_eq!(offsets(&state).2, Some(committed(9)));
    assert_eq!(state.end_transaction("teller", producer, end), Ok(producer), "the answer may have been lost");
}

#[test]
fn the_end_of_a_transaction_of_version_2_is_answered_again_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let state = open(directory.path()).unwrap();
    state.create_topic("orders", 1, Settings::default()).unwrap();
    let first = state.begin_producer("teller", 10_000, None).unwrap();
    let partition = [("orders".to_owned(), 0)];
    state.transactions.lock().add_partitions(0, "teller", first, partition.clone()).unwrap();
    let batch = |epoch| transactional(sequenced(first.id, epoch, 0, 1)).freeze();
    append(&state, "orders", batch(0)).unwrap();
    let commit = End { committed: true, version2: true };
    let second = state.end_transaction("teller", first, commit).unwrap();
    assert_eq!(second, ProducerIdentity { epoch: 1, ..first });
    let described = |state: &State| state.topics.partition("orders", 0).unwrap().producers();
    let before = described(&state);
    assert!(before[0].has_ended && before[0].producer == second);
    drop(state);

    let state = open(directory.path()).unwrap();
    assert_eq!(described(&state), before);
    assert_eq!(state.end_transaction("teller", first, commit), Ok(second));
    let other = End { committed: false, ..commit };
    assert_eq!(state.end_transaction("teller", first, other), Err(ResponseError::InvalidTxnState));
    let late = append(&state, "orders", batch(0)).unwrap_err();
    assert_eq!(late.error, ResponseError::InvalidProducerEpoch);
    state.transactions.lock().add_partitions(0, "teller", second, partition).unwrap();
    append(&state, "orders", batch(1)).unwrap();
    // A compaction or a deletion takes away what producers are remembered by.
    state.topics.partition("orders", 0).unwrap().delete_until(3).unwrap();
    let before = described(&state);
    drop(state);
    let state = open(directory.path()).unwrap();
    // The transaction is open still, though nothing is left that it could have begun with.
    assert_eq!(described(&state), [ActiveProducer { open_since_offset: None, ..before[0] }]);
    assert_eq!(
        state.begin_producer("teller", 10_000, Some(second)),
        Ok(ProducerIdentity { epoch: 2, ..first })
    );
}

/// Leader, epoch, and the epoch at each of these offsets.
fn led(state: &State, partition: i32, offsets: &[i64]) -> (Option<i32>, i32, Vec<i32>) {
    let partition = state.topics.partition("orders", partition).unwrap();
    let leadership = partition.leadership();
    let epochs = offsets.iter().map(|offset| leadership.epoch_at(*offset)).collect();
    (leadership.leader().map(|leader| leader.0), leadership.epoch(), epochs)
}

#[test]
fn epochs_go_on_after_a_restart_and_their_history_is_that_of_the_batches() {
    let directory = tempfile::tempdir().unwrap();
    let state = open_on(directory.path(), 2).unwrap();
    state.create_topic("orders", 2, Settings::default()).unwrap();
    append(&state, "orders", batch_with(&[("a", None), ("b", None)], 5).freeze()).unwrap();
    let first = state.topics.partition("orders", 0).unwrap();
    assert_eq!(first.move_leader(BrokerId(2)), 1);
    append(&state, "orders", batch_with(&[("c", None)], 5).freeze()).unwrap();
    // Clients have seen these, though no batch ever does.
    first.move_leader(BrokerId(1));
    first.elect(|id| id == BrokerId(2));
    drop((first, state));

    let state = open_on(directory.path(), 2).unwrap();
    assert_eq!(led(&state, 0, &[0, 1, 2, 3]), (Some(1), 4, vec![0, 0, 1, 4]));
    assert_eq!(led(&state, 1, &[0]), (Some(2), 1, vec![1]));
    append(&state, "orders", batch_with(&[("d", None)], 5).freeze()).unwrap();
    drop(state);
    let state = open_on(directory.path(), 2).unwrap();
    assert_eq!(led(&state, 0, &[0, 2, 3, 4]), (Some(1), 5, vec![0, 1, 4, 5]));
    drop(state);

    // A crash of the system took the end of the journal, and not that of the log.
    let path = directory.path().join("orders-0/00000000000000000000.log");
    let mut bytes = fs::read(&path).unwrap();
    let last = bytes.len() - batch_with(&[("d", None)], 5).len();
    bytes[last + 12..last + 16].copy_from_slice(&40_i32.to_be_bytes());
    fs::write(&path, bytes).unwrap();
    let state = open_on(directory.path(), 2).unwrap();
    assert_eq!(led(&state, 0, &[2, 3, 4]), (Some(1), 41, vec![1, 40, 41]));
}

#[test]
fn replicas_stay_on_their_brokers_as_long_as_there_are_any() {
    let directory = tempfile::tempdir().unwrap();
    let replicas = |state: &State| -> Vec<Vec<i32>> {
        let topic = state.topics.by_name("orders").unwrap();
        let of = |partition: &Arc<crate::log::partition::Partition>| {
            partition.leadership().replicas().iter().map(|id| id.0).collect()
        };
        topic.partitions().iter().map(of).collect()
    };
    let state = open_on(directory.path(), 3).unwrap();
    let placed = vec![vec![BrokerId(3), BrokerId(1)], vec![BrokerId(2), BrokerId(3)]];
    let topic = state.topics.create_placed("orders", placed, Settings::default()).unwrap();
    state.topics.grow(&topic, 3, Some(vec![vec![BrokerId(2), BrokerId(1)]]), false).unwrap();
    drop((topic, state));
    let all = [vec![3, 1], vec![2, 3], vec![2, 1]];
    assert_eq!(replicas(&open_on(directory.path(), 3).unwrap()), all);

    let state = open(directory.path()).unwrap();
    assert_eq!(replicas(&state), [[1], [1], [1]]);
    let mut settings = Settings::default();
    settings.set("retention.ms", "-1").unwrap();
    state.topics.set_settings(&state.topics.by_name("orders").unwrap(), settings).unwrap();
    state.topics.grow(&state.topics.by_name("orders").unwrap(), 4, None, false).unwrap();
    drop(state);
    let state = open_on(directory.path(), 3).unwrap();
    assert_eq!(replicas(&state)[..3], all);
    assert_eq!(replicas(&state)[3..], [[1]]);
}

#[test]
fn what_has_expired_stays_gone_and_what_a_restart_found_is_retained_anew() {
    let directory = tempfile::tempdir().unwrap();
    let state = open(directory.path()).unwrap();
    let now_ms = state.stopwatch.wall_ms();
    let old = |expires_ms| CommittedOffset { committed_ms: now_ms - 50_000, expires_ms, ..committed(1) };
    for (group, expires_ms) in [("gone", Some(now_ms - 1)), ("kept", None)] {
        let commit = |group_id: &str, partition, expires_ms| {
            let act = |group: &mut crate::group::Group, _: u64| {
                group.offsets.commit(&state.offsets, group_id, "orders", partition, old(expires_ms)).unwrap();
            };
            state.groups.with_new(group_id, act).unwrap();
        };
        commit(group, 0, expires_ms);
        commit(group, 1, Some(now_ms - 1));
    }
    state.groups.expire_offsets(&state.offsets);
    let present = |state: &State| {
        let get = |(id, group): (&String, &crate::group::Group)| {
            let has = |partition| group.offsets.get("orders", partition).is_some();
            (id.clone(), has(0), has(1))
        };
        state.groups.map(get)
    };
    assert_eq!(present(&state), [("kept".to_owned(), true, false)]);
    drop(state);

    // Its members have a minute to come back, though the commit is nearly as old.
    let state = open(directory.path()).unwrap();
    state.stopwatch.freeze();
    assert_eq!(present(&state), [("kept".to_owned(), true, false)]);
    state.stopwatch.advance(std::time::Duration::from_secs(50));
    state.groups.expire_offsets(&state.offsets);
    assert_eq!(present(&state).len(), 1);
    state.stopwatch.advance(std::time::Duration::from_mins(2));
    state.groups.expire_offsets(&state.offsets);
    assert!(present(&state).is_empty());
    drop(state);
    assert!(present(&open(directory.path()).unwrap()).is_empty());
}

fn joining(instance: &str) -> JoinRequest {
    JoinRequest {
        member_id: String::new(),
        fresh_id: format!("{instance}-1"),
        instance: Some(instance.to_owned()),
        client_id: "till".to_owned(),
        client_host: "/127.0.0.1".to_owned(),
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 10_000,
        protocol_type: "consumer".to_owned(),
        protocols: vec![("range".to_owned(), bytes::Bytes::from_static(b"topics"))],
        knows_two_rounds: true,
        knows_skipping: true,
    }
}

/// A member of a generation of its own.
async fn join(state: &State, group: &str) {
    state.groups.join(group, joining("till"), &state.topics).await;
    let assignments = [("till-1".to_owned(), bytes::Bytes::from_static(b"all"))].into();
    let sync =
        SyncRequest { member_id: "till-1".to_owned(), generation: 1, assignments, ..SyncRequest::default() };
    let answer = state.groups.sync(group, sync).await;
    assert!(matches!(&answer, crate::group::member::Answer::Synced(_)), "{answer:?}");
}

/// How a group answers a heartbeat of that member, if there is the group.
fn heartbeat(state: &State, group: &str) -> Option<Result<(), ResponseError>> {
    state.groups.with(group, |group, now_ms| {
        group.classic_mut().unwrap().heartbeat(now_ms, "till-1", Some("till"), 1)
    })
}

#[tokio::test]
async fn members_are_there_again_until_they_leave_and_groups_until_they_are_forgotten() {
    let directory = tempfile::tempdir().unwrap();
    let state = open(directory.path()).unwrap();
    join(&state, "billing").await;
    join(&state, "deleted").await;
    drop(state);

    let state = open(directory.path()).unwrap();
    assert_eq!(heartbeat(&state, "billing"), Some(Ok(())));
    for group in ["billing", "deleted"] {
        let who = [Departure { member_id: "till-1".to_owned(), instance: None }];
        let left = state.groups.with(group, |group, now_ms| group.classic_mut().unwrap().leave(now_ms, &who));
        assert_eq!(left, Some(vec![Ok(())]));
    }
    state.groups.delete("deleted", &state.storage).unwrap();
    drop(state);

    let state = open(directory.path()).unwrap();
    assert_eq!(heartbeat(&state, "billing"), Some(Err(ResponseError::UnknownMemberId)));
    assert_eq!(heartbeat(&state, "deleted"), None);
    // It holds nothing but the number of its generation.
    state.groups.expire_offsets(&state.offsets);
    assert_eq!(heartbeat(&state, "billing"), None);
    drop(state);
    assert_eq!(heartbeat(&open(directory.path()).unwrap(), "billing"), None);
}

#[test]
fn settings_of_groups_are_there_again_until_they_are_taken_back() {
    let directory = tempfile::tempdir().unwrap();
    let config = GroupConfig { heartbeat_interval_ms: Some(700), session_timeout_ms: None };
    for expected in [GroupConfig::default(), config, config] {
        let state = open(directory.path()).unwrap();
        assert_eq!(state.groups.config("billing"), expected);
        state.groups.set_config("billing", config, &state.storage).unwrap();
    }
    let state = open(directory.path()).unwrap();
    state.groups.set_config("billing", GroupConfig::default(), &state.storage).unwrap();
    drop(state);
    assert_eq!(open(directory.path()).unwrap().groups.config("billing"), GroupConfig::default());
}

#[test]
fn an_end_that_a_kill_kept_from_a_partition_is_told_at_the_next_start() {
    for (committed, version2) in [(true, false), (false, false), (true, true), (false, true)] {
        let directory = tempfile::tempdir().unwrap();
        let state = open(directory.path()).unwrap();
        state.create_topic("orders", 1, Settings::default()).unwrap();
        let producer = state.begin_producer("teller", 10_000, None).unwrap();
        let other = state.begin_producer("other", 10_000, None).unwrap();
        for (id, producer) in [("teller", producer), ("other", other)] {
            let partition = [("orders".to_owned(), 0)];
            state.transactions.lock().add_partitions(0, id, producer, partition).unwrap();
            let batch = in_transaction(batch_with(&[("a", None)], 5), producer.id, 0);
            append(&state, "orders", batch.freeze()).unwrap();
        }
        // Only the ledger hears of it.
        let end = End { committed, version2 };
        state.transactions.lock().end("teller", producer, end, || unreachable!()).unwrap();
        assert_eq!(state.topics.partition("orders", 0).unwrap().stable_end(), 0);
        drop(state);
        let state = open(directory.path()).unwrap();
        let partition = state.topics.partition("orders", 0).unwrap();
        assert_eq!((partition.stable_end(), partition.span().end), (1, 3), "the other is still open");
        assert_eq!(partition.aborted_until(3).len(), usize::from(!committed));
        let ProducerIdentity { id, .. } = other;
        assert_eq!(partition.open_producers(), [id]);
    }
}

#[test]
fn a_log_that_is_cut_anywhere_in_its_last_batch_keeps_all_before_it() {
    let (directory, file, size) = three_batches();
    let whole = fs::read(&file).unwrap();
    for cut in 2 * size..3 * size {
        fs::write(&file, &whole[..cut]).unwrap();
        let state = open(directory.path()).unwrap();
        assert_eq!(read(&state, "orders"), [0, 1, 2, 3], "cut at {cut}");
        let next = append(&state, "orders", batch_with(&[("c", None)], 5).freeze()).unwrap();
        assert_eq!(next.base_offset, 4);
        drop(state);
        assert_eq!(read(&open(directory.path()).unwrap(), "orders"), [0, 1, 2, 3, 4]);
    }
}

#[test]
fn a_log_that_is_damaged_in_the_middle_is_an_error_that_says_where() {
    let (directory, file, size) = three_batches();
    let whole = fs::read(&file).unwrap();
    // Neither the offset nor the leader's epoch is covered by the checksum; an offset may only not go back.
    for at in (size + 8..size + 12).chain(size + 16..2 * size) {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x41;
        fs::write(&file, damaged).unwrap();
        let error = open(directory.path()).unwrap_err();
        assert_eq!(error.kind(), StartErrorKind::Storage);
        let text = error.to_string();
        assert!(
            text.contains("00000000000000000000.log") && text.contains(&format!("byte {size},")),
            "{text}"
        );
    }
    fs::write(&file, &whole).unwrap();
    assert_eq!(read(&open(directory.path()).unwrap(), "orders").len(), 6, "nothing was changed meanwhile");
}

#[test]
fn a_segment_that_is_not_the_last_may_not_be_torn() {
    let directory = tempfile::tempdir().unwrap();
    let state = open(directory.path()).unwrap();
    let mut settings = Settings::default();
    settings.set("segment.bytes", "100").unwrap();
    state.create_topic("orders", 1, settings).unwrap();
    for _ in 0..3 {
        append(&state, "orders", batch_with(&[("a", Some("1"))], 5).freeze()).unwrap();
    }
    drop(state);
    let path = directory.path().join("orders-0/00000000000000000001.log");
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    let text = open(directory.path()).unwrap_err().to_string();
    assert!(text.contains("00000000000000000001.log` is damaged at byte 0"), "{text}");
}

#[test]
fn a_replacement_that_a_kill_interrupted_is_finished_and_one_that_was_not_complete_forgotten() {
    let directory = tempfile::tempdir().unwrap();
    let state = open(directory.path()).unwrap();
    let mut settings = Settings::default();
    settings.set("segment.bytes", "100").unwrap();
    state.create_topic("orders", 1, settings).unwrap();
    for _ in 0..4 {
        append(&state, "orders", batch_with(&[("a", Some("1"))], 5).freeze()).unwrap();
    }
    drop(state);
    let path = directory.path().join("orders-0");
    let segment = |offset: i64| path.join(format!("{offset:020}.log"));
    fs::write(path.join("0.unfinished"), b"half").unwrap();
    // 0, 1 and 2 become what 2 holds; the kill came after 1 was removed.
    fs::copy(segment(2), path.join(format!("{:020}-{:020}.swap", 0, 2))).unwrap();
    fs::remove_file(segment(1)).unwrap();
    let state = open(directory.path()).unwrap();
    assert_eq!(read(&state, "orders"), [2, 3]);
    let mut names: Vec<_> = fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, [segment(0).file_name().unwrap(), segment(3).file_name().unwrap()]);
}

#[test]
fn what_is_deleted_frees_its_files_and_its_offsets_are_not_given_again() {
    let (directory, file, _) = three_batches();
    let state = open(directory.path()).unwrap();
    append(&state, "orders", sequenced(7, 0, 0, 1).freeze()).unwrap();
    assert_eq!(state.topics.partition("orders", 0).unwrap().delete_until(7), Ok(7));
    assert!(!file.exists());
    drop(state);
    let state = open(directory.path()).unwrap();
    assert_eq!(
        append(&state, "orders", sequenced(7, 0, 0, 1).freeze()).unwrap().base_offset,
        6,
        "it is known"
    );
    assert_eq!(append(&state, "orders", sequenced(7, 0, 1, 1).freeze()).unwrap().base_offset, 7);
}

#[test]
fn a_directory_that_is_not_ours_or_in_use_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let state = open(directory.path()).unwrap();
    let in_use = open(directory.path()).unwrap_err();
    assert_eq!(in_use.kind(), StartErrorKind::InUse);
    drop(state);
    let format = directory.path().join(FORMAT_FILE);
    fs::write(&format, "kafka-boot-embedded data directory, format 2\n").unwrap();
    let newer = open(directory.path()).unwrap_err().to_string();
    assert!(newer.contains("format 2") && newer.contains("use the version that wrote it"), "{newer}");
    fs::remove_file(&format).unwrap();
    let foreign = open(directory.path()).unwrap_err().to_string();
    assert!(foreign.contains("no data directory of this broker"), "{foreign}");
}

#[test]
fn a_damaged_journal_is_an_error_and_a_torn_one_is_cut() {
    let directory = tempfile::tempdir().unwrap();
    let state = open(directory.path()).unwrap();
    for name in ["first", "second", "third"] {
        state.create_topic(name, 1, Settings::default()).unwrap();
    }
    drop(state);
    let path = directory.path().join("journal");
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    let state = open(directory.path()).unwrap();
    assert!(state.topics.by_name("second").is_some() && state.topics.by_name("third").is_none());
    drop(state);
    let mut damaged = whole.clone();
    damaged[whole.len() / 2] ^= 1;
    fs::write(&path, damaged).unwrap();
    let text = open(directory.path()).unwrap_err().to_string();
    assert!(text.contains("journal` is damaged at byte") && text.contains("truncate -s"), "{text}");
}

#[test]
fn a_journal_that_has_grown_is_rewritten_and_says_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let data = DataDirectory::open(directory.path()).unwrap();
    let topic = Uuid::new_v4();
    for round in 0..30_000 {
        let offset = CommittedOffset { metadata: "x".repeat(60), ..committed(round) };
        let (group, name) = (format!("group-{}", round % 3), "orders".to_owned());
        data.write(vec![Record::Committed { group, topic: name, partition: 0, offset }]).unwrap();
    }
    data.write(vec![Record::Topic {
        id: topic,
        name: "orders".to_owned(),
        replicas: vec![vec![BrokerId(1)]],
        settings: Vec::new(),
    }])
    .unwrap();
    let length = fs::metadata(directory.path().join("journal")).unwrap().len();
    assert!(length < 1_100_000, "{length} bytes");
    let image = data.look(Clone::clone);
    drop(data);
    let again = DataDirectory::open(directory.path()).unwrap().look(Clone::clone);
    assert_eq!(again, image);
    assert_eq!((again.groups.len(), again.topics.len()), (3, 1));
}

/// Generations of a group, with members and without.
fn generation() -> impl Strategy<Value = StoredGeneration> {
    let name = || prop::sample::select(vec!["a".to_owned(), "b".to_owned(), "ü".to_owned()]);
    let bytes = || prop::collection::vec(any::<u8>(), 0..4).prop_map(bytes::Bytes::from);
    let told = (prop::option::of(name()), name(), name());
    let timeouts = (0_u64..100_000, 0_u64..100_000);
    let protocols = prop::collection::vec((name(), bytes()), 0..3);
    let member = (told, timeouts, protocols, bytes()).prop_map(
        |((instance, client_id, client_host), timeouts, protocols, assignment)| StoredMember {
            instance,
            client_id,
            client_host,
            session_timeout_ms: timeouts.0,
            rebalance_timeout_ms: timeouts.1,
            protocols,
            assignment,
        },
    );
    let members = prop::collection::btree_map(name(), member, 0..3);
    let chosen = (prop::option::of(name()), prop::option::of(name()));
    (any::<i32>(), name(), chosen, members).prop_map(|(number, protocol_type, chosen, members)| {
        StoredGeneration { number, protocol_type, protocol: chosen.0, leader: chosen.1, members }
    })
}

/// Records of every kind.
fn record() -> impl Strategy<Value = Record> {
    let name = || prop::sample::select(vec!["a".to_owned(), "b".to_owned(), "ü".to_owned()]);
    let id = (0_u128..3).prop_map(Uuid::from_u128);
    let offset = || {
        let times = (any::<i64>(), prop::option::of(any::<i64>()));
        (any::<i64>(), any::<i32>(), ".{0,8}", times).prop_map(
            |(offset, leader_epoch, metadata, (committed_ms, expires_ms))| CommittedOffset {
                offset,
                leader_epoch,
                metadata,
                committed_ms,
                expires_ms,
            },
        )
    };
    let producer = || (0_i64..4, any::<i16>()).prop_map(|(id, epoch)| ProducerIdentity { id, epoch });
    let opened = (prop::collection::vec((name(), any::<i32>()), 0..3), prop::collection::vec(name(), 0..3))
        .prop_map(|(partitions, groups)| OpenTransaction { partitions, groups });
    let transaction = (
        producer(),
        any::<i64>(),
        prop::option::of(opened),
        prop::option::of(producer()),
        prop::option::of(any::<(bool, bool)>()),
        prop::option::of((producer(), any::<bool>())),
    )
        .prop_map(|(producer, timeout_ms, open, before, last, last_ended)| StoredTransaction {
            producer,
            timeout_ms,
            open,
            before,
            last,
            last_ended,
        });
    let settings = prop::collection::vec((name(), name()), 0..3);
    let replicas = prop::collection::vec(prop::collection::vec((1..4).prop_map(BrokerId), 1..3), 1..9);
    let duration = || prop::option::of(1_u64..100_000);
    prop_oneof![
        (name(), generation()).prop_map(|(group, generation)| Record::Generation { group, generation }),
        name().prop_map(Record::ClusterId),
        any::<i64>().prop_map(Record::Starts),
        (id.clone(), name(), replicas, settings).prop_map(|(id, name, replicas, settings)| Record::Topic {
            id,
            name,
            replicas,
            settings
        }),
        (id.clone(), 0..3, any::<i32>()).prop_map(|(topic, partition, epoch)| Record::LeaderEpoch {
            topic,
            partition,
            epoch
        }),
        (name(), duration(), duration()).prop_map(|(group, heartbeat_interval_ms, session_timeout_ms)| {
            let config = GroupConfig { heartbeat_interval_ms, session_timeout_ms };
            Record::GroupConfig { group, config }
        }),
        id.clone().prop_map(Record::TopicDeleted),
        (id, 0..3, any::<i64>()).prop_map(|(topic, partition, offset)| Record::LogStart {
            topic,
            partition,
            offset
        }),
        (name(), name(), 0..3, offset()).prop_map(|(group, topic, partition, offset)| Record::Committed {
            group,
            topic,
            partition,
            offset
        }),
        (name(), name(), 0..3).prop_map(|(group, topic, partition)| Record::Forgotten {
            group,
            topic,
            partition
        }),
        name().prop_map(Record::GroupDeleted),
        (name(), 0_i64..4, name(), 0..3, offset()).prop_map(
            |(group, producer_id, topic, partition, offset)| {
                Record::Pending { group, producer_id, topic, partition, offset }
            }
        ),
        (0_i64..4, any::<bool>(), prop::collection::vec(name(), 0..3)).prop_map(
            |(producer_id, committed, groups)| Record::PendingEnded { producer_id, committed, groups }
        ),
        (name(), transaction).prop_map(|(id, state)| Record::Transaction { id, state }),
        name().prop_map(Record::TransactionForgotten),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn a_journal_says_after_a_cut_what_its_whole_frames_say(
        frames in prop::collection::vec(prop::collection::vec(record(), 1..4), 1..12),
        cut_at: prop::sample::Index,
        flipped_at: prop::sample::Index,
    ) {
        let directory = tempfile::tempdir().unwrap();
        let data = DataDirectory::open(directory.path()).unwrap();
        let mut states = vec![(0, Image::default())];
        let length = || usize::try_from(fs::metadata(directory.path().join("journal")).unwrap().len()).unwrap();
        for frame in frames {
            data.write(frame).unwrap();
            states.push((length(), data.look(Clone::clone)));
        }
        let bytes = fs::read(directory.path().join("journal")).unwrap();
        let cut = cut_at.index(bytes.len() + 1);
        let parsed = parse(&bytes[..cut]);
        let (whole, expected) = states.iter().rfind(|(end, _)| *end <= cut).unwrap();
        prop_assert_eq!(&parsed.image, expected);
        prop_assert_eq!((parsed.length, parsed.has_hole), (*whole, false));

        let flipped = flipped_at.index(bytes.len());
        let mut damaged = bytes.clone();
        damaged[flipped] ^= 0x20;
        let parsed = parse(&damaged);
        let frame = states.iter().rposition(|(end, _)| *end <= flipped).unwrap();
        prop_assert_eq!(parsed.length, states[frame].0);
        prop_assert_eq!(parsed.has_hole, frame + 2 < states.len());

        // What it all comes to is the same when it is written again from that.
        let mut image = Image::default();
        for record in states.last().unwrap().1.records() {
            image.apply(record);
        }
        image.starts = states.last().unwrap().1.starts;
        prop_assert_eq!(&image, &states.last().unwrap().1);
    }
}

#[test]
fn what_cannot_be_written_is_refused_and_the_broker_goes_on_when_it_can() {
    let directory = tempfile::tempdir().unwrap();
    let state = open(directory.path()).unwrap();
    state.create_topic("orders", 1, Settings::default()).unwrap();
    let batch = || sequenced(7, 0, 0, 2).freeze();
    let obstacle = directory.path().join("orders-0");
    fs::write(&obstacle, b"a file where the directory has to be").unwrap();
    let refused = append(&state, "orders", batch()).unwrap_err();
    assert_eq!(refused.error, ResponseError::KafkaStorageError);
    let partition = state.topics.partition("orders", 0).unwrap();
    assert_eq!(partition.span().end, 0);
    // Nor can the end of a transaction be; it is made up for before anything else is stored.
    partition.end_transaction(5, ProducerIdentity { id: 9, epoch: 0 }, true);
    assert_eq!(partition.span().end, 0);
    fs::remove_file(&obstacle).unwrap();
    assert_eq!(append(&state, "orders", batch()).unwrap().base_offset, 1, "after the marker");
    assert_eq!(append(&state, "orders", batch()).unwrap().base_offset, 1, "stored once");
    drop((partition, state));
    assert_eq!(open(directory.path()).unwrap().topics.partition("orders", 0).unwrap().span().end, 3);
}
