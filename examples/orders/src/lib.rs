//! The events about orders, kept as orders in a database: those of one order in their order, different orders at once.
//!
//! - [`event`]: what comes in.
//! - [`repository`]: the database, where a record that comes twice changes nothing the second time.
//! - [`handlers`]: what happens to a record, and what to one that makes no sense.

pub mod event;
pub mod handlers;
pub mod repository;
