//! How a request went: the first error code that its answer holds.

use kafka_protocol::messages as of;

const NONE: i16 = 0;

/// An answer that says how its request went.
pub(crate) trait Outcome {
    /// The first error code in it, or 0.
    fn outcome(&self) -> i16;
}

fn first(codes: impl IntoIterator<Item = i16>) -> i16 {
    codes.into_iter().find(|code| *code != NONE).unwrap_or(NONE)
}

/// The error code stands at the top of the answer.
macro_rules! at_the_top {
    ($($response:ident),* $(,)?) => {$(
        impl Outcome for of::$response {
            fn outcome(&self) -> i16 {
                self.error_code
            }
        }
    )*};
}

/// The error codes are in a list, or in lists of a list, and may be at the top as well.
macro_rules! in_lists {
    ($($response:ident: $([$top:ident])? $list:ident $(/ $inner:ident)? => $code:ident;)*) => {$(
        impl Outcome for of::$response {
            fn outcome(&self) -> i16 {
                let top = [$(self.$top)?];
                first(top.into_iter().chain(in_lists!(@codes self.$list $(, $inner)?, $code)))
            }
        }
    )*};
    (@codes $value:ident.$list:ident, $code:ident) => { $value.$list.iter().map(|one| one.$code) };
    (@codes $value:ident.$list:ident, $inner:ident, $code:ident) => {
        $value.$list.iter().flat_map(|one| one.$inner.iter().map(|inner| inner.$code))
    };
}

at_the_top!(
    AddOffsetsToTxnResponse,
    ApiVersionsResponse,
    ConsumerGroupHeartbeatResponse,
    DescribeAclsResponse,
    DescribeClientQuotasResponse,
    DescribeClusterResponse,
    EndTxnResponse,
    HeartbeatResponse,
    InitProducerIdResponse,
    JoinGroupResponse,
    ListConfigResourcesResponse,
    ListGroupsResponse,
    ListTransactionsResponse,
    SaslAuthenticateResponse,
    SaslHandshakeResponse,
    SyncGroupResponse,
);

in_lists! {
    AlterConfigsResponse: responses => error_code;
    ConsumerGroupDescribeResponse: groups => error_code;
    CreateAclsResponse: results => error_code;
    CreatePartitionsResponse: results => error_code;
    CreateTopicsResponse: topics => error_code;
    DeleteAclsResponse: filter_results => error_code;
    DeleteGroupsResponse: results => error_code;
    DeleteRecordsResponse: topics / partitions => error_code;
    DeleteTopicsResponse: responses => error_code;
    DescribeConfigsResponse: results => error_code;
    DescribeGroupsResponse: groups => error_code;
    DescribeLogDirsResponse: [error_code] results => error_code;
    DescribeProducersResponse: topics / partitions => error_code;
    DescribeTransactionsResponse: transaction_states => error_code;
    DescribeUserScramCredentialsResponse: [error_code] results => error_code;
    ElectLeadersResponse: [error_code] replica_election_results / partition_result => error_code;
    FetchResponse: [error_code] responses / partitions => error_code;
    IncrementalAlterConfigsResponse: responses => error_code;
    LeaveGroupResponse: [error_code] members => error_code;
    ListOffsetsResponse: topics / partitions => error_code;
    OffsetCommitResponse: topics / partitions => error_code;
    OffsetDeleteResponse: [error_code] topics / partitions => error_code;
    OffsetForLeaderEpochResponse: topics / partitions => error_code;
    ProduceResponse: responses / partition_responses => error_code;
    TxnOffsetCommitResponse: topics / partitions => error_code;
}

impl Outcome for of::AddPartitionsToTxnResponse {
    fn outcome(&self) -> i16 {
        let batched = self.results_by_transaction.iter().flat_map(|one| &one.topic_results);
        let topics = self.results_by_topic_v3_and_below.iter().chain(batched);
        let codes =
            topics.flat_map(|topic| topic.results_by_partition.iter().map(|one| one.partition_error_code));
        first([self.error_code].into_iter().chain(codes))
    }
}

impl Outcome for of::DescribeTopicPartitionsResponse {
    fn outcome(&self) -> i16 {
        let of_topic =
            |topic: &of::describe_topic_partitions_response::DescribeTopicPartitionsResponseTopic| {
                first([topic.error_code].into_iter().chain(topic.partitions.iter().map(|one| one.error_code)))
            };
        first(self.topics.iter().map(of_topic))
    }
}

impl Outcome for of::FindCoordinatorResponse {
    fn outcome(&self) -> i16 {
        first([self.error_code].into_iter().chain(self.coordinators.iter().map(|one| one.error_code)))
    }
}

impl Outcome for of::MetadataResponse {
    fn outcome(&self) -> i16 {
        let of_topic = |topic: &of::metadata_response::MetadataResponseTopic| {
            first([topic.error_code].into_iter().chain(topic.partitions.iter().map(|one| one.error_code)))
        };
        first([self.error_code].into_iter().chain(self.topics.iter().map(of_topic)))
    }
}

impl Outcome for of::OffsetFetchResponse {
    fn outcome(&self) -> i16 {
        let older = self.topics.iter().flat_map(|topic| topic.partitions.iter().map(|one| one.error_code));
        let of_group = |group: &of::offset_fetch_response::OffsetFetchResponseGroup| {
            let partitions = group.topics.iter().flat_map(|topic| &topic.partitions);
            first([group.error_code].into_iter().chain(partitions.map(|one| one.error_code)))
        };
        first([self.error_code].into_iter().chain(older).chain(self.groups.iter().map(of_group)))
    }
}

impl Outcome for of::WriteTxnMarkersResponse {
    fn outcome(&self) -> i16 {
        let topics = self.markers.iter().flat_map(|marker| &marker.topics);
        first(topics.flat_map(|topic| topic.partitions.iter().map(|one| one.error_code)))
    }
}
