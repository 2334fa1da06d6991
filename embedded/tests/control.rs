//! What a test can do to a broker, asked for by hand: each call by what would not happen without it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

#[path = "support/wire.rs"]
mod wire;

use std::time::{Duration, Instant};

use kafka_boot_embedded::EmbeddedBroker;
use kafka_boot_embedded::control::{
    ApiKey, Control, ControlErrorKind, Link, ReceivedRequest, RequestOutcome, ResponseError,
};
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::*;
use wire::{Wire, patient, produce, text, topic};

/// Longer than any test waits.
const FOREVER: Duration = Duration::from_hours(1);

const REFUSED: ResponseError = ResponseError::KafkaStorageError;

async fn started() -> (EmbeddedBroker, Control) {
    let broker = EmbeddedBroker::builder().topic("orders", 2).topic("bills", 1).start().await.unwrap();
    let control = broker.control();
    (broker, control)
}

/// The start and the end of the first partition of a topic.
async fn span(broker: &EmbeddedBroker, name: &str) -> (i64, i64) {
    let part = |timestamp| ListOffsetsPartition::default().with_timestamp(timestamp);
    let mut wire = Wire::named(broker, 1, "observer").await;
    let mut found = Vec::new();
    for timestamp in [-2, -1] {
        let asked = ListOffsetsTopic::default().with_name(topic(name)).with_partitions(vec![part(timestamp)]);
        let request = ListOffsetsRequest::default().with_topics(vec![asked]);
        found.push(wire.ask(4, &request).await.topics[0].partitions[0].offset);
    }
    (found[0], found[1])
}

#[tokio::test]
async fn the_nth_requests_that_fit_fail_and_no_others() {
    let (broker, control) = started().await;
    let mut wire = Wire::to(&broker, 1).await;
    let rule = control.on(ApiKey::Produce).topic("orders").partition(0).skip(1).times(2).fail(REFUSED);
    let mut codes = Vec::new();
    for (name, partition) in
        [("orders", 0), ("bills", 0), ("orders", 1), ("orders", 0), ("orders", 0), ("orders", 0)]
    {
        codes.push(wire.produce(name, partition, &["a"], 1).await.0);
    }
    assert_eq!(codes, [0, 0, 0, REFUSED.code(), REFUSED.code(), 0]);
    assert_eq!(rule.hits(), 2);
    assert_eq!(span(&broker, "orders").await, (0, 2), "what failed was not stored");

    let all = control.on(ApiKey::Produce).matching(|request| request.client_id == "test").fail(REFUSED);
    assert_eq!(wire.produce("orders", 0, &["a"], 1).await.0, REFUSED.code());
    assert_eq!(all.cancel(), 1);
    assert_eq!(wire.produce("orders", 0, &["a"], 1).await.0, 0);
    let all = control.on(ApiKey::Produce).fail(REFUSED);
    assert!(wire.send(11, &produce("orders", 0, &["a"], 0)).await.is_ok());
    assert!(patient(wire.receive::<ProduceRequest>(11)).await.is_err(), "who wants no answer is cut off");
    drop(all);
    assert_eq!(Wire::to(&broker, 1).await.produce("orders", 0, &["a"], 1).await.0, 0);
}

#[tokio::test]
async fn a_request_is_held_back_before_or_after_it_is_carried_out() {
    let (broker, control) = started().await;
    let before = control.on(ApiKey::Produce).client_id("before").delay(FOREVER);
    let mut wire = Wire::named(&broker, 1, "before").await;
    wire.send(11, &produce("orders", 0, &["a"], 1)).await.unwrap();
    patient(before.wait_for_hits(1)).await;

    let after = control.on(ApiKey::Produce).client_id("after").delay_answer(FOREVER);
    let mut other = Wire::named(&broker, 1, "after").await;
    other.send(11, &produce("orders", 0, &["b"], 1)).await.unwrap();
    patient(after.wait_for_hits(1)).await;
    let pending = |request: &ReceivedRequest| request.outcome == RequestOutcome::Pending;
    // Of the two, only the second gets stored.
    patient(async { while span(&broker, "orders").await != (0, 1) {} }).await;
    assert_eq!(control.requests().into_iter().filter(pending).count(), 2);

    let short = control.on(ApiKey::Metadata).delay(Duration::from_millis(1));
    Wire::to(&broker, 1).await.ask(9, &MetadataRequest::default()).await;
    assert_eq!(short.hits(), 1);
    drop((before, after));
    assert_eq!(span(&broker, "orders").await, (0, 1), "what is held back already stays so");
}

#[tokio::test]
async fn an_answer_is_lost_after_and_a_connection_cut_before_a_request_is_carried_out() {
    let (broker, control) = started().await;
    let lost = control.on(ApiKey::Produce).client_id("lost").times(1).lose_answer();
    let mut wire = Wire::named(&broker, 1, "lost").await;
    assert!(wire.try_ask(11, &produce("orders", 0, &["a"], 1)).await.is_err());
    assert_eq!((lost.hits(), span(&broker, "orders").await), (1, (0, 1)));
    let cut = control.on(ApiKey::Produce).client_id("cut").cut();
    let mut wire = Wire::named(&broker, 1, "cut").await;
    assert!(wire.try_ask(11, &produce("orders", 0, &["a"], 1)).await.is_err());
    assert_eq!((cut.hits(), span(&broker, "orders").await), (1, (0, 1)));

    let outcome = |client: &str| {
        let all = control.requests();
        all.into_iter().find(|request| request.client_id == client).map(|request| request.outcome)
    };
    assert_eq!(outcome("lost"), Some(RequestOutcome::AnswerLost(None)));
    assert_eq!(outcome("cut"), Some(RequestOutcome::Cut));
    assert_eq!(Wire::named(&broker, 1, "lost").await.produce("orders", 0, &["b"], 1).await, (0, 1));
}

#[tokio::test]
async fn connections_are_cut_at_once_by_broker_by_client_or_all() {
    let cluster = EmbeddedBroker::builder().brokers(2).start().await.unwrap();
    let control = cluster.control();
    let mut wires = Vec::new();
    for (broker, client) in [(1, "a"), (1, "b"), (2, "a"), (2, "b")] {
        let mut wire = Wire::named(&cluster, broker, client).await;
        wire.ask(9, &MetadataRequest::default()).await;
        wires.push(wire);
    }
    let request = MetadataRequest::default();
    assert_eq!(control.cut_connections_of_client("a"), 2);
    assert!(wires[0].try_ask(9, &request).await.is_err() && wires[2].try_ask(9, &request).await.is_err());
    wires[1].ask(9, &request).await;
    assert_eq!(control.cut_connections_of_broker(2), 1);
    assert!(wires[3].try_ask(9, &request).await.is_err());
    wires[1].ask(9, &request).await;
    assert_eq!(control.cut_connections(), 1);
    assert!(wires[1].try_ask(9, &request).await.is_err());
    Wire::to(&cluster, 2).await.ask(9, &request).await;
}

#[tokio::test]
async fn a_slow_link_carries_everything_in_time_or_nothing_in_this_one() {
    let cluster = EmbeddedBroker::builder().brokers(2).start().await.unwrap();
    let control = cluster.control();
    let request = MetadataRequest::default();
    let quick = Link::default().latency(Duration::from_millis(1)).bytes_per_second(10_000);
    let rule = control.on_every_request().broker(2).slow(quick);
    Wire::to(&cluster, 1).await.ask(9, &request).await;
    assert_eq!(rule.hits(), 0);
    let slow = Wire::to(&cluster, 2).await.ask(9, &request).await;
    assert_eq!((slow.brokers.len(), rule.hits()), (2, 1), "an answer in parts is the same answer");
    drop(rule);

    for link in [Link::default().latency(FOREVER), Link::default().bytes_per_second(1)] {
        let rule = control.on_every_request().broker(2).slow(link);
        let mut wire = Wire::named(&cluster, 2, "slow").await;
        wire.send(9, &request).await.unwrap();
        patient(rule.wait_for_hits(1)).await;
        Wire::to(&cluster, 1).await.ask(9, &request).await;
        let pending = |request: &ReceivedRequest| {
            request.client_id == "slow" && request.outcome == RequestOutcome::Pending
        };
        assert!(control.requests().iter().any(pending), "{link:?}");
        control.forget_requests();
    }
}

/// A member id and a generation.
type Member = (String, i32);

/// Joins a group as its only member, in version 3, which needs one round.
async fn join(wire: &mut Wire, session_timeout_ms: i32) -> Member {
    let protocol = JoinGroupRequestProtocol::default().with_name(text("range"));
    let request = JoinGroupRequest::default()
        .with_group_id(GroupId(text("billing")))
        .with_session_timeout_ms(session_timeout_ms)
        .with_rebalance_timeout_ms(60_000)
        .with_protocol_type(text("consumer"))
        .with_protocols(vec![protocol]);
    let joined = wire.ask(3, &request).await;
    assert_eq!(joined.error_code, 0);
    let assignment = SyncGroupRequestAssignment::default().with_member_id(joined.member_id.clone());
    let sync = SyncGroupRequest::default()
        .with_group_id(GroupId(text("billing")))
        .with_generation_id(joined.generation_id)
        .with_member_id(joined.member_id.clone())
        .with_assignments(vec![assignment]);
    assert_eq!(wire.ask(2, &sync).await.error_code, 0);
    (joined.member_id.to_string(), joined.generation_id)
}

fn beat(member: &Member) -> HeartbeatRequest {
    HeartbeatRequest::default()
        .with_group_id(GroupId(text("billing")))
        .with_generation_id(member.1)
        .with_member_id(text(&member.0))
}

#[tokio::test]
async fn a_session_lasts_while_the_clock_stands_and_ends_when_it_is_moved() {
    let (broker, control) = started().await;
    control.freeze_clock();
    let mut wire = Wire::to(&broker, 1).await;
    let member = join(&mut wire, 1).await;
    // Many times as long as the session, by the machine's clock.
    let began = Instant::now();
    while began.elapsed() < Duration::from_millis(50) {
        assert_eq!(control.group_members("billing").len(), 1);
        tokio::task::yield_now().await;
    }
    assert_eq!(wire.ask(3, &beat(&member)).await.error_code, 0);
    control.advance_clock(Duration::from_millis(1));
    assert_eq!(control.group_members("billing"), []);
    assert_eq!(wire.ask(3, &beat(&member)).await.error_code, ResponseError::UnknownMemberId.code());

    let member = join(&mut wire, 1).await;
    control.resume_clock();
    patient(async {
        while !control.group_members("billing").is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(wire.ask(3, &beat(&member)).await.error_code, ResponseError::UnknownMemberId.code());
}

#[tokio::test]
async fn a_members_session_ends_when_it_is_told_to() {
    let (broker, control) = started().await;
    let mut wire = Wire::named(&broker, 1, "biller").await;
    let member = join(&mut wire, 60_000).await;
    let members = control.group_members("billing");
    assert_eq!((members[0].member_id.as_str(), members[0].client_id.as_str()), (member.0.as_str(), "biller"));
    control.expire_member("billing", &member.0).unwrap();
    assert_eq!(wire.ask(3, &beat(&member)).await.error_code, ResponseError::UnknownMemberId.code());
    for (group, member) in [("billing", &*member.0), ("shipping", "nobody")] {
        let error = control.expire_member(group, member).unwrap_err();
        assert_eq!(error.kind(), ControlErrorKind::UnknownMember);
    }
}

#[tokio::test]
async fn transactions_and_records_grow_old_when_the_clock_is_moved() {
    let (broker, control) = started().await;
    control.freeze_clock();
    let mut wire = Wire::to(&broker, 1).await;
    let config = CreatableTopicConfig::default()
        .with_name(text("message.timestamp.type"))
        .with_value(Some(text("LogAppendTime")));
    let asked = CreatableTopic::default()
        .with_name(topic("stamped"))
        .with_num_partitions(1)
        .with_replication_factor(1)
        .with_configs(vec![config]);
    wire.ask(7, &CreateTopicsRequest::default().with_topics(vec![asked])).await;
    control.advance_clock(Duration::from_hours(24));
    let stored = wire.ask(11, &produce("stamped", 0, &["a"], 1)).await;
    let stamp = stored.responses[0].partition_responses[0].log_append_time_ms;
    assert_eq!(stamp, control.clock_ms());

    let id = || TransactionalId(text("teller"));
    let begin =
        InitProducerIdRequest::default().with_transactional_id(Some(id())).with_transaction_timeout_ms(5_000);
    let producer = wire.ask(4, &begin).await;
    let part = add_partitions_to_txn_request::AddPartitionsToTxnTopic::default()
        .with_name(topic("orders"))
        .with_partitions(vec![0]);
    let add = AddPartitionsToTxnRequest::default()
        .with_v3_and_below_transactional_id(id())
        .with_v3_and_below_producer_id(producer.producer_id)
        .with_v3_and_below_producer_epoch(producer.producer_epoch)
        .with_v3_and_below_topics(vec![part]);
    let added = wire.ask(3, &add).await;
    assert_eq!(added.results_by_topic_v3_and_below[0].results_by_partition[0].partition_error_code, 0);
    control.advance_clock(Duration::from_secs(5));
    assert_eq!(span(&broker, "orders").await, (0, 0), "it is not yet too old");
    control.advance_clock(Duration::from_millis(1));
    assert_eq!(span(&broker, "orders").await, (0, 1), "the marker of its end");

    assert_eq!(span(&broker, "stamped").await, (0, 1));
    control.advance_clock(Duration::from_hours(7 * 24 + 1));
    assert_eq!(span(&broker, "stamped").await, (1, 1), "a week is what is retained");
}

#[tokio::test]
async fn requests_are_recorded_with_what_they_are_about_and_how_they_went() {
    let broker = EmbeddedBroker::builder().topic("orders", 2).recorded_requests(3).start().await.unwrap();
    Wire::named(&broker, 1, "early").await.ask(9, &MetadataRequest::default()).await;
    let control = broker.control();
    assert!(control.requests().is_empty(), "nothing is recorded before somebody may ask");

    let before = control.clock_ms();
    let mut wire = Wire::named(&broker, 1, "shop").await;
    wire.produce("orders", 1, &["a"], 1).await;
    let found = control.wait_for(|request| request.api == ApiKey::Produce && request.succeeded());
    let found = patient(found).await.unwrap();
    assert_eq!((found.version, found.client_id.as_str(), found.broker), (11, "shop", 1));
    assert!(found.is_about("orders") && found.is_about_partition("orders", 1));
    assert!(!found.is_about_partition("orders", 0) && !found.is_about("bills"));
    assert!((before..=control.clock_ms()).contains(&found.arrived_ms));

    wire.produce("orders", 7, &["a"], 1).await;
    let failed = control.wait_for(|request| request.error().is_some());
    assert_eq!(patient(failed).await.unwrap().error(), Some(ResponseError::UnknownTopicOrPartition));
    wire.ask(3, &beat(&("nobody".to_owned(), 1))).await;
    let latest = control.requests().pop().unwrap();
    assert_eq!((latest.group.as_deref(), latest.api), (Some("billing"), ApiKey::Heartbeat));
    assert_eq!(latest.error(), Some(ResponseError::UnknownMemberId));

    for _ in 0..5 {
        wire.ask(9, &MetadataRequest::default()).await;
    }
    let numbers: Vec<u64> = control.requests().iter().map(|request| request.number).collect();
    assert_eq!(numbers, [6, 7, 8], "only the latest are kept");
    control.forget_requests();
    assert!(control.requests().is_empty());

    let (waited, ()) = tokio::join!(control.wait_for(|request| request.broker == 9), broker.shutdown());
    assert_eq!(waited.unwrap_err().kind(), ControlErrorKind::Ended);
    assert_eq!(control.stop_broker(1).await.unwrap_err().kind(), ControlErrorKind::Ended);
}
