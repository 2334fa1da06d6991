//! What the broker answers: one file for each family of requests.

mod acls;
mod configs;
mod consumer_groups;
pub(crate) mod coordination;
mod describe_transactions;
mod elections;
mod fetch;
mod group_admin;
mod group_configs;
mod group_offsets;
mod groups;
mod log_dirs;
mod markers;
mod metadata;
mod offsets;
mod partitions;
mod produce;
pub(crate) mod refusals;
mod resources;
mod sasl;
mod topics;
mod transactions;
mod versions;

#[cfg(any(test, feature = "fuzz"))]
pub(crate) use versions::SUPPORTED;

use bytes::BytesMut;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::{
    ApiKey, BrokerId, DescribeAclsRequest, DescribeClientQuotasRequest, SaslAuthenticateRequest,
    SaslHandshakeRequest,
};
use kafka_protocol::protocol::StrBytes;

use crate::state::State;
use crate::wire::{Malformed, Request};

/// Who asks, and which broker.
#[derive(Debug)]
pub(crate) struct Caller {
    /// The broker that is asked.
    pub(crate) node: BrokerId,
    /// As Kafka shows it: with a slash before the address.
    pub(crate) host: String,
}

#[cfg(test)]
impl Caller {
    /// A client of the first broker, on this machine.
    pub(crate) fn local() -> Self {
        Self { node: BrokerId(1), host: "/127.0.0.1".to_owned() }
    }
}

/// No error.
const NONE: i16 = 0;

/// No broker.
const NOBODY: BrokerId = BrokerId(-1);

/// The epoch of a client that does not know of epochs.
const ANY_EPOCH: i32 = -1;

/// The answer as a frame, or nothing for a request that wants none.
///
/// # Errors
/// A request that cannot be read, or that is of no version that was advertised: the connection is to be closed.
pub(crate) async fn answer(
    state: &State,
    caller: &Caller,
    request: &Request,
) -> Result<Option<BytesMut>, Malformed> {
    let supported = check_version(request);
    if request.key == ApiKey::ApiVersions && supported.is_err() {
        return versions::of_another_time(request).map(Some);
    }
    supported?;
    if let Some(refused) = coordination::misplaced(state, caller, request)? {
        return Ok(Some(refused));
    }
    let version = request.version;
    let answer = match request.key {
        ApiKey::ApiVersions => request.answer(&versions::api_versions(&request.decode()?, version))?,
        ApiKey::Produce => {
            let Some(response) = produce::produce(state, caller, request.decode()?, version) else {
                return Ok(None);
            };
            request.answer(&response)?
        }
        ApiKey::Fetch => request.answer(&fetch::fetch(state, caller, request.decode()?, version).await)?,
        ApiKey::JoinGroup => {
            let join = groups::join(state, caller, &request.client_id, request.decode()?, version);
            tokio::select! {
                biased;
                response = join => request.answer(&response)?,
                refused = coordination::lost(state, caller, request) => return refused,
            }
        }
        ApiKey::SyncGroup => {
            tokio::select! {
                biased;
                response = groups::sync(state, request.decode()?, version) => request.answer(&response)?,
                refused = coordination::lost(state, caller, request) => return refused,
            }
        }
        _ => match answer_about_groups(state, caller, request)? {
            Some(answer) => answer,
            None => answer_at_once(state, caller, request)?,
        },
    };
    Ok(Some(answer))
}

/// Whether a request is of a version that was advertised.
pub(crate) fn check_version(request: &Request) -> Result<(), Malformed> {
    let Request { key, version, .. } = request;
    let supported = versions::range_of(*key).is_some_and(|range| range.contains(version));
    if supported { Ok(()) } else { Err(Malformed(format!("{key:?} version {version} is not supported"))) }
}

fn answer_about_groups(
    state: &State,
    caller: &Caller,
    request: &Request,
) -> Result<Option<BytesMut>, Malformed> {
    let version = request.version;
    let answer = match request.key {
        ApiKey::FindCoordinator => {
            request.answer(&groups::find_coordinator(state, request.decode()?, version))?
        }
        ApiKey::Heartbeat => request.answer(&groups::heartbeat(state, &request.decode()?))?,
        ApiKey::LeaveGroup => request.answer(&groups::leave(state, &request.decode()?, version))?,
        ApiKey::OffsetCommit => request.answer(&group_offsets::commit(state, request.decode()?, version))?,
        ApiKey::OffsetFetch => {
            request.answer(&group_offsets::fetch(state, caller, request.decode()?, version))?
        }
        ApiKey::OffsetDelete => request.answer(&group_offsets::delete(state, &request.decode()?))?,
        ApiKey::ListGroups => request.answer(&group_admin::list(state, caller, &request.decode()?))?,
        ApiKey::DescribeGroups => {
            request.answer(&group_admin::describe(state, caller, request.decode()?, version))?
        }
        ApiKey::ConsumerGroupHeartbeat => {
            let decoded = request.decode()?;
            let response = consumer_groups::heartbeat(state, caller, &request.client_id, &decoded, version);
            request.answer(&response)?
        }
        ApiKey::ConsumerGroupDescribe => {
            request.answer(&consumer_groups::describe(state, caller, request.decode()?))?
        }
        ApiKey::DeleteGroups => request.answer(&group_admin::delete(state, caller, request.decode()?))?,
        _ => return Ok(None),
    };
    Ok(Some(answer))
}

fn answer_at_once(state: &State, caller: &Caller, request: &Request) -> Result<BytesMut, Malformed> {
    let version = request.version;
    match request.key {
        ApiKey::Metadata => request.answer(&metadata::metadata(state, request.decode()?, version)),
        ApiKey::DescribeCluster => request.answer(&metadata::describe_cluster(state, &request.decode()?)),
        ApiKey::DescribeTopicPartitions => request.answer(&partitions::describe(state, request.decode()?)),
        ApiKey::ListOffsets => request.answer(&offsets::list(state, caller, request.decode()?, version)),
        ApiKey::OffsetForLeaderEpoch => {
            request.answer(&offsets::for_leader_epoch(state, caller, request.decode()?))
        }
        ApiKey::DeleteRecords => request.answer(&offsets::delete_records(state, caller, request.decode()?)),
        ApiKey::InitProducerId => {
            request.answer(&transactions::init_producer_id(state, &request.decode()?, version))
        }
        ApiKey::AddPartitionsToTxn => {
            request.answer(&transactions::add_partitions(state, caller, request.decode()?, version))
        }
        ApiKey::AddOffsetsToTxn => {
            request.answer(&transactions::add_offsets(state, &request.decode()?, version))
        }
        ApiKey::TxnOffsetCommit => {
            request.answer(&transactions::commit_offsets(state, request.decode()?, version))
        }
        ApiKey::DescribeTransactions => {
            request.answer(&describe_transactions::describe(state, caller, request.decode()?))
        }
        ApiKey::ListTransactions => {
            request.answer(&describe_transactions::list(state, caller, &request.decode()?, version))
        }
        ApiKey::DescribeProducers => {
            request.answer(&describe_transactions::producers(state, caller, request.decode()?))
        }
        ApiKey::WriteTxnMarkers => request.answer(&markers::write(state, caller, request.decode()?)),
        ApiKey::SaslHandshake => {
            request.decode::<SaslHandshakeRequest>()?;
            request.answer(&sasl::handshake())
        }
        ApiKey::SaslAuthenticate => {
            request.decode::<SaslAuthenticateRequest>()?;
            request.answer(&sasl::authenticate())
        }
        ApiKey::EndTxn => request.answer(&transactions::end(state, &request.decode()?, version)),
        _ => answer_about_administration(state, caller, request),
    }
}

fn answer_about_administration(
    state: &State,
    caller: &Caller,
    request: &Request,
) -> Result<BytesMut, Malformed> {
    let version = request.version;
    match request.key {
        ApiKey::CreateTopics => request.answer(&topics::create(state, request.decode()?, version)),
        ApiKey::DeleteTopics => request.answer(&topics::delete(state, request.decode()?, version)),
        ApiKey::CreatePartitions => request.answer(&topics::create_partitions(state, request.decode()?)),
        ApiKey::ElectLeaders => request.answer(&elections::elect(state, request.decode()?, version)),
        ApiKey::DescribeConfigs => request.answer(&configs::describe(state, caller, request.decode()?)),
        ApiKey::AlterConfigs => request.answer(&configs::alter(state, caller, request.decode()?)),
        ApiKey::IncrementalAlterConfigs => {
            request.answer(&configs::alter_incrementally(state, caller, request.decode()?))
        }
        ApiKey::ListConfigResources => request.answer(&resources::list(state, &request.decode()?, version)),
        ApiKey::DescribeClientQuotas => {
            request.decode::<DescribeClientQuotasRequest>()?;
            request.answer(&resources::describe_quotas())
        }
        ApiKey::DescribeLogDirs => {
            request.answer(&log_dirs::describe(state, caller, request.decode()?, version))
        }
        ApiKey::DescribeAcls => {
            request.decode::<DescribeAclsRequest>()?;
            request.answer(&acls::describe())
        }
        ApiKey::CreateAcls => request.answer(&acls::create(&request.decode()?)),
        ApiKey::DeleteAcls => request.answer(&acls::delete(&request.decode()?)),
        ApiKey::DescribeUserScramCredentials => {
            request.answer(&acls::describe_users(state, request.decode()?))
        }
        other => Err(Malformed(format!("{other:?} is not supported"))),
    }
}

fn text(text: impl Into<String>) -> StrBytes {
    StrBytes::from_string(text.into())
}

/// The code of a result's error, or that of none.
fn code_of<T>(result: &Result<T, ResponseError>) -> i16 {
    result.as_ref().err().map_or(NONE, ResponseError::code)
}
