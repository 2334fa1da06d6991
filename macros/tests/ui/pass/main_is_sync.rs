//! `main` may be a plain function.
#![deny(warnings)]

/// The program.
#[kafka_boot::main]
fn main(app: kafka_boot::App) -> kafka_boot::App {
    app
}
