//! The broker behind `kafka.bootstrap-servers: embedded`: a Kafka broker in this process, for development and tests.
//!
//! It is reached over TCP like any other broker, and runs on a thread of its own, so that a handler that blocks the
//! application's workers does not silence the broker as well.

use std::thread::{self, JoinHandle};

use kafka_boot_embedded::{EmbeddedBroker, EmbeddedBrokerBuilder, StartError as BrokerError};
use tokio::runtime::Builder;
use tokio::sync::oneshot;
use tracing::{error, info};

use crate::config::model::EmbeddedProperties;
use crate::error::{StartError, StartErrorKind};

/// A running embedded broker. Dropping it stops the broker and waits for that.
#[derive(Debug)]
pub(crate) struct Embedded {
    bootstrap_servers: String,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Embedded {
    /// Starts the broker; clients may connect when this returns.
    pub(crate) async fn start(properties: &EmbeddedProperties) -> Result<Self, StartError> {
        let failed = || StartError::new(StartErrorKind::Kafka, "the embedded broker did not start");
        let (stop, stopped) = oneshot::channel();
        let (tell, started) = oneshot::channel();
        let builder = builder(properties);
        let thread = thread::Builder::new()
            .name("embedded-broker".to_owned())
            .spawn(move || run(builder, tell, stopped))
            .map_err(|error| failed().with_source(error))?;
        let bootstrap_servers = match started.await {
            Ok(Ok(bootstrap_servers)) => bootstrap_servers,
            Ok(Err(error)) => return Err(failed().with_source(error)),
            Err(_) => return Err(failed()),
        };
        info!(%bootstrap_servers, brokers = properties.brokers, "embedded broker started: for development and tests");
        Ok(Self { bootstrap_servers, stop: Some(stop), thread: Some(thread) })
    }

    pub(crate) fn bootstrap_servers(&self) -> &str {
        &self.bootstrap_servers
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        // The other end is gone only if the broker has ended already.
        drop(self.stop.take());
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            error!("the embedded broker ended in a panic");
        }
    }
}

fn builder(properties: &EmbeddedProperties) -> EmbeddedBrokerBuilder {
    let builder = EmbeddedBroker::builder()
        .brokers(properties.brokers)
        .port(properties.port)
        .partitions(i32::try_from(properties.partitions).unwrap_or(i32::MAX));
    match properties.data_directory.as_deref().filter(|directory| !directory.is_empty()) {
        // The application's listeners are members of the groups, and end with this process.
        Some(directory) => builder.data_directory(directory).forget_members(),
        None => builder,
    }
}

/// The life of the broker's thread.
fn run(
    builder: EmbeddedBrokerBuilder,
    tell: oneshot::Sender<Result<String, BrokerError>>,
    stopped: oneshot::Receiver<()>,
) {
    let runtime = match Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        // Nobody hears a reason, and whoever waits is told that there is no broker.
        Err(error) => return error!(%error, "the embedded broker has no runtime"),
    };
    runtime.block_on(async {
        match builder.start().await {
            Ok(broker) => {
                let told = tell.send(Ok(broker.bootstrap_servers().to_owned()));
                if told.is_ok() {
                    // An error is the handle's drop, which is how the broker is told to stop.
                    let _ = stopped.await;
                }
                broker.shutdown().await;
            }
            // Whoever has given up waiting needs no reason.
            Err(error) => drop(tell.send(Err(error))),
        }
    });
}
