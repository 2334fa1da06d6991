//! `ApiVersions`: what is answered, and in which versions.

use std::ops::RangeInclusive;

use bytes::BytesMut;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::api_versions_response::{ApiVersion, FinalizedFeatureKey, SupportedFeatureKey};
use kafka_protocol::messages::{ApiKey, ApiVersionsRequest, ApiVersionsResponse};

use super::text;
use crate::wire::{Malformed, Request};

/// Every API that is answered, with its oldest and its newest version.
pub(crate) const SUPPORTED: &[(ApiKey, i16, i16)] = &[
    (ApiKey::Produce, 3, 11),
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
    (ApiKey::ApiVersions, 0, 4),
    (ApiKey::CreateTopics, 2, 7),
    (ApiKey::DeleteTopics, 1, 6),
    (ApiKey::DeleteRecords, 0, 2),
    (ApiKey::InitProducerId, 0, 4),
    (ApiKey::OffsetForLeaderEpoch, 2, 4),
    (ApiKey::AddPartitionsToTxn, 0, 3),
    (ApiKey::AddOffsetsToTxn, 0, 3),
    (ApiKey::EndTxn, 0, 3),
    (ApiKey::TxnOffsetCommit, 0, 3),
    (ApiKey::DescribeConfigs, 1, 4),
    (ApiKey::AlterConfigs, 0, 2),
    (ApiKey::CreatePartitions, 0, 3),
    (ApiKey::DeleteGroups, 0, 2),
    (ApiKey::IncrementalAlterConfigs, 0, 1),
    (ApiKey::OffsetDelete, 0, 0),
    (ApiKey::DescribeCluster, 0, 2),
    (ApiKey::ConsumerGroupHeartbeat, 0, 1),
    (ApiKey::ConsumerGroupDescribe, 0, 1),
    (ApiKey::DescribeTopicPartitions, 0, 0),
];

/// The features that are switched on, each with its highest level, which is the one that it is at.
const FEATURES: &[(&str, i16)] = &[("group.version", 1)];

/// The first version that tells features.
const FIRST_WITH_FEATURES: i16 = 3;

/// The first version in which a feature may have the lowest level 0.
const FIRST_WITH_LEVEL_ZERO: i16 = 4;

/// The versions of an API that are answered.
pub(super) fn range_of(key: ApiKey) -> Option<RangeInclusive<i16>> {
    SUPPORTED.iter().find(|api| api.0 == key).map(|api| api.1..=api.2)
}

pub(super) fn api_versions(request: &ApiVersionsRequest, version: i16) -> ApiVersionsResponse {
    let named = !request.client_software_name.is_empty() && !request.client_software_version.is_empty();
    if version >= 3 && !named {
        return ApiVersionsResponse::default().with_error_code(ResponseError::InvalidRequest.code());
    }
    let supported_features =
        FEATURES.iter().filter(|_| version >= FIRST_WITH_LEVEL_ZERO).map(|(name, level)| {
            SupportedFeatureKey::default().with_name(text(*name)).with_min_version(0).with_max_version(*level)
        });
    let finalized = FEATURES.iter().map(|(name, level)| {
        let feature = FinalizedFeatureKey::default().with_name(text(*name));
        feature.with_min_version_level(*level).with_max_version_level(*level)
    });
    let response = supported();
    if version < FIRST_WITH_FEATURES {
        return response;
    }
    response
        .with_supported_features(supported_features.collect())
        .with_finalized_features(finalized.collect())
        .with_finalized_features_epoch(0)
}

/// To a client from the future, in the version that every client reads.
pub(super) fn of_another_time(request: &Request) -> Result<BytesMut, Malformed> {
    let response = supported().with_error_code(ResponseError::UnsupportedVersion.code());
    request.answer_in(0, &response)
}

fn supported() -> ApiVersionsResponse {
    let apis = SUPPORTED.iter().map(|(key, oldest, newest)| {
        // As Kafka 4 does: clients take the versions that it gave up for a sign that it knows compression.
        let told = if *key == ApiKey::Produce { 0 } else { *oldest };
        ApiVersion::default().with_api_key(*key as i16).with_min_version(told).with_max_version(*newest)
    });
    ApiVersionsResponse::default().with_api_keys(apis.collect())
}
