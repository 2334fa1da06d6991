//! How a listener and a job come out of their attribute and the configuration.

use super::Setup;
use crate::config::model::{AckMode, CommitMode, Exhausted, Trigger};
use crate::config::{AttributeSetting, AttributeValue, ConfigErrors, TimeSpan};

fn attribute(key: &'static str, value: AttributeValue) -> AttributeSetting {
    AttributeSetting { key, value, file: "src/main.rs", line: 12 }
}

pub(super) fn consume() -> Vec<AttributeSetting> {
    vec![
        attribute("topic", AttributeValue::Str("orders")),
        attribute("group", AttributeValue::Str("billing")),
        attribute("concurrency", AttributeValue::Int(2)),
    ]
}

#[test]
fn a_listener_takes_each_key_from_the_strongest_place_that_gives_it() {
    let yaml = "
kafka:
  consumer: { group-id: base, concurrency: 9, fetch-max-wait: 1s, max-poll-records: 10 }
  error: { attempts: 7, then: skip }
  listeners:
    consume: { group-id: override, error: { attempts: 2 } }
";
    let setup = Setup::with(yaml).variable("KAFKA_LISTENERS_CONSUME_MAX_POLL_RECORDS", "20");
    let listener = setup.load().listener("consume", &consume()).expect("a complete listener");
    assert_eq!(listener.topics, ["orders"]);
    assert_eq!(listener.group_id(), "override");
    assert_eq!(listener.consumer.concurrency, 2);
    assert_eq!(listener.consumer.fetch_max_wait, TimeSpan::from_secs(1));
    assert_eq!(listener.consumer.max_poll_records, 20);
    assert_eq!((listener.error.attempts, listener.error.then), (2, Exhausted::Skip));
    assert_eq!(listener.supervision.restarts, 5);
}

#[test]
fn what_excludes_the_attributes_key_replaces_it() {
    let setup = Setup::with("kafka: { listeners: { consume: { topic-pattern: ^o.* } } }\n");
    let listener = setup.load().listener("consume", &consume()).expect("a complete listener");
    assert!(listener.topics.is_empty());
    assert_eq!(listener.topic_pattern.as_deref(), Some("^o.*"));
}

#[test]
fn manual_commits_bring_manual_acknowledgement_along() {
    let mut attributes = consume();
    attributes.push(attribute("commit", AttributeValue::Str("manual")));
    let listener = Setup::new().load().listener("consume", &attributes).expect("a complete listener");
    assert_eq!((listener.consumer.commit, listener.consumer.ack_mode), (CommitMode::Manual, AckMode::Manual));
}

#[test]
fn every_form_of_attribute_value_is_understood() {
    let attributes = [
        attribute("topics", AttributeValue::List(&["${a}", "b"])),
        attribute("group", AttributeValue::Str("g")),
        attribute("auto-startup", AttributeValue::Bool(false)),
        attribute("error.attempts", AttributeValue::Int(9)),
        attribute("properties", AttributeValue::Map(&[("client.rack", "r1")])),
    ];
    let listener =
        Setup::with("a: x\n").load().listener("consume", &attributes).expect("a complete listener");
    assert_eq!(listener.topics, ["x", "b"]);
    assert!(!listener.consumer.auto_startup);
    assert_eq!(listener.error.attempts, 9);
    assert_eq!(listener.consumer.properties.get("client.rack"), Some("r1"));
}

#[test]
fn a_listener_of_a_named_cluster_takes_that_clusters_consumer() {
    let yaml = "
kafka:
  consumer: { group-id: base, max-poll-records: 10 }
  clusters: { east: { bootstrap-servers: e:1, consumer: { max-poll-records: 30 } } }
  listeners: { consume: { cluster: east } }
";
    let settings = Setup::with(yaml).load();
    let topic = [attribute("topic", AttributeValue::Str("t"))];
    let listener = settings.listener("consume", &topic).expect("a complete listener");
    assert_eq!(listener.cluster.as_deref(), Some("east"));
    assert_eq!(listener.consumer.max_poll_records, 30);
    assert_eq!(settings.consumer_client(&listener).get("bootstrap.servers"), Some("e:1"));
}

#[test]
fn a_jobs_trigger_is_replaced_by_whichever_the_configuration_gives() {
    let setup =
        Setup::with("scheduling: { jobs: { produce: { cron: 0 * * * * *, zone: Europe/Berlin } } }\n");
    let delay = [attribute("fixed-delay", AttributeValue::Int(1000))];
    let job = setup.load().job("produce", &delay).expect("a complete job");
    let trigger = Trigger::Cron { expression: "0 * * * * *".into(), zone: "Europe/Berlin".into() };
    assert_eq!((job.trigger, job.enabled), (trigger, true));

    let setup = Setup::new().variable("SCHEDULING_JOBS_PRODUCE_ENABLED", "false");
    let job = setup.load().job("produce", &delay).expect("a complete job");
    assert_eq!((job.trigger, job.enabled), (Trigger::FixedDelay(TimeSpan::from_secs(1)), false));
}

#[test]
fn ids_that_nobody_has_are_refused() {
    let settings = Setup::with("kafka:\n  listeners:\n    consum: { concurrency: 2 }\n").load();
    assert!(settings.check_listener_ids(&["consum"]).is_ok());
    insta::assert_snapshot!(
        "unknown_listener",
        settings.check_listener_ids(&["consume", "other"]).expect_err("no such id")
    );
    let settings = Setup::with("scheduling:\n  jobs:\n    nightly: { enabled: false }\n").load();
    insta::assert_snapshot!("unknown_job", settings.check_job_ids(&["produce"]).expect_err("no such id"));
}

#[test]
fn faults_of_an_attribute_name_its_line() {
    let load = |yaml: &str, attributes: &[AttributeSetting]| -> ConfigErrors {
        Setup::with(yaml).load().listener("consume", attributes).expect_err(yaml)
    };
    let mut attributes = consume();
    attributes.push(attribute("commit", AttributeValue::Str("snyc")));
    attributes.push(attribute("max-pol-records", AttributeValue::Int(1)));
    attributes.push(attribute("properties", AttributeValue::Map(&[("client.rack", "${none}")])));
    insta::assert_snapshot!("attribute_faults", load("", &attributes));
    insta::assert_snapshot!("listener_without_anything", load("", &[]));

    let mut attributes = consume();
    attributes.push(attribute("cluster", AttributeValue::Str("eats")));
    insta::assert_snapshot!(
        "listener_of_an_unknown_cluster",
        load("kafka: { clusters: { east: { bootstrap-servers: e:1 } } }", &attributes)
    );
    let mut attributes = consume();
    attributes.push(attribute("commit", AttributeValue::Str("auto")));
    insta::assert_snapshot!(
        "listener_override_against_its_attribute",
        load("kafka:\n  listeners:\n    consume: { ack-mode: manual }\n", &attributes)
    );
    let mut attributes = consume();
    attributes.push(attribute("properties", AttributeValue::Map(&[("enable.auto.commit", "true")])));
    insta::assert_snapshot!("listener_with_a_raw_setting_that_is_not_its_own", load("", &attributes));
    let mut attributes = consume();
    attributes.push(attribute("commit", AttributeValue::Str("transaction")));
    insta::assert_snapshot!(
        "listener_in_transactions_by_key",
        load("kafka:\n  listeners:\n    consume: { ordering: key }\n", &attributes)
    );
    let by_hand = "kafka:\n  listeners:\n    consume:\n      group-id: g\n      partitions: { orders: \"0\" }\n      commit: transaction\n";
    insta::assert_snapshot!("listener_in_transactions_by_hand", load(by_hand, &[]));
    let error = Setup::new().load().job("produce", &[]).expect_err("no trigger");
    insta::assert_snapshot!("job_without_a_trigger", error);
}
