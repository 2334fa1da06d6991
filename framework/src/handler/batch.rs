//! Batch listeners: `Batch<T>` and the arguments that may stand beside it.

use std::any::type_name;
use std::ops::Deref;

use super::argument::no_transaction;
use crate::beans::{AttemptScope, Bean, Config, ConfigProperties, Qualifier, Transaction};
use crate::error::{ExtractError, StartError};
use crate::handler::{Ack, Attempt, PlanContext};
use crate::record::{BatchView, FromPayload, Record};

/// The records of one poll and one partition, in order: the argument that makes a listener a batch listener.
///
/// ```
/// use kafka_boot::prelude::*;
///
/// #[kafka_listener(topic = "orders", group = "etl")]
/// async fn load(batch: Batch<String>) -> Result<()> {
///     for record in batch {
///         info!(%record, "one of the batch");
///     }
///     Ok(())
/// }
/// ```
#[derive(Debug)]
pub struct Batch<T = String> {
    records: Vec<Record<T>>,
}

impl<T> Batch<T> {
    /// Makes a batch, to call a handler in a unit test.
    pub fn new(records: Vec<Record<T>>) -> Self {
        Self { records }
    }

    /// The records, in the order of their offsets.
    pub fn into_records(self) -> Vec<Record<T>> {
        self.records
    }
}

impl<T> Deref for Batch<T> {
    type Target = [Record<T>];

    fn deref(&self) -> &[Record<T>] {
        &self.records
    }
}

impl<T> IntoIterator for Batch<T> {
    type Item = Record<T>;
    type IntoIter = std::vec::IntoIter<Record<T>>;

    fn into_iter(self) -> Self::IntoIter {
        self.records.into_iter()
    }
}

impl<'a, T> IntoIterator for &'a Batch<T> {
    type Item = &'a Record<T>;
    type IntoIter = std::slice::Iter<'a, Record<T>>;

    fn into_iter(self) -> Self::IntoIter {
        self.records.iter()
    }
}

/// An argument of a `#[kafka_listener]` function that takes a `Batch<T>`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be an argument of a batch listener",
    label = "not a batch listener argument",
    note = "beside `Batch<T>` a batch listener takes `Ack`, `Attempt`, `Transaction`, `Bean<T>` and `Config<T>`; a key or a header belongs to one record: read it from the batch's records"
)]
pub trait BatchArg: Sized + Send {
    /// What start-up resolves once, for every batch to use.
    type Plan: Send + Sync + 'static;

    /// Resolves, at start-up, what every batch needs; an error refuses to start.
    fn plan(context: &PlanContext<'_>) -> Result<Self::Plan, StartError>;

    /// Takes the argument out of a batch.
    fn extract(plan: &Self::Plan, batch: &BatchView<'_>) -> Result<Self, ExtractError>;
}

/// A planned argument of a batch listener.
type ExtractBatch<T> = Box<dyn Fn(&BatchView<'_>) -> Result<T, ExtractError> + Send + Sync>;

/// Plans one argument of a batch listener. The only place where generated code names the bound.
#[doc(hidden)]
pub fn batch_extractor<T: BatchArg + 'static>(
    context: &PlanContext<'_>,
) -> Result<ExtractBatch<T>, StartError> {
    let plan = T::plan(context)?;
    Ok(Box::new(move |batch| T::extract(&plan, batch)))
}

impl<T: FromPayload> BatchArg for Batch<T> {
    type Plan = ();

    fn plan(_: &PlanContext<'_>) -> Result<(), StartError> {
        Ok(())
    }

    fn extract((): &(), batch: &BatchView<'_>) -> Result<Self, ExtractError> {
        let mut records = Vec::with_capacity(batch.len());
        for (index, record) in batch.records().enumerate() {
            let value = T::from_record(&record).map_err(|error| {
                let place = format!("record at offset {}: {error}", record.offset());
                ExtractError::new(type_name::<Self>(), place).at_index(index)
            })?;
            records.push(Record::from_view(&record, value));
        }
        Ok(Self { records })
    }
}

impl<T: Send + Sync + 'static, Q: Qualifier> BatchArg for Bean<T, Q> {
    type Plan = Self;

    fn plan(context: &PlanContext<'_>) -> Result<Self, StartError> {
        context.beans().bean()
    }

    fn extract(plan: &Self, _: &BatchView<'_>) -> Result<Self, ExtractError> {
        Ok(plan.clone())
    }
}

impl<T: ConfigProperties> BatchArg for Config<T> {
    type Plan = Self;

    fn plan(context: &PlanContext<'_>) -> Result<Self, StartError> {
        context.beans().config()
    }

    fn extract(plan: &Self, _: &BatchView<'_>) -> Result<Self, ExtractError> {
        Ok(plan.clone())
    }
}

impl BatchArg for Ack {
    type Plan = ();

    fn plan(_: &PlanContext<'_>) -> Result<(), StartError> {
        Ok(())
    }

    fn extract((): &(), batch: &BatchView<'_>) -> Result<Self, ExtractError> {
        Ack::from_batch(batch)
    }
}

impl BatchArg for Attempt {
    type Plan = ();

    fn plan(_: &PlanContext<'_>) -> Result<(), StartError> {
        Ok(())
    }

    fn extract((): &(), batch: &BatchView<'_>) -> Result<Self, ExtractError> {
        Ok(Self(batch.attempt()))
    }
}

impl BatchArg for Transaction {
    type Plan = ();

    fn plan(context: &PlanContext<'_>) -> Result<(), StartError> {
        context.require_transactions()
    }

    fn extract((): &(), batch: &BatchView<'_>) -> Result<Self, ExtractError> {
        batch.transaction().map(AttemptScope::transaction).ok_or_else(no_transaction)
    }
}
