//! Any request answered with an error, as a broker answers one that it does not look into: the code stands wherever the
//! answer has room for one, and for everything that was asked for.

use bytes::{Bytes, BytesMut};
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages as of;
use kafka_protocol::messages::{ApiKey, BrokerId, ProducerId};
use kafka_protocol::protocol::StrBytes;

use crate::wire::{Malformed, Request};

/// The error code stands at the top of the answer, and all else may be left out.
macro_rules! at_the_top {
    ($request:ident, $code:ident, $response:ident) => {
        $request.answer(&of::$response::default().with_error_code($code))
    };
}

/// Of every element in a list of the request, the answer has one with an error code.
macro_rules! for_each {
    ($request:ident, $asked:ident.$list:ident => $response:ident.$with:ident($element:expr)) => {{
        let asked: of::$asked = $request.decode()?;
        $request.answer(&of::$response::default().$with(asked.$list.into_iter().map($element).collect()))
    }};
}

/// The answer with an error, or `None` for a request that wants no answer.
///
/// # Errors
/// A request that cannot be read.
pub(crate) fn refuse(request: &Request, error: ResponseError) -> Result<Option<BytesMut>, Malformed> {
    let code = error.code();
    match request.key {
        ApiKey::Produce => return produce(request, code),
        ApiKey::Fetch => fetch(request, code),
        ApiKey::ListOffsets | ApiKey::OffsetForLeaderEpoch | ApiKey::DeleteRecords => places(request, code),
        ApiKey::Metadata => metadata(request, code),
        ApiKey::DescribeTopicPartitions => topic_partitions(request, code),
        ApiKey::FindCoordinator => find_coordinator(request, code),
        ApiKey::JoinGroup => join(request, code),
        ApiKey::OffsetCommit | ApiKey::TxnOffsetCommit => commit(request, code),
        ApiKey::OffsetFetch => offset_fetch(request, code),
        ApiKey::AddPartitionsToTxn => add_partitions(request, code),
        ApiKey::ElectLeaders => elect_leaders(request, code),
        ApiKey::WriteTxnMarkers => write_markers(request, code),
        ApiKey::InitProducerId => {
            let refused = of::InitProducerIdResponse::default();
            let refused = refused.with_producer_id(ProducerId(-1)).with_producer_epoch(-1);
            request.answer(&refused.with_error_code(code))
        }
        _ => at_the_top_or_in_a_list(request, code),
    }
    .map(Some)
}

fn at_the_top_or_in_a_list(request: &Request, code: i16) -> Result<BytesMut, Malformed> {
    match request.key {
        ApiKey::ApiVersions => at_the_top!(request, code, ApiVersionsResponse),
        ApiKey::SyncGroup => at_the_top!(request, code, SyncGroupResponse),
        ApiKey::Heartbeat => at_the_top!(request, code, HeartbeatResponse),
        ApiKey::LeaveGroup => at_the_top!(request, code, LeaveGroupResponse),
        ApiKey::OffsetDelete => at_the_top!(request, code, OffsetDeleteResponse),
        ApiKey::ConsumerGroupHeartbeat => at_the_top!(request, code, ConsumerGroupHeartbeatResponse),
        ApiKey::ListGroups => at_the_top!(request, code, ListGroupsResponse),
        ApiKey::AddOffsetsToTxn => at_the_top!(request, code, AddOffsetsToTxnResponse),
        ApiKey::EndTxn => at_the_top!(request, code, EndTxnResponse),
        ApiKey::DescribeCluster => at_the_top!(request, code, DescribeClusterResponse),
        ApiKey::SaslHandshake => at_the_top!(request, code, SaslHandshakeResponse),
        ApiKey::SaslAuthenticate => at_the_top!(request, code, SaslAuthenticateResponse),
        ApiKey::DescribeAcls => at_the_top!(request, code, DescribeAclsResponse),
        ApiKey::DescribeClientQuotas => at_the_top!(request, code, DescribeClientQuotasResponse),
        ApiKey::DescribeUserScramCredentials => {
            at_the_top!(request, code, DescribeUserScramCredentialsResponse)
        }
        ApiKey::ListConfigResources => at_the_top!(request, code, ListConfigResourcesResponse),
        ApiKey::ListTransactions => at_the_top!(request, code, ListTransactionsResponse),
        _ => in_a_list(request, code),
    }
}

fn in_a_list(request: &Request, code: i16) -> Result<BytesMut, Malformed> {
    use of::alter_configs_response::AlterConfigsResourceResponse as Altered;
    use of::create_partitions_response::CreatePartitionsTopicResult;
    use of::create_topics_response::CreatableTopicResult;
    use of::delete_groups_response::DeletableGroupResult;
    use of::describe_configs_response::DescribeConfigsResult;
    use of::describe_groups_response::DescribedGroup;
    use of::incremental_alter_configs_response::AlterConfigsResourceResponse as Incremental;
    match request.key {
        ApiKey::DescribeGroups => for_each!(request, DescribeGroupsRequest.groups =>
        DescribeGroupsResponse.with_groups(|id| {
            DescribedGroup::default().with_group_id(id).with_error_code(code)
        })),
        ApiKey::ConsumerGroupDescribe => for_each!(request, ConsumerGroupDescribeRequest.group_ids =>
        ConsumerGroupDescribeResponse.with_groups(|id| {
            of::consumer_group_describe_response::DescribedGroup::default().with_group_id(id).with_error_code(code)
        })),
        ApiKey::DeleteGroups => for_each!(request, DeleteGroupsRequest.groups_names =>
        DeleteGroupsResponse.with_results(|id| {
            DeletableGroupResult::default().with_group_id(id).with_error_code(code)
        })),
        ApiKey::CreateTopics => for_each!(request, CreateTopicsRequest.topics =>
        CreateTopicsResponse.with_topics(|topic| {
            CreatableTopicResult::default().with_name(topic.name).with_error_code(code)
        })),
        ApiKey::DeleteTopics => delete_topics(request, code),
        ApiKey::CreatePartitions => for_each!(request, CreatePartitionsRequest.topics =>
        CreatePartitionsResponse.with_results(|topic| {
            CreatePartitionsTopicResult::default().with_name(topic.name).with_error_code(code)
        })),
        ApiKey::DescribeConfigs => for_each!(request, DescribeConfigsRequest.resources =>
        DescribeConfigsResponse.with_results(|resource| {
            DescribeConfigsResult::default()
                .with_resource_type(resource.resource_type)
                .with_resource_name(resource.resource_name)
                .with_error_code(code)
        })),
        ApiKey::AlterConfigs => for_each!(request, AlterConfigsRequest.resources =>
        AlterConfigsResponse.with_responses(|resource| {
            Altered::default()
                .with_resource_type(resource.resource_type)
                .with_resource_name(resource.resource_name)
                .with_error_code(code)
        })),
        ApiKey::IncrementalAlterConfigs => for_each!(request, IncrementalAlterConfigsRequest.resources =>
        IncrementalAlterConfigsResponse.with_responses(|resource| {
            Incremental::default()
                .with_resource_type(resource.resource_type)
                .with_resource_name(resource.resource_name)
                .with_error_code(code)
        })),
        _ => in_a_list_of_few(request, code),
    }
}

fn in_a_list_of_few(request: &Request, code: i16) -> Result<BytesMut, Malformed> {
    use of::create_acls_response::AclCreationResult;
    use of::delete_acls_response::DeleteAclsFilterResult;
    use of::describe_log_dirs_response::DescribeLogDirsResult;
    use of::describe_producers_response::{PartitionResponse, TopicResponse};
    use of::describe_transactions_response::TransactionState;
    match request.key {
        ApiKey::CreateAcls => for_each!(request, CreateAclsRequest.creations =>
        CreateAclsResponse.with_results(|_| AclCreationResult::default().with_error_code(code))),
        ApiKey::DeleteAcls => for_each!(request, DeleteAclsRequest.filters =>
        DeleteAclsResponse.with_filter_results(|_| DeleteAclsFilterResult::default().with_error_code(code))),
        ApiKey::DescribeLogDirs => {
            // The oldest versions have room for it only at the one place that there is.
            let place = DescribeLogDirsResult::default().with_error_code(code);
            let response = of::DescribeLogDirsResponse::default().with_results(vec![place]);
            request.answer(&if request.version >= 3 { response.with_error_code(code) } else { response })
        }
        ApiKey::DescribeTransactions => for_each!(request, DescribeTransactionsRequest.transactional_ids =>
        DescribeTransactionsResponse.with_transaction_states(|id| {
            TransactionState::default().with_transactional_id(id).with_error_code(code)
        })),
        ApiKey::DescribeProducers => for_each!(request, DescribeProducersRequest.topics =>
        DescribeProducersResponse.with_topics(|topic| {
            let partitions = topic.partition_indexes.iter().map(|index| {
                PartitionResponse::default().with_partition_index(*index).with_error_code(code)
            });
            let partitions = partitions.collect();
            TopicResponse::default().with_name(topic.name).with_partitions(partitions)
        })),
        other => Err(Malformed(format!("{other:?} has no answer that could hold an error"))),
    }
}

/// The last that a producer hears which wants no answers is the end of its connection.
fn produce(request: &Request, code: i16) -> Result<Option<BytesMut>, Malformed> {
    use of::produce_response::{PartitionProduceResponse, TopicProduceResponse};
    let asked: of::ProduceRequest = request.decode()?;
    if asked.acks == 0 {
        return Ok(None);
    }
    let topics = asked.topic_data.into_iter().map(|topic| {
        let partitions = topic.partition_data.iter().map(|partition| {
            PartitionProduceResponse::default()
                .with_index(partition.index)
                .with_error_code(code)
                .with_base_offset(-1)
        });
        let partitions = partitions.collect();
        TopicProduceResponse::default().with_name(topic.name).with_partition_responses(partitions)
    });
    request.answer(&of::ProduceResponse::default().with_responses(topics.collect())).map(Some)
}

fn fetch(request: &Request, code: i16) -> Result<BytesMut, Malformed> {
    use of::fetch_response::{FetchableTopicResponse, PartitionData};
    let asked: of::FetchRequest = request.decode()?;
    if asked.topics.is_empty() {
        return at_the_top!(request, code, FetchResponse);
    }
    let topics = asked.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| {
            PartitionData::default()
                .with_partition_index(partition.partition)
                .with_error_code(code)
                .with_high_watermark(-1)
                .with_aborted_transactions(None)
                .with_records(Some(Bytes::new()))
        });
        FetchableTopicResponse::default()
            .with_partitions(partitions.collect())
            .with_topic_id(topic.topic_id)
            .with_topic(topic.topic)
    });
    request.answer(&of::FetchResponse::default().with_responses(topics.collect()))
}

fn places(request: &Request, code: i16) -> Result<BytesMut, Malformed> {
    use of::delete_records_response::{DeleteRecordsPartitionResult, DeleteRecordsTopicResult};
    use of::list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};
    use of::offset_for_leader_epoch_response::{EpochEndOffset, OffsetForLeaderTopicResult};
    match request.key {
        ApiKey::ListOffsets => for_each!(request, ListOffsetsRequest.topics =>
        ListOffsetsResponse.with_topics(|topic| {
            let partitions = topic.partitions.iter().map(|partition| {
                ListOffsetsPartitionResponse::default()
                    .with_partition_index(partition.partition_index)
                    .with_error_code(code)
            });
            let partitions = partitions.collect();
            ListOffsetsTopicResponse::default().with_name(topic.name).with_partitions(partitions)
        })),
        ApiKey::OffsetForLeaderEpoch => for_each!(request, OffsetForLeaderEpochRequest.topics =>
        OffsetForLeaderEpochResponse.with_topics(|topic| {
            let partitions = topic.partitions.iter().map(|partition| {
                EpochEndOffset::default().with_partition(partition.partition).with_error_code(code)
            });
            let partitions = partitions.collect();
            OffsetForLeaderTopicResult::default().with_topic(topic.topic).with_partitions(partitions)
        })),
        _ => for_each!(request, DeleteRecordsRequest.topics =>
        DeleteRecordsResponse.with_topics(|topic| {
            let partitions = topic.partitions.iter().map(|partition| {
                DeleteRecordsPartitionResult::default()
                    .with_partition_index(partition.partition_index)
                    .with_error_code(code)
                    .with_low_watermark(-1)
            });
            let partitions = partitions.collect();
            DeleteRecordsTopicResult::default().with_name(topic.name).with_partitions(partitions)
        })),
    }
}

/// A request for all topics has room for an error only in the newest version; in the others it gets no broker.
fn metadata(request: &Request, code: i16) -> Result<BytesMut, Malformed> {
    use of::metadata_response::MetadataResponseTopic;
    const FIRST_WITH_ERROR: i16 = 13;
    const FIRST_WITH_NULL_NAMES: i16 = 12;
    let asked: of::MetadataRequest = request.decode()?;
    let topics = asked.topics.unwrap_or_default().into_iter().map(|topic| {
        let nameless = (request.version < FIRST_WITH_NULL_NAMES).then(Default::default);
        MetadataResponseTopic::default()
            .with_name(topic.name.or(nameless))
            .with_topic_id(topic.topic_id)
            .with_error_code(code)
    });
    let top = if request.version >= FIRST_WITH_ERROR { code } else { 0 };
    let refused = of::MetadataResponse::default().with_controller_id(BrokerId(-1)).with_error_code(top);
    request.answer(&refused.with_topics(topics.collect()))
}

fn topic_partitions(request: &Request, code: i16) -> Result<BytesMut, Malformed> {
    use of::describe_topic_partitions_response::DescribeTopicPartitionsResponseTopic as Topic;
    for_each!(request, DescribeTopicPartitionsRequest.topics =>
    DescribeTopicPartitionsResponse.with_topics(|topic| {
        Topic::default().with_name(Some(topic.name)).with_error_code(code)
    }))
}

fn find_coordinator(request: &Request, code: i16) -> Result<BytesMut, Malformed> {
    use of::find_coordinator_response::Coordinator;
    const FIRST_WITH_KEYS: i16 = 4;
    if request.version < FIRST_WITH_KEYS {
        let refused = of::FindCoordinatorResponse::default().with_node_id(BrokerId(-1)).with_port(-1);
        return request.answer(&refused.with_error_code(code));
    }
    for_each!(request, FindCoordinatorRequest.coordinator_keys =>
    FindCoordinatorResponse.with_coordinators(|key| {
        let refused = Coordinator::default().with_key(key).with_node_id(BrokerId(-1)).with_port(-1);
        refused.with_error_code(code)
    }))
}

fn join(request: &Request, code: i16) -> Result<BytesMut, Malformed> {
    const FIRST_WITH_NULL_PROTOCOL: i16 = 7;
    let asked: of::JoinGroupRequest = request.decode()?;
    let refused = of::JoinGroupResponse::default()
        .with_error_code(code)
        .with_generation_id(-1)
        .with_protocol_name((request.version < FIRST_WITH_NULL_PROTOCOL).then(StrBytes::new))
        .with_member_id(asked.member_id);
    request.answer(&refused)
}

fn commit(request: &Request, code: i16) -> Result<BytesMut, Malformed> {
    use of::offset_commit_response::{OffsetCommitResponsePartition, OffsetCommitResponseTopic};
    use of::txn_offset_commit_response::{TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic};
    if request.key == ApiKey::OffsetCommit {
        return for_each!(request, OffsetCommitRequest.topics =>
        OffsetCommitResponse.with_topics(|topic| {
            let partitions = topic.partitions.iter().map(|partition| {
                OffsetCommitResponsePartition::default()
                    .with_partition_index(partition.partition_index)
                    .with_error_code(code)
            });
            let partitions = partitions.collect();
            OffsetCommitResponseTopic::default().with_name(topic.name).with_partitions(partitions)
        }));
    }
    for_each!(request, TxnOffsetCommitRequest.topics =>
    TxnOffsetCommitResponse.with_topics(|topic| {
        let partitions = topic.partitions.iter().map(|partition| {
            TxnOffsetCommitResponsePartition::default()
                .with_partition_index(partition.partition_index)
                .with_error_code(code)
        });
        let partitions = partitions.collect();
        TxnOffsetCommitResponseTopic::default().with_name(topic.name).with_partitions(partitions)
    }))
}

fn offset_fetch(request: &Request, code: i16) -> Result<BytesMut, Malformed> {
    use of::offset_fetch_response::{
        OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponseTopic,
    };
    const FIRST_WITH_ERROR: i16 = 2;
    const FIRST_WITH_GROUPS: i16 = 8;
    if request.version >= FIRST_WITH_GROUPS {
        return for_each!(request, OffsetFetchRequest.groups =>
        OffsetFetchResponse.with_groups(|group| {
            OffsetFetchResponseGroup::default().with_group_id(group.group_id).with_error_code(code)
        }));
    }
    let asked: of::OffsetFetchRequest = request.decode()?;
    let topics = asked.topics.unwrap_or_default().into_iter().map(|topic| {
        let partitions = topic.partition_indexes.iter().map(|index| {
            OffsetFetchResponsePartition::default()
                .with_partition_index(*index)
                .with_committed_offset(-1)
                .with_metadata(Some(StrBytes::new()))
                .with_error_code(code)
        });
        OffsetFetchResponseTopic::default().with_name(topic.name).with_partitions(partitions.collect())
    });
    let top = if request.version >= FIRST_WITH_ERROR { code } else { 0 };
    request.answer(&of::OffsetFetchResponse::default().with_error_code(top).with_topics(topics.collect()))
}

fn add_partitions(request: &Request, code: i16) -> Result<BytesMut, Malformed> {
    use of::add_partitions_to_txn_response::{
        AddPartitionsToTxnPartitionResult, AddPartitionsToTxnTopicResult,
    };
    const FIRST_OF_BROKERS: i16 = 4;
    if request.version >= FIRST_OF_BROKERS {
        return at_the_top!(request, code, AddPartitionsToTxnResponse);
    }
    for_each!(request, AddPartitionsToTxnRequest.v3_and_below_topics =>
    AddPartitionsToTxnResponse.with_results_by_topic_v3_and_below(|topic| {
        let partitions = topic.partitions.iter().map(|index| {
            AddPartitionsToTxnPartitionResult::default()
                .with_partition_index(*index)
                .with_partition_error_code(code)
        });
        let results = partitions.collect();
        AddPartitionsToTxnTopicResult::default().with_name(topic.name).with_results_by_partition(results)
    }))
}

fn elect_leaders(request: &Request, code: i16) -> Result<BytesMut, Malformed> {
    use of::elect_leaders_response::{PartitionResult, ReplicaElectionResult};
    const FIRST_WITH_ERROR: i16 = 1;
    let asked: of::ElectLeadersRequest = request.decode()?;
    let topics = asked.topic_partitions.unwrap_or_default().into_iter().map(|topic| {
        let partitions = topic
            .partitions
            .iter()
            .map(|index| PartitionResult::default().with_partition_id(*index).with_error_code(code));
        let partitions = partitions.collect();
        ReplicaElectionResult::default().with_topic(topic.topic).with_partition_result(partitions)
    });
    let top = if request.version >= FIRST_WITH_ERROR { code } else { 0 };
    let refused = of::ElectLeadersResponse::default().with_error_code(top);
    request.answer(&refused.with_replica_election_results(topics.collect()))
}

fn write_markers(request: &Request, code: i16) -> Result<BytesMut, Malformed> {
    use of::write_txn_markers_response::{
        WritableTxnMarkerPartitionResult, WritableTxnMarkerResult, WritableTxnMarkerTopicResult,
    };
    for_each!(request, WriteTxnMarkersRequest.markers =>
    WriteTxnMarkersResponse.with_markers(|marker| {
        let topics = marker.topics.into_iter().map(|topic| {
            let partitions = topic.partition_indexes.iter().map(|index| {
                WritableTxnMarkerPartitionResult::default().with_partition_index(*index).with_error_code(code)
            });
            let partitions = partitions.collect();
            WritableTxnMarkerTopicResult::default().with_name(topic.name).with_partitions(partitions)
        });
        let topics = topics.collect();
        WritableTxnMarkerResult::default().with_producer_id(marker.producer_id).with_topics(topics)
    }))
}

fn delete_topics(request: &Request, code: i16) -> Result<BytesMut, Malformed> {
    use of::delete_topics_request::DeleteTopicState;
    use of::delete_topics_response::DeletableTopicResult;
    let asked: of::DeleteTopicsRequest = request.decode()?;
    let by_name = |name| DeleteTopicState::default().with_name(Some(name));
    let all = asked.topics.into_iter().chain(asked.topic_names.into_iter().map(by_name));
    let responses = all.map(|topic| {
        DeletableTopicResult::default()
            .with_name(topic.name)
            .with_topic_id(topic.topic_id)
            .with_error_code(code)
    });
    request.answer(&of::DeleteTopicsResponse::default().with_responses(responses.collect()))
}
