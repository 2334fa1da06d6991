//! Native topic handles, made once per topic.

use std::collections::HashMap;
use std::ptr::{self, NonNull};
use std::sync::{Arc, PoisonError, RwLock};

use rdkafka_sys as rdsys;

use crate::error::{ClientError, ErrorCode};
use crate::native::{NativeClient, c_string};

/// The topics a producer has written to. As many as librdkafka keeps itself.
#[derive(Debug, Default)]
pub(super) struct Topics(RwLock<HashMap<Arc<str>, Handle>>);

#[derive(Debug)]
struct Handle(NonNull<rdsys::rd_kafka_topic_t>);

// SAFETY: topic handles may be used from any thread.
unsafe impl Send for Handle {}
// SAFETY: as above.
unsafe impl Sync for Handle {}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: the handle is live and owned; its client outlives the table, see `Shared`.
        unsafe { rdsys::rd_kafka_topic_destroy(self.0.as_ptr()) };
    }
}

impl Topics {
    /// The handle of `name`, which lives as long as this table.
    pub(super) fn get(
        &self,
        client: &NativeClient,
        name: &Arc<str>,
    ) -> Result<NonNull<rdsys::rd_kafka_topic_t>, ClientError> {
        if let Some(handle) = self.0.read().unwrap_or_else(PoisonError::into_inner).get(name) {
            return Ok(handle.0);
        }
        let native_name = c_string("a topic name", name)?;
        // SAFETY: client and name are live; null asks for the client's topic settings. Another thread may have made the
        // handle meanwhile: librdkafka then returns the same, counted once more.
        let handle =
            unsafe { rdsys::rd_kafka_topic_new(client.as_ptr(), native_name.as_ptr(), ptr::null_mut()) };
        let Some(handle) = NonNull::new(handle) else {
            // SAFETY: reads the calling thread's last error.
            let code = ErrorCode::from(unsafe { rdsys::rd_kafka_last_error() });
            return Err(ClientError::from_code("open topic", code));
        };
        let mut topics = self.0.write().unwrap_or_else(PoisonError::into_inner);
        Ok(topics.entry(Arc::clone(name)).or_insert(Handle(handle)).0)
    }
}
