//! The outboxes of dead letters: one a cluster that a listener reads from.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tracing::warn;

use crate::app::clients::Clients;
use crate::beans::{Admin, Beans};
use crate::config::model::ListenerSettings;
use crate::error::StartError;
use crate::policy::{DeadLetterPublisher, ErrorType, Outbox, Recover, RetryTopics};

/// How long making topics may hold up the start.
const PATIENCE: Duration = Duration::from_secs(10);

/// A topic that is to be made where it is missing.
pub(super) struct Missing {
    pub(super) outbox: Arc<Outbox>,
    pub(super) name: Arc<str>,
    /// The topic that it is to be like.
    pub(super) model: String,
}

/// Makes topics, all at once. One that cannot be made now is made when the first record is to go there.
pub(super) async fn make(missing: Vec<Missing>) {
    join_all(missing.iter().map(async |Missing { outbox, name, model }| {
        match tokio::time::timeout(PATIENCE, outbox.partitions(name, Some(model))).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => warn!(topic = %name, %error, "a topic of failed records is not there yet"),
            Err(_) => {
                warn!(topic = %name, "a topic of failed records is not there yet: no answer within 10 s");
            }
        }
    }))
    .await;
}

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
