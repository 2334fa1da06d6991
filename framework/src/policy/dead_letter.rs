//! What leaves a listener because it failed, for a retry topic or as a dead letter: the record as it was, with what it failed
//! with.
//!
//! # Invariants
//! 1. Key, value and headers of a dead letter are those of the record, byte for byte; what is added comes behind them.
//! 2. A record never goes to a topic that its listener reads.
//! 3. A record that the broker has not confirmed is not handed over.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use kafka_boot_client::{ErrorKind, ProducerRecord};

use super::classify::Classes;
use super::headers::{self, Names, Origin};
use super::recover::{HandOver, Recover, RecoverError};
use super::{Destination, ErrorType, Fault, Outbox, RetryTopics, now_ms};
use crate::config::model::{DeadLetterPartition, DeadLetterProperties, ErrorProperties};
use crate::record::Stored;

/// Where one listener's dead letters go.
#[derive(Debug, Clone)]
pub(crate) struct DeadLetterPublisher {
    outbox: Arc<Outbox>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    group: String,
    properties: DeadLetterProperties,
    routes: Vec<(Arc<str>, Classes)>,
    failure_bytes_max: usize,
    names: &'static Names,
    retry_topics: Option<RetryTopics>,
    creates_retry_topics: bool,
}

impl DeadLetterPublisher {
    pub(crate) fn new(
        outbox: Arc<Outbox>,
        group: &str,
        error: &ErrorProperties,
        types: &[ErrorType],
        retry_topics: Option<RetryTopics>,
    ) -> Self {
        let properties = &error.dead_letter;
        let routes = properties.routes.iter();
        let shared = Shared {
            group: group.to_owned(),
            routes: routes
                .map(|(route, names)| (route.as_str().into(), Classes::new(names, types)))
                .collect(),
            failure_bytes_max: usize::try_from(properties.max_failure_bytes.as_bytes()).unwrap_or(usize::MAX),
            properties: properties.clone(),
            // As Spring does it: behind retry topics, dead letters have the headers of these.
            names: if retry_topics.is_some() { &headers::RETRY_TOPIC } else { &headers::DEAD_LETTER },
            retry_topics,
            creates_retry_topics: error.retry_topics.create_topics,
        };
        Self { outbox, shared: Arc::new(shared) }
    }
}

impl Recover for DeadLetterPublisher {
    fn route(&self, fault: &Fault) -> Option<Arc<str>> {
        let found = self.shared.routes.iter().find(|(_, classes)| classes.has(fault));
        found.map(|(route, _)| Arc::clone(route))
    }

    fn target(&self, record: &HandOver) -> String {
        self.shared.topic_of(record)
    }

    fn hand_over(&self, record: HandOver) -> BoxFuture<'static, Result<String, RecoverError>> {
        let (outbox, shared) = (Arc::clone(&self.outbox), Arc::clone(&self.shared));
        let sending = async move {
            let topic: Arc<str> = shared.topic_of(&record).into();
            let failed = |error| RecoverError { topic: topic.to_string(), error };
            let model = shared.creates(record.to).then_some(shared.main_topic(&record));
            let partitions = outbox.partitions(&topic, model).await.map_err(failed)?;
            let letter = |is_slim| shared.letter(&record, &topic, partitions, is_slim);
            if let Some(producer) = &record.via {
                // What is too large breaks the transaction: it goes slim with the next one.
                let sent = outbox.send_via(producer, letter(record.is_slim)).await;
                let (partition, offset) = sent.map_err(|error| failed(error.error().clone()))?;
                return Ok(format!("{topic}-{partition}@{offset}"));
            }
            let mut sent = outbox.send(letter(false)).await;
            if sent.as_ref().is_err_and(|error| error.kind() == &ErrorKind::MessageTooLarge) {
                // The record itself was not too large for its own topic.
                sent = outbox.send(letter(true)).await;
            }
            match sent {
                Ok((partition, offset)) => Ok(format!("{topic}-{partition}@{offset}")),
                Err(error) => Err(failed(error.error().clone())),
            }
        };
        #[cfg(feature = "seeded-bugs")]
        if crate::seeded::is(crate::seeded::Bug::LetterIsNotAwaited) {
            tokio::spawn(sending);
            return Box::pin(std::future::ready(Ok("somewhere".to_owned())));
        }
        Box::pin(sending)
    }
}

impl Shared {
    /// The topic that the record was in before any retry topic.
    fn main_topic<'a>(&self, record: &'a HandOver) -> &'a str {
        let topic = &*record.chunk.topic;
        self.retry_topics.as_ref().map_or(topic, |topics| topics.main_topic(topic))
    }

    fn creates(&self, destination: Destination) -> bool {
        match destination {
            Destination::RetryTopic(_) => self.creates_retry_topics,
            Destination::DeadLetters => self.properties.create_topic,
        }
    }

    fn topic_of(&self, record: &HandOver) -> String {
        let main = self.main_topic(record);
        match (record.to, &self.retry_topics, &record.route) {
            (Destination::RetryTopic(index), Some(topics), _) => {
                format!("{main}{}", topics.stage(index).suffix)
            }
            (_, _, Some(route)) => self.properties.routed_topic_of(main, route),
            (_, _, None) => self.properties.topic_of(main),
        }
    }

    fn letter(
        &self,
        record: &HandOver,
        topic: &Arc<str>,
        partitions: usize,
        is_slim: bool,
    ) -> ProducerRecord {
        let stored = record.stored();
        let mut letter = copy(stored, topic);
        let partition = record.chunk.partition;
        let is_there = usize::try_from(partition).is_ok_and(|partition| partition < partitions);
        let is_same = self.properties.partition == DeadLetterPartition::Same
            || matches!(record.to, Destination::RetryTopic(_));
        letter.partition = (is_there && is_same).then_some(partition);
        if is_slim {
            record.cause.add_slim_to(&mut letter, self.names);
        } else {
            record.cause.add_to(&mut letter, self.names, self.failure_bytes_max);
        }
        let origin = Origin { topic: &record.chunk.topic, partition, group: &self.group };
        match &self.retry_topics {
            None => origin.append_to(&mut letter, self.names, stored),
            Some(topics) => {
                origin.add_missing_to(&mut letter, self.names, stored);
                let stage = match record.to {
                    Destination::RetryTopic(index) => Some(index),
                    Destination::DeadLetters => None,
                };
                topics.add_to(&mut letter, stored, stage, now_ms());
            }
        }
        letter
    }
}

/// A record with the same key, value and headers. Its time is that of its writing.
fn copy(stored: &Stored, topic: &Arc<str>) -> ProducerRecord {
    let mut copy = ProducerRecord::new(Arc::clone(topic));
    copy.key = stored.key().map(Bytes::copy_from_slice);
    copy.payload = stored.payload().map(Bytes::copy_from_slice);
    copy.headers =
        stored.headers().map(|(name, value)| (name.to_owned(), value.map(Bytes::copy_from_slice))).collect();
    copy
}
