//! `ListConfigResources` and `DescribeClientQuotas`.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::list_config_resources_response::ConfigResource;
use kafka_protocol::messages::{
    DescribeClientQuotasResponse, ListConfigResourcesRequest, ListConfigResourcesResponse,
};

use super::text;
use crate::state::State;

/// Kafka's kinds of resources.
const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const BROKER_LOGGER: i8 = 8;
const CLIENT_METRICS: i8 = 16;
const GROUP: i8 = 32;
const KINDS: [i8; 5] = [TOPIC, BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP];

/// What settings can be described of. In the oldest version, only of what there is none of: the metrics of clients.
pub(super) fn list(
    state: &State,
    request: &ListConfigResourcesRequest,
    version: i16,
) -> ListConfigResourcesResponse {
    let asked = &request.resource_types;
    if asked.iter().any(|kind| !KINDS.contains(kind)) {
        return ListConfigResourcesResponse::default()
            .with_error_code(ResponseError::UnsupportedVersion.code());
    }
    let is_asked = |kind| version >= 1 && (asked.is_empty() || asked.contains(&kind));
    let mut found = Vec::new();
    let mut add = |kind, name: String| {
        let one = ConfigResource::default().with_resource_name(text(name));
        found.push(one.with_resource_type(kind));
    };
    if is_asked(TOPIC) {
        state.topics.all().iter().for_each(|topic| add(TOPIC, topic.name.clone()));
    }
    for kind in [BROKER, BROKER_LOGGER] {
        if is_asked(kind) {
            state.cluster.nodes().iter().for_each(|node| add(kind, node.id.0.to_string()));
        }
    }
    if is_asked(GROUP) {
        state.groups.map(|(name, _)| name.clone()).into_iter().for_each(|name| add(GROUP, name));
    }
    ListConfigResourcesResponse::default().with_config_resources(found)
}

/// There are none, of whatever is asked.
pub(super) fn describe_quotas() -> DescribeClientQuotasResponse {
    DescribeClientQuotasResponse::default().with_entries(Some(Vec::new()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resources_are_listed_by_their_kind() {
        let state = State::with_topics(&[("orders", 1), ("bills", 1)]);
        let cases: [(i16, &[i8], usize); 5] =
            [(0, &[], 0), (1, &[], 4), (1, &[TOPIC], 2), (1, &[BROKER, CLIENT_METRICS], 1), (1, &[GROUP], 0)];
        for (version, kinds, expected) in cases {
            let request = ListConfigResourcesRequest::default().with_resource_types(kinds.to_vec());
            let listed = list(&state, &request, version);
            assert_eq!((listed.error_code, listed.config_resources.len()), (0, expected), "{kinds:?}");
        }
        let unknown = ListConfigResourcesRequest::default().with_resource_types(vec![3]);
        assert_eq!(list(&state, &unknown, 1).error_code, ResponseError::UnsupportedVersion.code());
    }
}
