//! `ApiVersions`: what is answered, and in which versions.

use std::ops::RangeInclusive;

use bytes::BytesMut;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::api_versions_response::{ApiVersion, FinalizedFeatureKey, SupportedFeatureKey};
use kafka_protocol::messages::{ApiKey, ApiVersionsRequest, ApiVersionsResponse};

use kafka_protocol::protocol::StrBytes;

use crate::wire::{Malformed, Request};

/// Every API that is answered, with its oldest and its newest version.
pub(crate) const SUPPORTED: &[(ApiKey, i16, i16)] = &[
    (ApiKey::Produce, 3, 13),
    (ApiKey::Fetch, 4, 16),
    (ApiKey::ListOffsets, 1, 10),
    (ApiKey::Metadata, 0, 13),
    (ApiKey::OffsetCommit, 2, 9),
    (ApiKey::OffsetFetch, 1, 9),
    (ApiKey::FindCoordinator, 0, 5),
    (ApiKey::JoinGroup, 0, 9),
    (ApiKey::Heartbeat, 0, 4),
    (ApiKey::LeaveGroup, 0, 5),
    (ApiKey::SyncGroup, 0, 5),
    (ApiKey::DescribeGroups, 0, 6),
    (ApiKey::ListGroups, 0, 5),
    (ApiKey::SaslHandshake, 0, 1),
    (ApiKey::ApiVersions, 0, 4),
    (ApiKey::CreateTopics, 2, 7),
    (ApiKey::DeleteTopics, 1, 6),
    (ApiKey::DeleteRecords, 0, 2),
    (ApiKey::InitProducerId, 0, 5),
    (ApiKey::OffsetForLeaderEpoch, 2, 4),
    (ApiKey::SaslAuthenticate, 0, 2),
    (ApiKey::AddPartitionsToTxn, 0, 5),
    (ApiKey::AddOffsetsToTxn, 0, 4),
    (ApiKey::EndTxn, 0, 5),
    (ApiKey::WriteTxnMarkers, 1, 1),
    (ApiKey::TxnOffsetCommit, 0, 5),
    (ApiKey::DescribeConfigs, 1, 4),
    (ApiKey::AlterConfigs, 0, 2),
    (ApiKey::CreatePartitions, 0, 3),
    (ApiKey::DeleteGroups, 0, 2),
    (ApiKey::ElectLeaders, 0, 2),
    (ApiKey::IncrementalAlterConfigs, 0, 1),
    (ApiKey::OffsetDelete, 0, 0),
    (ApiKey::DescribeCluster, 0, 2),
    (ApiKey::DescribeAcls, 1, 3),
    (ApiKey::CreateAcls, 1, 3),
    (ApiKey::DeleteAcls, 1, 3),
    (ApiKey::DescribeLogDirs, 1, 4),
    (ApiKey::DescribeClientQuotas, 0, 1),
    (ApiKey::DescribeUserScramCredentials, 0, 0),
    (ApiKey::ListConfigResources, 0, 1),
    (ApiKey::DescribeProducers, 0, 0),
    (ApiKey::DescribeTransactions, 0, 0),
    (ApiKey::ListTransactions, 0, 1),
    (ApiKey::ConsumerGroupHeartbeat, 0, 1),
    (ApiKey::ConsumerGroupDescribe, 0, 1),
    (ApiKey::DescribeTopicPartitions, 0, 0),
];

/// The features that every part of a cluster has to agree on: their greatest level here, which is also the one in force.
const FEATURES: &[(&str, i16)] = &[("group.version", 1), ("transaction.version", 2)];

/// Raised by Kafka with every change of the levels; there is none here.
const FEATURES_EPOCH: i64 = 1;

/// The versions of an API that are answered.
pub(super) fn range_of(key: ApiKey) -> Option<RangeInclusive<i16>> {
    SUPPORTED.iter().find(|api| api.0 == key).map(|api| api.1..=api.2)
}

pub(super) fn api_versions(request: &ApiVersionsRequest, version: i16) -> ApiVersionsResponse {
    let named = !request.client_software_name.is_empty() && !request.client_software_version.is_empty();
    if version >= 3 && !named {
        return ApiVersionsResponse::default().with_error_code(ResponseError::InvalidRequest.code());
    }
    if version >= 3 { with_features(supported(), version) } else { supported() }
}

/// To a client from the future, in the version that every client reads.
pub(super) fn of_another_time(request: &Request) -> Result<BytesMut, Malformed> {
    let response = supported().with_error_code(ResponseError::UnsupportedVersion.code());
    request.answer_in(0, &response)
}

fn with_features(response: ApiVersionsResponse, version: i16) -> ApiVersionsResponse {
    // Clients that know no version 4 cannot read a level of zero.
    let least = i16::from(version < 4);
    let supported = FEATURES.iter().map(|(name, level)| {
        SupportedFeatureKey::default()
            .with_name(StrBytes::from_static_str(name))
            .with_min_version(least)
            .with_max_version(*level)
    });
    let finalized = FEATURES.iter().map(|(name, level)| {
        FinalizedFeatureKey::default()
            .with_name(StrBytes::from_static_str(name))
            .with_min_version_level(*level)
            .with_max_version_level(*level)
    });
    response
        .with_supported_features(supported.collect())
        .with_finalized_features(finalized.collect())
        .with_finalized_features_epoch(FEATURES_EPOCH)
}

fn supported() -> ApiVersionsResponse {
    let apis = SUPPORTED.iter().map(|(key, oldest, newest)| {
        // As Kafka 4 does: clients take the versions that it gave up for a sign that it knows compression.
        let told = if *key == ApiKey::Produce { 0 } else { *oldest };
        ApiVersion::default().with_api_key(*key as i16).with_min_version(told).with_max_version(*newest)
    });
    ApiVersionsResponse::default().with_api_keys(apis.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_are_told_to_who_can_read_them() {
        let named = |name: &'static str| StrBytes::from_static_str(name);
        let ask = |version| {
            let request = ApiVersionsRequest::default()
                .with_client_software_name(named("test"))
                .with_client_software_version(named("1"));
            let response = api_versions(&request, version);
            let levels = |feature: &SupportedFeatureKey| (feature.min_version, feature.max_version);
            let transactions = named("transaction.version");
            let supported =
                response.supported_features.iter().find(|one| one.name == transactions).map(levels);
            let finalized = response.finalized_features.iter().find(|one| one.name == transactions);
            (supported, finalized.map(|one| one.max_version_level))
        };
        assert_eq!(ask(2), (None, None));
        assert_eq!(ask(3), (Some((1, 2)), Some(2)), "a level of zero would not be understood");
        assert_eq!(ask(4), (Some((0, 2)), Some(2)));
    }
}
