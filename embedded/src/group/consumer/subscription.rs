//! Which topics a group wants, of those that there are.

use std::collections::BTreeSet;

use kafka_protocol::error::ResponseError;
use regex::bytes::{Regex, RegexBuilder};
use uuid::Uuid;

use super::Refused;

/// What a compiled expression may take up, in bytes. Far above what a list of names needs.
const MAX_PATTERN_BYTES: usize = 256 * 1024;

/// The longest expression that is looked at, in bytes.
const MAX_EXPRESSION_BYTES: usize = 4 * 1024;

/// Where a group learns what topics there are.
pub(crate) trait TopicSource: Sync {
    /// A number that is another one as soon as a topic is created, deleted or grown.
    fn version(&self) -> u64;

    /// A topic's id, and how many partitions it has.
    fn find(&self, name: &str) -> Option<(Uuid, i32)>;

    /// The names of all topics.
    fn names(&self) -> Vec<String>;
}

/// A regular expression, and the topics that it matches.
#[derive(Debug)]
pub(super) struct Pattern {
    expression: Regex,
    pub(super) topics: BTreeSet<String>,
}

impl Pattern {
    /// # Errors
    /// `INVALID_REGULAR_EXPRESSION`, for one that is none or is too large.
    pub(super) fn compile(expression: &str) -> Result<Self, Refused> {
        let invalid = |why: String| {
            let message = format!("the subscription `{expression}` is no regular expression: {why}");
            (ResponseError::InvalidRegularExpression, message)
        };
        if expression.len() > MAX_EXPRESSION_BYTES {
            return Err(invalid(format!("it has more than {MAX_EXPRESSION_BYTES} bytes")));
        }
        // The whole name has to match. Names are ASCII, and so are classes like `\d` in RE2.
        let compiled = RegexBuilder::new(&format!("^(?:{expression})$"))
            .unicode(false)
            .size_limit(MAX_PATTERN_BYTES)
            .dfa_size_limit(MAX_PATTERN_BYTES)
            .build();
        // On its own as well, so that nothing in it closes the group around it.
        let alone = RegexBuilder::new(expression).unicode(false).size_limit(MAX_PATTERN_BYTES).build();
        let expression = alone.and(compiled).map_err(|error| invalid(error.to_string()))?;
        Ok(Self { expression, topics: BTreeSet::new() })
    }

    /// Matches the topics anew, and says whether they are others than before.
    pub(super) fn refresh(&mut self, names: &[String]) -> bool {
        let matches = |name: &&String| !is_internal(name) && self.expression.is_match(name.as_bytes());
        let topics: BTreeSet<String> = names.iter().filter(matches).cloned().collect();
        let changed = topics != self.topics;
        self.topics = topics;
        changed
    }
}

/// Kafka's own topics are subscribed to only by name.
fn is_internal(name: &str) -> bool {
    matches!(name, "__consumer_offsets" | "__transaction_state" | "__share_group_state")
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]
mod tests {
    use super::*;

    #[test]
    fn an_expression_matches_whole_names() {
        let cases: [(&str, &[&str]); 7] = [
            ("orders", &["orders"]),
            ("orders.*", &["orders", "orders-eu", "orders.us"]),
            ("^orders-\\w+$", &["orders-eu"]),
            ("orders|pay", &["orders", "pay"]),
            ("(?i)ORDERS", &["orders"]),
            ("pay\\d", &["pay7"]),
            ("", &[]),
        ];
        let names = ["orders", "orders-eu", "orders.us", "pay", "pay7"].map(str::to_owned);
        for (expression, expected) in cases {
            let mut pattern = Pattern::compile(expression).unwrap();
            assert_eq!(pattern.refresh(&names), !expected.is_empty(), "{expression}");
            assert!(!pattern.refresh(&names), "{expression}");
            assert!(pattern.topics.iter().map(String::as_str).eq(expected.iter().copied()), "{expression}");
        }
    }

    #[test]
    fn what_is_no_expression_or_a_huge_one_is_refused() {
        let long = "a".repeat(5_000);
        for expression in ["(", "a)(b", "*", "(?=a)", "(a{1000}){1000}", &long] {
            let (error, message) = Pattern::compile(expression).unwrap_err();
            assert_eq!(error, ResponseError::InvalidRegularExpression);
            assert!(message.contains("is no regular expression"), "{message}");
        }
    }
}
