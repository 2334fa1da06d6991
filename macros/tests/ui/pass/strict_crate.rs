//! Generated code adds no warning to a crate that denies all of them.
#![deny(warnings, missing_docs, unreachable_pub, missing_debug_implementations, non_camel_case_types)]
#![deny(unused, rust_2018_idioms, unused_qualifications, let_underscore_drop)]
#![deny(clippy::all, clippy::pedantic)]
#![forbid(unsafe_code)]

use kafka_boot::prelude::*;

/// A documented listener.
///
/// # Errors
///
/// Never.
#[kafka_listener(topic = "orders", group = "billing", commit = "sync")]
pub async fn on_order(order: Payload<String>) -> Result<()> {
    drop(order);
    Ok(())
}

#[kafka_listener(topic = "orders")]
fn on_order_blocking(order: Record<String>) {
    info!(length = order.value().len(), "an order");
}

#[scheduled(fixed_delay = 1000)]
async fn sweep() {}

#[bean]
fn repo() -> Repo {
    Repo
}

/// A documented bean.
#[derive(Debug)]
pub struct Repo;

/// A documented section.
#[derive(Debug, serde::Deserialize, ConfigProperties)]
#[config(prefix = "shop.repo")]
pub struct RepoSettings {
    /// Where it is.
    pub url: String,
}

mod program {
    use kafka_boot::prelude::*;

    #[kafka_boot::main]
    async fn main(app: App) -> App {
        app
    }

    pub(super) const MAIN: fn() -> std::process::ExitCode = main;
}

fn main() {
    // It would run for ever, with a broker: that it compiles is what is asked here.
    let _main = program::MAIN;
}
