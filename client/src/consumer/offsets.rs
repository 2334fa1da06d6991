//! Committing, and asking where the group and the partitions stand.

use std::ptr;
use std::time::{Duration, Instant};

use rdkafka_sys as rdsys;

use super::{CommitId, Consumer, ConsumerEvent};
use crate::error::{ClientError, ErrorKind};
use crate::native::{Event, c_string, millis};
use crate::partition::{PartitionList, PartitionOffset, PartitionResults, TopicPartition, read_results};

const COMMIT: &str = "commit offsets";

impl Consumer {
    /// Sends offsets (the next ones to read) to the coordinator, without waiting. The answer is a
    /// [`ConsumerEvent::Committed`] of a later poll.
    pub fn commit(&self, offsets: &[PartitionOffset]) -> Result<CommitId, ClientError> {
        let list = PartitionList::of_offsets(offsets)?;
        let id = self.last_commit.get() + 1;
        // SAFETY: client, list and queue are live; the opaque value is only a number.
        let code = unsafe {
            rdsys::rd_kafka_commit_queue(
                self.client.as_ptr(),
                list.as_ptr(),
                self.client.side_queue(),
                None,
                ptr::without_provenance_mut(id),
            )
        };
        ClientError::check_code(COMMIT, code)?;
        self.last_commit.set(id);
        Ok(CommitId(id))
    }

    /// Commits and waits for the answer, at most until `deadline` has passed. Other events that come meanwhile, answers
    /// to other commits among them, are appended to `events`. Rebalances wait for the next poll.
    ///
    /// # Errors
    /// [`ErrorKind::Timeout`] after the deadline: the commit may still happen, and its answer come as an event.
    pub fn commit_blocking(
        &self,
        offsets: &[PartitionOffset],
        deadline: Duration,
        events: &mut Vec<ConsumerEvent>,
    ) -> Result<PartitionResults, ClientError> {
        let expected = self.commit(offsets)?;
        let started = Instant::now();
        loop {
            let remaining = deadline.saturating_sub(started.elapsed());
            let event = self.client.next_event(remaining);
            match event.and_then(|event| self.translate(&event)) {
                Some(ConsumerEvent::Committed { id, result }) if id == expected => return result,
                Some(other) => events.push(other),
                None if remaining.is_zero() => {
                    let message = format!("{COMMIT}: no answer within {deadline:?}");
                    return Err(ClientError::of_kind(ErrorKind::Timeout, message));
                }
                None => {}
            }
        }
    }

    /// Keeps offsets (the next ones to read) for librdkafka to commit by itself, with `enable.auto.commit`. Needs
    /// `enable.auto.offset.store` to be `false`, or else fails as a whole with [`ErrorKind::Invalid`]. An offset
    /// of a partition that is not assigned is refused with [`ErrorKind::Invalid`], as must be expected around a rebalance.
    pub fn store_offsets(&self, offsets: &[PartitionOffset]) -> Result<PartitionResults, ClientError> {
        let list = PartitionList::of_offsets(offsets)?;
        // SAFETY: client and list are live.
        let code = unsafe { rdsys::rd_kafka_offsets_store(self.client.as_ptr(), list.as_ptr()) };
        let results = list.results("store offset");
        if results.iter().all(|(_, result)| result.is_ok()) {
            ClientError::check_code("store offsets", code)?;
        }
        Ok(results)
    }

    /// The offsets the group has committed; [`PartitionOffset::COMMITTED`] stands for none. Blocks up to `timeout`.
    pub fn committed(
        &self,
        partitions: &[TopicPartition],
        timeout: Duration,
    ) -> Result<Vec<PartitionOffset>, ClientError> {
        let doing = "read committed offsets";
        let list = PartitionList::of_partitions(partitions)?;
        // SAFETY: client and list are live.
        let code = unsafe { rdsys::rd_kafka_committed(self.client.as_ptr(), list.as_ptr(), millis(timeout)) };
        ClientError::check_code(doing, code)?;
        list.offsets(doing)
    }

    /// The offsets after the last records handed out; [`PartitionOffset::COMMITTED`] stands for none yet.
    pub fn position(&self, partitions: &[TopicPartition]) -> Result<Vec<PartitionOffset>, ClientError> {
        let list = PartitionList::of_partitions(partitions)?;
        // SAFETY: client and list are live.
        let code = unsafe { rdsys::rd_kafka_position(self.client.as_ptr(), list.as_ptr()) };
        ClientError::check_code("read position", code)?;
        list.offsets("read position")
    }

    /// The first offset of a partition, and the one its next record will get. Asks the broker; blocks up to `timeout`.
    pub fn watermarks(
        &self,
        partition: &TopicPartition,
        timeout: Duration,
    ) -> Result<(i64, i64), ClientError> {
        let topic = c_string("a topic name", &partition.topic)?;
        let (mut low, mut high) = (0, 0);
        // SAFETY: client, name and destinations are live.
        let code = unsafe {
            rdsys::rd_kafka_query_watermark_offsets(
                self.client.as_ptr(),
                topic.as_ptr(),
                partition.partition,
                &raw mut low,
                &raw mut high,
                millis(timeout),
            )
        };
        ClientError::check_code("read watermarks", code).map_err(|error| error.at(partition.clone()))?;
        Ok((low, high))
    }

    /// The watermarks that the last fetch brought; `None` when there was none yet. Asks nobody.
    pub fn cached_watermarks(&self, partition: &TopicPartition) -> Option<(i64, i64)> {
        let topic = c_string("a topic name", &partition.topic).ok()?;
        let (mut low, mut high) = (-1, -1);
        // SAFETY: client, name and destinations are live.
        let code = unsafe {
            rdsys::rd_kafka_get_watermark_offsets(
                self.client.as_ptr(),
                topic.as_ptr(),
                partition.partition,
                &raw mut low,
                &raw mut high,
            )
        };
        (code == rdsys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR && high >= 0)
            .then_some((low.max(0), high))
    }

    /// For each partition the first offset at or after a time. `offset` holds the time, in milliseconds since the Unix
    /// epoch; [`PartitionOffset::END`] in the result says that there is none so late. Blocks up to `timeout`.
    pub fn offsets_for_times(
        &self,
        times: &[PartitionOffset],
        timeout: Duration,
    ) -> Result<Vec<PartitionOffset>, ClientError> {
        let doing = "read offsets for times";
        let list = PartitionList::of_offsets(times)?;
        // SAFETY: client and list are live.
        let code = unsafe {
            rdsys::rd_kafka_offsets_for_times(self.client.as_ptr(), list.as_ptr(), millis(timeout))
        };
        ClientError::check_code(doing, code)?;
        list.offsets(doing)
    }
}

/// The answer to a commit.
pub(super) fn committed_event(event: &Event) -> ConsumerEvent {
    let id = CommitId(event.opaque().addr());
    // SAFETY: the event is live, and its list with it.
    let results = unsafe { read_results(rdsys::rd_kafka_event_topic_partition_list(event.as_ptr()), COMMIT) };
    // librdkafka repeats a partition's error as the request's: the partitions tell more.
    let partly = results.iter().any(|(_, result)| result.is_err());
    let result = match event.error(COMMIT) {
        Some(error) if !partly => Err(error),
        _ => Ok(results),
    };
    ConsumerEvent::Committed { id, result }
}
