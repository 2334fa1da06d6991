//! Several brokers as Kafka's protocol shows them, asked by hand.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

#[path = "support/wire.rs"]
mod wire;

use kafka_boot_embedded::EmbeddedBroker;
use kafka_boot_embedded::control::{ControlErrorKind, ResponseError};
use kafka_protocol::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::fetch_response::PartitionData;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::MetadataResponsePartition;
use kafka_protocol::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use kafka_protocol::messages::*;
use tokio::net::TcpStream;
use wire::{Wire, address_of, patient, produce, text, topic};

async fn three(partitions: i32) -> EmbeddedBroker {
    EmbeddedBroker::builder().brokers(3).topic("orders", partitions).start().await.unwrap()
}

fn numbers(brokers: &[BrokerId]) -> Vec<i32> {
    brokers.iter().map(|id| id.0).collect()
}

async fn metadata(cluster: &EmbeddedBroker, broker: usize) -> MetadataResponse {
    let asked = MetadataRequestTopic::default().with_name(Some(topic("orders")));
    let request = MetadataRequest::default().with_topics(Some(vec![asked]));
    Wire::to(cluster, broker).await.ask(12, &request).await
}

async fn partition(cluster: &EmbeddedBroker, broker: usize, index: usize) -> MetadataResponsePartition {
    metadata(cluster, broker).await.topics[0].partitions[index].clone()
}

/// A fetch of one partition by name, in the last version that has names.
fn fetch(index: i32, epoch: i32, offset: i64, wait_ms: i32) -> FetchRequest {
    let part = FetchPartition::default()
        .with_partition(index)
        .with_current_leader_epoch(epoch)
        .with_fetch_offset(offset)
        .with_partition_max_bytes(1_000_000);
    let wanted = FetchTopic::default().with_topic(topic("orders")).with_partitions(vec![part]);
    FetchRequest::default()
        .with_max_wait_ms(wait_ms)
        .with_min_bytes(1)
        .with_max_bytes(1_000_000)
        .with_topics(vec![wanted])
}

fn fetched(response: &FetchResponse) -> &PartitionData {
    &response.responses[0].partitions[0]
}

fn list_offsets(epoch: i32) -> ListOffsetsRequest {
    let part = ListOffsetsPartition::default().with_current_leader_epoch(epoch).with_timestamp(-1);
    let asked = ListOffsetsTopic::default().with_name(topic("orders")).with_partitions(vec![part]);
    ListOffsetsRequest::default().with_replica_id(BrokerId(-1)).with_topics(vec![asked])
}

fn describe_cluster(fenced: bool) -> DescribeClusterRequest {
    DescribeClusterRequest::default().with_endpoint_type(1).with_include_fenced_brokers(fenced)
}

fn epoch_end(current: i32, epoch: i32) -> OffsetForLeaderEpochRequest {
    let part =
        OffsetForLeaderPartition::default().with_current_leader_epoch(current).with_leader_epoch(epoch);
    let asked = OffsetForLeaderTopic::default().with_topic(topic("orders")).with_partitions(vec![part]);
    OffsetForLeaderEpochRequest::default().with_replica_id(BrokerId(-1)).with_topics(vec![asked])
}

#[tokio::test]
async fn every_broker_shows_the_same_cluster_with_leaders_spread_over_it() {
    let cluster = three(4).await;
    for broker in 1..=3 {
        let shown = metadata(&cluster, broker).await;
        let brokers: Vec<String> =
            shown.brokers.iter().map(|one| format!("{}:{}", one.host.as_str(), one.port)).collect();
        assert_eq!(brokers.join(","), cluster.bootstrap_servers());
        assert_eq!(shown.controller_id, 1);
        let leaders: Vec<i32> = shown.topics[0].partitions.iter().map(|one| one.leader_id.0).collect();
        assert_eq!(leaders, [1, 2, 3, 1]);
        let second = &shown.topics[0].partitions[1];
        assert_eq!(numbers(&second.replica_nodes), [2, 3, 1]);
        assert_eq!((numbers(&second.isr_nodes), second.leader_epoch), (vec![2, 3, 1], 0));
    }

    let control = cluster.control();
    control.stop_broker(2).await.unwrap();
    assert_eq!(control.live_brokers(), [1, 3]);
    let shown = metadata(&cluster, 1).await;
    assert_eq!(shown.brokers.iter().map(|one| one.node_id.0).collect::<Vec<_>>(), [1, 3]);
    let second = &shown.topics[0].partitions[1];
    assert_eq!((second.leader_id.0, second.leader_epoch, second.error_code), (3, 1, 0));
    assert_eq!((numbers(&second.isr_nodes), numbers(&second.offline_replicas)), (vec![3, 1], vec![2]));

    let request = describe_cluster(false);
    let live: DescribeClusterResponse = Wire::to(&cluster, 3).await.ask(2, &request).await;
    assert_eq!(live.brokers.len(), 2);
    let request = describe_cluster(true);
    let all: DescribeClusterResponse = Wire::to(&cluster, 3).await.ask(2, &request).await;
    assert_eq!(all.brokers.iter().map(|one| one.is_fenced).collect::<Vec<_>>(), [false, true, false]);

    let request = DescribeTopicPartitionsRequest::default().with_response_partition_limit(10);
    let described: DescribeTopicPartitionsResponse = Wire::to(&cluster, 1).await.ask(0, &request).await;
    let second = &described.topics[0].partitions[1];
    assert_eq!((second.leader_id.0, numbers(&second.offline_replicas)), (3, vec![2]));
}

#[tokio::test]
async fn only_the_leader_answers_about_a_partition_and_the_others_say_who_that_is() {
    let cluster = three(1).await;
    let (mut leader, mut other) = (Wire::to(&cluster, 1).await, Wire::to(&cluster, 2).await);
    assert_eq!(leader.produce("orders", 0, &["a", "b"], 1).await, (0, 0));
    let elsewhere = ResponseError::NotLeaderOrFollower.code();

    let refused = other.ask(11, &produce("orders", 0, &["c"], 1)).await;
    let answered = &refused.responses[0].partition_responses[0];
    assert_eq!((answered.error_code, answered.current_leader.leader_id.0), (elsewhere, 1));
    let [endpoint] = &refused.node_endpoints[..] else { panic!("{:?}", refused.node_endpoints) };
    let address = format!("{}:{}", endpoint.host.as_str(), endpoint.port);
    assert_eq!((endpoint.node_id.0, address), (1, address_of(&cluster, 1)));
    let older = other.ask(9, &produce("orders", 0, &["c"], 1)).await;
    assert_eq!(older.responses[0].partition_responses[0].error_code, elsewhere);

    let refused = other.ask(12, &fetch(0, -1, 0, 60_000)).await;
    let answered = fetched(&refused);
    assert_eq!((answered.error_code, answered.current_leader.leader_id.0), (elsewhere, 1));
    let older = other.ask(11, &fetch(0, -1, 0, 60_000)).await;
    assert_eq!(fetched(&older).error_code, elsewhere);

    let listed = other.ask(5, &list_offsets(-1)).await;
    assert_eq!(listed.topics[0].partitions[0].error_code, elsewhere);
    let ends = other.ask(4, &epoch_end(-1, 0)).await;
    assert_eq!(ends.topics[0].partitions[0].error_code, elsewhere);
    let part = delete_records_request::DeleteRecordsPartition::default().with_offset(-1);
    let asked = delete_records_request::DeleteRecordsTopic::default()
        .with_name(topic("orders"))
        .with_partitions(vec![part]);
    let deleted = other.ask(2, &DeleteRecordsRequest::default().with_topics(vec![asked])).await;
    assert_eq!(deleted.topics[0].partitions[0].error_code, elsewhere);

    let listed = leader.ask(5, &list_offsets(0)).await;
    let end = &listed.topics[0].partitions[0];
    assert_eq!((end.error_code, end.offset, end.leader_epoch), (0, 2, 0), "nothing was written elsewhere");
}

#[tokio::test]
async fn epochs_that_are_not_the_leaders_are_refused_and_the_history_says_where_each_ended() {
    let cluster = three(1).await;
    let control = cluster.control();
    assert_eq!(Wire::to(&cluster, 1).await.produce("orders", 0, &["a", "b"], 1).await, (0, 0));
    assert_eq!(control.move_leader("orders", 0, 3).unwrap(), 1);
    let mut leader = Wire::to(&cluster, 3).await;
    assert_eq!(leader.produce("orders", 0, &["c"], 1).await, (0, 2));

    let (fenced, unknown) = (ResponseError::FencedLeaderEpoch, ResponseError::UnknownLeaderEpoch);
    for (epoch, expected) in [(0, fenced.code()), (1, 0), (2, unknown.code()), (-1, 0)] {
        let answer = leader.ask(12, &fetch(0, epoch, 0, 0)).await;
        assert_eq!(fetched(&answer).error_code, expected, "{epoch}");
        let listed = leader.ask(5, &list_offsets(epoch)).await;
        assert_eq!(listed.topics[0].partitions[0].error_code, expected, "{epoch}");
        let ends = leader.ask(4, &epoch_end(epoch, 1)).await;
        assert_eq!(ends.topics[0].partitions[0].error_code, expected, "{epoch}");
    }
    let answer = leader.ask(12, &fetch(0, 0, 0, 0)).await;
    assert_eq!(fetched(&answer).current_leader.leader_id.0, 3, "who is fenced is told who leads");

    for (epoch, expected) in [(0, (0, 2)), (1, (1, 3)), (2, (-1, -1))] {
        let ends = leader.ask(4, &epoch_end(1, epoch)).await;
        let end = &ends.topics[0].partitions[0];
        assert_eq!((end.leader_epoch, end.end_offset), expected, "{epoch}");
    }

    // The batches say it too, and a reader that went on in an epoch that had ended is told where that was.
    let answer = leader.ask(12, &fetch(0, 1, 0, 0)).await;
    let records = fetched(&answer).records.clone().unwrap();
    let second = 12 + u32::from_be_bytes(records[8..12].try_into().unwrap()) as usize;
    assert_eq!(records[12..16], [0, 0, 0, 0]);
    assert_eq!(records[second + 12..second + 16], [0, 0, 0, 1]);
    let mut stray = fetch(0, 1, 3, 0);
    stray.topics[0].partitions[0].last_fetched_epoch = 0;
    let answer = leader.ask(12, &stray).await;
    let diverging = &fetched(&answer).diverging_epoch;
    assert_eq!((diverging.epoch, diverging.end_offset), (0, 2));
}

#[tokio::test]
async fn a_fetch_that_waits_is_sent_on_when_the_leader_moves() {
    let cluster = three(1).await;
    let control = cluster.control();
    let mut old = Wire::to(&cluster, 1).await;
    old.send(12, &fetch(0, 0, 0, 300_000)).await.unwrap();
    patient(control.wait_for(|request| request.is_about_partition("orders", 0))).await.unwrap();
    control.move_leader("orders", 0, 2).unwrap();
    let answer = patient(old.receive::<FetchRequest>(12)).await.unwrap();
    assert_eq!(fetched(&answer).error_code, ResponseError::FencedLeaderEpoch.code());
}

#[tokio::test]
async fn a_partition_without_a_live_replica_has_no_leader_until_one_returns_on_its_port() {
    let builder = EmbeddedBroker::builder().brokers(2).replication_factor(1).topic("orders", 2);
    let cluster = builder.start().await.unwrap();
    let control = cluster.control();
    assert_eq!(Wire::to(&cluster, 2).await.produce("orders", 1, &["a"], -1).await, (0, 0));
    let mut open = Wire::to(&cluster, 2).await;
    control.stop_broker(2).await.unwrap();
    control.stop_broker(2).await.unwrap();
    assert!(open.try_ask(12, &fetch(1, -1, 0, 0)).await.is_err(), "its connections are closed");
    assert!(TcpStream::connect(address_of(&cluster, 2)).await.is_err(), "its port refuses");

    let second = partition(&cluster, 1, 1).await;
    assert_eq!(second.error_code, ResponseError::LeaderNotAvailable.code());
    assert_eq!((second.leader_id.0, second.leader_epoch, numbers(&second.isr_nodes)), (-1, 1, vec![2]));
    assert_eq!(control.leader("orders", 1).unwrap(), None);
    let error = Wire::to(&cluster, 1).await.produce("orders", 1, &["b"], 1).await.0;
    assert_eq!(error, ResponseError::NotLeaderOrFollower.code());

    control.start_broker(2).await.unwrap();
    control.start_broker(2).await.unwrap();
    assert_eq!(control.leader_epoch("orders", 1).unwrap(), 2);
    assert_eq!(
        Wire::to(&cluster, 2).await.produce("orders", 1, &["b"], -1).await,
        (0, 1),
        "the log is as it was"
    );
}

#[tokio::test]
async fn a_write_for_all_replicas_needs_as_many_as_the_topic_says() {
    let cluster = three(1).await;
    let config =
        CreatableTopicConfig::default().with_name(text("min.insync.replicas")).with_value(Some(text("2")));
    let asked = CreatableTopic::default()
        .with_name(topic("safe"))
        .with_num_partitions(1)
        .with_replication_factor(3)
        .with_configs(vec![config]);
    let created =
        Wire::to(&cluster, 2).await.ask(7, &CreateTopicsRequest::default().with_topics(vec![asked])).await;
    assert_eq!((created.topics[0].error_code, created.topics[0].replication_factor), (0, 3));
    let control = cluster.control();
    let mut leader = Wire::to(&cluster, 1).await;
    control.stop_broker(2).await.unwrap();
    assert_eq!(leader.produce("safe", 0, &["a"], -1).await, (0, 0));
    control.stop_broker(3).await.unwrap();
    assert_eq!(leader.produce("safe", 0, &["b"], -1).await.0, ResponseError::NotEnoughReplicas.code());
    assert_eq!(leader.produce("safe", 0, &["b"], 1).await, (0, 1), "one acknowledgement is enough for this");
    control.start_broker(3).await.unwrap();
    assert_eq!(leader.produce("safe", 0, &["c"], -1).await, (0, 2));
}

#[tokio::test]
async fn replicas_are_placed_as_asked_for_and_only_where_there_are_brokers() {
    let cluster = three(1).await;
    let mut wire = Wire::to(&cluster, 2).await;
    let assigned = |brokers: &[i32]| {
        CreatableReplicaAssignment::default()
            .with_broker_ids(brokers.iter().map(|id| BrokerId(*id)).collect())
    };
    let blank = |name| CreatableTopic::default().with_name(topic(name));
    let sized = |name, replicas| blank(name).with_num_partitions(1).with_replication_factor(replicas);
    let placed = |name, brokers: &[i32]| {
        let one = assigned(brokers);
        blank(name).with_num_partitions(-1).with_replication_factor(-1).with_assignments(vec![one])
    };
    let (factor, assignment) =
        (ResponseError::InvalidReplicationFactor.code(), ResponseError::InvalidReplicaAssignment.code());
    let cases = [
        (sized("usual", -1), 0),
        (sized("one", 1), 0),
        (sized("four", 4), factor),
        (sized("none", 0), factor),
        (placed("there", &[3, 1]), 0),
        (placed("nowhere", &[4]), assignment),
        (placed("twice", &[1, 1]), assignment),
        (placed("empty", &[]), assignment),
    ];
    for (asked, expected) in cases {
        let name = asked.name.to_string();
        let created = wire.ask(7, &CreateTopicsRequest::default().with_topics(vec![asked])).await;
        assert_eq!(created.topics[0].error_code, expected, "{name}");
    }
    let control = cluster.control();
    assert_eq!(control.leader("there", 0).unwrap(), Some(3));
    assert_eq!(control.move_leader("there", 0, 2).unwrap_err().kind(), ControlErrorKind::NoReplica);
    assert_eq!(control.move_leader("there", 1, 3).unwrap_err().kind(), ControlErrorKind::UnknownPartition);
    assert_eq!(control.move_leader("there", 0, 4).unwrap_err().kind(), ControlErrorKind::UnknownBroker);
    control.stop_broker(1).await.unwrap();
    assert_eq!(control.move_leader("there", 0, 1).unwrap_err().kind(), ControlErrorKind::BrokerStopped);
    assert_eq!(control.stop_broker(9).await.unwrap_err().kind(), ControlErrorKind::UnknownBroker);
}

async fn coordinator(cluster: &EmbeddedBroker, kind: i8, id: &str) -> i32 {
    let request = FindCoordinatorRequest::default().with_key_type(kind).with_coordinator_keys(vec![text(id)]);
    let found: FindCoordinatorResponse = Wire::to(cluster, 1).await.ask(4, &request).await;
    let one = &found.coordinators[0];
    assert_eq!(one.error_code, 0);
    assert_eq!(
        format!("{}:{}", one.host.as_str(), one.port),
        address_of(cluster, usize::try_from(one.node_id.0).unwrap())
    );
    one.node_id.0
}

#[tokio::test]
async fn groups_and_transactions_are_coordinated_by_one_broker_each() {
    let cluster = three(1).await;
    let control = cluster.control();
    let home = coordinator(&cluster, 0, "billing").await;
    assert_eq!(control.group_coordinator("billing"), Some(home));
    let other = home % 3 + 1;
    let elsewhere = ResponseError::NotCoordinator.code();
    let mut wire = Wire::to(&cluster, usize::try_from(other).unwrap()).await;
    let group = || GroupId(text("billing"));

    let beat = HeartbeatRequest::default().with_group_id(group());
    assert_eq!(wire.ask(4, &beat).await.error_code, elsewhere);
    assert_eq!(wire.ask(2, &beat).await.error_code, elsewhere);
    let described = wire.ask(5, &DescribeGroupsRequest::default().with_groups(vec![group()])).await;
    assert_eq!(described.groups[0].error_code, elsewhere);
    let deleted = wire.ask(2, &DeleteGroupsRequest::default().with_groups_names(vec![group()])).await;
    assert_eq!(deleted.results[0].error_code, elsewhere);
    let asked =
        offset_fetch_request::OffsetFetchRequestGroup::default().with_group_id(group()).with_topics(None);
    let committed = wire.ask(9, &OffsetFetchRequest::default().with_groups(vec![asked])).await;
    assert_eq!(committed.groups[0].error_code, elsewhere);
    let older = OffsetFetchRequest::default().with_group_id(group()).with_topics(None);
    assert_eq!(wire.ask(7, &older).await.error_code, elsewhere);

    // A group is listed where it is coordinated, and moves with all it has.
    let part = offset_commit_request::OffsetCommitRequestPartition::default().with_committed_offset(7);
    let part = offset_commit_request::OffsetCommitRequestTopic::default()
        .with_name(topic("orders"))
        .with_partitions(vec![part]);
    let commit = OffsetCommitRequest::default()
        .with_group_id(group())
        .with_generation_id_or_member_epoch(-1)
        .with_topics(vec![part]);
    let refused = wire.ask(8, &commit).await;
    assert_eq!(refused.topics[0].partitions[0].error_code, elsewhere);
    control.move_group_coordinator("billing", other).unwrap();
    assert_eq!(coordinator(&cluster, 0, "billing").await, other);
    assert_eq!(wire.ask(8, &commit).await.topics[0].partitions[0].error_code, 0);
    let mut old = Wire::to(&cluster, usize::try_from(home).unwrap()).await;
    assert_eq!(old.ask(4, &ListGroupsRequest::default()).await.groups.len(), 0);
    assert_eq!(wire.ask(4, &ListGroupsRequest::default()).await.groups.len(), 1);
    control.stop_broker(other).await.unwrap();
    let now = control.group_coordinator("billing").unwrap();
    assert_ne!(now, other);
    let mut wire = Wire::to(&cluster, usize::try_from(now).unwrap()).await;
    let asked =
        offset_fetch_request::OffsetFetchRequestGroup::default().with_group_id(group()).with_topics(None);
    let committed = wire.ask(9, &OffsetFetchRequest::default().with_groups(vec![asked])).await;
    assert_eq!(committed.groups[0].topics[0].partitions[0].committed_offset, 7);
}

#[tokio::test]
async fn a_transactional_id_is_begun_at_its_coordinator_only() {
    let cluster = three(1).await;
    let control = cluster.control();
    let home = coordinator(&cluster, 1, "teller").await;
    assert_eq!(control.transaction_coordinator("teller"), Some(home));
    let begin = InitProducerIdRequest::default()
        .with_transactional_id(Some(TransactionalId(text("teller"))))
        .with_transaction_timeout_ms(1_000);
    let other = home % 3 + 1;
    let mut wire = Wire::to(&cluster, usize::try_from(other).unwrap()).await;
    let elsewhere = ResponseError::NotCoordinator.code();
    assert_eq!(wire.ask(4, &begin).await.error_code, elsewhere);
    assert_eq!(
        wire.ask(4, &begin.clone().with_transactional_id(None)).await.error_code,
        0,
        "a number anybody gives out"
    );
    let end = EndTxnRequest::default().with_transactional_id(TransactionalId(text("teller")));
    assert_eq!(wire.ask(3, &end).await.error_code, elsewhere);
    control.move_transaction_coordinator("teller", other).unwrap();
    assert_eq!(wire.ask(4, &begin).await.error_code, 0);
}

#[tokio::test]
async fn a_member_that_waits_at_a_coordinator_is_sent_on_when_that_moves() {
    let cluster = three(1).await;
    let control = cluster.control();
    let home = control.group_coordinator("billing").unwrap();
    let join = |member: &str| {
        let protocol = JoinGroupRequestProtocol::default().with_name(text("range"));
        JoinGroupRequest::default()
            .with_group_id(GroupId(text("billing")))
            .with_session_timeout_ms(60_000)
            .with_rebalance_timeout_ms(60_000)
            .with_member_id(text(member))
            .with_protocol_type(text("consumer"))
            .with_protocols(vec![protocol])
    };
    let mut first = Wire::to(&cluster, usize::try_from(home).unwrap()).await;
    assert_eq!(first.ask(3, &join("")).await.error_code, 0);
    // The first does not join again, so the second waits.
    let mut second = Wire::named(&cluster, usize::try_from(home).unwrap(), "second").await;
    second.send(3, &join("")).await.unwrap();
    patient(
        control
            .wait_for(|request| request.client_id == "second" && request.group.as_deref() == Some("billing")),
    )
    .await
    .unwrap();
    control.move_group_coordinator("billing", home % 3 + 1).unwrap();
    let answer = patient(second.receive::<JoinGroupRequest>(3)).await.unwrap();
    assert_eq!(answer.error_code, ResponseError::NotCoordinator.code());
}

#[tokio::test]
async fn what_makes_no_cluster_is_refused_at_the_start() {
    let cases = [
        EmbeddedBroker::builder().brokers(0),
        EmbeddedBroker::builder().brokers(101),
        EmbeddedBroker::builder().brokers(2).replication_factor(3),
        EmbeddedBroker::builder().replication_factor(0),
        EmbeddedBroker::builder().brokers(3).port(65_534),
    ];
    for builder in cases {
        let error = builder.start().await.unwrap_err();
        assert_eq!(error.kind(), kafka_boot_embedded::StartErrorKind::Setting, "{error}");
    }
}
