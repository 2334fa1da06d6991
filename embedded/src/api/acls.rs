//! What is asked about users and their rights: there are users, if so configured, but no rights to be given to them.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::create_acls_response::AclCreationResult;
use kafka_protocol::messages::delete_acls_response::DeleteAclsFilterResult;
use kafka_protocol::messages::describe_user_scram_credentials_response::{
    CredentialInfo, DescribeUserScramCredentialsResult,
};
use kafka_protocol::messages::{
    CreateAclsRequest, CreateAclsResponse, DeleteAclsRequest, DeleteAclsResponse, DescribeAclsResponse,
    DescribeUserScramCredentialsRequest, DescribeUserScramCredentialsResponse,
};
use kafka_protocol::protocol::StrBytes;

use super::text;
use crate::security::SCRAM_ITERATIONS;
use crate::state::State;

/// Kafka's sentence.
const NO_AUTHORIZER: StrBytes = StrBytes::from_static_str("No Authorizer is configured.");

/// Kafka's numbers of SCRAM-SHA-256 and SCRAM-SHA-512.
const SCRAM_MECHANISMS: [i8; 2] = [1, 2];

pub(super) fn describe() -> DescribeAclsResponse {
    DescribeAclsResponse::default()
        .with_error_code(ResponseError::SecurityDisabled.code())
        .with_error_message(Some(NO_AUTHORIZER))
}

pub(super) fn create(request: &CreateAclsRequest) -> CreateAclsResponse {
    let refused = AclCreationResult::default()
        .with_error_code(ResponseError::SecurityDisabled.code())
        .with_error_message(Some(NO_AUTHORIZER));
    CreateAclsResponse::default().with_results(vec![refused; request.creations.len()])
}

pub(super) fn delete(request: &DeleteAclsRequest) -> DeleteAclsResponse {
    let refused = DeleteAclsFilterResult::default()
        .with_error_code(ResponseError::SecurityDisabled.code())
        .with_error_message(Some(NO_AUTHORIZER));
    DeleteAclsResponse::default().with_filter_results(vec![refused; request.filters.len()])
}

/// Every user can be authenticated with both hashes.
pub(super) fn describe_users(
    state: &State,
    request: DescribeUserScramCredentialsRequest,
) -> DescribeUserScramCredentialsResponse {
    let asked: Vec<StrBytes> = match request.users {
        Some(users) if !users.is_empty() => users.into_iter().map(|user| user.name).collect(),
        _ => state.users.names().map(text).collect(),
    };
    let results = asked.iter().map(|name| {
        let result = DescribeUserScramCredentialsResult::default().with_user(name.clone());
        let refused = |error: ResponseError, why: &str| {
            result
                .clone()
                .with_error_code(error.code())
                .with_error_message(Some(text(format!("{why} in the request: {}", name.escape_debug()))))
        };
        if asked.iter().filter(|other| *other == name).take(2).count() > 1 {
            return refused(ResponseError::DuplicateResource, "a user that is named twice");
        }
        if !state.users.names().any(|known| known == name.as_str()) {
            return refused(ResponseError::ResourceNotFound, "an unknown user");
        }
        let infos = SCRAM_MECHANISMS.map(|mechanism| {
            let iterations = i32::try_from(SCRAM_ITERATIONS).unwrap_or(i32::MAX);
            CredentialInfo::default().with_mechanism(mechanism).with_iterations(iterations)
        });
        result.with_credential_infos(infos.to_vec())
    });
    DescribeUserScramCredentialsResponse::default().with_results(results.collect())
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::describe_user_scram_credentials_request::UserName;

    use super::*;
    use crate::security::Users;
    use crate::state::StateSettings;

    #[test]
    fn users_are_described_all_or_by_name() {
        let mut users = Users::default();
        users.add("alice".to_owned(), "secret".to_owned());
        users.add("bob".to_owned(), "hidden".to_owned());
        let state = State::open(StateSettings { users, ..StateSettings::for_tests() }, None)
            .expect("nothing is read");
        let ask = |names: Option<&[&str]>| {
            let named = |names: &[&str]| {
                names.iter().map(|name| UserName::default().with_name(text(*name))).collect()
            };
            let request = DescribeUserScramCredentialsRequest::default().with_users(names.map(named));
            let results = describe_users(&state, request).results;
            results.iter().map(|one| (one.error_code, one.credential_infos.len())).collect::<Vec<_>>()
        };
        assert_eq!(ask(None), [(0, 2), (0, 2)]);
        assert_eq!(ask(Some(&[])), [(0, 2), (0, 2)]);
        let (absent, twice) =
            (ResponseError::ResourceNotFound.code(), ResponseError::DuplicateResource.code());
        assert_eq!(ask(Some(&["bob", "eve"])), [(0, 2), (absent, 0)]);
        assert_eq!(ask(Some(&["bob", "bob"])), [(twice, 0), (twice, 0)]);
    }
}
