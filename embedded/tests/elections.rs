//! `ElectLeaders` and `WriteTxnMarkers` in a cluster, asked by hand.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

#[path = "support/wire.rs"]
mod wire;

use kafka_boot_embedded::EmbeddedBroker;
use kafka_boot_embedded::control::ResponseError;
use kafka_protocol::messages::elect_leaders_request::TopicPartitions;
use kafka_protocol::messages::write_txn_markers_request::{WritableTxnMarker, WritableTxnMarkerTopic};
use kafka_protocol::messages::{ElectLeadersRequest, ProducerId, WriteTxnMarkersRequest};
use wire::{Wire, topic};

const PREFERRED: i8 = 0;
const UNCLEAN: i8 = 1;

/// Partition 0 is on the brokers 1 and 2, partition 1 on 2 and 3, partition 2 on 3 and 1.
async fn three() -> EmbeddedBroker {
    let builder = EmbeddedBroker::builder().brokers(3).replication_factor(2);
    builder.topic("orders", 3).start().await.unwrap()
}

/// The partitions that are told, each with its error.
async fn elect(
    cluster: &EmbeddedBroker,
    broker: usize,
    election_type: i8,
    partitions: Option<Vec<i32>>,
) -> Vec<(i32, Option<ResponseError>)> {
    let asked = partitions.map(|partitions| {
        vec![TopicPartitions::default().with_topic(topic("orders")).with_partitions(partitions)]
    });
    let request =
        ElectLeadersRequest::default().with_election_type(election_type).with_topic_partitions(asked);
    let response = Wire::to(cluster, broker).await.ask(2, &request).await;
    assert_eq!(response.error_code, 0);
    let results = response.replica_election_results.into_iter().flat_map(|topic| topic.partition_result);
    results.map(|one| (one.partition_id, ResponseError::try_from_code(one.error_code))).collect()
}

#[tokio::test]
async fn leaders_go_back_to_the_preferred_replicas_that_are_live() {
    let cluster = three().await;
    let control = cluster.control();
    control.stop_broker(1).await.unwrap();
    assert_eq!(control.leader("orders", 0).unwrap(), Some(2));
    let unavailable = (0, Some(ResponseError::PreferredLeaderNotAvailable));
    let not_needed = (1, Some(ResponseError::ElectionNotNeeded));
    assert_eq!(elect(&cluster, 2, PREFERRED, Some(vec![0, 1])).await, [unavailable, not_needed]);

    control.start_broker(1).await.unwrap();
    assert_eq!(control.leader("orders", 0).unwrap(), Some(2), "nothing moves back by itself");
    control.move_leader("orders", 2, 1).unwrap();
    let epoch = control.leader_epoch("orders", 0).unwrap();
    // Of all partitions, those that need no election are left out.
    assert_eq!(elect(&cluster, 3, PREFERRED, None).await, [(0, None), (2, None)]);
    let leaders = [0, 1, 2].map(|index| control.leader("orders", index).unwrap());
    assert_eq!(leaders, [Some(1), Some(2), Some(3)]);
    assert_eq!(control.leader_epoch("orders", 0).unwrap(), epoch + 1);
    assert_eq!(Wire::to(&cluster, 1).await.produce("orders", 0, &["led again"], -1).await, (0, 0));
}

#[tokio::test]
async fn an_unclean_election_finds_nobody_where_no_replica_is_live() {
    let cluster = three().await;
    let control = cluster.control();
    control.stop_broker(1).await.unwrap();
    control.stop_broker(2).await.unwrap();
    let not_needed = (1, Some(ResponseError::ElectionNotNeeded));
    let nobody = (0, Some(ResponseError::EligibleLeadersNotAvailable));
    assert_eq!(elect(&cluster, 3, UNCLEAN, Some(vec![0, 1])).await, [nobody, not_needed]);
}

#[tokio::test]
async fn markers_are_written_by_the_leader_only() {
    let cluster = three().await;
    let orders = WritableTxnMarkerTopic::default().with_name(topic("orders")).with_partition_indexes(vec![0]);
    let marker = WritableTxnMarker::default().with_producer_id(ProducerId(7)).with_topics(vec![orders]);
    let request = WriteTxnMarkersRequest::default().with_markers(vec![marker]);
    let expected = [
        (1, None),
        (2, Some(ResponseError::NotLeaderOrFollower)),
        (3, Some(ResponseError::UnknownTopicOrPartition)),
    ];
    for (broker, error) in expected {
        let response = Wire::to(&cluster, broker).await.ask(1, &request).await;
        let result = &response.markers[0].topics[0].partitions[0];
        assert_eq!(ResponseError::try_from_code(result.error_code), error, "broker {broker}");
    }
}
