//! The keys of `#[kafka_listener]`, and the function under it.

use proc_macro2::TokenStream;

use crate::context::Context;
use crate::entries::{Entries, Key};
use crate::function::Function;
use crate::listener::send_to;
use crate::values::Kind;

const ATTRIBUTE: &str = "kafka_listener";
const OF_DEAD_LETTERS: &str = "dead_letter_listener";
/// What a listener of dead letters takes from the listener whose they are.
const INHERITED: [&str; 5] = ["topic", "topics", "pattern", "partitions", "cluster"];

/// The key of `#[dead_letter_listener]` that `#[kafka_listener]` has not.
const FOR: Key = Key { name: "for", yaml: "for", kind: Kind::Name, example: "for = \"orders\"" };

/// Every key; the order is that of messages.
const KEYS: &[Key] = &[
    Key { name: "topic", yaml: "topics", kind: Kind::Topic, example: "topic = \"orders\"" },
    Key { name: "topics", yaml: "topics", kind: Kind::Topics, example: "topics = [\"orders\", \"refunds\"]" },
    Key { name: "pattern", yaml: "topic-pattern", kind: Kind::Pattern, example: "pattern = \"orders-.*\"" },
    Key {
        name: "partitions",
        yaml: "partitions",
        kind: Kind::Partitions,
        example: "partitions(\"orders\" = \"0-5, 7@beginning\")",
    },
    Key { name: "group", yaml: "group-id", kind: Kind::Text, example: "group = \"billing\"" },
    Key { name: "id", yaml: "id", kind: Kind::Name, example: "id = \"orders\"" },
    Key {
        name: "commit",
        yaml: "commit",
        kind: Kind::OneOf(&["auto", "sync", "async", "manual", "transaction"]),
        example: "commit = \"sync\"",
    },
    Key {
        name: "ack_mode",
        yaml: "ack-mode",
        kind: Kind::OneOf(&["record", "batch", "time", "count", "count-time", "manual", "manual-immediate"]),
        example: "ack_mode = \"batch\"",
    },
    Key {
        name: "ack_count",
        yaml: "ack-count",
        kind: Kind::Count { max: 4_294_967_295 },
        example: "ack_count = 100",
    },
    Key {
        name: "ack_time",
        yaml: "ack-time",
        kind: Kind::Duration { zero: false },
        example: "ack_time = \"5s\"",
    },
    Key {
        name: "concurrency",
        yaml: "concurrency",
        kind: Kind::Count { max: 1_024 },
        example: "concurrency = 3",
    },
    Key {
        name: "max_poll_records",
        yaml: "max-poll-records",
        kind: Kind::Count { max: 100_000 },
        example: "max_poll_records = 500",
    },
    Key {
        name: "ordering",
        yaml: "ordering",
        kind: Kind::OneOf(&["partition", "key", "none"]),
        example: "ordering = \"key\"",
    },
    Key {
        name: "max_in_flight",
        yaml: "max-in-flight",
        kind: Kind::Count { max: 1_000_000 },
        example: "max_in_flight = 16",
    },
    Key {
        name: "handler_timeout",
        yaml: "handler-timeout",
        kind: Kind::Duration { zero: true },
        example: "handler_timeout = \"30s\"",
    },
    Key {
        name: "rate_limit",
        yaml: "rate-limit",
        kind: Kind::Count { max: 1_000_000_000 },
        example: "rate_limit = 100",
    },
    Key { name: "auto_startup", yaml: "auto-startup", kind: Kind::Switch, example: "auto_startup = false" },
    Key { name: "cluster", yaml: "cluster", kind: Kind::Text, example: "cluster = \"east\"" },
    Key { name: "client_id", yaml: "client-id", kind: Kind::Text, example: "client_id = \"billing-1\"" },
    Key {
        name: "auto_offset_reset",
        yaml: "auto-offset-reset",
        kind: Kind::OneOf(&["earliest", "latest", "none"]),
        example: "auto_offset_reset = \"earliest\"",
    },
    Key {
        name: "isolation_level",
        yaml: "isolation-level",
        kind: Kind::OneOf(&["read-committed", "read-uncommitted"]),
        example: "isolation_level = \"read-committed\"",
    },
    Key {
        name: "group_instance_id",
        yaml: "group-instance-id",
        kind: Kind::Text,
        example: "group_instance_id = \"billing-a\"",
    },
    Key {
        name: "drain_timeout",
        yaml: "drain-timeout",
        kind: Kind::Duration { zero: true },
        example: "drain_timeout = \"10s\"",
    },
    Key {
        name: "attempts",
        yaml: "error.attempts",
        kind: Kind::Count { max: 1_000_000 },
        example: "attempts = 3",
    },
    Key {
        name: "on_failure",
        yaml: "error.then",
        kind: Kind::OneOf(&["dead-letter", "stop", "skip"]),
        example: "on_failure = \"dead-letter\"",
    },
    Key {
        name: "retry",
        yaml: "error",
        kind: Kind::Group(RETRY),
        example: "retry(attempts = 5, backoff = \"100ms..10s x2\")",
    },
    Key {
        name: "retry_topics",
        yaml: "error.retry-topics",
        kind: Kind::Group(RETRY_TOPICS),
        example: "retry_topics(attempts = 4, backoff = \"1s..1m x5\")",
    },
    Key {
        name: "dead_letter",
        yaml: "error.dead-letter",
        kind: Kind::Group(DEAD_LETTER),
        example: "dead_letter(topic = \"failed-orders\")",
    },
    Key { name: "send_to", yaml: "send-to", kind: Kind::TopicName, example: "send_to = \"invoices\"" },
    Key { name: "filter", yaml: "filter", kind: Kind::Function, example: "filter = is_wanted" },
    Key {
        name: "properties",
        yaml: "properties",
        kind: Kind::Properties,
        example: "properties(\"fetch.min.bytes\" = \"1\")",
    },
];

/// The keys of `retry(…)`.
const RETRY: &[Key] = &[
    Key {
        name: "attempts",
        yaml: "error.attempts",
        kind: Kind::Count { max: 1_000_000 },
        example: "attempts = 5",
    },
    Key {
        name: "backoff",
        yaml: "error.backoff",
        kind: Kind::Backoff,
        example: "backoff = \"100ms..10s x2\"",
    },
    Key { name: "jitter", yaml: "error.backoff.jitter", kind: Kind::Fraction, example: "jitter = 0.2" },
    Key { name: "on", yaml: "error.retry-on", kind: Kind::Types, example: "on(std::io::Error)" },
    Key {
        name: "not_on",
        yaml: "error.retry-not-on",
        kind: Kind::Types,
        example: "not_on(std::num::ParseIntError)",
    },
    Key {
        name: "attempt_header",
        yaml: "error.delivery-attempt-header",
        kind: Kind::Switch,
        example: "attempt_header = true",
    },
];

/// The keys of `retry_topics(…)`.
const RETRY_TOPICS: &[Key] = &[
    Key {
        name: "attempts",
        yaml: "error.retry-topics.attempts",
        kind: Kind::Count { max: 100 },
        example: "attempts = 4",
    },
    Key {
        name: "backoff",
        yaml: "error.retry-topics.backoff",
        kind: Kind::Backoff,
        example: "backoff = \"1s..1m x5\"",
    },
    Key {
        name: "jitter",
        yaml: "error.retry-topics.backoff.jitter",
        kind: Kind::Fraction,
        example: "jitter = 0.1",
    },
    Key {
        name: "suffix",
        yaml: "error.retry-topics.suffix",
        kind: Kind::TopicName,
        example: "suffix = \"-retry\"",
    },
    Key {
        name: "naming",
        yaml: "error.retry-topics.naming",
        kind: Kind::OneOf(&["delay", "index"]),
        example: "naming = \"index\"",
    },
    Key {
        name: "same_interval",
        yaml: "error.retry-topics.same-interval",
        kind: Kind::OneOf(&["single", "multiple"]),
        example: "same_interval = \"multiple\"",
    },
    Key {
        name: "timeout",
        yaml: "error.retry-topics.timeout",
        kind: Kind::Duration { zero: true },
        example: "timeout = \"1h\"",
    },
    Key {
        name: "create_topics",
        yaml: "error.retry-topics.create-topics",
        kind: Kind::Switch,
        example: "create_topics = false",
    },
    Key {
        name: "concurrency",
        yaml: "error.retry-topics.concurrency",
        kind: Kind::Count { max: 1_024 },
        example: "concurrency = 1",
    },
];

/// The keys of `dead_letter(…)`.
const DEAD_LETTER: &[Key] = &[
    Key {
        name: "topic",
        yaml: "error.dead-letter.topic",
        kind: Kind::TopicName,
        example: "topic = \"failed-orders\"",
    },
    Key {
        name: "suffix",
        yaml: "error.dead-letter.suffix",
        kind: Kind::TopicName,
        example: "suffix = \"-dlt\"",
    },
    Key {
        name: "routes",
        yaml: "error.dead-letter.routes",
        kind: Kind::Properties,
        example: "routes(\"-invalid\" = \"ValidationError\")",
    },
    Key {
        name: "partition",
        yaml: "error.dead-letter.partition",
        kind: Kind::OneOf(&["same", "key"]),
        example: "partition = \"same\"",
    },
    Key {
        name: "create_topic",
        yaml: "error.dead-letter.create-topic",
        kind: Kind::Switch,
        example: "create_topic = false",
    },
];

/// A listener as written: entries that are right one by one, on a function that can be called.
pub(crate) struct Listener {
    pub(crate) entries: Entries,
    pub(crate) function: Function,
    /// Whether it reads the dead letters of another listener.
    pub(crate) is_of_dead_letters: bool,
    /// Whether what the function returns is sent.
    pub(crate) is_replying: bool,
}

impl Listener {
    /// Parses both halves, so that mistakes in either are reported together.
    pub(crate) fn parse(context: &Context, attribute: TokenStream, item: &TokenStream) -> Option<Self> {
        let (attribute, item, is_replying) = send_to::taken(context, attribute, item);
        let entries = Entries::parse(context, ATTRIBUTE, KEYS, attribute);
        let function = Function::parse(context, ATTRIBUTE, &item);
        let is_replying = is_replying || entries.has("send_to");
        Some(Self { entries, function: function?, is_of_dead_letters: false, is_replying })
    }

    /// The same of `#[dead_letter_listener]`.
    pub(crate) fn parse_of_dead_letters(
        context: &Context,
        attribute: TokenStream,
        item: &TokenStream,
    ) -> Option<Self> {
        let (attribute, item, is_replying) = send_to::taken(context, attribute, item);
        let own = KEYS.iter().filter(|key| !INHERITED.contains(&key.name));
        let entries = Entries::parse(context, OF_DEAD_LETTERS, std::iter::once(&FOR).chain(own), attribute);
        let function = Function::parse(context, OF_DEAD_LETTERS, &item);
        let is_replying = is_replying || entries.has("send_to");
        Some(Self { entries, function: function?, is_of_dead_letters: true, is_replying })
    }

    /// The listener's id: the attribute's, or the function's name.
    pub(crate) fn id(&self) -> String {
        self.entries.known_text("id").map_or_else(|| self.function.name(), str::to_owned)
    }

    /// Whether it takes a `Batch<T>`.
    pub(crate) fn is_batch(&self) -> bool {
        self.takes("Batch")
    }

    /// Whether it acknowledges by itself.
    pub(crate) fn takes_ack(&self) -> bool {
        self.takes("Ack")
    }

    fn takes(&self, name: &str) -> bool {
        self.function.arguments.iter().any(|argument| argument.is_any(&[name]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guide_has_every_key() {
        const GUIDE: &str = include_str!("../../../docs/listeners.md");
        for key in KEYS.iter().chain(RETRY).chain(RETRY_TOPICS).chain(DEAD_LETTER) {
            let row = format!("| `{}` |", key.example);
            assert!(
                GUIDE.contains(&row),
                "docs/listeners.md lacks `{}`, expected a row with {row}",
                key.name
            );
        }
    }
}
