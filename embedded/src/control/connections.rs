//! The open connections, so that a test can cut them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kafka_protocol::messages::BrokerId;
use tokio::sync::Notify;

/// All connections that are open.
#[derive(Debug, Default)]
pub(crate) struct Connections(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    open: HashMap<u64, Open>,
    last: u64,
}

#[derive(Debug)]
struct Open {
    broker: BrokerId,
    client_id: String,
    cut: Arc<Notify>,
}

/// A connection's entry, which goes with it.
#[derive(Debug)]
pub(crate) struct Line<'a> {
    connections: &'a Connections,
    number: u64,
    cut: Arc<Notify>,
}

impl Connections {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn open(&self, broker: BrokerId) -> Line<'_> {
        let cut = Arc::new(Notify::new());
        let mut table = self.table();
        table.last += 1;
        let number = table.last;
        table.open.insert(number, Open { broker, client_id: String::new(), cut: Arc::clone(&cut) });
        Line { connections: self, number, cut }
    }

    /// Cuts those that are of a broker and of a client, where these are given, and says how many.
    pub(super) fn cut(&self, broker: Option<BrokerId>, client_id: Option<&str>) -> usize {
        let table = self.table();
        let matches = |open: &&Open| {
            broker.is_none_or(|broker| open.broker == broker)
                && client_id.is_none_or(|client_id| open.client_id == client_id)
        };
        table.open.values().filter(matches).map(|open| open.cut.notify_one()).count()
    }
}

impl Line<'_> {
    /// Ends when the connection is to be cut.
    pub(crate) async fn cut(&self) {
        self.cut.notified().await;
    }

    /// Says which client's it is.
    pub(crate) fn is_of(&self, client_id: &str) {
        if let Some(open) = self.connections.table().open.get_mut(&self.number) {
            client_id.clone_into(&mut open.client_id);
        }
    }
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        self.connections.table().open.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn connections_are_cut_by_broker_and_client_while_they_are_open() {
        let connections = Connections::default();
        let lines: Vec<Line<'_>> = [(1, "a"), (1, "b"), (2, "a")]
            .into_iter()
            .map(|(broker, client_id)| {
                let line = connections.open(BrokerId(broker));
                line.is_of(client_id);
                line
            })
            .collect();
        assert_eq!(connections.cut(Some(BrokerId(1)), Some("b")), 1);
        lines[1].cut().await;
        assert_eq!(connections.cut(Some(BrokerId(1)), None), 2);
        assert_eq!(connections.cut(None, Some("a")), 2);
        drop(lines);
        assert_eq!(connections.cut(None, None), 0);
    }
}
