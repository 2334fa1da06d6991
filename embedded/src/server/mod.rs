//! The task that everything else belongs to: it runs the brokers, stops and starts them when told to, and keeps the
//! state tidy. All that is spawned ends with it.

mod connection;
mod node;

#[cfg(feature = "fuzz")]
pub(crate) use connection::answer_requests;

use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::messages::BrokerId;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{MissedTickBehavior, interval};

use crate::control::ControlError;
use crate::state::State;
use crate::wire::frame::{FrameBudget, FrameLimits};
use node::{Node, Shared};

/// How often is looked for records that are no longer retained, and transactions that have been open for too long.
const HOUSEKEEPING: Duration = Duration::from_secs(1);

/// As many of the longest requests may be in memory at once.
const LONGEST_REQUESTS_AT_ONCE: usize = 4;

/// What clients may cost.
#[derive(Debug, Clone)]
pub(crate) struct ServerLimits {
    pub(crate) max_connections: usize,
    pub(crate) frame: FrameLimits,
}

/// What a test has the server do, and where it is told how that went.
#[derive(Debug)]
pub(crate) struct Command {
    pub(crate) broker: BrokerId,
    pub(crate) action: BrokerAction,
    pub(crate) done: oneshot::Sender<Result<(), ControlError>>,
}

/// What is to be done with a broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BrokerAction {
    Stop,
    Start,
}

/// Serves until told to stop, and then closes every connection.
pub(crate) async fn serve(
    listeners: Vec<(BrokerId, TcpListener)>,
    state: Arc<State>,
    limits: ServerLimits,
    mut commands: mpsc::Receiver<Command>,
    mut stop: oneshot::Receiver<()>,
) {
    // Whoever waits for a request hears that none will come.
    let _ended = EndsRecord(Arc::clone(&state));
    let budget = FrameBudget::new(limits.frame.max_bytes.saturating_mul(LONGEST_REQUESTS_AT_ONCE));
    let shared = Shared { state: Arc::clone(&state), limits, budget };
    let mut nodes: Vec<Node> =
        listeners.into_iter().map(|(id, listener)| Node::start(id, listener, &shared)).collect();
    let mut housekeeping = interval(HOUSEKEEPING);
    housekeeping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let clock_state = Arc::clone(&state);
    let clock = clock_state.groups.run_clock();
    tokio::pin!(clock);
    loop {
        tokio::select! {
            _ = &mut stop => break,
            () = &mut clock => {}
            _ = housekeeping.tick() => state.tidy_up(),
            Some(command) = commands.recv() => {
                let outcome = match nodes.iter_mut().find(|node| node.id() == command.broker) {
                    None => Err(ControlError::unknown_broker(command.broker.0)),
                    Some(node) => act(node, command.action, &shared).await,
                };
                // Whoever no longer waits for it need not hear it.
                let _ = command.done.send(outcome);
            }
        }
    }
    for node in &mut nodes {
        node.stop().await;
    }
}

async fn act(node: &mut Node, action: BrokerAction, shared: &Shared) -> Result<(), ControlError> {
    match action {
        BrokerAction::Stop => {
            // First the connections, so that nothing is answered in the old epoch after the new one has begun.
            node.stop().await;
            node.keep_port();
            shared.state.broker_stopped(node.id());
        }
        BrokerAction::Start => {
            node.start_again(shared)?;
            shared.state.broker_started(node.id());
        }
    }
    Ok(())
}

struct EndsRecord(Arc<State>);

impl Drop for EndsRecord {
    fn drop(&mut self) {
        self.0.controls.record.close();
    }
}
