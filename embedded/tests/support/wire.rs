//! Kafka's protocol by hand, for what no client lets one ask.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::{Bytes, BytesMut};
use kafka_boot_embedded::EmbeddedBroker;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{
    ApiKey, ProduceRequest, ProduceResponse, RequestHeader, ResponseHeader, TopicName,
};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};
use kafka_protocol::records::{Compression, Record, RecordBatchEncoder, RecordEncodeOptions, TimestampType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Long enough for a machine under load; every wait ends as soon as its condition holds.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A connection to one broker.
pub(crate) struct Wire {
    stream: TcpStream,
    client_id: StrBytes,
    sent: i32,
}

/// Waits for what has to happen.
pub(crate) async fn patient<T>(future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.expect("it did not happen")
}

/// Where a broker listens; the first is 1.
pub(crate) fn address_of(cluster: &EmbeddedBroker, broker: usize) -> String {
    cluster.bootstrap_servers().split(',').nth(broker - 1).unwrap().to_owned()
}

pub(crate) fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

pub(crate) fn topic(name: &str) -> TopicName {
    TopicName(text(name))
}

impl Wire {
    pub(crate) async fn to(cluster: &EmbeddedBroker, broker: usize) -> Self {
        Self::named(cluster, broker, "test").await
    }

    pub(crate) async fn named(cluster: &EmbeddedBroker, broker: usize, client_id: &str) -> Self {
        let stream = TcpStream::connect(address_of(cluster, broker)).await.unwrap();
        Self { stream, client_id: text(client_id), sent: 0 }
    }

    /// The answer, which has to come.
    pub(crate) async fn ask<R: Request>(&mut self, version: i16, request: &R) -> R::Response {
        self.try_ask(version, request).await.expect("the connection was closed")
    }

    /// The answer, or an error if the connection is closed instead.
    pub(crate) async fn try_ask<R: Request>(&mut self, version: i16, request: &R) -> io::Result<R::Response> {
        self.send(version, request).await?;
        patient(self.receive::<R>(version)).await
    }

    pub(crate) async fn send<R: Request>(&mut self, version: i16, request: &R) -> io::Result<()> {
        let key = ApiKey::try_from(R::KEY).unwrap();
        self.sent += 1;
        let header = RequestHeader::default()
            .with_request_api_key(R::KEY)
            .with_request_api_version(version)
            .with_correlation_id(self.sent)
            .with_client_id(Some(self.client_id.clone()));
        let mut body = BytesMut::new();
        header.encode(&mut body, key.request_header_version(version)).unwrap();
        request.encode(&mut body, version).unwrap();
        let mut frame = BytesMut::from(&u32::try_from(body.len()).unwrap().to_be_bytes()[..]);
        frame.extend_from_slice(&body);
        self.stream.write_all(&frame).await
    }

    pub(crate) async fn receive<R: Request>(&mut self, version: i16) -> io::Result<R::Response> {
        let length = self.stream.read_u32().await?;
        let mut body = vec![0; length as usize];
        self.stream.read_exact(&mut body).await?;
        let mut body = Bytes::from(body);
        let header = ResponseHeader::decode(&mut body, R::Response::header_version(version)).unwrap();
        assert_eq!(header.correlation_id, self.sent);
        Ok(R::Response::decode(&mut body, version).unwrap())
    }

    /// Produces records in one batch, and returns the error code and the base offset.
    pub(crate) async fn produce(
        &mut self,
        name: &str,
        partition: i32,
        values: &[&str],
        acks: i16,
    ) -> (i16, i64) {
        let response: ProduceResponse = self.ask(11, &produce(name, partition, values, acks)).await;
        let answered = &response.responses[0].partition_responses[0];
        (answered.error_code, answered.base_offset)
    }
}

/// A request with one batch.
pub(crate) fn produce(name: &str, partition: i32, values: &[&str], acks: i16) -> ProduceRequest {
    let part = PartitionProduceData::default().with_index(partition).with_records(Some(batch(values)));
    let data = TopicProduceData::default().with_name(topic(name)).with_partition_data(vec![part]);
    ProduceRequest::default().with_acks(acks).with_timeout_ms(1_000).with_topic_data(vec![data])
}

/// A batch of records of no producer in particular, made just now: older ones would not be retained.
fn batch(values: &[&str]) -> Bytes {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let timestamp = i64::try_from(since.as_millis()).unwrap();
    let record = |(offset, value): (i64, &&str)| Record {
        transactional: false,
        control: false,
        delete_horizon: false,
        partition_leader_epoch: -1,
        producer_id: -1,
        producer_epoch: -1,
        timestamp_type: TimestampType::Creation,
        offset,
        sequence: i32::try_from(offset).unwrap() - 1,
        timestamp,
        key: None,
        value: Some(Bytes::copy_from_slice(value.as_bytes())),
        headers: std::iter::empty().collect(),
    };
    let records: Vec<Record> = (0..).zip(values).map(record).collect();
    let options = RecordEncodeOptions { version: 2, compression: Compression::None };
    let mut bytes = BytesMut::new();
    RecordBatchEncoder::encode(&mut bytes, &records, &options).unwrap();
    bytes.freeze()
}
