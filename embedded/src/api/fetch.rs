//! `Fetch`: records as they lie in the log, at once or as soon as there are enough.
//!
//! Fetch sessions are not kept. A client that offers one is answered with session 0, which is Kafka's way to say that
//! every fetch has to name its partitions.

use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::fetch_response::{
    AbortedTransaction, EpochEndOffset, FetchableTopicResponse, LeaderIdAndEpoch, NodeEndpoint, PartitionData,
};
use kafka_protocol::messages::{BrokerId, FetchRequest, FetchResponse};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use super::{Caller, NOBODY, NONE, text};
use crate::cluster::leadership::Leadership;
use crate::log::partition::{Partition, ReadFrom};
use crate::log::topics::Topic;
use crate::state::State;

/// The most that one answer holds, unless its first batch alone is more.
const MAX_BYTES: usize = 32 * 1024 * 1024;

/// The longest that a fetch is held back.
const MAX_WAIT: Duration = Duration::from_mins(5);

const READ_COMMITTED: i8 = 1;

/// The first version that names topics by id.
const FIRST_BY_ID: i16 = 13;

/// The first version that tells who leads instead, and the first that tells where that is.
const FIRST_WITH_LEADERS: i16 = 12;
const FIRST_WITH_ENDPOINTS: i16 = 16;

pub(super) async fn fetch(
    state: &State,
    caller: &Caller,
    request: FetchRequest,
    version: i16,
) -> FetchResponse {
    if request.session_id != 0 {
        return FetchResponse::default().with_error_code(ResponseError::FetchSessionIdNotFound.code());
    }
    let wait = Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0)).min(MAX_WAIT);
    let deadline = Instant::now() + wait;
    let min_bytes = usize::try_from(request.min_bytes).unwrap_or(0);
    let woken = Arc::new(Notify::new());
    loop {
        let mut round = Round::new(state, caller, &request, version);
        // Registered before it is read, so that nothing can be appended in between and go unnoticed.
        let waits = !wait.is_zero() && min_bytes > 0;
        round.read_all(waits.then_some(&woken));
        let enough = round.bytes >= min_bytes || round.has_errors || round.partitions == 0;
        if enough || !waits || timeout_at(deadline, woken.notified()).await.is_err() {
            let endpoints = if version >= FIRST_WITH_ENDPOINTS { round.endpoints() } else { Vec::new() };
            return FetchResponse::default().with_responses(round.responses).with_node_endpoints(endpoints);
        }
    }
}

/// One look at everything that is asked for.
struct Round<'a> {
    state: &'a State,
    caller: &'a Caller,
    request: &'a FetchRequest,
    by_id: bool,
    tells_leaders: bool,
    /// Who was named as the leader of what was asked for here.
    leaders: Vec<BrokerId>,
    max_bytes: usize,
    bytes: usize,
    partitions: usize,
    has_errors: bool,
    responses: Vec<FetchableTopicResponse>,
}

impl<'a> Round<'a> {
    fn new(state: &'a State, caller: &'a Caller, request: &'a FetchRequest, version: i16) -> Self {
        let max_bytes = usize::try_from(request.max_bytes).unwrap_or(0).min(MAX_BYTES);
        Self {
            state,
            caller,
            request,
            by_id: version >= FIRST_BY_ID,
            tells_leaders: version >= FIRST_WITH_LEADERS,
            leaders: Vec::new(),
            max_bytes,
            bytes: 0,
            partitions: 0,
            has_errors: false,
            responses: Vec::new(),
        }
    }

    fn read_all(&mut self, wake: Option<&Arc<Notify>>) {
        for wanted in &self.request.topics {
            let topic = self.topic(wanted);
            let partitions = wanted.partitions.iter();
            let read = partitions.map(|asked| self.read(topic.as_deref(), asked, wake)).collect();
            let answered = FetchableTopicResponse::default()
                .with_topic(wanted.topic.clone())
                .with_topic_id(wanted.topic_id)
                .with_partitions(read);
            self.responses.push(answered);
        }
    }

    fn topic(&self, wanted: &FetchTopic) -> Option<Arc<Topic>> {
        if self.by_id {
            self.state.topics.by_id(wanted.topic_id)
        } else {
            self.state.topics.by_name(&wanted.topic)
        }
    }

    fn read(
        &mut self,
        topic: Option<&Topic>,
        asked: &FetchPartition,
        wake: Option<&Arc<Notify>>,
    ) -> PartitionData {
        self.partitions += 1;
        let partition = self.find(topic, asked);
        let result = partition.and_then(|partition| {
            if let Some(wake) = wake {
                partition.wake_on_append(wake);
            }
            let leadership = partition.leadership();
            let led = leadership.check(self.caller.node, asked.current_leader_epoch);
            let read = led.and_then(|()| self.records(&partition, &leadership, asked));
            read.or_else(|error| self.elsewhere(error, &leadership).ok_or(error))
        });
        result
            .unwrap_or_else(|error| {
                self.has_errors = true;
                refused(error)
            })
            .with_partition_index(asked.partition)
    }

    fn find(&self, topic: Option<&Topic>, asked: &FetchPartition) -> Result<Arc<Partition>, ResponseError> {
        let unknown =
            if self.by_id { ResponseError::UnknownTopicId } else { ResponseError::UnknownTopicOrPartition };
        let topic = topic.ok_or(unknown)?;
        let partition = topic.partition(asked.partition).ok_or(ResponseError::UnknownTopicOrPartition)?;
        Ok(partition)
    }

    /// An error that the client's idea of the leader causes, together with who leads, if the client can be told that.
    fn elsewhere(&mut self, error: ResponseError, leadership: &Leadership) -> Option<PartitionData> {
        let stale = matches!(error, ResponseError::NotLeaderOrFollower | ResponseError::FencedLeaderEpoch);
        if !stale || !self.tells_leaders {
            return None;
        }
        self.has_errors = true;
        let leader = leadership.leader().unwrap_or(NOBODY);
        self.leaders.push(leader);
        let leader = LeaderIdAndEpoch::default().with_leader_id(leader).with_leader_epoch(leadership.epoch());
        Some(refused(error).with_current_leader(leader))
    }

    fn endpoints(&self) -> Vec<NodeEndpoint> {
        let named = self.state.cluster.nodes().iter().filter(|node| self.leaders.contains(&node.id));
        let endpoint = named.map(|node| {
            NodeEndpoint::default()
                .with_node_id(node.id)
                .with_host(text(&node.host))
                .with_port(i32::from(node.port))
        });
        endpoint.collect()
    }

    fn records(
        &mut self,
        partition: &Partition,
        leadership: &Leadership,
        asked: &FetchPartition,
    ) -> Result<PartitionData, ResponseError> {
        if let Some(diverging) = diverging(leadership, asked, partition) {
            // Nothing to wait for: the client has to go back first.
            self.has_errors = true;
            let span = partition.span();
            return Ok(PartitionData::default()
                .with_high_watermark(span.end)
                .with_last_stable_offset(partition.stable_end())
                .with_log_start_offset(span.start)
                .with_diverging_epoch(diverging));
        }
        let wanted = usize::try_from(asked.partition_max_bytes).unwrap_or(0);
        let room = wanted.min(self.max_bytes.saturating_sub(self.bytes));
        let committed_only = self.request.isolation_level == READ_COMMITTED;
        let from = ReadFrom {
            offset: asked.fetch_offset,
            max_bytes: room,
            // A batch that is larger than all limits has to get through, or the consumer would stand still.
            oversized: self.bytes == 0,
            committed_only,
        };
        let read = partition.read(from)?;
        self.bytes += read.bytes.len();
        let aborted = read.aborted.iter().map(|one| {
            AbortedTransaction::default()
                .with_producer_id(one.producer_id.into())
                .with_first_offset(one.first_offset)
        });
        Ok(PartitionData::default()
            .with_error_code(NONE)
            .with_high_watermark(read.span.end)
            .with_last_stable_offset(read.stable_end)
            .with_log_start_offset(read.span.start)
            .with_aborted_transactions(committed_only.then(|| aborted.collect()))
            .with_records(Some(read.bytes)))
    }
}

fn refused(error: ResponseError) -> PartitionData {
    PartitionData::default()
        .with_error_code(error.code())
        .with_high_watermark(-1)
        .with_log_start_offset(-1)
        .with_aborted_transactions(None)
        .with_records(Some(bytes::Bytes::new()))
}

/// Where the log parts from what a client says it has read last.
fn diverging(
    leadership: &Leadership,
    asked: &FetchPartition,
    partition: &Partition,
) -> Option<EpochEndOffset> {
    if asked.last_fetched_epoch < 0 {
        // As consumers usually do not say.
        return None;
    }
    let end = leadership.end_of(asked.last_fetched_epoch, partition.span().end)?;
    let parts = end.epoch < asked.last_fetched_epoch || end.offset < asked.fetch_offset;
    parts.then(|| EpochEndOffset::default().with_epoch(end.epoch).with_end_offset(end.offset))
}
