//! `Produce` and `InitProducerId`.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::produce_request::PartitionProduceData;
use kafka_protocol::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
use kafka_protocol::messages::{
    InitProducerIdRequest, InitProducerIdResponse, ProduceRequest, ProduceResponse, ProducerId,
};

use super::text;
use crate::clock::wall_clock_ms;
use crate::log::partition::Refused;
use crate::log::topics::Topic;
use crate::state::State;

/// The first version with messages beside the codes of errors.
const FIRST_WITH_MESSAGES: i16 = 8;

/// Stores what it can, and says for each partition how that went; to a producer that wants to hear it.
pub(super) fn produce(state: &State, request: ProduceRequest, version: i16) -> Option<ProduceResponse> {
    let acks = request.acks;
    let known_acks = (-1..=1).contains(&acks);
    let now_ms = wall_clock_ms();
    let mut response = ProduceResponse::default();
    for wanted in request.topic_data {
        let topic = state.topics.by_name(&wanted.name);
        let mut answered = TopicProduceResponse::default().with_name(wanted.name);
        for part in wanted.partition_data {
            let index = part.index;
            let outcome = if known_acks {
                append(topic.as_deref(), part, now_ms)
            } else {
                Err(Refused {
                    error: ResponseError::InvalidRequiredAcks,
                    message: "`acks` has to be 0, 1 or -1".to_owned(),
                })
            };
            answered.partition_responses.push(match outcome {
                Ok(stored) => stored.with_index(index),
                Err(refused) => refusal(refused, version).with_index(index),
            });
        }
        response.responses.push(answered);
    }
    (acks != 0).then_some(response)
}

fn append(
    topic: Option<&Topic>,
    part: PartitionProduceData,
    now_ms: i64,
) -> Result<PartitionProduceResponse, Refused> {
    let found = topic.and_then(|topic| Some((topic.partition(part.index)?, topic.behaviour())));
    let Some((partition, behaviour)) = found else {
        return Err(Refused {
            error: ResponseError::UnknownTopicOrPartition,
            message: "there is no such topic or partition".to_owned(),
        });
    };
    let appended = partition.append(part.records.unwrap_or_default(), behaviour, now_ms)?;
    Ok(PartitionProduceResponse::default()
        .with_base_offset(appended.base_offset)
        .with_log_append_time_ms(appended.log_append_ms)
        .with_log_start_offset(appended.start_offset))
}

fn refusal(refused: Refused, version: i16) -> PartitionProduceResponse {
    let message = (version >= FIRST_WITH_MESSAGES).then(|| text(refused.message));
    PartitionProduceResponse::default()
        .with_error_code(refused.error.code())
        .with_base_offset(-1)
        .with_log_append_time_ms(-1)
        .with_error_message(message)
}

pub(super) fn init_producer_id(state: &State, request: &InitProducerIdRequest) -> InitProducerIdResponse {
    if request.transactional_id.is_some() {
        return InitProducerIdResponse::default()
            .with_error_code(ResponseError::UnsupportedVersion.code())
            .with_producer_id(ProducerId(-1))
            .with_producer_epoch(-1);
    }
    InitProducerIdResponse::default()
        .with_producer_id(ProducerId(state.new_producer_id()))
        .with_producer_epoch(0)
}
