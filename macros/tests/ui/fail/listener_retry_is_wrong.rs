use kafka_boot::prelude::*;

struct NoError;

#[kafka_listener(topic = "a", group = "g", attempts = 3, retry(attempts = 5, backof = "1s", jitter = 2))]
async fn several(_order: Payload<String>) {}

#[kafka_listener(topic = "a", group = "g", retry(backoff = "1s..10s times 2"))]
async fn backoff(_order: Payload<String>) {}

#[kafka_listener(topic = "a", group = "g", retry = 5)]
async fn no_group(_order: Payload<String>) {}

#[kafka_listener(topic = "a", group = "g", retry(on(NoError)))]
async fn no_error(_order: Payload<String>) {}

#[kafka_listener(topic = "a", group = "g", on_failure = "dead-leter", dead_letter(topic = "a b"))]
async fn dead_letter(_order: Payload<String>) {}

fn main() {}
