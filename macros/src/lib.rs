//! The attributes of kafka-boot. Use them through the `kafka-boot` crate, which re-exports all of them.
//!
//! Each attribute keeps the function as it was written, so a unit test calls it like any other, and emits beside it a
//! descriptor that the application finds at start. A mistake is a compile error at its place, in plain words; all
//! mistakes of one attribute are reported at once. A string may hold placeholders, as in `"${orders.topic}"`, which are
//! resolved and checked at start; everything else is checked while it compiles.

mod app_main;
mod app_test;
mod bean;
mod config_properties;
mod context;
mod emit;
mod entries;
mod from_payload;
mod function;
mod listener;
mod scheduled;
mod text;
mod util;
mod values;

use proc_macro::TokenStream;

/// Makes a function a Kafka listener.
///
/// ```
/// use std::sync::Mutex;
///
/// use kafka_boot::prelude::*;
///
/// #[derive(serde::Deserialize)]
/// struct Order {
///     id: u64,
/// }
///
/// #[kafka_listener(topic = "orders", group = "billing", commit = "sync")]
/// async fn on_order(order: Json<Order>, seen: Bean<Mutex<Vec<u64>>>) -> Result<()> {
///     seen.lock().map_err(|_| "an earlier handler panicked")?.push(order.id);
///     Ok(())
/// }
/// ```
///
/// An `async fn` runs on the asynchronous workers, a plain `fn` on blocking threads. A function that takes `Batch<T>`
/// gets many records a call. It returns `()`, `Result<(), E>` with any error, or an `Outcome`; an error goes to the error pipeline.
///
/// Exactly one of `topic`, `topics`, `pattern` and `partitions` is required. Every other key is optional, and
/// `kafka.listeners.<id>.<key>` in the YAML file overrides it.
///
/// | key | takes | YAML key |
/// |---|---|---|
/// | `topic` | a topic | `topics` |
/// | `topics` | topics: `["orders", "refunds"]`, or `topics("orders", "refunds")` | `topics` |
/// | `pattern` | a regular expression over topics | `topic-pattern` |
/// | `partitions` | partitions, and where each starts: `partitions("orders" = "0-5, 7@beginning")` | `partitions` |
/// | `group` | the consumer group | `group-id` |
/// | `id` | the listener's id; default: the function's name | |
/// | `commit` | `auto`, `sync`, `async` or `manual`: how offsets are committed | `commit` |
/// | `ack_mode` | `record`, `batch`, `time`, `count`, `count-time`, `manual` or `manual-immediate`: when | `ack-mode` |
/// | `ack_count` | records between commits, with `count` and `count-time` | `ack-count` |
/// | `ack_time` | time between commits, with `time` and `count-time` | `ack-time` |
/// | `concurrency` | consumers, 1 to 1,024 | `concurrency` |
/// | `max_poll_records` | records a poll at most, 1 to 100,000 | `max-poll-records` |
/// | `ordering` | `partition`, `key`, `none`: which records wait for one another | `ordering` |
/// | `max_in_flight` | records in work at once, 1 to 1,000,000 | `max-in-flight` |
/// | `handler_timeout` | how long one attempt may take; `0` is as long as it likes | `handler-timeout` |
/// | `rate_limit` | records a second at most, 1 to 1,000,000,000 | `rate-limit` |
/// | `auto_startup` | whether it starts with the application | `auto-startup` |
/// | `cluster` | a name of `kafka.clusters` | `cluster` |
/// | `client_id` | the client's id | `client-id` |
/// | `auto_offset_reset` | `earliest`, `latest` or `none` | `auto-offset-reset` |
/// | `isolation_level` | `read-committed` or `read-uncommitted` | `isolation-level` |
/// | `group_instance_id` | the id of a static group member | `group-instance-id` |
/// | `drain_timeout` | how long a rebalance waits for records in work | `drain-timeout` |
/// | `attempts` | attempts in place, 1 to 1,000,000 | `error.attempts` |
/// | `on_failure` | `dead-letter`, `stop` or `skip`: what follows the last attempt | `error.then` |
/// | `retry` | `retry(attempts = 5, backoff = "100ms..10s x2", jitter = 0.2, on(Type), not_on(Type), attempt_header = true)` | `error` |
/// | `retry_topics` | `retry_topics(attempts = 4, backoff = "1s..1m x5", jitter = 0.1, suffix = "-retry", naming = "delay", same_interval = "single", timeout = "1h", create_topics = true, concurrency = 1)` | `error.retry-topics` |
/// | `dead_letter` | `dead_letter(topic = "failed", suffix = "-dlt", routes("-invalid" = "ValidationError"), partition = "same", create_topic = true)` | `error.dead-letter` |
/// | `filter` | a function `fn(&RecordView<'_>) -> bool`: records that it refuses are done without a call | |
/// | `properties` | librdkafka's own settings: `properties("fetch.min.bytes" = "1")` | `properties` |
///
/// A duration is milliseconds as an integer, or a string with a unit: `"500ms"`, `"5s"`, `"1m 30s"`. An
/// integer or a switch also takes a placeholder: `concurrency = "${orders.concurrency}"`.
///
/// # Errors
///
/// It does not compile when a key is unknown, given twice or has a wrong value; when keys contradict each other or the
/// arguments (`ack_mode = "manual"` without an `Ack`); when the function is generic, borrows, is a method, or takes
/// something that is no argument.
#[proc_macro_attribute]
pub fn kafka_listener(attribute: TokenStream, item: TokenStream) -> TokenStream {
    listener::listener(attribute.into(), &item.into()).into()
}

/// Makes a function the listener of another listener's dead letters.
///
/// ```
/// use kafka_boot::prelude::*;
///
/// #[kafka_listener(topic = "orders", group = "billing")]
/// async fn on_order(order: Json<u64>) -> Result<()> {
///     info!(order = order.0, "an order");
///     Ok(())
/// }
///
/// #[dead_letter_listener(for = "on_order")]
/// async fn on_dead_order(order: Record<String>) {
///     warn!(%order, "nobody could handle this");
/// }
/// ```
///
/// It reads all dead-letter topics of the listener whose id `for` names, in that one's cluster, in the group of the same
/// name with the suffix of the topics (`billing-dlt`). The topics are created before it starts. A letter that it fails on
/// is skipped after its attempts, and stays in its topic; `on_failure` says otherwise.
///
/// Its other keys are those of [`macro@kafka_listener`], without `topic`, `topics`, `pattern`, `partitions` and `cluster`.
///
/// # Errors
///
/// It does not compile as [`macro@kafka_listener`] does not, and without `for`. It does not start where there is no listener of
/// that id, or where that one listens to a pattern and its dead letters have no `topic` of their own.
#[proc_macro_attribute]
pub fn dead_letter_listener(attribute: TokenStream, item: TokenStream) -> TokenStream {
    listener::dead_letter_listener(attribute.into(), &item.into()).into()
}

/// Sends what a listener returns, below its [`macro@kafka_listener`].
///
/// ```
/// use kafka_boot::prelude::*;
///
/// #[kafka_listener(topic = "orders", group = "pricing")]
/// #[send_to("prices")]
/// async fn price(order: Payload<String>) -> Result<String> {
///     Ok(format!("{}: 12.50", order.0))
/// }
/// ```
///
/// The function returns a text, bytes, `Json<T>` or a `Reply`, an `Option` of one of these, where `None` sends nothing, a `Vec` of them, or a
/// `Result` with any of it. A reply has the key of the record, and its `kafka_correlationId`; the record counts as done only
/// after the broker has every reply. A reply that cannot be sent is a failed attempt like any other.
///
/// Without a topic, as `#[send_to]`, a reply goes where the record's header `kafka_replyTopic` says. `kafka.listeners.<id>.send-to`
/// names the topic, too.
///
/// # Errors
///
/// It does not compile without a [`macro@kafka_listener`] or [`macro@dead_letter_listener`], on a function that returns nothing, or with a `Batch`.
#[proc_macro_attribute]
pub fn send_to(attribute: TokenStream, item: TokenStream) -> TokenStream {
    listener::send_to(&attribute.into(), &item.into()).into()
}

/// Runs a function on a schedule.
///
/// ```
/// use std::sync::atomic::{AtomicU64, Ordering};
///
/// use kafka_boot::prelude::*;
///
/// #[scheduled(fixed_delay = 1000)]
/// async fn heartbeat(beats: Bean<AtomicU64>) {
///     beats.fetch_add(1, Ordering::Relaxed);
/// }
///
/// #[scheduled(cron = "0 0 6 * * MON-FRI", zone = "Europe/Berlin")]
/// fn report() -> Result<()> {
///     std::fs::write("report.txt", "all is well")?;
///     Ok(())
/// }
/// ```
///
/// An `async fn` runs on the asynchronous workers, a plain `fn` on blocking threads. Arguments are `Bean<T>` and
/// `Config<T>`. It returns `()` or `Result<(), E>` with any error, which is logged and counted.
///
/// Exactly one of the first three keys is required.
///
/// | key | takes |
/// |---|---|
/// | `fixed_delay` | the time from the end of a run to the start of the next, above zero |
/// | `fixed_rate` | the time from start to start, above zero |
/// | `cron` | six fields: second, minute, hour, day of the month, month, weekday; or `@hourly` and its like |
/// | `zone` | the time zone of `cron`, as in `Europe/Berlin` |
/// | `initial_delay` | the time before the first run; not with `cron` |
/// | `id` | the job's id; default: the function's name |
/// | `enabled` | whether it runs at all; default `true` |
///
/// A duration is milliseconds as an integer, or a string with a unit: `"500ms"`, `"5s"`, `"1m 30s"`. Any
/// value but the id may be a placeholder.
///
/// # Errors
///
/// It does not compile when a key is unknown, given twice or has a wrong value, when there is no schedule or more than
/// one, or when an argument would need a record.
#[proc_macro_attribute]
pub fn scheduled(attribute: TokenStream, item: TokenStream) -> TokenStream {
    scheduled::scheduled(attribute.into(), &item.into()).into()
}

/// Makes what a function returns a bean, that is, a value that other functions take as `Bean<T>`.
///
/// ```
/// use std::net::{SocketAddr, UdpSocket};
///
/// use kafka_boot::prelude::*;
///
/// #[bean]
/// fn address() -> SocketAddr {
///     SocketAddr::from(([127, 0, 0, 1], 0))
/// }
///
/// #[bean]
/// async fn socket(address: Bean<SocketAddr>) -> Result<UdpSocket> {
///     Ok(UdpSocket::bind(*address)?)
/// }
/// ```
///
/// It runs once, at start, after the beans that it takes. It returns the bean, or `Result<bean, E>` with any error,
/// which keeps the application from starting. `#[bean(name = "east")]` names it, where a type has several.
///
/// # Errors
///
/// It does not compile when an argument is neither `Bean<T>` nor `Config<T>`, or when it returns nothing.
#[proc_macro_attribute]
pub fn bean(attribute: TokenStream, item: TokenStream) -> TokenStream {
    bean::bean(attribute.into(), &item.into()).into()
}

/// Binds a struct to a section of the configuration, so that functions take it as `Config<T>`.
///
/// ```
/// use kafka_boot::ConfigProperties;
///
/// #[derive(serde::Deserialize, ConfigProperties)]
/// #[serde(rename_all = "kebab-case")]
/// #[config(prefix = "shop.repo")]
/// struct RepoSettings {
///     url: String,
/// }
/// assert_eq!(RepoSettings::PREFIX, "shop.repo");
/// ```
///
/// The prefix is kebab-case words joined by dots. Serde reads the fields, so derive `Deserialize` as well.
///
/// # Errors
///
/// It does not compile without a prefix, with one that is not kebab case, on an enum, or on a generic struct.
#[proc_macro_derive(ConfigProperties, attributes(config))]
pub fn config_properties(input: TokenStream) -> TokenStream {
    config_properties::config_properties(input.into()).into()
}

/// Lets a header, or the topic, choose which variant of an enum a record is.
///
/// ```
/// use kafka_boot::FromPayload;
/// use kafka_boot::prelude::*;
///
/// #[derive(serde::Deserialize)]
/// struct Created {
///     id: u64,
/// }
///
/// #[derive(FromPayload)]
/// #[payload(header = "type")] // or `#[payload(topic)]`
/// enum OrderEvent {
///     #[payload("order-created", "com.acme.OrderCreated")]
///     Created(Json<Created>),
///     /// Without a name of its own it is that of the variant: `Cancelled`.
///     Cancelled,
///     #[payload(other)]
///     Other(Option<Vec<u8>>),
/// }
///
/// #[kafka_listener(topic = "orders", group = "billing")]
/// async fn on_event(event: Payload<OrderEvent>) {
///     match event.0 {
///         OrderEvent::Created(created) => info!(id = created.id, "created"),
///         OrderEvent::Cancelled => info!("cancelled"),
///         OrderEvent::Other(bytes) => warn!(?bytes, "something else"),
///     }
/// }
/// ```
///
/// A variant holds one payload, of any type that implements `FromPayload`, or nothing. A record that no variant stands
/// for, and for which there is no `other`, cannot be read, which the error policy decides about.
///
/// # Errors
///
/// It does not compile without a header or `topic`, on anything but an enum, on a generic one, when a name stands for two
/// variants, or when a variant holds more than one value.
#[proc_macro_derive(FromPayload, attributes(payload))]
pub fn from_payload(input: TokenStream) -> TokenStream {
    from_payload::from_payload(input.into()).into()
}

/// Runs the application that `main` returns, and exits with its code.
///
/// ```no_run
/// use kafka_boot::prelude::*;
///
/// #[kafka_boot::main]
/// async fn main(app: App) -> App {
///     app
/// }
/// ```
///
/// It may return `Result<App>` as well, and may be a plain `fn`. The runtime is made by the framework.
///
/// # Errors
///
/// It does not compile on another function, or when `main` does not take and return the application.
#[proc_macro_attribute]
pub fn main(attribute: TokenStream, item: TokenStream) -> TokenStream {
    app_main::app_main(&attribute.into(), &item.into()).into()
}

/// Makes an `async fn` a test with an application and a broker of its own.
///
/// ```
/// use kafka_boot::prelude::*;
///
/// #[kafka_listener(topic = "orders", group = "billing")]
/// async fn on_order(order: Record<String>, kafka: Bean<KafkaTemplate>) -> Result<()> {
///     kafka.send("invoices", order.into_value()).await?;
///     Ok(())
/// }
///
/// #[kafka_boot::test(timeout = "30s")]
/// async fn an_order_becomes_an_invoice(app: TestApp) {
///     app.send("orders", "12 pears").await;
///     app.settled().await;
///     assert_eq!(app.records("invoices").await.len(), 1);
/// }
/// ```
///
/// The application has every handler and bean function of the test's program, and the configuration of its crate, with
/// the profile `test` if there is such a file. It runs on an embedded broker, or, when `KAFKA_BOOTSTRAP_SERVERS` is set, on
/// that one. The test may return `Result<(), E>` with any error. When it fails, the application's log is shown.
///
/// | key | takes |
/// |---|---|
/// | `listeners`, `jobs`, `bean_functions` | the only ones to use: `listeners(consume)` |
/// | `without_discovery` | nothing is used but what is named |
/// | `beans` | values in the place of beans: `beans(Mutex::new(0), "east" = FakeRepo::default())` |
/// | `properties` | keys of the configuration, over everything else: `properties("kafka.admin.request-timeout" = "1s")` |
/// | `config` | a YAML document over the files |
/// | `directory` | where the configuration's files are, relative to the crate: `directory = "../.."` |
/// | `profile` | the profiles that are on |
/// | `topics` | topics that must exist before the listeners start |
/// | `timeout` | how long each wait may take; default `10s` |
/// | `limit` | how long the whole test may take; default `60s` |
/// | `scheduling` | jobs run by their clock, which they otherwise do not |
/// | `show_log` | the log is shown when the test succeeds, too |
///
/// # Errors
///
/// It does not compile on anything but an `async fn` that takes a `TestApp`, or when a key is unknown, given twice or has
/// a wrong value.
#[proc_macro_attribute]
pub fn test(attribute: TokenStream, item: TokenStream) -> TokenStream {
    app_test::app_test(attribute.into(), &item.into()).into()
}
