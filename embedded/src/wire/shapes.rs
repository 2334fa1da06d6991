//! The shapes of the requests that the broker answers, after Kafka's own message definitions.

use kafka_protocol::messages::ApiKey;

use super::shape::{Field, Kind, Shape};

const BOOL: Field = fixed(1);
const I8: Field = fixed(1);
const I16: Field = fixed(2);
const I32: Field = fixed(4);
const I64: Field = fixed(8);
const UUID: Field = fixed(16);
const TEXT: Field = Field::new(Kind::Text);
const BLOB: Field = Field::new(Kind::Blob);
const TEXTS: Field = Field::new(Kind::Plain(&Kind::Text));
const NUMBERS: Field = Field::new(Kind::Plain(&Kind::Fixed(4)));

const fn fixed(size: usize) -> Field {
    Field::new(Kind::Fixed(size))
}

const fn list(fields: &'static [Field]) -> Field {
    Field::new(Kind::List(fields))
}

const fn shape(flexible_since: i16, fields: &'static [Field]) -> Shape {
    Shape { flexible_since, fields }
}

const NEVER: i16 = i16::MAX;

const NAMED_VALUES: Field = list(&[TEXT, TEXT]);
const FETCH_PARTITION: &[Field] = &[I32, I32.since(9), I64, I32.since(12), I64.since(5), I32];
const COMMITTED_PARTITION: &[Field] = &[I32, I64, I32.since(6), TEXT];
const FETCHED_GROUP: &[Field] = &[TEXT, TEXT.since(9), I32.since(9), list(&[TEXT, NUMBERS])];
const ACL_FILTER: &[Field] = &[I8, TEXT, I8, TEXT, TEXT, I8, I8];
const CREATED_TOPIC: &[Field] = &[TEXT, I32, I16, list(&[I32, NUMBERS]), NAMED_VALUES];

/// The shape of an API's request in all versions, or `None` for an API that is not answered.
pub(super) fn shape_of(key: ApiKey) -> Option<Shape> {
    SHAPES.iter().find(|(known, _)| *known == key).map(|(_, shape)| *shape)
}

static SHAPES: &[(ApiKey, Shape)] = &[
    (ApiKey::ApiVersions, shape(3, &[TEXT.since(3), TEXT.since(3)])),
    (ApiKey::SaslHandshake, shape(NEVER, &[TEXT])),
    (ApiKey::SaslAuthenticate, shape(2, &[BLOB])),
    (
        ApiKey::Metadata,
        shape(9, &[list(&[UUID.since(10), TEXT]), BOOL.since(4), BOOL.since(8).until(10), BOOL.since(8)]),
    ),
    (
        ApiKey::Produce,
        shape(9, &[TEXT, I16, I32, list(&[TEXT.until(12), UUID.since(13), list(&[I32, BLOB])])]),
    ),
    (
        ApiKey::Fetch,
        shape(
            12,
            &[
                I32.until(14),
                I32,
                I32,
                I32,
                I8,
                I32.since(7),
                I32.since(7),
                list(&[TEXT.until(12), UUID.since(13), list(FETCH_PARTITION)]),
                list(&[TEXT.until(12), UUID.since(13), NUMBERS]).since(7),
                TEXT.since(11),
            ],
        ),
    ),
    (
        ApiKey::ListOffsets,
        shape(6, &[I32, I8.since(2), list(&[TEXT, list(&[I32, I32.since(4), I64])]), I32.since(10)]),
    ),
    (ApiKey::OffsetForLeaderEpoch, shape(4, &[I32.since(3), list(&[TEXT, list(&[I32, I32, I32])])])),
    (ApiKey::DeleteRecords, shape(2, &[list(&[TEXT, list(&[I32, I64])]), I32])),
    (
        ApiKey::AddPartitionsToTxn,
        shape(
            3,
            &[
                list(&[TEXT, I64, I16, BOOL, list(&[TEXT, NUMBERS])]).since(4),
                TEXT.until(3),
                I64.until(3),
                I16.until(3),
                list(&[TEXT, NUMBERS]).until(3),
            ],
        ),
    ),
    (ApiKey::DescribeTransactions, shape(0, &[TEXTS])),
    (ApiKey::ListTransactions, shape(0, &[TEXTS, Field::new(Kind::Plain(&Kind::Fixed(8))), I64.since(1)])),
    (ApiKey::DescribeProducers, shape(0, &[list(&[TEXT, NUMBERS])])),
    (ApiKey::AddOffsetsToTxn, shape(3, &[TEXT, I64, I16, TEXT])),
    (ApiKey::EndTxn, shape(3, &[TEXT, I64, I16, BOOL])),
    (ApiKey::WriteTxnMarkers, shape(1, &[list(&[I64, I16, BOOL, list(&[TEXT, NUMBERS]), I32])])),
    (
        ApiKey::TxnOffsetCommit,
        shape(
            3,
            &[
                TEXT,
                TEXT,
                I64,
                I16,
                I32.since(3),
                TEXT.since(3),
                TEXT.since(3),
                list(&[TEXT, list(&[I32, I64, I32.since(2), TEXT])]),
            ],
        ),
    ),
    (ApiKey::InitProducerId, shape(2, &[TEXT, I32, I64.since(3), I16.since(3)])),
    (ApiKey::FindCoordinator, shape(3, &[TEXT.until(3), I8.since(1), TEXTS.since(4)])),
    (
        ApiKey::JoinGroup,
        shape(6, &[TEXT, I32, I32.since(1), TEXT, TEXT.since(5), TEXT, list(&[TEXT, BLOB]), TEXT.since(8)]),
    ),
    (
        ApiKey::SyncGroup,
        shape(4, &[TEXT, I32, TEXT, TEXT.since(3), TEXT.since(5), TEXT.since(5), list(&[TEXT, BLOB])]),
    ),
    (ApiKey::Heartbeat, shape(4, &[TEXT, I32, TEXT, TEXT.since(3)])),
    (ApiKey::LeaveGroup, shape(4, &[TEXT, TEXT.until(2), list(&[TEXT, TEXT, TEXT.since(5)]).since(3)])),
    (
        ApiKey::OffsetCommit,
        shape(8, &[TEXT, I32, TEXT, TEXT.since(7), I64.until(4), list(&[TEXT, list(COMMITTED_PARTITION)])]),
    ),
    (
        ApiKey::OffsetFetch,
        shape(
            6,
            &[TEXT.until(7), list(&[TEXT, NUMBERS]).until(7), list(FETCHED_GROUP).since(8), BOOL.since(7)],
        ),
    ),
    (ApiKey::OffsetDelete, shape(NEVER, &[TEXT, list(&[TEXT, list(&[I32])])])),
    (ApiKey::ListGroups, shape(3, &[TEXTS.since(4), TEXTS.since(5)])),
    (ApiKey::DescribeGroups, shape(5, &[TEXTS, BOOL.since(3)])),
    (ApiKey::DeleteGroups, shape(2, &[TEXTS])),
    (
        ApiKey::ConsumerGroupHeartbeat,
        shape(0, &[TEXT, TEXT, I32, TEXT, TEXT, I32, TEXTS, TEXT.since(1), TEXT, list(&[UUID, NUMBERS])]),
    ),
    (ApiKey::ConsumerGroupDescribe, shape(0, &[TEXTS, BOOL])),
    (ApiKey::CreateTopics, shape(5, &[list(CREATED_TOPIC), I32, BOOL])),
    (ApiKey::DeleteTopics, shape(4, &[list(&[TEXT, UUID]).since(6), TEXTS.until(5), I32])),
    (ApiKey::CreatePartitions, shape(2, &[list(&[TEXT, I32, list(&[NUMBERS])]), I32, BOOL])),
    (ApiKey::ElectLeaders, shape(2, &[I8.since(1), list(&[TEXT, NUMBERS]), I32])),
    (ApiKey::DescribeConfigs, shape(4, &[list(&[I8, TEXT, TEXTS]), BOOL, BOOL.since(3)])),
    (ApiKey::AlterConfigs, shape(2, &[list(&[I8, TEXT, NAMED_VALUES]), BOOL])),
    (ApiKey::IncrementalAlterConfigs, shape(1, &[list(&[I8, TEXT, list(&[TEXT, I8, TEXT])]), BOOL])),
    (ApiKey::DescribeAcls, shape(2, ACL_FILTER)),
    (ApiKey::CreateAcls, shape(2, &[list(&[I8, TEXT, I8, TEXT, TEXT, I8, I8])])),
    (ApiKey::DeleteAcls, shape(2, &[list(ACL_FILTER)])),
    (ApiKey::DescribeLogDirs, shape(2, &[list(&[TEXT, NUMBERS])])),
    (ApiKey::DescribeClientQuotas, shape(1, &[list(&[TEXT, I8, TEXT]), BOOL])),
    (ApiKey::DescribeUserScramCredentials, shape(0, &[list(&[TEXT])])),
    (ApiKey::ListConfigResources, shape(0, &[Field::new(Kind::Plain(&Kind::Fixed(1))).since(1)])),
    (ApiKey::DescribeCluster, shape(0, &[BOOL, I8.since(1), BOOL.since(2)])),
    (
        ApiKey::DescribeTopicPartitions,
        shape(0, &[list(&[TEXT]), I32, Field::new(Kind::Optional(&[TEXT, I32]))]),
    ),
];
