//! Retry topics: which there are, what they are called, and where a record is on its way through them. In Spring Kafka's names
//! and encodings, so that its services and these share topics.
//!
//! Pure: the time comes from the caller.

use std::time::Duration;

use bytes::Bytes;
use kafka_boot_client::ProducerRecord;

use super::headers;
use super::retry::random_fraction;
use crate::config::model::{RetryTopicNaming, RetryTopicProperties, SameInterval};
use crate::record::Stored;

/// The number of the delivery, from 1: four bytes, the highest first. Older records have one byte.
const ATTEMPTS: &str = "retry_topic-attempts";
/// When the record is to be delivered, and what its first timestamp was: milliseconds since 1970, as Java's `BigInteger`.
const BACKOFF_TIMESTAMP: &str = "retry_topic-backoff-timestamp";
const ORIGINAL_TIMESTAMP: &str = "retry_topic-original-timestamp";
/// What Spring takes for a number of deliveries at most.
const ATTEMPTS_MAX: u32 = 32_767;

/// One retry topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stage {
    /// What is behind the name of the record's own topic.
    pub(crate) suffix: String,
    pub(crate) delay: Duration,
    /// Whether a record that fails there comes back to the same topic.
    is_reused: bool,
}

/// The retry topics of a listener, seen from the listener's own topic or from one of them.
#[derive(Debug, Clone)]
pub(crate) struct RetryTopics {
    stages: Vec<Stage>,
    attempts: u32,
    timeout: Duration,
    jitter: f64,
    /// Which of the stages the listener reads; `None` is its own topic.
    at: Option<usize>,
}

impl RetryTopics {
    /// Those of the listener's own topic; `None` if there are none.
    pub(crate) fn new(properties: &RetryTopicProperties) -> Option<Self> {
        properties.is_any().then(|| Self {
            stages: stages(properties),
            attempts: properties.attempts,
            timeout: properties.timeout.get(),
            jitter: properties.backoff.jitter,
            at: None,
        })
    }

    /// The same, seen from one of them.
    pub(crate) fn at(&self, stage: usize) -> Self {
        Self { at: Some(stage), ..self.clone() }
    }

    pub(crate) fn stages(&self) -> &[Stage] {
        &self.stages
    }

    pub(crate) fn stage(&self, index: usize) -> &Stage {
        &self.stages[index]
    }

    /// The name of the record's own topic, `topic` being the one that this listener reads.
    pub(crate) fn main_topic<'a>(&self, topic: &'a str) -> &'a str {
        let suffix = self.at.map_or("", |at| self.stages[at].suffix.as_str());
        topic.strip_suffix(suffix).unwrap_or(topic)
    }

    /// Whether the records wait before they are handled.
    pub(crate) fn is_delayed(&self) -> bool {
        self.at.is_some()
    }

    /// In which topic a record waits that has failed here; `None` if it is not delivered again.
    pub(crate) fn next(&self, record: &Stored, now_ms: i64) -> Option<usize> {
        if deliveries(record) >= self.attempts || self.is_late(record, now_ms) {
            return None;
        }
        let next = match self.at {
            None => 0,
            Some(at) if self.stages[at].is_reused => at,
            Some(at) => at + 1,
        };
        (next < self.stages.len()).then_some(next)
    }

    fn is_late(&self, record: &Stored, now_ms: i64) -> bool {
        let timeout = i64::try_from(self.timeout.as_millis()).unwrap_or(i64::MAX);
        timeout > 0 && now_ms > first_timestamp(record).saturating_add(timeout)
    }

    /// How long the record waits in a topic.
    fn delay_ms(&self, stage: Option<usize>) -> i64 {
        let delay = stage.map_or(Duration::ZERO, |stage| self.stages[stage].delay);
        let longer = delay.mul_f64(self.jitter * random_fraction());
        i64::try_from((delay + longer).as_millis()).unwrap_or(i64::MAX)
    }

    /// Says in the copy of a record that it has failed here, and when it is to be delivered again. `stage` is the topic that it
    /// goes to; `None` is that of its dead letters.
    pub(crate) fn add_to(
        &self,
        copy: &mut ProducerRecord,
        record: &Stored,
        stage: Option<usize>,
        now_ms: i64,
    ) {
        headers::append(copy, ORIGINAL_TIMESTAMP, big_integer(first_timestamp(record)));
        let next = i32::try_from(deliveries(record).saturating_add(1)).unwrap_or(i32::MAX);
        headers::append(copy, ATTEMPTS, headers::int(next));
        headers::append(copy, BACKOFF_TIMESTAMP, big_integer(now_ms.saturating_add(self.delay_ms(stage))));
    }
}

/// The number of this delivery of a record, from 1.
pub(crate) fn deliveries(record: &Stored) -> u32 {
    let told = match last(record, ATTEMPTS) {
        Some([one]) => u32::from(*one),
        Some(bytes) => bytes.try_into().map_or(1, u32::from_be_bytes),
        None => 1,
    };
    if (1..=ATTEMPTS_MAX).contains(&told) { told } else { 1 }
}

/// When a record is to be delivered, in milliseconds since 1970; `None` where it does not say so in the way that Spring does.
pub(crate) fn due_ms(record: &Stored) -> Option<i64> {
    last(record, BACKOFF_TIMESTAMP).and_then(read_big_integer)
}

/// When the record was first written.
fn first_timestamp(record: &Stored) -> i64 {
    last(record, ORIGINAL_TIMESTAMP)
        .and_then(read_big_integer)
        .unwrap_or_else(|| headers::millis(record.timestamp()))
}

fn last<'a>(record: &'a Stored, name: &str) -> Option<&'a [u8]> {
    record.headers().filter(|(header, _)| *header == name).last().and_then(|(_, value)| value)
}

/// The fewest bytes that hold the number and its sign, the highest first.
fn big_integer(number: i64) -> Bytes {
    let bytes = number.to_be_bytes();
    let is_needless = |at: usize| {
        let (byte, next_is_negative) = (bytes[at], bytes[at + 1] >= 0x80);
        byte == 0 && !next_is_negative || byte == 0xff && next_is_negative
    };
    let start = (0..7).take_while(|at| is_needless(*at)).count();
    Bytes::copy_from_slice(&bytes[start..])
}

fn read_big_integer(bytes: &[u8]) -> Option<i64> {
    if bytes.is_empty() || bytes.len() > 8 {
        return None;
    }
    let sign: i64 = if bytes[0] >= 0x80 { -1 } else { 0 };
    Some(bytes.iter().fold(sign, |number, byte| number << 8 | i64::from(*byte)))
}

/// The retry topics in their order, named as Spring Kafka names them.
fn stages(properties: &RetryTopicProperties) -> Vec<Stage> {
    let delays = delays(properties);
    let is_single = properties.same_interval == SameInterval::Single;
    let occurrences = |delay: u64| delays.iter().filter(|other| **other == delay).count();
    // Equal waits are always at the end.
    let shared = match delays.last() {
        Some(last) if is_single && delays.len() > 1 => occurrences(*last) - 1,
        _ => 0,
    };
    let count = delays.len() - shared;
    let is_fixed = delays.len() > 1 && occurrences(delays[0]) == delays.len();
    let is_numbered = properties.naming == RetryTopicNaming::Index || is_fixed;
    let name = |index: usize, delay: u64| {
        let suffix = &properties.suffix;
        if is_single && count == 1 {
            return suffix.clone();
        }
        if is_numbered {
            return format!("{suffix}-{index}");
        }
        let first = delays.iter().position(|other| *other == delay).unwrap_or(index);
        if !is_single && occurrences(delay) > 1 {
            format!("{suffix}-{delay}-{}", index - first)
        } else {
            format!("{suffix}-{delay}")
        }
    };
    let stage = |(index, delay): (usize, &u64)| Stage {
        suffix: name(index, *delay),
        delay: Duration::from_millis(*delay),
        is_reused: is_single && occurrences(*delay) > 1,
    };
    delays.iter().take(count).enumerate().map(stage).collect()
}

/// The waits in milliseconds, each computed from the one before in whole numbers.
fn delays(properties: &RetryTopicProperties) -> Vec<u64> {
    let backoff = &properties.backoff;
    let millis = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    let (initial, max) = (millis(backoff.initial.get()), millis(backoff.max.get()));
    let longer = |delay: &u64| {
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "milliseconds far below 2^53, and a product that is not negative"
        )]
        let next = (*delay as f64 * backoff.multiplier) as u64;
        Some(next.min(max))
    };
    let count = usize::try_from(properties.attempts.saturating_sub(1)).unwrap_or(usize::MAX);
    std::iter::successors(Some(initial.min(max)), longer).take(count).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::TimeSpan;
    use crate::config::model::RetryTopicBackoff;
    use crate::record::Made;

    fn properties(attempts: u32, initial: u64, multiplier: f64, max: u64) -> RetryTopicProperties {
        let (initial, max) = (TimeSpan::from_millis(initial), TimeSpan::from_millis(max));
        let backoff = RetryTopicBackoff { initial, multiplier, max, jitter: 0.0 };
        RetryTopicProperties { attempts, backoff, ..RetryTopicProperties::default() }
    }

    fn names(properties: &RetryTopicProperties) -> Vec<String> {
        stages(properties).into_iter().map(|stage| stage.suffix).collect()
    }

    #[test]
    fn topics_are_named_as_spring_names_them() {
        let exponential = properties(5, 1000, 2.0, 60_000);
        assert_eq!(names(&exponential), ["-retry-1000", "-retry-2000", "-retry-4000", "-retry-8000"]);
        let index = RetryTopicProperties { naming: RetryTopicNaming::Index, ..exponential.clone() };
        assert_eq!(names(&index), ["-retry-0", "-retry-1", "-retry-2", "-retry-3"]);
        let suffix = RetryTopicProperties { suffix: ".again".into(), ..exponential };
        assert_eq!(names(&suffix)[0], ".again-1000");

        assert_eq!(names(&properties(4, 1000, 1.0, 30_000)), ["-retry"]);
        assert_eq!(names(&properties(2, 1000, 2.0, 30_000)), ["-retry"], "one only");
        let each = |properties| RetryTopicProperties { same_interval: SameInterval::Multiple, ..properties };
        assert_eq!(names(&each(properties(4, 1000, 1.0, 30_000))), ["-retry-0", "-retry-1", "-retry-2"]);
        assert_eq!(names(&each(properties(2, 1000, 1.0, 30_000))), ["-retry-1000"]);

        let capped = properties(7, 1000, 2.0, 4000);
        assert_eq!(names(&capped), ["-retry-1000", "-retry-2000", "-retry-4000"]);
        assert_eq!(
            names(&each(capped)),
            [
                "-retry-1000",
                "-retry-2000",
                "-retry-4000-0",
                "-retry-4000-1",
                "-retry-4000-2",
                "-retry-4000-3"
            ]
        );
    }

    #[test]
    fn a_record_goes_from_topic_to_topic_until_its_deliveries_are_used_up() {
        let main = RetryTopics::new(&properties(5, 1000, 2.0, 2000)).unwrap();
        assert_eq!(main.stages().len(), 2, "the last three wait equally long");
        let mut record = Stored::Made(Box::new(Made { timestamp_ms: Some(500), ..Made::default() }));
        let (mut at, mut way) = (main.clone(), Vec::new());
        while let Some(next) = at.next(&record, 0) {
            let mut copy = ProducerRecord::new("t");
            at.add_to(&mut copy, &record, Some(next), 10_000);
            way.push((next, deliveries(&record)));
            let headers =
                copy.headers.into_iter().map(|(name, value)| (name, value.map(|value| value.to_vec())));
            record = Stored::Made(Box::new(Made { headers: headers.collect(), ..Made::default() }));
            let delay = i64::try_from(main.stage(next).delay.as_millis()).unwrap();
            assert_eq!((due_ms(&record), first_timestamp(&record)), (Some(10_000 + delay), 500));
            at = main.at(next);
        }
        assert_eq!(way, [(0, 1), (1, 2), (1, 3), (1, 4)]);
        assert_eq!(deliveries(&record), 5);
        assert_eq!(
            (main.at(1).main_topic("orders-retry-2000"), main.main_topic("orders")),
            ("orders", "orders")
        );
    }

    #[test]
    fn after_the_timeout_a_record_is_not_delivered_again() {
        let timeout = TimeSpan::from_secs(60);
        let main =
            RetryTopics::new(&RetryTopicProperties { timeout, ..properties(9, 1000, 1.0, 1000) }).unwrap();
        let record = Stored::Made(Box::new(Made { timestamp_ms: Some(1_000_000), ..Made::default() }));
        assert_eq!(main.next(&record, 1_060_000), Some(0));
        assert_eq!(main.next(&record, 1_060_001), None);
    }

    #[test]
    fn numbers_are_those_of_javas_big_integer() {
        let table: [(i64, &[u8]); 8] = [
            (0, &[0]),
            (127, &[127]),
            (128, &[0, 128]),
            (255, &[0, 255]),
            (-1, &[255]),
            (-129, &[255, 127]),
            (1_589_000_000_000, &[1, 0x71, 0xf7, 0xc7, 0xd2, 0]),
            (i64::MAX, &[0x7f, 255, 255, 255, 255, 255, 255, 255]),
        ];
        for (number, bytes) in table {
            assert_eq!(big_integer(number).as_ref(), bytes);
            assert_eq!(read_big_integer(bytes), Some(number));
        }
        assert_eq!(read_big_integer(&[]), None);
        assert_eq!(read_big_integer(&[0; 9]), None);
    }

    #[test]
    fn a_number_of_deliveries_that_makes_no_sense_is_the_first() {
        for (bytes, expected) in
            [(&[3u8][..], 3), (&[0, 0, 0, 7], 7), (&[0, 0], 1), (&[0, 0, 0, 0], 1), (&[1, 0, 0, 0], 1)]
        {
            let headers = vec![(ATTEMPTS.to_owned(), Some(bytes.to_vec()))];
            assert_eq!(deliveries(&Stored::Made(Box::new(Made { headers, ..Made::default() }))), expected);
        }
    }
}
