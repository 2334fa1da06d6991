//! The service. Its configuration is in `config/`.

use kafka_boot::prelude::*;

// A library that nobody names is not linked, and its handlers would not be found.
use {{crate}} as _;

#[kafka_boot::main]
async fn main(app: App) -> App {
    app
}
