//! Arguments for librdkafka's admin requests, owned, and readers for its answers.

use std::ffi::{c_char, c_void};
use std::time::Duration;

use rdkafka_sys as rdsys;
use rdsys::rd_kafka_admin_op_t;

use crate::config::MessageBuffer;
use crate::error::{ClientError, ErrorCode, lossy};
use crate::metadata::BrokerMetadata;
use crate::native::{Event, NativeClient, millis};

/// librdkafka accepts timeouts up to this.
const DEADLINE_MAX: Duration = Duration::from_hours(1);

pub(super) fn is_admin_result(event: &Event) -> bool {
    let kind = event.kind();
    kind != rdsys::RD_KAFKA_EVENT_NONE
        && ![
            rdsys::RD_KAFKA_EVENT_ERROR,
            rdsys::RD_KAFKA_EVENT_STATS,
            rdsys::RD_KAFKA_EVENT_LOG,
            rdsys::RD_KAFKA_EVENT_OAUTHBEARER_TOKEN_REFRESH,
        ]
        .contains(&kind)
}

/// The options of one request.
pub(super) struct Options(*mut rdsys::rd_kafka_AdminOptions_t);

impl Options {
    pub(super) fn new(
        client: &NativeClient,
        operation: rd_kafka_admin_op_t,
        deadline: Duration,
    ) -> Result<Self, ClientError> {
        // SAFETY: the client is live; librdkafka aborts rather than return null for a known operation.
        let options = Self(unsafe { rdsys::rd_kafka_AdminOptions_new(client.as_ptr(), operation) });
        let deadline = deadline.clamp(Duration::from_millis(1), DEADLINE_MAX);
        let mut message = MessageBuffer::new();
        // SAFETY: options and buffer are live.
        let code = unsafe {
            rdsys::rd_kafka_AdminOptions_set_request_timeout(
                options.0,
                millis(deadline),
                message.as_mut_ptr(),
                message.len(),
            )
        };
        check_message("set request timeout", code, &message)?;
        if waits_in_the_broker(operation) {
            // The broker has to give up before the client does, or else its answer is lost.
            let in_the_broker = deadline.saturating_sub((deadline / 4).min(Duration::from_secs(1)));
            // SAFETY: options and buffer are live.
            let code = unsafe {
                rdsys::rd_kafka_AdminOptions_set_operation_timeout(
                    options.0,
                    millis(in_the_broker),
                    message.as_mut_ptr(),
                    message.len(),
                )
            };
            check_message("set operation timeout", code, &message)?;
        }
        Ok(options)
    }

    pub(super) fn as_ptr(&self) -> *const rdsys::rd_kafka_AdminOptions_t {
        self.0
    }

    pub(super) fn set_opaque(&self, opaque: *mut c_void) {
        // SAFETY: the options are live.
        unsafe { rdsys::rd_kafka_AdminOptions_set_opaque(self.0, opaque) };
    }
}

impl Drop for Options {
    fn drop(&mut self) {
        // SAFETY: live and owned; a request copies its options.
        unsafe { rdsys::rd_kafka_AdminOptions_destroy(self.0) };
    }
}

/// Requests that the broker itself answers only when they are done, within a timeout that they carry.
fn waits_in_the_broker(operation: rd_kafka_admin_op_t) -> bool {
    matches!(
        operation,
        rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_CREATETOPICS
            | rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DELETETOPICS
            | rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_CREATEPARTITIONS
            | rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DELETERECORDS
    )
}

/// Owned native arguments; a request copies them.
pub(super) struct Arguments<T> {
    items: Vec<*mut T>,
    destroy: unsafe extern "C" fn(*mut T),
}

impl<T> Arguments<T> {
    pub(super) fn new(destroy: unsafe extern "C" fn(*mut T)) -> Self {
        Self { items: Vec::new(), destroy }
    }

    /// # Safety
    /// `item` is live, nobody else destroys it, and this list's function does so rightly.
    pub(super) unsafe fn push(&mut self, item: *mut T) {
        self.items.push(item);
    }

    pub(super) fn as_mut_ptr(&mut self) -> *mut *mut T {
        self.items.as_mut_ptr()
    }

    pub(super) fn len(&self) -> usize {
        self.items.len()
    }
}

impl<T> Drop for Arguments<T> {
    fn drop(&mut self) {
        for item in &self.items {
            // SAFETY: by the contract of `push`.
            unsafe { (self.destroy)(*item) };
        }
    }
}

/// The elements of an array that an answer holds.
///
/// # Safety
/// `read` returns an array of as many live elements as it says, or null for none, all living for `'a`.
pub(super) unsafe fn elements<'a, T>(read: impl FnOnce(*mut usize) -> *mut *const T) -> &'a [*const T] {
    let mut count = 0;
    let start = read(&raw mut count);
    if start.is_null() || count == 0 {
        return &[];
    }
    // SAFETY: by this function's contract.
    unsafe { std::slice::from_raw_parts(start.cast_const(), count) }
}

/// The error that an answer holds for an item; null and "no error" stand for none.
///
/// # Safety
/// `error` is null or live.
pub(super) unsafe fn item_error(
    doing: &str,
    error: *const rdsys::rd_kafka_error_t,
) -> Result<(), ClientError> {
    if error.is_null() {
        return Ok(());
    }
    // SAFETY: live by this function's contract; its text lives as long.
    let (code, reason) = unsafe {
        (ErrorCode::from(rdsys::rd_kafka_error_code(error)), lossy(rdsys::rd_kafka_error_string(error)))
    };
    check_reason(doing, code, &reason)
}

/// Each topic's outcome in an answer.
///
/// # Safety
/// The results are live.
pub(super) unsafe fn topic_results(
    doing: &str,
    results: &[*const rdsys::rd_kafka_topic_result_t],
) -> super::ItemResults<()> {
    results
        .iter()
        .map(|result| {
            // SAFETY: live by this function's contract; the texts live as long.
            let (name, code, reason) = unsafe {
                (
                    lossy(rdsys::rd_kafka_topic_result_name(*result)),
                    ErrorCode::from(rdsys::rd_kafka_topic_result_error(*result)),
                    lossy(rdsys::rd_kafka_topic_result_error_string(*result)),
                )
            };
            let outcome = check_reason(&format!("{doing} `{name}`"), code, &reason);
            (name, outcome)
        })
        .collect()
}

/// # Safety
/// `node` is null or live.
pub(super) unsafe fn broker(node: *const rdsys::rd_kafka_Node_t) -> Option<BrokerMetadata> {
    if node.is_null() {
        return None;
    }
    // SAFETY: live by this function's contract; its texts live as long.
    unsafe {
        let rack = rdsys::rd_kafka_Node_rack(node);
        Some(BrokerMetadata {
            id: rdsys::rd_kafka_Node_id(node),
            host: lossy(rdsys::rd_kafka_Node_host(node)),
            port: i32::from(rdsys::rd_kafka_Node_port(node)),
            rack: (!rack.is_null()).then(|| lossy(rack)),
        })
    }
}

/// Null stands for "none".
///
/// # Safety
/// `text` is null or live.
pub(super) unsafe fn optional(text: *const c_char) -> Option<String> {
    // SAFETY: by this function's contract.
    (!text.is_null()).then(|| unsafe { lossy(text) })
}

pub(super) fn check_reason(doing: &str, code: ErrorCode, reason: &str) -> Result<(), ClientError> {
    if code.is_error() { Err(ClientError::from_reason(doing, code, reason)) } else { Ok(()) }
}

pub(super) fn check_message(
    doing: &str,
    code: rdsys::rd_kafka_resp_err_t,
    message: &MessageBuffer,
) -> Result<(), ClientError> {
    check_reason(doing, ErrorCode::from(code), &message.text())
}
