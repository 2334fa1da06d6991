//! `RecordInterceptor`: what sees every record before and after its handler.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use tracing::error;

use crate::beans::Beans;
use crate::error::{ExtractError, HandlerError};
use crate::policy::Fault;
use crate::record::{BatchView, RecordView};

/// Sees every record of every listener before its handler, and how each attempt ended. Give it as a bean of type
/// `Box<dyn RecordInterceptor>`:
///
/// ```
/// use kafka_boot::prelude::*;
/// use kafka_boot::{RecordInterceptor, RecordView};
///
/// struct Audit;
///
/// impl RecordInterceptor for Audit {
///     fn intercept(&self, _listener: &str, record: &RecordView<'_>) -> bool {
///         record.header("test-only").is_none()
///     }
///
///     fn failure(&self, listener: &str, record: &RecordView<'_>, error: &dyn std::fmt::Display) {
///         warn!(listener, offset = record.offset(), %error, "noted");
///     }
/// }
///
/// #[bean]
/// fn audit() -> Box<dyn RecordInterceptor> {
///     Box::new(Audit)
/// }
/// ```
///
/// It is called where handlers run, so it must not block; each method does nothing unless it is written. A batch listener's
/// records are shown one by one. It sees what handlers see, and changes nothing of it.
pub trait RecordInterceptor: Send + Sync + 'static {
    /// A record is about to be given to a listener, once for each attempt; its filter has not been asked yet. `false`
    /// leaves it out: it counts as filtered, and is done. A panic is a failed attempt at the record (in a batch listener: the
    /// record is not left out).
    fn intercept(&self, listener: &str, record: &RecordView<'_>) -> bool {
        let _ = (listener, record);
        true
    }

    /// An attempt at the record succeeded.
    fn success(&self, listener: &str, record: &RecordView<'_>) {
        let _ = (listener, record);
    }

    /// An attempt at the record failed; the error policy decides what follows.
    fn failure(&self, listener: &str, record: &RecordView<'_>, error: &dyn fmt::Display) {
        let _ = (listener, record, error);
    }
}

/// One listener's use of the interceptor, if there is one.
#[derive(Clone)]
pub(crate) struct Interception {
    interceptor: Option<Arc<Box<dyn RecordInterceptor>>>,
    listener: Arc<str>,
}

impl fmt::Debug for Interception {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Interception").field("is_there", &self.is_there()).finish()
    }
}

impl Interception {
    /// The application's interceptor for a listener.
    pub(crate) fn of(beans: &Beans, listener: &str) -> Self {
        // An error only says that there is none.
        let interceptor = beans.named::<Box<dyn RecordInterceptor>>("").ok();
        Self { interceptor, listener: listener.into() }
    }

    #[cfg(any(test, feature = "simulation"))]
    pub(crate) fn none() -> Self {
        Self { interceptor: None, listener: "test".into() }
    }

    #[cfg(test)]
    pub(crate) fn with(interceptor: Box<dyn RecordInterceptor>) -> Self {
        Self { interceptor: Some(Arc::new(interceptor)), ..Self::none() }
    }

    pub(crate) fn is_there(&self) -> bool {
        self.interceptor.is_some()
    }

    /// Whether a record may be given to the handler.
    pub(crate) fn lets_through(&self, record: &RecordView<'_>) -> bool {
        self.interceptor.as_ref().is_none_or(|interceptor| interceptor.intercept(&self.listener, record))
    }

    /// Calls a handler, unless its record is left out.
    pub(crate) fn call<T>(
        &self,
        record: &RecordView<'_>,
        call: impl FnOnce(&RecordView<'_>) -> Result<T, ExtractError>,
    ) -> Result<T, ExtractError> {
        if self.lets_through(record) { call(record) } else { Err(ExtractError::filtered()) }
    }

    /// Tells how an attempt at a record ended.
    pub(crate) fn ended(&self, record: &RecordView<'_>, outcome: &Result<(), Fault>) {
        let Some(interceptor) = &self.interceptor else { return };
        let told = catch_unwind(AssertUnwindSafe(|| match outcome {
            Ok(()) => interceptor.success(&self.listener, record),
            Err(fault) if fault.is_filtered() || matches!(fault, Fault::Interrupted) => {}
            Err(fault) => interceptor.failure(&self.listener, record, fault),
        }));
        if let Err(payload) = told {
            let error = HandlerError::from_panic(payload.as_ref());
            error!(listener = %self.listener, offset = record.offset(), %error, "the record interceptor panicked when it was told how an attempt ended");
        }
    }

    /// The same, for each record of a batch: those before the one that failed are done, those behind it were not tried.
    pub(crate) fn batch_ended(&self, batch: &BatchView<'_>, outcome: &Result<(), Fault>) {
        if self.interceptor.is_none() {
            return;
        }
        let named = outcome.as_ref().err().and_then(|fault| fault.index_in(batch.len()));
        let is_unread = matches!(outcome, Err(Fault::Extract(_)));
        for (index, record) in batch.records().enumerate() {
            match named {
                Some(failed) if index < failed && is_unread => {}
                Some(failed) if index < failed => self.ended(&record, &Ok(())),
                Some(failed) if index > failed => {}
                _ => self.ended(&record, outcome),
            }
        }
    }
}
