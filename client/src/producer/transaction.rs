//! Transactions: what a producer with a `transactional.id` can do.

use std::ptr::{self, NonNull};
use std::time::Duration;

use rdkafka_sys as rdsys;

use super::Producer;
use crate::consumer::GroupMetadata;
use crate::error::{ClientError, ErrorCode};
use crate::native::{ClientRef, c_string, millis, offload};
use crate::partition::{PartitionList, PartitionOffset};

/// A call of librdkafka that blocks up to so many milliseconds.
type Call = unsafe extern "C" fn(*mut rdsys::rd_kafka_t, std::ffi::c_int) -> *mut rdsys::rd_kafka_error_t;

/// Transactions need `transactional.id`. One is open at a time, and belongs to the producer, not to a clone of it.
///
/// A call that waits returns an error that [is retriable](ClientError::is_retriable) when its time is over: call it again. One that
/// [requires an abort](ClientError::requires_abort) ends the transaction, which is to be aborted, and may be begun again. A
/// [fatal](ClientError::is_fatal) one ends the producer: another one with its id has fenced it, for instance.
impl Producer {
    /// Takes the id over from whatever had it before, which is fenced, and finishes what that left open. To be called once,
    /// before the first transaction.
    ///
    /// # Errors
    /// As described above.
    pub async fn init_transactions(&self, timeout: Duration) -> Result<(), ClientError> {
        self.transact("init transactions", timeout, rdsys::rd_kafka_init_transactions).await
    }

    /// Begins a transaction: all that is sent from now on is part of it. Waits for nothing.
    ///
    /// # Errors
    /// There is one already, or the producer is not initialised.
    pub fn begin_transaction(&self) -> Result<(), ClientError> {
        // SAFETY: the client is live; the error, if any, is taken over.
        unsafe {
            let error = rdsys::rd_kafka_begin_transaction(self.handle.shared.client.as_ptr());
            ClientError::check("begin a transaction", error)
        }
    }

    /// Makes offsets of a consumer group part of the transaction: the next ones to be read. `group` is what
    /// [`Consumer::group_metadata`](crate::Consumer::group_metadata) says; a member that is not one any more is refused. So that
    /// this cannot be got around, so is here who [is none](GroupMetadata::is_member).
    ///
    /// # Errors
    /// As described above; what it refuses requires an abort.
    pub async fn send_offsets(
        &self,
        offsets: &[PartitionOffset],
        group: &GroupMetadata,
        timeout: Duration,
    ) -> Result<(), ClientError> {
        if !group.is_member() {
            let code = ErrorCode::UNKNOWN_MEMBER_ID;
            return Err(ClientError::from_code("send offsets to the transaction", code));
        }
        let (offsets, group) = (offsets.to_vec(), NativeGroup::new(group)?);
        let client = self.handle.shared.client.clone();
        offload("kafka-transaction", move || {
            let list = PartitionList::of_offsets(&offsets)?;
            // SAFETY: client, list and metadata are live; the error, if any, is taken over.
            unsafe {
                let error = rdsys::rd_kafka_send_offsets_to_transaction(
                    client.as_ptr(),
                    list.as_ptr(),
                    group.as_ptr(),
                    millis(timeout),
                );
                ClientError::check("send offsets to the transaction", error)
            }
        })
        .await
    }

    /// Waits until all of the transaction is written, and commits it.
    ///
    /// # Errors
    /// As described above. A record that was not written requires an abort.
    pub async fn commit_transaction(&self, timeout: Duration) -> Result<(), ClientError> {
        self.transact("commit the transaction", timeout, rdsys::rd_kafka_commit_transaction).await
    }

    /// Gives up what is not written yet, and aborts the transaction. Where none is open, nothing happens.
    ///
    /// # Errors
    /// As described above.
    pub async fn abort_transaction(&self, timeout: Duration) -> Result<(), ClientError> {
        let aborted =
            self.transact("abort the transaction", timeout, rdsys::rd_kafka_abort_transaction).await;
        match aborted {
            Err(error) if error.code() == Some(ErrorCode::STATE) && !error.is_fatal() => Ok(()),
            other => other,
        }
    }

    async fn transact(&self, doing: &'static str, timeout: Duration, call: Call) -> Result<(), ClientError> {
        let client: ClientRef = self.handle.shared.client.clone();
        offload("kafka-transaction", move || {
            // SAFETY: the client is live; the error, if any, is taken over.
            unsafe { ClientError::check(doing, call(client.as_ptr(), millis(timeout))) }
        })
        .await
    }
}

/// A consumer's place in its group, as librdkafka takes it.
struct NativeGroup(NonNull<rdsys::rd_kafka_consumer_group_metadata_t>);

// SAFETY: the metadata is a value of its own that nothing else points to.
unsafe impl Send for NativeGroup {}

impl NativeGroup {
    fn new(group: &GroupMetadata) -> Result<Self, ClientError> {
        let id = c_string("a group id", &group.group_id)?;
        let member = c_string("a member id", &group.member_id)?;
        let instance = match &group.group_instance_id {
            Some(instance) => Some(c_string("a group instance id", instance)?),
            None => None,
        };
        // SAFETY: the strings are live, and librdkafka copies them.
        let native = unsafe {
            rdsys::rd_kafka_consumer_group_metadata_new_with_genid(
                id.as_ptr(),
                group.generation_id,
                member.as_ptr(),
                instance.as_ref().map_or(ptr::null(), |instance| instance.as_ptr()),
            )
        };
        NonNull::new(native)
            .map(Self)
            .ok_or_else(|| ClientError::invalid("the group's metadata cannot be used"))
    }

    fn as_ptr(&self) -> *const rdsys::rd_kafka_consumer_group_metadata_t {
        self.0.as_ptr()
    }
}

impl Drop for NativeGroup {
    fn drop(&mut self) {
        // SAFETY: the metadata is live, and nobody uses it after this.
        unsafe { rdsys::rd_kafka_consumer_group_metadata_destroy(self.0.as_ptr()) };
    }
}
