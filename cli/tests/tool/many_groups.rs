//! A cluster with many groups is described in no time.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use kafka_boot_client::{Admin, ClientConfig, NewTopic, PartitionOffset, TopicPartition};
use kafka_boot_tests::kafka::{Kafka, KafkaOptions};

use crate::support::{tool, words};

const GROUPS: usize = 500;
const PARTITIONS: i32 = 50;
const DEADLINE: Duration = Duration::from_mins(1);
/// A request that came before the coordinator was ready may wait in vain.
const REQUEST: Duration = Duration::from_secs(5);
/// What was promised; the best of a few tries, because the machine has other things to do as well.
const PROMISED: Duration = Duration::from_secs(2);
const TRIES: usize = 5;

#[test]
fn five_hundred_groups_of_fifty_partitions_are_described_within_two_seconds() {
    let Some(kafka) = Kafka::start_or_skip(&KafkaOptions::default()) else { return };
    let servers = kafka.bootstrap_servers();
    fill(servers);
    let mut best = Duration::MAX;
    for _ in 0..TRIES {
        let began = Instant::now();
        let told =
            tool(&words(&format!("--bootstrap-servers {servers} groups describe --all-groups")), &[], "");
        best = best.min(began.elapsed());
        assert!(told.starts_with("exit code 0\n"), "{told}");
        let rows = told.lines().filter(|line| line.starts_with("group-")).count();
        assert_eq!(rows, GROUPS * 50);
        if best < PROMISED {
            break;
        }
    }
    kafka_boot_tests::seed::notice(&format!(
        "{GROUPS} groups × {PARTITIONS} partitions described in {best:?}"
    ));
    assert!(best < PROMISED, "{best:?}");
}

/// Commits an offset of every group for every partition.
fn fill(servers: &str) {
    let admin = Admin::new(&ClientConfig::from_iter([("bootstrap.servers", servers)])).unwrap();
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
        let topic = NewTopic::new("many").partitions(PARTITIONS).replication_factor(1);
        for (_, created) in admin.create_topics(&[topic], DEADLINE).await.unwrap() {
            created.unwrap();
        }
        let offsets: Vec<_> = (0..PARTITIONS)
            .map(|number| PartitionOffset::new(TopicPartition::new("many", number), 0))
            .collect();
        let groups: Vec<_> = (0..GROUPS).map(|number| format!("group-{number:03}")).collect();
        // Some at a time, and again while the coordinator is not ready.
        for groups in groups.chunks(50) {
            let began = Instant::now();
            let mut open: Vec<&String> = groups.iter().collect();
            while !open.is_empty() {
                let placed = open.iter().map(|group| admin.alter_group_offsets(group, &offsets, REQUEST));
                let placed = join_all(placed).await;
                assert!(began.elapsed() < DEADLINE, "{} groups are not placed: {placed:?}", open.len());
                let is_placed = placed.iter().map(|placed| {
                    placed.as_ref().is_ok_and(|placed| placed.iter().all(|(_, result)| result.is_ok()))
                });
                open = open
                    .iter()
                    .zip(is_placed)
                    .filter(|(_, placed)| !placed)
                    .map(|(group, _)| *group)
                    .collect();
            }
        }
    });
}
