//! Every argument of a listener, and a type of the user's own.
#![deny(warnings)]

use kafka_boot::prelude::*;
use kafka_boot::{ExtractError, HeaderValue, ListenerArg, PlanContext, RecordView, StartError};

struct Trace;
impl HeaderValue for Trace {
    const NAME: &'static str = "trace";
}

struct Tenant;
impl ListenerArg for Tenant {
    type Plan = ();
    fn plan(_: &PlanContext<'_>) -> Result<(), StartError> {
        Ok(())
    }
    fn extract((): &(), _: &RecordView<'_>) -> Result<Self, ExtractError> {
        Ok(Self)
    }
}

#[derive(serde::Deserialize)]
struct Order {
    id: u64,
}

#[derive(serde::Deserialize, kafka_boot::ConfigProperties)]
#[config(prefix = "shop")]
struct Shop {
    name: String,
}

struct Repo;

#[kafka_listener(topic = "orders", group = "billing")]
async fn on_order(
    order: Json<Order>,
    key: Key<String>,
    trace: Header<Trace, u64>,
    headers: Headers,
    meta: RecordMeta,
    tenant: Tenant,
    repo: Bean<Repo>,
    shop: Config<Shop>,
) -> Result<()> {
    drop((order.0.id, key, *trace, headers, meta, tenant, repo, shop.name.len()));
    Ok(())
}

#[kafka_listener(topic = "orders", ack_mode = "manual")]
async fn on_optional(order: Payload<Option<String>>, ack: Ack) -> Result<()> {
    drop(order);
    ack.acknowledge();
    Ok(())
}

fn main() {
    assert_eq!(kafka_boot::listeners![on_order, on_optional].len(), 2);
}
