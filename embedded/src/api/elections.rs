//! `ElectLeaders`: leaders that go back to where they belong.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::elect_leaders_request::TopicPartitions;
use kafka_protocol::messages::elect_leaders_response::{PartitionResult, ReplicaElectionResult};
use kafka_protocol::messages::{ElectLeadersRequest, ElectLeadersResponse, TopicName};

use super::{NONE, text};
use crate::cluster::elections::Election;
use crate::state::State;

/// The first version with room for an error of the whole request.
const FIRST_WITH_ERROR: i16 = 1;

/// Elects leaders of the partitions that are named. Where none is, of all; those that need none are then left out.
pub(super) fn elect(state: &State, request: ElectLeadersRequest, version: i16) -> ElectLeadersResponse {
    let all = request.topic_partitions.is_none();
    let asked = request.topic_partitions.unwrap_or_else(|| every_partition(state));
    if asked.is_empty() {
        return ElectLeadersResponse::default();
    }
    let election = Election::of(request.election_type);
    let topics = asked.into_iter().map(|topic| {
        let results = topic.partitions.into_iter().map(|index| {
            let held = election.and_then(|election| hold(state, &topic.topic, index, election));
            (index, held)
        });
        let told = results.filter(|(_, held)| !(all && *held == Err(ResponseError::ElectionNotNeeded)));
        let results = told.map(|(index, held)| result(index, held)).collect();
        ReplicaElectionResult::default().with_topic(topic.topic).with_partition_result(results)
    });
    let response = ElectLeadersResponse::default().with_replica_election_results(topics.collect());
    match election {
        Err(error) if version >= FIRST_WITH_ERROR => response.with_error_code(error.code()),
        _ => response,
    }
}

fn every_partition(state: &State) -> Vec<TopicPartitions> {
    let topics = state.topics.all().into_iter().map(|topic| {
        TopicPartitions::default()
            .with_topic(TopicName(text(&topic.name)))
            .with_partitions((0..topic.partition_count()).collect())
    });
    topics.collect()
}

fn hold(state: &State, topic: &str, index: i32, election: Election) -> Result<(), ResponseError> {
    let partition = state.topics.partition(topic, index).ok_or(ResponseError::UnknownTopicOrPartition)?;
    partition.hold(election, |replica| state.cluster.is_live(replica))
}

fn result(index: i32, held: Result<(), ResponseError>) -> PartitionResult {
    let result = PartitionResult::default().with_partition_id(index);
    let Err(error) = held else { return result.with_error_code(NONE) };
    let message = match error {
        ResponseError::UnknownTopicOrPartition => "there is no such topic or partition",
        ResponseError::ElectionNotNeeded => "the partition is led as it should be already",
        ResponseError::PreferredLeaderNotAvailable => "the first of the partition's replicas is not live",
        ResponseError::EligibleLeadersNotAvailable => "none of the partition's replicas is live",
        _ => "elections are of type 0, preferred, or 1, unclean",
    };
    result.with_error_code(error.code()).with_error_message(Some(text(message)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(partitions: &[i32]) -> ElectLeadersRequest {
        let topic = TopicPartitions::default()
            .with_topic(TopicName(text("orders")))
            .with_partitions(partitions.to_vec());
        ElectLeadersRequest::default().with_topic_partitions(Some(vec![topic]))
    }

    fn codes(response: &ElectLeadersResponse) -> Vec<i16> {
        let results = response.replica_election_results.iter().flat_map(|topic| &topic.partition_result);
        results.map(|result| result.error_code).collect()
    }

    #[test]
    fn what_is_led_as_it_should_be_needs_no_election() {
        let state = State::with_topics(&[("orders", 1)]);
        let not_needed = ResponseError::ElectionNotNeeded.code();
        let unknown = ResponseError::UnknownTopicOrPartition.code();
        for election_type in [0, 1] {
            let request = asked(&[0, 5]).with_election_type(election_type);
            let response = elect(&state, request, 2);
            assert_eq!((response.error_code, codes(&response)), (0, vec![not_needed, unknown]));
        }
        let every = elect(&state, ElectLeadersRequest::default().with_topic_partitions(None), 2);
        assert_eq!((every.error_code, codes(&every)), (0, Vec::new()), "only what has changed is told");
    }

    #[test]
    fn an_unknown_election_is_refused_wherever_there_is_room_for_it() {
        let state = State::with_topics(&[("orders", 1)]);
        let invalid = ResponseError::InvalidRequest.code();
        let response = elect(&state, asked(&[0]).with_election_type(9), 2);
        assert_eq!((response.error_code, codes(&response)), (invalid, vec![invalid]));
    }
}
