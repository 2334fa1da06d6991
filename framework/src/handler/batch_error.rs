//! `BatchError`: which record of a batch failed.

use std::fmt;

use crate::error::HandlerError;
use crate::handler::OnFailure;

/// A batch listener's failure that names the record at fault.
///
/// What precedes the record is done, and committed. The record itself goes through the listener's error policy: while
/// it has attempts left, it is delivered again, first, with what follows it; when it is skipped, what follows it is
/// delivered again, as a batch of its own. Any other error of a batch listener is that of the whole batch.
///
/// An index beyond the batch cannot name a record: the error then counts for the whole batch, as any other.
///
/// ```
/// use kafka_boot::prelude::*;
///
/// #[kafka_listener(topic = "orders", group = "etl")]
/// async fn load(batch: Batch<String>) -> Result<()> {
///     for (index, record) in batch.iter().enumerate() {
///         let amount: u64 = record.value().parse().map_err(|error| BatchError::at(index, error))?;
///         info!(amount, "loaded");
///     }
///     Ok(())
/// }
/// ```
#[derive(Debug)]
pub struct BatchError {
    index: usize,
    error: HandlerError,
}

impl BatchError {
    /// The record at `index`, from 0, failed with `error`; all before it are done.
    pub fn at(index: usize, error: impl Into<HandlerError>) -> Self {
        Self { index, error: error.into() }
    }

    pub(crate) fn error(&self) -> &HandlerError {
        &self.error
    }

    /// What is to follow, as far as the error says.
    pub(crate) fn on_failure(&self) -> OnFailure {
        self.error.on_failure()
    }

    /// The place in the batch of the record that failed, from 0.
    pub fn index(&self) -> usize {
        self.index
    }

    /// The place of the record that an error names, if it names one of a batch of `len` records.
    pub(crate) fn index_in(error: &HandlerError, len: usize) -> Option<usize> {
        error.source().downcast_ref::<Self>().map(Self::index).filter(|index| *index < len)
    }
}

impl fmt::Display for BatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the record at index {} of the batch failed", self.index)
    }
}

impl std::error::Error for BatchError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(self.error.source())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_index_is_found_through_a_handlers_error_unless_the_batch_has_no_such_record() {
        let error: HandlerError = BatchError::at(2, "no stock").into();
        assert_eq!(error.chain(), "the record at index 2 of the batch failed: no stock");
        assert_eq!(BatchError::index_in(&error, 3), Some(2));
        assert_eq!(BatchError::index_in(&error, 2), None);
        assert_eq!(BatchError::index_in(&HandlerError::msg("no stock"), 3), None);
    }
}
