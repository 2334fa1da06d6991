//! The topic of dead letters: slow, and now and then it takes none.

use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use kafka_boot_client::ErrorCode;

use super::cluster::{Cluster, error};
use super::ledger::Epoch;
use crate::policy::{Fault, HandOver, Recover, RecoverError};

const TOPIC: &str = "t-dlt";

pub(super) struct Letters(Cluster);

impl Letters {
    pub(super) fn new(cluster: Cluster) -> Self {
        Self(cluster)
    }
}

impl fmt::Debug for Letters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Letters")
    }
}

impl Recover for Letters {
    fn route(&self, _: &Fault) -> Option<Arc<str>> {
        None
    }

    fn target(&self, _: &HandOver) -> String {
        TOPIC.to_owned()
    }

    fn hand_over(&self, record: HandOver) -> BoxFuture<'static, Result<String, RecoverError>> {
        let cluster = self.0.clone();
        Box::pin(async move {
            let payload = record.stored().payload().and_then(|payload| payload.try_into().ok());
            let (epoch, offset) = (Epoch::from_be_bytes(payload.unwrap_or_default()), record.offset());
            let (takes, is_refused) = {
                let mut world = cluster.world();
                let takes = if world.dice.chance(80) {
                    world.dice.millis(0, 20)
                } else {
                    world.dice.millis(20, 3000)
                };
                let is_out = world.outage_until > world.now();
                let is_refused = world.plan.faults.letter && !world.is_calm && world.dice.chance(40);
                (takes, is_out || is_refused)
            };
            tokio::time::sleep(takes).await;
            let is_crashed = cluster.world().ledger.is_crashed(epoch);
            if is_crashed {
                return std::future::pending().await;
            }
            if is_refused {
                let error = error(ErrorCode::TOPIC_AUTHORIZATION_FAILED);
                return Err(RecoverError { topic: TOPIC.to_owned(), error });
            }
            let mut world = cluster.world();
            let now = world.now();
            world.ledger.lettered(now, epoch, offset);
            Ok(format!("{TOPIC}-0@0"))
        })
    }
}
