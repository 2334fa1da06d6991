//! Partitions and offsets, and the native list that carries them to librdkafka and back.

use std::ffi::CStr;
use std::fmt;
use std::ptr::{self, NonNull};
use std::sync::Arc;

use rdkafka_sys as rdsys;

use crate::error::{ClientError, ErrorCode};
use crate::native::c_string;

/// A partition of a topic. Cheap to clone; displays as `topic-0`.
///
/// ```
/// use kafka_boot_client::TopicPartition;
///
/// assert_eq!(TopicPartition::new("orders", 3).to_string(), "orders-3");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicPartition {
    /// The topic's name.
    pub topic: Arc<str>,
    /// The partition's number, from 0.
    pub partition: i32,
}

impl TopicPartition {
    /// The partition `partition` of `topic`.
    pub fn new(topic: impl Into<Arc<str>>, partition: i32) -> Self {
        Self { topic: topic.into(), partition }
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

/// An offset in a partition: where to read next, unless a method says otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PartitionOffset {
    /// The partition.
    pub partition: TopicPartition,
    /// The next offset to read, or one of [`PartitionOffset::BEGINNING`], [`PartitionOffset::END`],
    /// [`PartitionOffset::COMMITTED`].
    pub offset: i64,
    /// Text to keep beside a committed offset; at most `offset.metadata.max.bytes` of the broker, 4096 by default.
    pub metadata: Option<String>,
    /// The leader epoch of the last record read, to notice a truncated log.
    pub leader_epoch: Option<i32>,
}

impl PartitionOffset {
    /// Read from the first record that is still there.
    pub const BEGINNING: i64 = rdsys::RD_KAFKA_OFFSET_BEGINNING as i64;
    /// Read what is written from now on.
    pub const END: i64 = rdsys::RD_KAFKA_OFFSET_END as i64;
    /// In an assignment: read from the committed offset, or where `auto.offset.reset` says. In a result: none.
    pub const COMMITTED: i64 = rdsys::RD_KAFKA_OFFSET_INVALID as i64;

    /// An offset without metadata and epoch.
    pub fn new(partition: TopicPartition, offset: i64) -> Self {
        Self { partition, offset, metadata: None, leader_epoch: None }
    }
}

/// What became of each partition of a request that can partly fail.
pub type PartitionResults = Vec<(PartitionOffset, Result<(), ClientError>)>;

/// An owned native list of partitions.
pub(crate) struct PartitionList(NonNull<rdsys::rd_kafka_topic_partition_list_t>);

impl PartitionList {
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        let capacity = i32::try_from(capacity).unwrap_or(i32::MAX);
        // SAFETY: creating a list has no preconditions; librdkafka aborts rather than return null.
        let list = unsafe { rdsys::rd_kafka_topic_partition_list_new(capacity) };
        Self(NonNull::new(list).expect("librdkafka never returns a null list"))
    }

    pub(crate) fn of_partitions(partitions: &[TopicPartition]) -> Result<Self, ClientError> {
        let mut list = Self::with_capacity(partitions.len());
        for partition in partitions {
            list.push(partition)?;
        }
        Ok(list)
    }

    pub(crate) fn of_offsets(offsets: &[PartitionOffset]) -> Result<Self, ClientError> {
        let mut list = Self::with_capacity(offsets.len());
        for offset in offsets {
            list.push_offset(offset)?;
        }
        Ok(list)
    }

    pub(crate) fn as_ptr(&self) -> *mut rdsys::rd_kafka_topic_partition_list_t {
        self.0.as_ptr()
    }

    /// Takes ownership of a list that librdkafka allocated.
    ///
    /// # Safety
    /// `list` is null or a live list that nobody else will destroy.
    pub(crate) unsafe fn from_raw(list: *mut rdsys::rd_kafka_topic_partition_list_t) -> Option<Self> {
        NonNull::new(list).map(Self)
    }

    /// The list's offsets, each with its own outcome.
    pub(crate) fn results(&self, doing: &str) -> PartitionResults {
        // SAFETY: the list is live and owned by `self`.
        unsafe { read_results(self.as_ptr(), doing) }
    }

    /// The list's offsets; the first partition that failed fails the whole.
    pub(crate) fn offsets(&self, doing: &str) -> Result<Vec<PartitionOffset>, ClientError> {
        self.results(doing).into_iter().map(|(offset, result)| result.map(|()| offset)).collect()
    }

    /// The first partition's failure, if any.
    pub(crate) fn check(&self, doing: &str) -> Result<(), ClientError> {
        self.results(doing).into_iter().try_for_each(|(_, result)| result)
    }

    fn push(
        &mut self,
        partition: &TopicPartition,
    ) -> Result<&mut rdsys::rd_kafka_topic_partition_t, ClientError> {
        let topic = c_string("a topic name", &partition.topic)?;
        // SAFETY: the list is live, the name is copied; the element stays valid until the list grows, which
        // the exclusive borrow of `self` rules out.
        let element = unsafe {
            rdsys::rd_kafka_topic_partition_list_add(self.as_ptr(), topic.as_ptr(), partition.partition)
                .as_mut()
        };
        Ok(element.expect("librdkafka never fails to grow a list"))
    }

    fn push_offset(&mut self, offset: &PartitionOffset) -> Result<(), ClientError> {
        let element = self.push(&offset.partition)?;
        element.offset = offset.offset;
        if let Some(epoch) = offset.leader_epoch {
            // SAFETY: the element is a live member of a list.
            unsafe { rdsys::rd_kafka_topic_partition_set_leader_epoch(element, epoch) };
        }
        if let Some(metadata) = offset.metadata.as_deref().filter(|metadata| !metadata.is_empty()) {
            // SAFETY: librdkafka frees metadata with its own allocator, so it must come from there; the copy
            // stays within the block just allocated.
            unsafe {
                let copy = rdsys::rd_kafka_mem_malloc(ptr::null_mut(), metadata.len());
                ptr::copy_nonoverlapping(metadata.as_ptr(), copy.cast(), metadata.len());
                element.metadata = copy;
            }
            element.metadata_size = metadata.len();
        }
        Ok(())
    }
}

impl Drop for PartitionList {
    fn drop(&mut self) {
        // SAFETY: the list is live and owned; nobody else destroys it.
        unsafe { rdsys::rd_kafka_topic_partition_list_destroy(self.as_ptr()) };
    }
}

/// Copies the partitions of a borrowed list.
///
/// # Safety
/// `list` is null or live for the call.
pub(crate) unsafe fn read_partitions(
    list: *const rdsys::rd_kafka_topic_partition_list_t,
) -> Vec<TopicPartition> {
    // SAFETY: passed on from the caller.
    unsafe { elements(list) }
        .iter()
        // SAFETY: the element belongs to a live list.
        .map(|element| unsafe { partition_of(element) })
        .collect()
}

/// Copies the offsets of a borrowed list, each with its own outcome.
///
/// # Safety
/// `list` is null or live for the call.
pub(crate) unsafe fn read_results(
    list: *const rdsys::rd_kafka_topic_partition_list_t,
    doing: &str,
) -> PartitionResults {
    // SAFETY: passed on from the caller; the elements belong to a live list.
    unsafe { elements(list).iter().map(|element| result_of(element, doing)).collect() }
}

/// Copies one partition's offset and outcome.
///
/// # Safety
/// `element` belongs to something live.
pub(crate) unsafe fn result_of(
    element: &rdsys::rd_kafka_topic_partition_t,
    doing: &str,
) -> (PartitionOffset, Result<(), ClientError>) {
    // SAFETY: by this function's contract; the error is read as a number because a broker may send one that the enum
    // lacks.
    let (partition, epoch, metadata, code) = unsafe {
        (
            partition_of(element),
            rdsys::rd_kafka_topic_partition_get_leader_epoch(element),
            metadata_of(element),
            ptr::addr_of!(element.err).cast::<i32>().read(),
        )
    };
    let result = ClientError::check_code(doing, ErrorCode::from_number(code))
        .map_err(|error| error.at(partition.clone()));
    let leader_epoch = (epoch >= 0).then_some(epoch);
    (PartitionOffset { partition, offset: element.offset, metadata, leader_epoch }, result)
}

/// # Safety
/// `list` is null or live for `'a`.
unsafe fn elements<'a>(
    list: *const rdsys::rd_kafka_topic_partition_list_t,
) -> &'a [rdsys::rd_kafka_topic_partition_t] {
    // SAFETY: a live list holds `cnt` elements behind `elems`, which may be null only when there are none.
    unsafe {
        match list.as_ref() {
            Some(list) if list.cnt > 0 => {
                std::slice::from_raw_parts(list.elems, usize::try_from(list.cnt).unwrap_or(0))
            }
            _ => &[],
        }
    }
}

/// # Safety
/// `element` belongs to a live list.
unsafe fn partition_of(element: &rdsys::rd_kafka_topic_partition_t) -> TopicPartition {
    // SAFETY: the topic of a list element is a valid C string.
    let topic = unsafe { CStr::from_ptr(element.topic) }.to_string_lossy();
    TopicPartition::new(&*topic, element.partition)
}

/// # Safety
/// `element` belongs to a live list.
unsafe fn metadata_of(element: &rdsys::rd_kafka_topic_partition_t) -> Option<String> {
    if element.metadata.is_null() || element.metadata_size == 0 {
        return None;
    }
    // SAFETY: `metadata` points to `metadata_size` bytes owned by the element.
    let bytes = unsafe { std::slice::from_raw_parts(element.metadata.cast::<u8>(), element.metadata_size) };
    Some(String::from_utf8_lossy(bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn a_list_gives_back_what_was_put_in() {
        let offsets = vec![
            PartitionOffset {
                partition: TopicPartition::new("orders", 3),
                offset: 42,
                metadata: Some("späť".to_owned()),
                leader_epoch: Some(7),
            },
            PartitionOffset::new(TopicPartition::new("orders", 4), PartitionOffset::COMMITTED),
        ];
        let list = PartitionList::of_offsets(&offsets).expect("the names are valid");
        assert_eq!(list.offsets("read").expect("no partition failed"), offsets);
    }

    #[test]
    fn a_topic_name_with_a_nul_byte_is_refused() {
        let Err(error) = PartitionList::of_partitions(&[TopicPartition::new("a\0b", 0)]) else {
            panic!("the name was accepted")
        };
        assert_eq!(error.kind(), &ErrorKind::Invalid);
    }
}
