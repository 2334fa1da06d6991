//! Every key, with literals and with placeholders.
#![deny(warnings)]

use kafka_boot::prelude::*;

mod filters {
    pub(super) fn is_wanted(record: &kafka_boot::RecordView<'_>) -> bool {
        record.header("test").is_none()
    }
}

#[kafka_listener(
    topics = ["orders", "${refunds.topic}"],
    group = "billing",
    id = "shop.orders",
    commit = "async",
    ack_mode = "count-time",
    ack_count = 100,
    ack_time = "5s",
    concurrency = 3,
    max_poll_records = 500,
    ordering = "key",
    max_in_flight = 16,
    auto_startup = false,
    cluster = "east",
    client_id = "billing-1",
    auto_offset_reset = "earliest",
    isolation_level = "read-committed",
    group_instance_id = "billing-${HOSTNAME}",
    drain_timeout = "1m 30s",
    handler_timeout = "30s",
    rate_limit = 100,
    on_failure = "dead-letter",
    retry(
        attempts = 3,
        backoff = "100ms..10s x1.5",
        jitter = 0.2,
        on(std::io::Error, std::fmt::Error),
        not_on(std::num::ParseIntError),
        attempt_header = true,
    ),
    dead_letter(topic = "failed", suffix = "-dlt", routes("-invalid" = "Error"), partition = "key", create_topic = false),
    filter = filters::is_wanted,
    properties("fetch.min.bytes" = "1", "client.rack" = "${rack:a}"),
)]
async fn literals(order: Payload<String>) {
    drop(order);
}

#[kafka_listener(
    topics("a", "b"),
    commit = "${commit}",
    ack_mode = "${mode}",
    ack_count = "${count}",
    concurrency = "${n:3}",
    auto_startup = "${up:true}",
    drain_timeout = "${drain}",
    attempts = 2,
    retry(backoff = "1s", jitter = "${jitter:0.1}"),
    dead_letter(topic = "${dead}")
)]
async fn placeholders(order: Payload<String>) {
    drop(order);
}

#[kafka_listener(
    partitions("orders" = "0-5, 7@beginning"),
    handler_timeout = "${timeout:0}",
    rate_limit = "${rate:100}",
    retry_topics(attempts = 4, backoff = "1s..1m x5", jitter = 0.1, suffix = "-retry", timeout = "1h")
)]
async fn assigned() {}

#[kafka_listener(pattern = "orders-(eu|us)\\..*", filter = filters::is_wanted)]
async fn pattern() {}

#[scheduled(cron = "0 0 9-17 * * MON-FRI", zone = "Europe/Berlin", id = "office-hours", enabled = "${on}")]
async fn office_hours() {}

#[scheduled(fixed_rate = "${rate}", initial_delay = 0)]
async fn rate() {}

fn main() {
    let [orders, others, by_pattern, by_hand] = kafka_boot::listeners![literals, placeholders, pattern, assigned] else {
        panic!()
    };
    assert_eq!(orders.id, "shop.orders");
    assert_eq!(orders.attributes.len(), 34);
    assert_eq!(orders.error_types.len(), 3);
    assert!((orders.error_types[1].is)(&std::fmt::Error) && !(orders.error_types[0].is)(&std::fmt::Error));
    assert_eq!(others.id, "placeholders");
    assert_eq!(by_pattern.attributes[0].key, "topic-pattern");
    assert_eq!(by_hand.attributes[0].key, "partitions");
    assert_eq!(kafka_boot::jobs![office_hours, rate][0].id, "office-hours");
}
