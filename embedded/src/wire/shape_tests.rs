//! The shapes, held against the encoder of `kafka-protocol`, and the broker against what is wrong: every API in every
//! version.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::*;
use kafka_protocol::protocol::{Encodable, StrBytes};
use tokio::time::timeout;
use uuid::Uuid;

use super::*;
use crate::api::{Caller, SUPPORTED, refusals};
use crate::control::guide;
use crate::state::State;
use crate::wire::Request;

const NAME: StrBytes = StrBytes::from_static_str("name");

fn topic() -> TopicName {
    TopicName(NAME)
}

fn group() -> GroupId {
    GroupId(NAME)
}

/// Encodes a request in every version, has it checked whole and cut off anywhere, and has the broker answer it whole
/// and with any byte wrong.
fn prove<T: Encodable>(key: ApiKey, example: impl Fn(i16) -> T) {
    let broker = Broker::new();
    let (_, oldest, newest) = *SUPPORTED.iter().find(|api| api.0 == key).unwrap();
    for version in oldest..=newest {
        let mut body = BytesMut::new();
        example(version).encode(&mut body, version).unwrap();
        assert_eq!(check(key, version, &body), Ok(()), "{key:?} version {version}: {body:?}");
        for cut in 0..body.len() {
            assert!(check(key, version, &body[..cut]).is_err(), "{key:?} version {version} cut at {cut}");
        }
        assert!(broker.survives(key, version, body.clone().freeze()), "{key:?} version {version}");
        assert_refused(Request::of(key, version, body.clone().freeze()));
        for at in 0..body.len() {
            for wrong in [0x00, 0x7f, 0x80, 0xff] {
                let mut bytes = body.clone();
                bytes[at] = wrong;
                // It may mean something or nothing; what matters is that it comes back.
                broker.survives(key, version, bytes.freeze());
            }
        }
    }
}

/// Whether any error can be answered, and is then known as the outcome.
fn assert_refused(mut request: Request) {
    request.is_observed = true;
    let error = ResponseError::KafkaStorageError;
    let answer = refusals::refuse(&request, error).unwrap();
    assert!(answer.is_some(), "{request:?}");
    assert_eq!(request.outcome(), error.code(), "{request:?}");
}

/// A broker without connections, whose clock runs as fast as it is waited for.
struct Broker {
    state: State,
    runtime: tokio::runtime::Runtime,
}

impl Broker {
    fn new() -> Self {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        Self { state: State::with_topics(&[("name", 2)]), runtime }
    }

    /// Whether the request is answered, or waits for something, rather than costing its connection.
    fn survives(&self, key: ApiKey, version: i16, body: Bytes) -> bool {
        let mut request = Request::of(key, version, body);
        let caller = Caller { node: BrokerId(1), host: "/127.0.0.1".to_owned() };
        // The way that looks at everything, as long as somebody does.
        let answer = async {
            timeout(Duration::from_millis(1), guide::answer(&self.state, &caller, &mut request, 0)).await
        };
        !matches!(self.runtime.block_on(answer), Ok(Err(_)))
    }
}

#[test]
fn the_shapes_of_records_and_metadata_are_those_of_the_encoder() {
    prove(ApiKey::ApiVersions, |version| {
        let name = if version >= 3 { NAME } else { StrBytes::new() };
        ApiVersionsRequest::default()
            .with_client_software_name(name.clone())
            .with_client_software_version(name)
    });
    prove(ApiKey::SaslHandshake, |_| SaslHandshakeRequest::default().with_mechanism(NAME));
    prove(ApiKey::SaslAuthenticate, |_| {
        SaslAuthenticateRequest::default().with_auth_bytes(Bytes::from_static(b"token"))
    });
    prove(ApiKey::Metadata, |version| {
        let one = metadata_request::MetadataRequestTopic::default().with_name(Some(topic()));
        let one = if version >= 10 { one.with_topic_id(Uuid::new_v4()) } else { one };
        MetadataRequest::default()
            .with_topics(Some(vec![one.clone(), one]))
            .with_allow_auto_topic_creation(true)
    });
    prove(ApiKey::Produce, |_| {
        let part =
            produce_request::PartitionProduceData::default().with_records(Some(Bytes::from_static(b"batch")));
        let one = produce_request::TopicProduceData::default()
            .with_name(topic())
            .with_partition_data(vec![part.clone(), part]);
        ProduceRequest::default()
            .with_acks(-1)
            .with_topic_data(vec![one])
            .with_transactional_id(Some(TransactionalId(NAME)))
    });
    prove(ApiKey::Fetch, |version| {
        let part = fetch_request::FetchPartition::default();
        let mut one = fetch_request::FetchTopic::default().with_partitions(vec![part]);
        let mut gone = fetch_request::ForgottenTopic::default().with_partitions(vec![1, 2]);
        if version < 13 {
            one.topic = topic();
            gone.topic = topic();
        }
        let request = FetchRequest::default().with_topics(vec![one]);
        if version >= 7 { request.with_forgotten_topics_data(vec![gone]) } else { request }
    });
    prove(ApiKey::ListOffsets, |_| {
        let part = list_offsets_request::ListOffsetsPartition::default();
        let one =
            list_offsets_request::ListOffsetsTopic::default().with_name(topic()).with_partitions(vec![part]);
        ListOffsetsRequest::default().with_topics(vec![one])
    });
    prove(ApiKey::OffsetForLeaderEpoch, |_| {
        let part = offset_for_leader_epoch_request::OffsetForLeaderPartition::default();
        let one = offset_for_leader_epoch_request::OffsetForLeaderTopic::default()
            .with_topic(topic())
            .with_partitions(vec![part]);
        OffsetForLeaderEpochRequest::default().with_topics(vec![one])
    });
    prove(ApiKey::DeleteRecords, |_| {
        let part = delete_records_request::DeleteRecordsPartition::default();
        let one = delete_records_request::DeleteRecordsTopic::default()
            .with_name(topic())
            .with_partitions(vec![part]);
        DeleteRecordsRequest::default().with_topics(vec![one])
    });
}

#[test]
fn the_shapes_of_transactions_are_those_of_the_encoder() {
    let id = || TransactionalId(NAME);
    prove(ApiKey::InitProducerId, |_| InitProducerIdRequest::default().with_transactional_id(Some(id())));
    prove(ApiKey::DescribeTransactions, |_| {
        DescribeTransactionsRequest::default().with_transactional_ids(vec![id(), id()])
    });
    prove(ApiKey::ListTransactions, |_| {
        ListTransactionsRequest::default()
            .with_state_filters(vec![NAME])
            .with_producer_id_filters(vec![ProducerId(1), ProducerId(2)])
    });
    prove(ApiKey::DescribeProducers, |_| {
        let one = describe_producers_request::TopicRequest::default()
            .with_name(topic())
            .with_partition_indexes(vec![1, 2]);
        DescribeProducersRequest::default().with_topics(vec![one])
    });
    prove(ApiKey::AddPartitionsToTxn, |version| {
        let one = add_partitions_to_txn_request::AddPartitionsToTxnTopic::default()
            .with_name(topic())
            .with_partitions(vec![1, 2]);
        if version >= 4 {
            let one = add_partitions_to_txn_request::AddPartitionsToTxnTransaction::default()
                .with_transactional_id(id())
                .with_topics(vec![one]);
            return AddPartitionsToTxnRequest::default().with_transactions(vec![one]);
        }
        AddPartitionsToTxnRequest::default()
            .with_v3_and_below_transactional_id(id())
            .with_v3_and_below_topics(vec![one])
    });
    prove(ApiKey::AddOffsetsToTxn, |_| {
        AddOffsetsToTxnRequest::default().with_transactional_id(id()).with_group_id(group())
    });
    prove(ApiKey::TxnOffsetCommit, |_| {
        let part = txn_offset_commit_request::TxnOffsetCommitRequestPartition::default()
            .with_committed_metadata(Some(NAME));
        let one = txn_offset_commit_request::TxnOffsetCommitRequestTopic::default()
            .with_name(topic())
            .with_partitions(vec![part]);
        TxnOffsetCommitRequest::default()
            .with_transactional_id(id())
            .with_group_id(group())
            .with_topics(vec![one])
    });
    prove(ApiKey::WriteTxnMarkers, |_| {
        let topics = write_txn_markers_request::WritableTxnMarkerTopic::default()
            .with_name(topic())
            .with_partition_indexes(vec![0, 1]);
        let one = write_txn_markers_request::WritableTxnMarker::default().with_topics(vec![topics]);
        WriteTxnMarkersRequest::default().with_markers(vec![one.clone(), one])
    });
    prove(ApiKey::EndTxn, |_| EndTxnRequest::default().with_transactional_id(id()));
}

#[test]
fn the_shapes_of_groups_are_those_of_the_encoder() {
    prove(ApiKey::FindCoordinator, |version| {
        if version >= 4 {
            return FindCoordinatorRequest::default().with_coordinator_keys(vec![NAME, NAME]);
        }
        FindCoordinatorRequest::default().with_key(NAME)
    });
    prove(ApiKey::JoinGroup, |_| {
        let one = join_group_request::JoinGroupRequestProtocol::default()
            .with_name(NAME)
            .with_metadata(Bytes::from_static(b"metadata"));
        JoinGroupRequest::default().with_group_id(group()).with_protocols(vec![one])
    });
    prove(ApiKey::SyncGroup, |_| {
        let one = sync_group_request::SyncGroupRequestAssignment::default()
            .with_member_id(NAME)
            .with_assignment(Bytes::from_static(b"part"));
        SyncGroupRequest::default().with_group_id(group()).with_assignments(vec![one])
    });
    prove(ApiKey::Heartbeat, |_| HeartbeatRequest::default().with_group_id(group()).with_member_id(NAME));
    prove(ApiKey::LeaveGroup, |version| {
        let one = leave_group_request::MemberIdentity::default().with_member_id(NAME);
        let request = LeaveGroupRequest::default().with_group_id(group());
        if version >= 3 { request.with_members(vec![one]) } else { request.with_member_id(NAME) }
    });
    prove(ApiKey::OffsetCommit, |_| {
        let part = offset_commit_request::OffsetCommitRequestPartition::default()
            .with_committed_metadata(Some(NAME));
        let one = offset_commit_request::OffsetCommitRequestTopic::default()
            .with_name(topic())
            .with_partitions(vec![part]);
        OffsetCommitRequest::default().with_group_id(group()).with_topics(vec![one])
    });
    prove(ApiKey::OffsetFetch, |version| {
        if version >= 8 {
            let one = offset_fetch_request::OffsetFetchRequestTopics::default()
                .with_name(topic())
                .with_partition_indexes(vec![1, 2]);
            let one = offset_fetch_request::OffsetFetchRequestGroup::default()
                .with_group_id(group())
                .with_topics(Some(vec![one]));
            return OffsetFetchRequest::default().with_groups(vec![one]);
        }
        let one = offset_fetch_request::OffsetFetchRequestTopic::default()
            .with_name(topic())
            .with_partition_indexes(vec![1, 2]);
        OffsetFetchRequest::default().with_group_id(group()).with_topics(Some(vec![one]))
    });
    prove(ApiKey::OffsetDelete, |_| {
        let part = offset_delete_request::OffsetDeleteRequestPartition::default();
        let one = offset_delete_request::OffsetDeleteRequestTopic::default()
            .with_name(topic())
            .with_partitions(vec![part]);
        OffsetDeleteRequest::default().with_group_id(group()).with_topics(vec![one])
    });
    prove(ApiKey::ListGroups, |version| {
        let request = ListGroupsRequest::default();
        if version >= 4 { request.with_states_filter(vec![NAME]) } else { request }
    });
    prove(ApiKey::DescribeGroups, |_| DescribeGroupsRequest::default().with_groups(vec![group()]));
    prove(ApiKey::ConsumerGroupHeartbeat, |version| {
        let owned = consumer_group_heartbeat_request::TopicPartitions::default().with_partitions(vec![1, 2]);
        let request = ConsumerGroupHeartbeatRequest::default()
            .with_group_id(group())
            .with_member_id(NAME)
            .with_instance_id(Some(NAME))
            .with_rack_id(Some(NAME))
            .with_subscribed_topic_names(Some(vec![topic(), topic()]))
            .with_server_assignor(Some(NAME))
            .with_topic_partitions(Some(vec![owned]));
        if version >= 1 { request.with_subscribed_topic_regex(Some(NAME)) } else { request }
    });
    prove(ApiKey::ConsumerGroupDescribe, |_| {
        ConsumerGroupDescribeRequest::default().with_group_ids(vec![group(), group()])
    });
    prove(ApiKey::DeleteGroups, |_| DeleteGroupsRequest::default().with_groups_names(vec![group()]));
}

#[test]
fn the_shapes_of_administration_are_those_of_the_encoder() {
    prove(ApiKey::CreateTopics, |_| {
        let config =
            create_topics_request::CreatableTopicConfig::default().with_name(NAME).with_value(Some(NAME));
        let replicas =
            create_topics_request::CreatableReplicaAssignment::default().with_broker_ids(vec![BrokerId(1)]);
        let one = create_topics_request::CreatableTopic::default()
            .with_name(topic())
            .with_configs(vec![config])
            .with_assignments(vec![replicas]);
        CreateTopicsRequest::default().with_topics(vec![one])
    });
    prove(ApiKey::DeleteTopics, |version| {
        let one = delete_topics_request::DeleteTopicState::default().with_name(Some(topic()));
        let request = DeleteTopicsRequest::default();
        if version >= 6 { request.with_topics(vec![one]) } else { request.with_topic_names(vec![topic()]) }
    });
    prove(ApiKey::CreatePartitions, |_| {
        let replicas = create_partitions_request::CreatePartitionsAssignment::default()
            .with_broker_ids(vec![BrokerId(1)]);
        let one = create_partitions_request::CreatePartitionsTopic::default()
            .with_name(topic())
            .with_assignments(Some(vec![replicas]));
        CreatePartitionsRequest::default().with_topics(vec![one])
    });
    prove(ApiKey::ElectLeaders, |version| {
        let one =
            elect_leaders_request::TopicPartitions::default().with_topic(topic()).with_partitions(vec![0, 1]);
        ElectLeadersRequest::default()
            .with_election_type(i8::from(version >= 1))
            .with_topic_partitions(Some(vec![one.clone(), one]))
    });
    prove(ApiKey::DescribeConfigs, |_| {
        let one = describe_configs_request::DescribeConfigsResource::default()
            .with_resource_name(NAME)
            .with_configuration_keys(Some(vec![NAME]));
        DescribeConfigsRequest::default().with_resources(vec![one])
    });
    prove(ApiKey::AlterConfigs, |_| {
        let config = alter_configs_request::AlterableConfig::default().with_name(NAME).with_value(Some(NAME));
        let one = alter_configs_request::AlterConfigsResource::default()
            .with_resource_name(NAME)
            .with_configs(vec![config]);
        AlterConfigsRequest::default().with_resources(vec![one])
    });
    prove(ApiKey::IncrementalAlterConfigs, |_| {
        let config =
            incremental_alter_configs_request::AlterableConfig::default().with_name(NAME).with_value(None);
        let one = incremental_alter_configs_request::AlterConfigsResource::default()
            .with_resource_name(NAME)
            .with_configs(vec![config]);
        IncrementalAlterConfigsRequest::default().with_resources(vec![one])
    });
    prove(ApiKey::DescribeAcls, |_| {
        DescribeAclsRequest::default().with_resource_name_filter(Some(NAME)).with_host_filter(Some(NAME))
    });
    prove(ApiKey::CreateAcls, |_| {
        let one = create_acls_request::AclCreation::default().with_resource_name(NAME).with_host(NAME);
        CreateAclsRequest::default().with_creations(vec![one.clone(), one])
    });
    prove(ApiKey::DeleteAcls, |_| {
        let one = delete_acls_request::DeleteAclsFilter::default().with_principal_filter(Some(NAME));
        DeleteAclsRequest::default().with_filters(vec![one.clone(), one])
    });
    prove(ApiKey::DescribeLogDirs, |_| {
        let one = describe_log_dirs_request::DescribableLogDirTopic::default()
            .with_topic(topic())
            .with_partitions(vec![1, 2]);
        DescribeLogDirsRequest::default().with_topics(Some(vec![one]))
    });
    prove(ApiKey::DescribeClientQuotas, |_| {
        let one = describe_client_quotas_request::ComponentData::default()
            .with_entity_type(NAME)
            .with_match(Some(NAME));
        DescribeClientQuotasRequest::default().with_components(vec![one])
    });
    prove(ApiKey::DescribeUserScramCredentials, |_| {
        let one = describe_user_scram_credentials_request::UserName::default().with_name(NAME);
        DescribeUserScramCredentialsRequest::default().with_users(Some(vec![one]))
    });
    prove(ApiKey::ListConfigResources, |version| {
        let request = ListConfigResourcesRequest::default();
        if version >= 1 { request.with_resource_types(vec![2, 4]) } else { request }
    });
    prove(ApiKey::DescribeCluster, |_| DescribeClusterRequest::default());
    prove(ApiKey::DescribeTopicPartitions, |_| {
        let one = describe_topic_partitions_request::TopicRequest::default().with_name(topic());
        let cursor = describe_topic_partitions_request::Cursor::default().with_topic_name(topic());
        DescribeTopicPartitionsRequest::default().with_topics(vec![one]).with_cursor(Some(cursor))
    });
}

#[test]
fn every_api_that_is_advertised_has_a_shape() {
    for (key, ..) in SUPPORTED {
        assert!(shape_of(*key).is_some(), "{key:?}");
    }
}

#[test]
fn lengths_that_promise_too_much_are_refused_before_anything_is_allocated() {
    let cases: [(ApiKey, i16, &[u8]); 5] = [
        (ApiKey::Metadata, 0, &[0x7f, 0xff, 0xff, 0xff]),
        (ApiKey::Metadata, 0, &[0xff, 0xff, 0xff, 0xfe]),
        (ApiKey::Metadata, 9, &[0xff, 0xff, 0xff, 0xff, 0x0f]),
        (ApiKey::Metadata, 9, &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
        (ApiKey::DescribeGroups, 0, &[0, 0, 0, 1, 0xff, 0xfe]),
    ];
    for (key, version, body) in cases {
        assert!(check(key, version, body).is_err(), "{key:?} version {version} {body:?}");
    }
    let many = MAX_ELEMENTS + 1;
    let mut body = many.to_be_bytes().to_vec();
    body.resize(4 + 2 * many as usize, 0);
    assert_eq!(check(ApiKey::DescribeGroups, 0, &body), Err("the arrays have too many elements"));
}
