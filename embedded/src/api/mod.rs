//! What the broker answers: one file for each family of requests.

mod acls;
mod configs;
mod describe_transactions;
mod fetch;
mod group_admin;
mod group_offsets;
mod groups;
mod log_dirs;
mod metadata;
mod offsets;
mod partitions;
mod produce;
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
    ApiKey, DescribeAclsRequest, DescribeClientQuotasRequest, SaslAuthenticateRequest, SaslHandshakeRequest,
};
use kafka_protocol::protocol::StrBytes;

use crate::state::State;
use crate::wire::{Malformed, Request};

/// Who asks.
#[derive(Debug)]
pub(crate) struct Caller {
    /// As Kafka shows it: with a slash before the address.
    pub(crate) host: String,
}

/// No error.
const NONE: i16 = 0;

/// The answer as a frame, or nothing for a request that wants none.
///
/// # Errors
/// A request that cannot be read, or that is of no version that was advertised: the connection is to be closed.
pub(crate) async fn answer(
    state: &State,
    caller: &Caller,
    request: Request,
) -> Result<Option<BytesMut>, Malformed> {
    let supported = check_version(&request);
    if request.key == ApiKey::ApiVersions && supported.is_err() {
        return versions::of_another_time(&request).map(Some);
    }
    supported?;
    let version = request.version;
    let answer = match request.key {
        ApiKey::ApiVersions => request.answer(&versions::api_versions(&request.decode()?, version))?,
        ApiKey::Produce => {
            let Some(response) = produce::produce(state, request.decode()?, version) else {
                return Ok(None);
            };
            request.answer(&response)?
        }
        ApiKey::Fetch => request.answer(&fetch::fetch(state, request.decode()?, version).await)?,
        ApiKey::JoinGroup => {
            let response = groups::join(state, caller, &request.client_id, request.decode()?, version).await;
            request.answer(&response)?
        }
        ApiKey::SyncGroup => request.answer(&groups::sync(state, request.decode()?, version).await)?,
        _ => match answer_about_groups(state, &request)? {
            Some(answer) => answer,
            None => answer_at_once(state, &request)?,
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

fn answer_about_groups(state: &State, request: &Request) -> Result<Option<BytesMut>, Malformed> {
    let version = request.version;
    let answer = match request.key {
        ApiKey::FindCoordinator => {
            request.answer(&groups::find_coordinator(state, request.decode()?, version))?
        }
        ApiKey::Heartbeat => request.answer(&groups::heartbeat(state, &request.decode()?))?,
        ApiKey::LeaveGroup => request.answer(&groups::leave(state, &request.decode()?, version))?,
        ApiKey::OffsetCommit => request.answer(&group_offsets::commit(state, request.decode()?))?,
        ApiKey::OffsetFetch => request.answer(&group_offsets::fetch(state, request.decode()?, version))?,
        ApiKey::OffsetDelete => request.answer(&group_offsets::delete(state, &request.decode()?))?,
        ApiKey::ListGroups => request.answer(&group_admin::list(state, &request.decode()?))?,
        ApiKey::DescribeGroups => {
            request.answer(&group_admin::describe(state, request.decode()?, version))?
        }
        ApiKey::DeleteGroups => request.answer(&group_admin::delete(state, request.decode()?))?,
        _ => return Ok(None),
    };
    Ok(Some(answer))
}

fn answer_at_once(state: &State, request: &Request) -> Result<BytesMut, Malformed> {
    let version = request.version;
    match request.key {
        ApiKey::Metadata => request.answer(&metadata::metadata(state, request.decode()?, version)),
        ApiKey::DescribeCluster => request.answer(&metadata::describe_cluster(state, &request.decode()?)),
        ApiKey::DescribeTopicPartitions => request.answer(&partitions::describe(state, request.decode()?)),
        ApiKey::ListOffsets => request.answer(&offsets::list(state, request.decode()?, version)),
        ApiKey::OffsetForLeaderEpoch => request.answer(&offsets::for_leader_epoch(state, request.decode()?)),
        ApiKey::DeleteRecords => request.answer(&offsets::delete_records(state, request.decode()?)),
        ApiKey::InitProducerId => {
            request.answer(&transactions::init_producer_id(state, &request.decode()?, version))
        }
        ApiKey::AddPartitionsToTxn => {
            request.answer(&transactions::add_partitions(state, request.decode()?, version))
        }
        ApiKey::AddOffsetsToTxn => {
            request.answer(&transactions::add_offsets(state, &request.decode()?, version))
        }
        ApiKey::TxnOffsetCommit => {
            request.answer(&transactions::commit_offsets(state, request.decode()?, version))
        }
        ApiKey::DescribeTransactions => {
            request.answer(&describe_transactions::describe(state, request.decode()?))
        }
        ApiKey::ListTransactions => {
            request.answer(&describe_transactions::list(state, &request.decode()?, version))
        }
        ApiKey::DescribeProducers => {
            request.answer(&describe_transactions::producers(state, request.decode()?))
        }
        ApiKey::SaslHandshake => {
            request.decode::<SaslHandshakeRequest>()?;
            request.answer(&sasl::handshake())
        }
        ApiKey::SaslAuthenticate => {
            request.decode::<SaslAuthenticateRequest>()?;
            request.answer(&sasl::authenticate())
        }
        ApiKey::EndTxn => request.answer(&transactions::end(state, &request.decode()?, version)),
        _ => answer_about_administration(state, request),
    }
}

fn answer_about_administration(state: &State, request: &Request) -> Result<BytesMut, Malformed> {
    let version = request.version;
    match request.key {
        ApiKey::CreateTopics => request.answer(&topics::create(state, request.decode()?, version)),
        ApiKey::DeleteTopics => request.answer(&topics::delete(state, request.decode()?, version)),
        ApiKey::CreatePartitions => request.answer(&topics::create_partitions(state, request.decode()?)),
        ApiKey::DescribeConfigs => request.answer(&configs::describe(state, request.decode()?)),
        ApiKey::AlterConfigs => request.answer(&configs::alter(state, request.decode()?)),
        ApiKey::IncrementalAlterConfigs => {
            request.answer(&configs::alter_incrementally(state, request.decode()?))
        }
        ApiKey::ListConfigResources => request.answer(&resources::list(state, &request.decode()?, version)),
        ApiKey::DescribeClientQuotas => {
            request.decode::<DescribeClientQuotasRequest>()?;
            request.answer(&resources::describe_quotas())
        }
        ApiKey::DescribeLogDirs => request.answer(&log_dirs::describe(state, request.decode()?, version)),
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
