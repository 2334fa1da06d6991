//! Keeps orders in a database, as the events about them come in.
//!
//! Its configuration is in `config/`. Without a broker it brings its own; with `KAFKA_BOOTSTRAP_SERVERS=host:port` it runs
//! on that cluster.

use kafka_boot::prelude::*;
// A library that nobody names is not linked, and its handlers would not be found.
use orders as _;

#[kafka_boot::main]
async fn main(app: App) -> App {
    app
}
