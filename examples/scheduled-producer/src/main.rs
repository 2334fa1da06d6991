//! The smallest useful service: a scheduled function sends a record every second, and a listener handles it.
//!
//! Its configuration is `config/application.yml` of this repository. Without a broker it brings its own; with
//! `KAFKA_BOOTSTRAP_SERVERS=host:port` it runs on that cluster.

use kafka_boot::prelude::*;
// A library that nobody names is not linked, and its handlers would not be found.
use scheduled_producer as _;

#[kafka_boot::main]
async fn main(app: App) -> App {
    app
}
