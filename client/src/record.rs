//! Records as librdkafka received them: owned, zero-copy, droppable anywhere.

use std::ffi::{CStr, c_void};
use std::fmt;
use std::marker::PhantomData;
use std::ptr::{self, NonNull};
use std::sync::{Mutex, PoisonError};

use rdkafka_sys as rdsys;

use crate::native::ClientRef;

/// librdkafka parses headers on first use, without a lock; these locks, chosen by address, make that safe for a
/// record shared between threads without making the record larger.
static HEADER_LOCKS: [Mutex<()>; 64] = [const { Mutex::new(()) }; 64];

/// When a record was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Timestamp {
    /// The record has none.
    NotAvailable,
    /// Set by the producer; milliseconds since the Unix epoch.
    CreateTime(i64),
    /// Set by the broker on arrival; milliseconds since the Unix epoch.
    LogAppendTime(i64),
}

impl Timestamp {
    /// Milliseconds since the Unix epoch, whoever set them.
    pub fn millis(self) -> Option<i64> {
        match self {
            Timestamp::NotAvailable => None,
            Timestamp::CreateTime(millis) | Timestamp::LogAppendTime(millis) => Some(millis),
        }
    }

    /// # Safety
    /// `message` is live.
    pub(crate) unsafe fn of(message: *const rdsys::rd_kafka_message_t) -> Self {
        let mut kind = rdsys::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        // SAFETY: by this function's contract.
        let millis = unsafe { rdsys::rd_kafka_message_timestamp(message, &raw mut kind) };
        match kind {
            rdsys::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_CREATE_TIME => Timestamp::CreateTime(millis),
            rdsys::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_LOG_APPEND_TIME => {
                Timestamp::LogAppendTime(millis)
            }
            rdsys::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE => Timestamp::NotAvailable,
        }
    }
}

/// One record: two pointers to the memory that librdkafka received it in.
///
/// It may be dropped on any thread, also after its consumer was closed, and is best dropped soon: it keeps the whole
/// fetched batch in memory.
pub struct RawRecord {
    message: NonNull<rdsys::rd_kafka_message_t>,
    /// Dropped after the message, which lives in memory of this client.
    _client: ClientRef,
}

// SAFETY: the message is owned; librdkafka counts what it shares with other messages atomically.
unsafe impl Send for RawRecord {}
// SAFETY: all access is reading, except for header parsing, which is locked.
unsafe impl Sync for RawRecord {}

impl RawRecord {
    /// # Safety
    /// `message` is live, belongs to `client`, has no error, and nobody else will destroy it.
    pub(crate) unsafe fn new(message: NonNull<rdsys::rd_kafka_message_t>, client: ClientRef) -> Self {
        Self { message, _client: client }
    }

    /// The value; `None` for a tombstone.
    pub fn payload(&self) -> Option<&[u8]> {
        let message = self.message();
        // SAFETY: payload and length describe memory that lives as long as the message.
        unsafe { bytes(message.payload, message.len) }
    }

    /// The key, if the record has one.
    pub fn key(&self) -> Option<&[u8]> {
        let message = self.message();
        // SAFETY: key and length describe memory that lives as long as the message.
        unsafe { bytes(message.key, message.key_len) }
    }

    /// The number of the partition.
    pub fn partition(&self) -> i32 {
        self.message().partition
    }

    /// The offset in the partition.
    pub fn offset(&self) -> i64 {
        self.message().offset
    }

    /// The name of the topic.
    pub fn topic(&self) -> &str {
        // SAFETY: a record's topic handle and its name live as long as the message.
        let name = unsafe { CStr::from_ptr(rdsys::rd_kafka_topic_name(self.message().rkt)) };
        // Brokers accept ASCII names only.
        name.to_str().unwrap_or_default()
    }

    /// A number that tells topics of one consumer apart without comparing names. The same for all records of a topic
    /// as long as one of them, or its assignment, lives; may be reused for another topic after that.
    pub fn topic_id(&self) -> usize {
        self.message().rkt.addr()
    }

    /// When the record was made.
    pub fn timestamp(&self) -> Timestamp {
        // SAFETY: the message is live.
        unsafe { Timestamp::of(self.message.as_ptr()) }
    }

    /// The leader epoch the record was written in, to be committed along with its offset.
    pub fn leader_epoch(&self) -> Option<i32> {
        // SAFETY: the message is live.
        let epoch = unsafe { rdsys::rd_kafka_message_leader_epoch(self.message.as_ptr()) };
        (epoch >= 0).then_some(epoch)
    }

    /// The headers, in order; parsed on first use.
    pub fn headers(&self) -> Headers<'_> {
        let mut headers = ptr::null_mut();
        let lock = &HEADER_LOCKS[(self.message.addr().get() >> 6) % HEADER_LOCKS.len()];
        let guard = lock.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: the message is live; the lock keeps other threads from parsing it at the same time. Once parsed
        // the headers do not change until the message is destroyed.
        let code = unsafe { rdsys::rd_kafka_message_headers(self.message.as_ptr(), &raw mut headers) };
        drop(guard);
        let found = code == rdsys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR;
        let native = if found { headers.cast_const() } else { ptr::null() };
        let count = if native.is_null() {
            0
        } else {
            // SAFETY: the headers are live as long as the message.
            unsafe { rdsys::rd_kafka_header_cnt(native) }
        };
        Headers { native, next: 0, end: count, _record: PhantomData }
    }

    /// The value of the last header called `name`; the inner `None` is a header without value.
    pub fn header(&self, name: &str) -> Option<Option<&[u8]>> {
        self.headers().rev().find(|(found, _)| *found == name).map(|(_, value)| value)
    }

    fn message(&self) -> &rdsys::rd_kafka_message_t {
        // SAFETY: the message lives as long as the record, and its public fields do not change.
        unsafe { self.message.as_ref() }
    }
}

impl Drop for RawRecord {
    fn drop(&mut self) {
        // SAFETY: the message is live and owned; its client is released after this.
        unsafe { rdsys::rd_kafka_message_destroy(self.message.as_ptr()) };
    }
}

impl fmt::Debug for RawRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawRecord")
            .field("topic", &self.topic())
            .field("partition", &self.partition())
            .field("offset", &self.offset())
            .field("key_bytes", &self.key().map(<[u8]>::len))
            .field("payload_bytes", &self.payload().map(<[u8]>::len))
            .finish()
    }
}

/// The headers of a record, in order. A name may occur more than once.
///
/// A name is what librdkafka tells of it: it ends at its first NUL. Kafka wants names in UTF-8; one that is not is told as
/// empty. Values are told byte for byte.
#[derive(Debug, Clone)]
pub struct Headers<'a> {
    native: *const rdsys::rd_kafka_headers_t,
    next: usize,
    end: usize,
    _record: PhantomData<&'a RawRecord>,
}

// SAFETY: parsed headers are only read, and the record they belong to may be shared.
unsafe impl Send for Headers<'_> {}
// SAFETY: as above.
unsafe impl Sync for Headers<'_> {}

impl<'a> Headers<'a> {
    fn get(&self, index: usize) -> Option<(&'a str, Option<&'a [u8]>)> {
        let (mut name, mut value, mut size) = (ptr::null(), ptr::null(), 0);
        // SAFETY: the headers live as long as the record; strings and values live as long as the headers.
        unsafe {
            let code = rdsys::rd_kafka_header_get_all(
                self.native,
                index,
                &raw mut name,
                &raw mut value,
                &raw mut size,
            );
            if code != rdsys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
                return None;
            }
            // Kafka wants names in UTF-8; one that is not cannot be asked for by name, but its value still shows.
            Some((CStr::from_ptr(name).to_str().unwrap_or_default(), bytes(value, size)))
        }
    }
}

impl<'a> Iterator for Headers<'a> {
    type Item = (&'a str, Option<&'a [u8]>);

    fn next(&mut self) -> Option<Self::Item> {
        if self.next == self.end {
            return None;
        }
        self.next += 1;
        self.get(self.next - 1)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.end - self.next, Some(self.end - self.next))
    }
}

impl DoubleEndedIterator for Headers<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        if self.next == self.end {
            return None;
        }
        self.end -= 1;
        self.get(self.end)
    }
}

impl ExactSizeIterator for Headers<'_> {}

/// # Safety
/// `start` is null or points to `len` bytes that live for `'a`.
unsafe fn bytes<'a>(start: *const c_void, len: usize) -> Option<&'a [u8]> {
    if start.is_null() {
        return None;
    }
    // SAFETY: by this function's contract.
    Some(unsafe { std::slice::from_raw_parts(start.cast(), len) })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a name cannot tell is lost with it, and nothing else: neither its value nor the headers around it.
    #[test]
    fn a_headers_name_ends_at_its_first_nul_and_is_empty_where_it_is_not_utf_8() {
        let names: [&[u8]; 5] = [b"plain", b"cut\0short", b"\xff\xfe", "Gr\u{fc}\u{df}e".as_bytes(), b""];
        // SAFETY: the headers are live until they are destroyed below; names and values are copied.
        unsafe {
            let native = rdsys::rd_kafka_headers_new(names.len());
            for name in names {
                let (start, length) = (name.as_ptr().cast(), name.len().cast_signed());
                rdsys::rd_kafka_header_add(native, start, length, b"a\0b".as_ptr().cast(), 3);
            }
            let end = rdsys::rd_kafka_header_cnt(native);
            let headers = Headers { native, next: 0, end, _record: PhantomData };
            let read: Vec<_> = headers.collect();
            let value = Some(&b"a\0b"[..]);
            let expected = ["plain", "cut", "", "Gr\u{fc}\u{df}e", ""].map(|name| (name, value));
            assert_eq!(read, expected);
            rdsys::rd_kafka_headers_destroy(native);
        }
    }

    #[test]
    fn a_record_is_two_pointers_wide_and_free_to_move() {
        fn check<T: Send + Sync>() {}
        check::<RawRecord>();
        assert_eq!(size_of::<RawRecord>(), 2 * size_of::<usize>());
        assert_eq!(size_of::<Option<RawRecord>>(), 2 * size_of::<usize>());
    }
}
