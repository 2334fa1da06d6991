//! The few figures that are read out of librdkafka's statistics: lag, prefetched records, brokers that answer.

use std::collections::HashMap;
use std::time::Duration;

use serde::Deserialize;

/// What one report of the client tells.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Statistics {
    #[serde(default)]
    brokers: HashMap<String, Broker>,
    #[serde(default)]
    topics: HashMap<String, Topic>,
}

#[derive(Debug, Default, Deserialize)]
struct Broker {
    #[serde(default)]
    state: String,
    #[serde(default)]
    nodeid: i64,
    /// How many requests are sent and not answered.
    #[serde(default)]
    waitresp_cnt: i64,
    /// Microseconds since something was sent to it, and received from it.
    #[serde(default)]
    txidle: i64,
    #[serde(default)]
    rxidle: i64,
}

impl Broker {
    /// Whether it owes an answer, and has sent nothing at all for that long since it was asked the last time. A frozen machine
    /// and a network that swallows everything look like this: the connection itself stays open for a minute.
    fn is_silent(&self, after: Duration) -> bool {
        let quiet = u64::try_from(self.txidle.min(self.rxidle)).unwrap_or_default();
        self.waitresp_cnt > 0 && Duration::from_micros(quiet) >= after
    }
}

#[derive(Debug, Default, Deserialize)]
struct Topic {
    #[serde(default)]
    partitions: HashMap<String, Partition>,
}

#[derive(Debug, Default, Deserialize)]
struct Partition {
    #[serde(default)]
    desired: bool,
    #[serde(default)]
    fetchq_cnt: i64,
    #[serde(default)]
    hi_offset: i64,
    #[serde(default)]
    committed_offset: i64,
    #[serde(default)]
    consumer_lag: i64,
}

/// One partition's figures.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct PartitionFigures<'a> {
    pub(crate) topic: &'a str,
    pub(crate) partition: i32,
    /// Records between the committed offset and the end of the log; unknown before the first commit.
    pub(crate) lag: Option<i64>,
    /// Records fetched and not yet polled.
    pub(crate) prefetched: i64,
}

impl Statistics {
    pub(crate) fn parse(json: &str) -> Option<Self> {
        serde_json::from_str(json).ok()
    }

    /// Whether at least one broker is connected, and owes no answer for that long.
    pub(crate) fn is_connected(&self, silent_after: Duration) -> bool {
        let answers =
            |broker: &Broker| broker.nodeid >= 0 && broker.state == "UP" && !broker.is_silent(silent_after);
        self.brokers.values().any(answers)
    }

    /// The figures of the assigned partitions.
    pub(crate) fn partitions(&self) -> impl Iterator<Item = PartitionFigures<'_>> {
        self.topics.iter().flat_map(|(topic, figures)| {
            figures.partitions.iter().filter_map(move |(partition, figures)| {
                let partition: i32 = partition.parse().ok()?;
                if partition < 0 || !figures.desired {
                    return None;
                }
                let known = figures.committed_offset >= 0 && figures.hi_offset >= 0;
                let own = known.then(|| (figures.hi_offset - figures.committed_offset).max(0));
                let lag = own.or_else(|| (figures.consumer_lag >= 0).then_some(figures.consumer_lag));
                Some(PartitionFigures { topic, partition, lag, prefetched: figures.fetchq_cnt })
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lag_and_connection_are_read_from_a_report() {
        let json = r#"{
            "brokers": {"a:9092/1": {"nodeid": 1, "state": "UP"}, "boot": {"nodeid": -1, "state": "UP"}},
            "topics": {"t": {"partitions": {
                "0": {"desired": true, "fetchq_cnt": 3, "hi_offset": 10, "committed_offset": 4, "consumer_lag": 5},
                "1": {"desired": false, "fetchq_cnt": 0, "hi_offset": 9, "committed_offset": -1001, "consumer_lag": -1},
                "-1": {"desired": false}
            }}}
        }"#;
        let statistics = Statistics::parse(json).unwrap();
        assert!(statistics.is_connected(Duration::ZERO));
        let figures: Vec<_> = statistics.partitions().collect();
        assert_eq!(figures, [PartitionFigures { topic: "t", partition: 0, lag: Some(6), prefetched: 3 }]);
    }

    #[test]
    fn a_bootstrap_connection_alone_does_not_count_as_connected() {
        let json =
            r#"{"brokers": {"boot": {"nodeid": -1, "state": "UP"}, "1": {"nodeid": 1, "state": "CONNECT"}}}"#;
        assert!(!Statistics::parse(json).unwrap().is_connected(Duration::ZERO));
    }

    /// Each case: requests that are not answered, seconds since something was sent, and since something was received.
    #[test]
    fn a_broker_that_owes_an_answer_for_too_long_does_not_count_as_connected() {
        let is_connected = |(unanswered, sent, received): (u32, u32, u32)| {
            let (sent, received) = (sent * 1_000_000, received * 1_000_000);
            let json = format!(
                r#"{{"brokers": {{"a:9092/1": {{"nodeid": 1, "state": "UP", "waitresp_cnt": {unanswered}, "txidle": {sent},
                "rxidle": {received}}}}}}}"#
            );
            Statistics::parse(&json).unwrap().is_connected(Duration::from_secs(5))
        };
        assert!(!is_connected((1, 5, 6)), "frozen");
        assert!(is_connected((1, 4, 6)), "asked a moment ago");
        assert!(is_connected((1, 60, 4)), "a long poll, and other answers meanwhile");
        assert!(is_connected((0, 60, 60)), "nothing to ask");
    }
}
