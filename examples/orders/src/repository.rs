//! The database: `SQLite`, in a file.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use kafka_boot::prelude::*;
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use serde::Deserialize;

use crate::event::{OrderEvent, What};

const SCHEMA: &str = "
    PRAGMA journal_mode = WAL;
    CREATE TABLE IF NOT EXISTS orders (id TEXT PRIMARY KEY, customer TEXT NOT NULL, cents INTEGER NOT NULL, status TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS handled (topic TEXT, partition INTEGER, offset INTEGER, PRIMARY KEY (topic, partition, offset));
";

/// The section `database`.
#[derive(Debug, Deserialize, ConfigProperties)]
#[config(prefix = "database")]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct DatabaseProperties {
    /// The file; it is made if need be.
    pub file: PathBuf,
}

/// An event that can never be applied. It is not tried again: see `kafka.error.retry-not-on`.
#[derive(Debug, thiserror::Error)]
pub enum InvalidOrder {
    /// Nothing costs less than nothing.
    #[error("the order `{0}` is for {1} cents")]
    Amount(String, i64),
    /// It was never placed.
    #[error("there is no order `{0}`")]
    Unknown(String),
    /// What is cancelled stays so.
    #[error("the order `{0}` is {1} already")]
    Closed(String, String),
}

/// The orders.
#[derive(Debug)]
pub struct OrderRepository(Mutex<Connection>);

/// Opens the database. It fails the start if it cannot.
#[bean]
fn repository(properties: Config<DatabaseProperties>) -> Result<OrderRepository> {
    let connection = Connection::open(&properties.file)?;
    connection.execute_batch(SCHEMA)?;
    info!(file = %properties.file.display(), "database opened");
    Ok(OrderRepository(Mutex::new(connection)))
}

impl OrderRepository {
    /// Applies an event. The record that it came with is remembered in the same transaction: when it comes again, after a
    /// crash before its offset was committed, nothing happens.
    ///
    /// # Errors
    /// [`InvalidOrder`], or what the database says.
    pub fn apply(&self, event: &OrderEvent, record: &RecordMeta) -> Result<()> {
        let mut connection = self.connection();
        let transaction = connection.transaction()?;
        let is_new = transaction.execute(
            "INSERT OR IGNORE INTO handled VALUES (?1, ?2, ?3)",
            params![record.topic(), record.partition(), record.offset()],
        )?;
        if is_new > 0 {
            change(&transaction, event)?;
        }
        Ok(transaction.commit()?)
    }

    /// How an order is; `None` if there is none of that id.
    ///
    /// # Errors
    /// What the database says.
    pub fn status(&self, order: &str) -> Result<Option<String>> {
        let connection = self.connection();
        Ok(status(&connection, order)?)
    }

    /// How many orders are how.
    ///
    /// # Errors
    /// What the database says.
    pub fn count_by_status(&self) -> Result<BTreeMap<String, i64>> {
        let connection = self.connection();
        let mut query = connection.prepare("SELECT status, count(*) FROM orders GROUP BY status")?;
        let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Forgets which records were handled, but for the last `kept` offsets of each partition: only what is not committed
    /// yet can come again. Returns how many it has forgotten.
    ///
    /// # Errors
    /// What the database says.
    pub fn forget_handled(&self, kept: i64) -> Result<usize> {
        let forgotten = self.connection().execute(
            "DELETE FROM handled WHERE offset <= (SELECT max(other.offset) FROM handled AS other
             WHERE other.topic = handled.topic AND other.partition = handled.partition) - ?1",
            [kept],
        )?;
        Ok(forgotten)
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        // A panic in a transaction has rolled it back.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn change(transaction: &Transaction<'_>, event: &OrderEvent) -> Result<()> {
    let order = &event.order;
    let new_status = match &event.what {
        What::Placed { cents, .. } if *cents < 0 => {
            return Err(InvalidOrder::Amount(order.clone(), *cents).into());
        }
        What::Placed { customer, cents } => {
            transaction.execute(
                "INSERT OR IGNORE INTO orders VALUES (?1, ?2, ?3, 'placed')",
                params![order, customer, cents],
            )?;
            return Ok(());
        }
        What::Paid => "paid",
        What::Cancelled => "cancelled",
    };
    match status(transaction, order)?.as_deref() {
        None => Err(InvalidOrder::Unknown(order.clone()).into()),
        Some("placed") => {
            transaction.execute("UPDATE orders SET status = ?2 WHERE id = ?1", params![order, new_status])?;
            Ok(())
        }
        Some(closed) => Err(InvalidOrder::Closed(order.clone(), closed.to_owned()).into()),
    }
}

fn status(connection: &Connection, order: &str) -> rusqlite::Result<Option<String>> {
    let found = connection.query_row("SELECT status FROM orders WHERE id = ?1", [order], |row| row.get(0));
    found.optional()
}
