//! What a listener with `#[send_to]` returns, and how it is sent before the record is settled.

use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use kafka_boot_client::{ProducerRecord, SendError};
use serde::Serialize;

use crate::beans::{AttemptScope, KafkaTemplate, PendingSend, Transaction};
use crate::error::{HandlerError, StartError};
use crate::handler::{HandlerResult, OnFailure, PlanContext};
use crate::record::{Json, PayloadError, RecordView};

/// Spring's headers of a request that waits for its reply.
pub(crate) const CORRELATION_ID: &str = "kafka_correlationId";
pub(crate) const REPLY_TOPIC: &str = "kafka_replyTopic";
const REPLY_PARTITION: &str = "kafka_replyPartition";

/// A record that a listener with `#[send_to]` returns.
///
/// What it does not say comes from the record that is handled: the key is that one's, and so are `kafka_correlationId` and,
/// if the requester names one, the partition.
///
/// ```
/// use kafka_boot::prelude::*;
/// use kafka_boot::{Reply, send_to};
///
/// #[kafka_listener(topic = "orders", group = "pricing")]
/// #[send_to("prices")]
/// async fn price(order: Payload<String>) -> Result<Reply> {
///     Ok(Reply::new(format!("{}: 12.50", order.0)).header("currency", "EUR"))
/// }
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reply {
    value: Option<Bytes>,
    key: Option<Bytes>,
    partition: Option<i32>,
    headers: Vec<(String, Bytes)>,
}

impl Reply {
    /// A reply with this value.
    pub fn new(value: impl Into<Bytes>) -> Self {
        Self { value: Some(value.into()), ..Self::default() }
    }

    /// A reply without a value.
    pub fn tombstone() -> Self {
        Self::default()
    }

    /// A reply with this value as JSON.
    ///
    /// # Errors
    /// If the value cannot be written as JSON.
    pub fn json<T: Serialize>(value: &T) -> crate::Result<Self> {
        let json = serde_json::to_vec(value)
            .map_err(|error| PayloadError::new("the reply cannot be written as JSON").with_source(error))?;
        Ok(Self::new(json))
    }

    /// Sets the key, in the place of that of the record that is handled.
    #[must_use]
    pub fn key(mut self, key: impl Into<Bytes>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Sets the partition.
    #[must_use]
    pub fn partition(mut self, partition: i32) -> Self {
        self.partition = Some(partition);
        self
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<Bytes>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }
}

/// What a listener with `#[send_to]` may return: a text, bytes, [`Json`], a [`Reply`], an `Option` of one of these, where
/// `None` sends nothing, a `Vec` of them, which sends several, or a `Result` with any of it and any error.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be sent as a reply",
    label = "must be a text, bytes, `Json<T>` or a `Reply`, an `Option` or a `Vec` of one, or a `Result` with any of these",
    note = "`#[send_to]` sends what the function returns; without it, a listener returns `()` or `Result<()>`"
)]
pub trait IntoReplies {
    /// The records to send, in their order.
    fn into_replies(self) -> Result<Vec<Reply>, HandlerError>;
}

impl IntoReplies for Reply {
    fn into_replies(self) -> Result<Vec<Reply>, HandlerError> {
        Ok(vec![self])
    }
}

macro_rules! of_bytes {
    ($($type:ty),+) => {$(
        impl IntoReplies for $type {
            fn into_replies(self) -> Result<Vec<Reply>, HandlerError> {
                Ok(vec![Reply::new(self)])
            }
        }
    )+};
}
of_bytes!(String, &'static str, Vec<u8>, Bytes);

impl<T: Serialize> IntoReplies for Json<T> {
    fn into_replies(self) -> Result<Vec<Reply>, HandlerError> {
        Ok(vec![Reply::json(&self.0)?])
    }
}

impl<R: IntoReplies> IntoReplies for Option<R> {
    fn into_replies(self) -> Result<Vec<Reply>, HandlerError> {
        self.map_or_else(|| Ok(Vec::new()), R::into_replies)
    }
}

impl<R: IntoReplies> IntoReplies for Vec<R> {
    fn into_replies(self) -> Result<Vec<Reply>, HandlerError> {
        let mut replies = Vec::with_capacity(self.len());
        for some in self {
            replies.extend(some.into_replies()?);
        }
        Ok(replies)
    }
}

impl<R: IntoReplies, E: Into<HandlerError>> IntoReplies for Result<R, E> {
    fn into_replies(self) -> Result<Vec<Reply>, HandlerError> {
        self.map_err(Into::into)?.into_replies()
    }
}

/// How one listener replies: the template of its cluster, and its topic unless each request names one.
#[doc(hidden)]
#[derive(Debug, Clone)]
pub struct Replies {
    template: Arc<KafkaTemplate>,
    topic: Option<Arc<str>>,
}

/// Where the replies to one record go.
#[doc(hidden)]
#[derive(Debug)]
pub struct ReplyTo {
    sender: Sender,
    topic: Option<Arc<str>>,
    partition: Option<i32>,
    key: Option<Bytes>,
    correlation: Option<Bytes>,
}

/// What the replies to one record are sent with.
#[derive(Debug)]
enum Sender {
    Template(Arc<KafkaTemplate>),
    /// That of the record's offset.
    Transaction(Transaction),
}

impl Sender {
    async fn enqueue(&self, record: ProducerRecord) -> Result<PendingSend, SendError> {
        match self {
            Self::Template(template) => template.enqueue(record).await,
            Self::Transaction(transaction) => transaction.enqueue(record).await,
        }
    }
}

/// How the listener that is being planned replies. Generated code names it.
#[doc(hidden)]
pub fn replies(context: &PlanContext<'_>) -> Result<Replies, StartError> {
    let target = context.reply_target();
    Ok(Replies {
        template: context.beans().named(target.cluster.unwrap_or_default())?,
        topic: target.topic.map(Into::into),
    })
}

impl Replies {
    /// Where the replies to this record go.
    pub fn to(&self, record: &RecordView<'_>) -> ReplyTo {
        let text = |name| record.header(name).and_then(|value| std::str::from_utf8(value).ok());
        let requested = text(REPLY_TOPIC);
        let is_requested = match (&self.topic, requested) {
            (Some(topic), Some(requested)) => **topic == *requested,
            _ => true,
        };
        let partition = record.header(REPLY_PARTITION).and_then(|value| value.try_into().ok());
        let transaction = record.transaction().map(AttemptScope::transaction);
        ReplyTo {
            sender: transaction
                .map_or_else(|| Sender::Template(Arc::clone(&self.template)), Sender::Transaction),
            topic: self.topic.clone().or_else(|| requested.map(Into::into)),
            partition: partition.map(i32::from_be_bytes).filter(|_| is_requested),
            key: record.key().map(Bytes::copy_from_slice),
            correlation: record.header(CORRELATION_ID).map(Bytes::copy_from_slice),
        }
    }
}

impl ReplyTo {
    fn record(&self, topic: &Arc<str>, reply: Reply) -> ProducerRecord {
        let mut record = ProducerRecord::new(Arc::clone(topic));
        record.payload = reply.value;
        record.key = reply.key.or_else(|| self.key.clone());
        record.partition = reply.partition.or(self.partition);
        if let Some(correlation) = &self.correlation {
            record = record.header(CORRELATION_ID, correlation.clone());
        }
        reply.headers.into_iter().fold(record, |record, (name, value)| record.header(name, value))
    }
}

/// Sends what a handler returned; done when the broker has all of it. Generated code names it.
#[doc(hidden)]
pub async fn answer(
    to: ReplyTo,
    replies: impl Future<Output = Result<Vec<Reply>, HandlerError>> + Send,
) -> HandlerResult {
    let replies = replies.await?;
    if replies.is_empty() {
        return Ok(());
    }
    let Some(topic) = &to.topic else {
        let message = format!(
            "there is nowhere to reply to: the record has no header `{REPLY_TOPIC}`, and `#[send_to]` names no topic"
        );
        return Err(HandlerError::msg(message).with(OnFailure::DeadLetter));
    };
    // All are under way before the first is awaited.
    let mut pending = Vec::with_capacity(replies.len());
    for reply in replies {
        pending.push(to.sender.enqueue(to.record(topic, reply)).await?);
    }
    for sent in pending {
        sent.await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(replies: impl IntoReplies) -> Vec<Option<String>> {
        let replies = replies.into_replies().expect("replies").into_iter();
        replies.map(|reply| reply.value.map(|value| String::from_utf8_lossy(&value).into_owned())).collect()
    }

    #[test]
    fn what_may_be_returned_becomes_records() {
        let hello = || Some("hello".to_owned());
        assert_eq!(values("hello"), [hello()]);
        assert_eq!(values(String::from("hello")), [hello()]);
        assert_eq!(values(b"hello".to_vec()), [hello()]);
        assert_eq!(values(Json(5)), [Some("5".to_owned())]);
        assert_eq!(values(Reply::tombstone()), [None]);
        assert_eq!(values(None::<String>), []);
        assert_eq!(values(vec![Some("hello"), None, Some("hello")]), [hello(), hello()]);
        assert_eq!(values(Ok::<_, HandlerError>("hello")), [hello()]);
        let failed = Err::<String, _>(HandlerError::msg("no"));
        assert_eq!(failed.into_replies().expect_err("an error").to_string(), "no");
    }
}
