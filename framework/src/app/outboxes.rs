//! The outboxes of dead letters: one a cluster that a listener reads from.

use std::collections::HashMap;
use std::sync::Arc;

use crate::app::clients::Clients;
use crate::beans::{Admin, Beans};
use crate::config::model::ListenerSettings;
use crate::error::StartError;
use crate::policy::{DeadLetterPublisher, ErrorType, Outbox, Recover, RetryTopics};

/// Makes each outbox once.
pub(super) struct Outboxes<'a> {
    clients: &'a Clients,
    beans: &'a Beans,
    made: HashMap<Option<String>, Arc<Outbox>>,
}

impl<'a> Outboxes<'a> {
    pub(super) fn new(clients: &'a Clients, beans: &'a Beans) -> Self {
        Self { clients, beans, made: HashMap::new() }
    }

    /// Where one listener's dead letters go.
    pub(super) fn dead_letters(
        &mut self,
        settings: &ListenerSettings,
        types: &[ErrorType],
        retry_topics: Option<RetryTopics>,
    ) -> Result<Arc<dyn Recover>, StartError> {
        let outbox = self.outbox(settings.cluster.as_deref())?;
        Ok(Arc::new(DeadLetterPublisher::new(
            outbox,
            settings.group_id(),
            &settings.error,
            types,
            retry_topics,
        )))
    }

    /// A cluster's outbox.
    pub(super) fn outbox(&mut self, cluster: Option<&str>) -> Result<Arc<Outbox>, StartError> {
        if let Some(outbox) = self.made.get(&cluster.map(str::to_owned)) {
            return Ok(Arc::clone(outbox));
        }
        let admin = self.beans.named::<Admin>(cluster.unwrap_or_default())?;
        let outbox = Arc::new(Outbox::new(&self.clients.producer(cluster), admin));
        self.made.insert(cluster.map(str::to_owned), Arc::clone(&outbox));
        Ok(outbox)
    }
}
