//! The consumer: one thread polls records in batches and is told everything else as events.
//!
//! 1. Only the owner's thread calls into a consumer; nothing of the owner's runs inside librdkafka's callbacks.
//! 2. A rebalance is announced, never answered, by the callback. librdkafka waits for the owner's answer.
//! 3. Whatever arrives in a queue that `poll` does not wait on wakes the poll.
//! 4. No call waits for a broker without a timeout; closing and dropping never hang.

mod close;
mod event;
mod offsets;
mod waker;

use std::cell::Cell;
use std::ffi::CStr;
use std::fmt;
use std::marker::PhantomData;
use std::ptr::{self, NonNull};
use std::time::Duration;

use rdkafka_sys as rdsys;

pub use self::event::{CommitId, ConsumerEvent, GroupMetadata, Protocol};
pub use self::waker::Waker;
use crate::config::{ClientConfig, configuration};
use crate::error::{ClientError, ErrorCode, lossy};
use crate::metadata::Metadata;
use crate::native::{ClientRef, Event, Rebalance, Role, millis};
use crate::partition::{PartitionList, PartitionOffset, TopicPartition};
use crate::record::RawRecord;

/// librdkafka's `RD_KAFKA_PARTITION_UA`: a subscription names topics, not partitions.
const ANY_PARTITION: i32 = -1;

/// A Kafka consumer, to be used by one thread at a time.
///
/// ```no_run
/// use std::time::Duration;
/// use kafka_boot_client::{ClientConfig, Consumer, ConsumerEvent, PartitionOffset};
///
/// # fn main() -> Result<(), kafka_boot_client::ClientError> {
/// let config = ClientConfig::from_iter([("bootstrap.servers", "localhost:9092"), ("group.id", "orders")]);
/// let mut consumer = Consumer::new(&config)?;
/// consumer.subscribe(&["orders"])?;
/// let (mut records, mut events) = (Vec::new(), Vec::new());
/// loop {
///     consumer.poll(500, Duration::from_millis(100), &mut records, &mut events)?;
///     for record in records.drain(..) {
///         println!("{record:?}");
///     }
///     for event in events.drain(..) {
///         match event {
///             ConsumerEvent::Assign { partitions } => {
///                 let start = partitions.into_iter().map(|p| PartitionOffset::new(p, PartitionOffset::COMMITTED));
///                 consumer.assign(&start.collect::<Vec<_>>())?;
///             }
///             ConsumerEvent::Revoke { .. } => consumer.unassign_all()?,
///             other => println!("{other:?}"),
///         }
///     }
/// }
/// # }
/// ```
pub struct Consumer {
    client: ClientRef,
    queue: NonNull<rdsys::rd_kafka_queue_t>,
    /// Where librdkafka writes a batch; empty between polls.
    scratch: Vec<*mut rdsys::rd_kafka_message_t>,
    waker: Waker,
    last_commit: Cell<usize>,
    /// A rebalance was handed out and librdkafka waits for the answer.
    answer_pending: Cell<bool>,
    closed: bool,
    /// The consumer may move to another thread, but not be shared.
    _not_sync: PhantomData<Cell<()>>,
}

// SAFETY: the queue and the (empty) scratch buffer may be used from any thread, by one thread at a time.
unsafe impl Send for Consumer {}

impl Consumer {
    /// Makes a consumer. Connects in the background; nothing here waits.
    ///
    /// # Errors
    /// [`Configuration`](crate::ErrorKind::Configuration) or [`FeatureMissing`](crate::ErrorKind::FeatureMissing).
    /// `group.id` is required. `enable.partition.eof` is
    /// refused: in batches its markers move librdkafka's position past a record that has not been read.
    pub fn new(config: &ClientConfig) -> Result<Self, ClientError> {
        if config.get("group.id").is_none_or(str::is_empty) {
            return Err(configuration("group.id", "`group.id` is missing: a consumer needs a group"));
        }
        if config.get("enable.partition.eof").is_some_and(|value| value != "false" && value != "0") {
            return Err(configuration(
                "enable.partition.eof",
                "`enable.partition.eof` cannot be turned on: use the watermarks to notice the end of a partition",
            ));
        }
        let client = ClientRef::create(Role::Consumer, config)?;
        let queue = NonNull::new(client.consumer_queue())
            .ok_or_else(|| configuration("group.id", "`group.id`: librdkafka made no group consumer"))?;
        Ok(Self {
            client,
            queue,
            scratch: Vec::new(),
            waker: Waker::new(queue),
            last_commit: Cell::new(0),
            answer_pending: Cell::new(false),
            closed: false,
            _not_sync: PhantomData,
        })
    }

    /// Joins the group for `topics`, replacing any earlier subscription. A name that starts with `^` is a regular
    /// expression.
    pub fn subscribe(&self, topics: &[&str]) -> Result<(), ClientError> {
        let topics: Vec<_> = topics.iter().map(|topic| TopicPartition::new(*topic, ANY_PARTITION)).collect();
        let list = PartitionList::of_partitions(&topics)?;
        // SAFETY: client and list are live.
        let code = unsafe { rdsys::rd_kafka_subscribe(self.client.as_ptr(), list.as_ptr()) };
        ClientError::check_code("subscribe", code)
    }

    /// Leaves the group. Partitions are revoked through an event first.
    pub fn unsubscribe(&self) -> Result<(), ClientError> {
        // SAFETY: the client is live.
        let code = unsafe { rdsys::rd_kafka_unsubscribe(self.client.as_ptr()) };
        ClientError::check_code("unsubscribe", code)
    }

    /// Appends at most `max` records, waiting up to `timeout` for the first one, and whatever events there are. Returns
    /// early for an event and for [`Waker::wake`].
    ///
    /// # Errors
    /// Only when the client has failed for good ([`ClientError::is_fatal`]). Records and events taken by this very poll
    /// are in the vectors all the same.
    pub fn poll(
        &mut self,
        max: usize,
        timeout: Duration,
        records: &mut Vec<RawRecord>,
        events: &mut Vec<ConsumerEvent>,
    ) -> Result<(), ClientError> {
        if max > 0 && self.consume(1, timeout) == 1 && max > 1 {
            self.consume(max - 1, Duration::ZERO);
        }
        let known_events = events.len();
        // Told before the records that come after it: those are fetched later, and this is asked after they are taken.
        let resets = self.client.context().take_resets().into_iter();
        events.extend(resets.map(|(partition, from)| ConsumerEvent::OffsetReset { partition, from }));
        self.hand_out(records, events);
        self.drain_rebalances(events);
        while let Some(event) = self.client.next_event(Duration::ZERO) {
            events.extend(self.translate(&event));
        }
        let fatal = events[known_events..]
            .iter()
            .any(|event| matches!(event, ConsumerEvent::Error(error) if error.is_fatal()));
        match self.fatal_error() {
            Some(error) if fatal => Err(error),
            _ => Ok(()),
        }
    }

    /// A handle that ends a poll from another thread.
    pub fn waker(&self) -> Waker {
        self.waker.clone()
    }

    /// Replaces the assignment: the answer to [`ConsumerEvent::Assign`] with an eager protocol. Start offsets may be
    /// [`PartitionOffset::COMMITTED`].
    pub fn assign(&self, partitions: &[PartitionOffset]) -> Result<(), ClientError> {
        let list = PartitionList::of_offsets(partitions)?;
        self.answer_pending.set(false);
        // SAFETY: client and list are live.
        let code = unsafe { rdsys::rd_kafka_assign(self.client.as_ptr(), list.as_ptr()) };
        ClientError::check_code("assign partitions", code)
    }

    /// Adds to the assignment: the answer to [`ConsumerEvent::Assign`] with a cooperative protocol.
    pub fn incremental_assign(&self, partitions: &[PartitionOffset]) -> Result<(), ClientError> {
        let list = PartitionList::of_offsets(partitions)?;
        self.answer_pending.set(false);
        // SAFETY: client and list are live; the error, if any, is taken over.
        unsafe {
            let error = rdsys::rd_kafka_incremental_assign(self.client.as_ptr(), list.as_ptr());
            ClientError::check("assign partitions", error)
        }
    }

    /// Gives partitions up: the answer to [`ConsumerEvent::Revoke`] with a cooperative protocol.
    pub fn incremental_unassign(&self, partitions: &[TopicPartition]) -> Result<(), ClientError> {
        let list = PartitionList::of_partitions(partitions)?;
        self.answer_pending.set(false);
        // SAFETY: client and list are live; the error, if any, is taken over.
        unsafe {
            let error = rdsys::rd_kafka_incremental_unassign(self.client.as_ptr(), list.as_ptr());
            ClientError::check("unassign partitions", error)
        }
    }

    /// Gives every partition up, whatever the protocol: the answer to [`ConsumerEvent::Revoke`] with an eager one.
    pub fn unassign_all(&self) -> Result<(), ClientError> {
        if self.rebalance_protocol() == Protocol::Cooperative {
            return self.incremental_unassign(&self.assignment()?);
        }
        self.answer_pending.set(false);
        // SAFETY: the client is live; null stands for "nothing".
        let code = unsafe { rdsys::rd_kafka_assign(self.client.as_ptr(), ptr::null()) };
        ClientError::check_code("unassign partitions", code)
    }

    /// The partitions assigned now.
    pub fn assignment(&self) -> Result<Vec<TopicPartition>, ClientError> {
        let mut list = ptr::null_mut();
        // SAFETY: the client is live; the list is taken over.
        let (code, list) = unsafe {
            let code = rdsys::rd_kafka_assignment(self.client.as_ptr(), &raw mut list);
            (code, PartitionList::from_raw(list))
        };
        ClientError::check_code("read assignment", code)?;
        let assigned = list.map(|list| list.results("read assignment")).unwrap_or_default();
        Ok(assigned.into_iter().map(|(offset, _)| offset.partition).collect())
    }

    /// Whether the assignment was lost, so that commits for it would fail.
    pub fn assignment_lost(&self) -> bool {
        // SAFETY: the client is live.
        unsafe { rdsys::rd_kafka_assignment_lost(self.client.as_ptr()) != 0 }
    }

    /// How the group moves partitions; decides how to answer a rebalance.
    pub fn rebalance_protocol(&self) -> Protocol {
        // SAFETY: the client is live; the name, if any, is a static string.
        match unsafe { lossy(rdsys::rd_kafka_rebalance_protocol(self.client.as_ptr())) }.as_str() {
            "EAGER" => Protocol::Eager,
            "COOPERATIVE" => Protocol::Cooperative,
            _ => Protocol::None,
        }
    }

    /// Stops fetching `partitions`, which stay assigned. librdkafka drops what it has fetched of them ahead and fetches
    /// it again later: do not toggle this in a hurry.
    pub fn pause(&self, partitions: &[TopicPartition]) -> Result<(), ClientError> {
        let list = PartitionList::of_partitions(partitions)?;
        // SAFETY: client and list are live.
        let code = unsafe { rdsys::rd_kafka_pause_partitions(self.client.as_ptr(), list.as_ptr()) };
        ClientError::check_code("pause partitions", code).and_then(|()| list.check("pause partitions"))
    }

    /// Fetches `partitions` again.
    pub fn resume(&self, partitions: &[TopicPartition]) -> Result<(), ClientError> {
        let list = PartitionList::of_partitions(partitions)?;
        // SAFETY: client and list are live.
        let code = unsafe { rdsys::rd_kafka_resume_partitions(self.client.as_ptr(), list.as_ptr()) };
        ClientError::check_code("resume partitions", code).and_then(|()| list.check("resume partitions"))
    }

    /// Goes on reading at other offsets, waiting up to `timeout`; zero does not wait for the outcome. Records fetched
    /// from the old position are not handed out any more.
    pub fn seek(&self, offsets: &[PartitionOffset], timeout: Duration) -> Result<(), ClientError> {
        let list = PartitionList::of_offsets(offsets)?;
        // SAFETY: client and list are live; the error, if any, is taken over.
        unsafe {
            let error = rdsys::rd_kafka_seek_partitions(self.client.as_ptr(), list.as_ptr(), millis(timeout));
            ClientError::check("seek", error)?;
        }
        list.check("seek")
    }

    /// Who this consumer is in its group; `None` when librdkafka cannot tell.
    pub fn group_metadata(&self) -> Option<GroupMetadata> {
        // SAFETY: the client is live; the metadata is live until destroyed, and its strings with it.
        unsafe {
            let metadata = rdsys::rd_kafka_consumer_group_metadata(self.client.as_ptr());
            if metadata.is_null() {
                return None;
            }
            let instance = rdsys::rd_kafka_consumer_group_metadata_group_instance_id(metadata);
            let copy = GroupMetadata {
                group_id: lossy(rdsys::rd_kafka_consumer_group_metadata_group_id(metadata)),
                generation_id: rdsys::rd_kafka_consumer_group_metadata_generation_id(metadata),
                member_id: lossy(rdsys::rd_kafka_consumer_group_metadata_member_id(metadata)),
                group_instance_id: (!instance.is_null()).then(|| lossy(instance)),
            };
            rdsys::rd_kafka_consumer_group_metadata_destroy(metadata);
            Some(copy)
        }
    }

    /// The id the coordinator gave this member; `None` before the first join.
    pub fn member_id(&self) -> Option<String> {
        self.group_metadata().map(|metadata| metadata.member_id).filter(|id| !id.is_empty())
    }

    /// The error that ended this consumer for good, if one did.
    pub fn fatal_error(&self) -> Option<ClientError> {
        self.client.fatal_error()
    }

    /// Asks the cluster about `topic`, or about all topics. Blocks up to `timeout`.
    pub fn metadata(&self, topic: Option<&str>, timeout: Duration) -> Result<Metadata, ClientError> {
        Metadata::fetch(&self.client, topic, timeout)
    }

    /// Answers [`ConsumerEvent::TokenRefresh`] with a token valid until `expires_at_millis` after the Unix epoch.
    pub fn set_oauth_token(
        &self,
        token: &str,
        expires_at_millis: i64,
        principal: &str,
    ) -> Result<(), ClientError> {
        self.client.set_oauth_token(token, expires_at_millis, principal)
    }

    /// Answers [`ConsumerEvent::TokenRefresh`] with the reason why there is no token; librdkafka asks again later.
    pub fn set_oauth_failure(&self, reason: &str) -> Result<(), ClientError> {
        self.client.set_oauth_failure(reason)
    }

    /// Appends at most `max` messages to the scratch buffer; returns how many.
    fn consume(&mut self, max: usize, timeout: Duration) -> usize {
        self.scratch.reserve(max);
        let filled = self.scratch.len();
        let room = self.scratch.spare_capacity_mut();
        // SAFETY: the queue is live and only this thread polls it; `room` has space for `max` pointers, and
        // librdkafka says how many it wrote. The pointed-to messages are owned from here on.
        unsafe {
            let count = rdsys::rd_kafka_consume_batch_queue(
                self.queue.as_ptr(),
                millis(timeout),
                room.as_mut_ptr().cast(),
                max,
            );
            let count = usize::try_from(count).unwrap_or(0);
            self.scratch.set_len(filled + count);
            count
        }
    }

    /// Turns the scratch buffer's messages into records, and those that stand for errors into events.
    fn hand_out(&mut self, records: &mut Vec<RawRecord>, events: &mut Vec<ConsumerEvent>) {
        if self.scratch.is_empty() {
            return;
        }
        let known_records = records.len();
        records.reserve(self.scratch.len());
        self.client.retain_many(self.scratch.len());
        let client = &self.client;
        let mut failed_fetches = Vec::new();
        for message in self.scratch.drain(..) {
            // SAFETY: one reference was retained for each message.
            let reference = unsafe { client.adopt() };
            let Some(message) = NonNull::new(message) else { continue };
            // SAFETY: the message is live. Its error is read as a number because a broker may send one that the enum
            // lacks.
            let code = unsafe { ptr::addr_of!((*message.as_ptr()).err).cast::<i32>().read() };
            let code = ErrorCode::from_number(code);
            if !code.is_error() {
                // SAFETY: live, without error, of this client, and owned.
                records.push(unsafe { RawRecord::new(message, reference) });
                continue;
            }
            // SAFETY: live and owned; destroyed after the copy.
            let (error, offset) = unsafe {
                let copy = (error_of(message, code), message.as_ref().offset);
                rdsys::rd_kafka_message_destroy(message.as_ptr());
                copy
            };
            if code == ErrorCode::PARTITION_EOF {
                continue;
            }
            if let Some(partition) = error.partition()
                && code.is_from_broker()
                && offset >= 0
            {
                failed_fetches.push(PartitionOffset::new(partition.clone(), offset));
            }
            let error = if code == ErrorCode::FATAL { client.fatal_error().unwrap_or(error) } else { error };
            client.context().log_error(&error);
            events.push(ConsumerEvent::Error(error));
        }
        self.undo_failed_fetches(failed_fetches, &records[known_records..]);
    }

    /// librdkafka 2.12 takes the message that stands for a failed fetch for a record at the offset it wanted to fetch, and
    /// moves its position past it. It goes on fetching from the right offset, but would skip a record after a pause. A
    /// seek to where it is anyway puts the position right, as does any record of the partition that came after.
    fn undo_failed_fetches(&self, failed: Vec<PartitionOffset>, delivered_after: &[RawRecord]) {
        for fetch in failed {
            let overtaken = delivered_after.iter().any(|record| {
                record.offset() >= fetch.offset
                    && record.partition() == fetch.partition.partition
                    && record.topic() == &*fetch.partition.topic
            });
            if overtaken {
                continue;
            }
            if let Err(error) = self.seek(&[fetch], Duration::ZERO) {
                self.client.context().log_error(&error);
            }
        }
    }

    fn drain_rebalances(&self, events: &mut Vec<ConsumerEvent>) {
        for rebalance in self.client.context().rebalances().drain(..) {
            self.answer_pending.set(true);
            events.push(match rebalance {
                Rebalance::Assign(partitions) => ConsumerEvent::Assign { partitions },
                Rebalance::Revoke { partitions, lost } => ConsumerEvent::Revoke { partitions, lost },
                Rebalance::Failed(code) => {
                    // librdkafka wants an answer to this, too.
                    self.answer_pending.set(false);
                    // SAFETY: the client is live; null stands for "nothing".
                    unsafe { rdsys::rd_kafka_assign(self.client.as_ptr(), ptr::null()) };
                    ConsumerEvent::Error(ClientError::from_code("rebalance", code))
                }
            });
        }
    }

    /// An event of the side queue, if it is one for the owner.
    fn translate(&self, event: &Event) -> Option<ConsumerEvent> {
        match event.kind() {
            rdsys::RD_KAFKA_EVENT_OFFSET_COMMIT => Some(offsets::committed_event(event)),
            rdsys::RD_KAFKA_EVENT_STATS => Some(ConsumerEvent::Statistics(event.statistics())),
            rdsys::RD_KAFKA_EVENT_OAUTHBEARER_TOKEN_REFRESH => Some(ConsumerEvent::TokenRefresh),
            rdsys::RD_KAFKA_EVENT_ERROR => {
                let error = event.error("client")?;
                self.client.context().log_error(&error);
                Some(ConsumerEvent::Error(error))
            }
            _ => None,
        }
    }
}

impl fmt::Debug for Consumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumer").field("closed", &self.closed).finish_non_exhaustive()
    }
}

/// Copies what a message says that stands for an error.
///
/// # Safety
/// `message` is live and has the error `code`.
unsafe fn error_of(message: NonNull<rdsys::rd_kafka_message_t>, code: ErrorCode) -> ClientError {
    // SAFETY: by this function's contract; the error's text is what the message has for a payload, and the topic's name
    // lives as long as the message.
    unsafe {
        let public = message.as_ref();
        let reason = if public.payload.is_null() {
            String::new()
        } else {
            let text = std::slice::from_raw_parts(public.payload.cast::<u8>(), public.len);
            String::from_utf8_lossy(text).into_owned()
        };
        let error = ClientError::from_reason("consume", code, &reason);
        if public.rkt.is_null() || public.partition < 0 {
            return error;
        }
        let topic = CStr::from_ptr(rdsys::rd_kafka_topic_name(public.rkt)).to_string_lossy();
        error.at(TopicPartition::new(&*topic, public.partition))
    }
}
