//! What the clients are created with.

use super::Setup;
use crate::config::{AttributeSetting, AttributeValue, ClientSettings, Settings};

const ATTRIBUTES: [AttributeSetting; 2] = [
    AttributeSetting { key: "topic", value: AttributeValue::Str("orders"), file: "src/main.rs", line: 3 },
    AttributeSetting { key: "group", value: AttributeValue::Str("billing"), file: "src/main.rs", line: 3 },
];

fn consumer(settings: &Settings) -> ClientSettings {
    settings.consumer_client(&settings.listener("consume", &ATTRIBUTES).expect("a complete listener"))
}

#[test]
fn the_defaults_render_to_the_documented_settings() {
    let settings = Setup::with("kafka: { bootstrap-servers: a:9092 }\n").load();
    insta::assert_debug_snapshot!("default_consumer", consumer(&settings));
    insta::assert_debug_snapshot!("default_producer", settings.producer_client(None));
    insta::assert_debug_snapshot!("default_admin", settings.admin_client(None));
}

#[test]
fn raw_settings_win_over_typed_ones_and_the_narrower_section_over_the_wider() {
    let yaml = "
kafka:
  properties: { socket.keepalive.enable: true, client.rack: all }
  consumer: { fetch-max-wait: 1s, properties: { fetch.max.wait.ms: 7, client.rack: c } }
  producer: { linger: 1s, properties: { queue.buffering.max.ms: 9, buffer.memory: 1048576 } }
  listeners: { consume: { properties: { client.rack: l } } }
";
    let settings = Setup::with(yaml).load();
    let client = consumer(&settings);
    assert_eq!(client.get("fetch.wait.max.ms"), Some("7"));
    assert_eq!(client.get("client.rack"), Some("l"));
    assert_eq!(client.get("socket.keepalive.enable"), Some("true"));
    let client = settings.producer_client(None).expect("the default cluster");
    assert_eq!(client.get("client.rack"), Some("all"));
    assert_eq!(client.get("queue.buffering.max.ms"), Some("9"));
    assert_eq!(client.get("linger.ms"), None, "both names of one setting would be given");
    assert_eq!(client.get("queue.buffering.max.kbytes"), Some("1024"));
}

#[test]
fn the_new_group_protocol_is_given_nothing_that_it_refuses() {
    let settings = Setup::with("kafka: { consumer: { group-protocol: consumer } }\n").load();
    let client = consumer(&settings);
    for name in ["session.timeout.ms", "heartbeat.interval.ms", "partition.assignment.strategy"] {
        assert_eq!(client.get(name), None, "{name}");
    }
}

#[test]
fn automatic_commits_are_those_of_librdkafka_for_what_the_engine_stores() {
    let client = consumer(&Setup::with("kafka: { consumer: { commit: auto } }\n").load());
    assert_eq!(client.get("enable.auto.commit"), Some("true"));
    assert_eq!(client.get("enable.auto.offset.store"), Some("false"));
    assert_eq!(client.get("auto.commit.interval.ms"), Some("5000"));
}

#[test]
fn javas_security_settings_are_taken_over() {
    let yaml = r#"
kafka:
  bootstrap-servers: broker:9093
  properties:
    security.protocol: SASL_SSL
    sasl.mechanism: PLAIN
    sasl.jaas.config: org.apache.kafka.common.security.plain.PlainLoginModule required username="u" password="hunter2";
    ssl.endpoint.identification.algorithm: https
"#;
    let settings = Setup::with(yaml).load();
    let client = settings.admin_client(None).expect("the default cluster");
    assert_eq!(client.get("security.protocol"), Some("sasl_ssl"));
    assert_eq!(client.get("sasl.mechanism"), Some("PLAIN"));
    assert_eq!(client.get("sasl.username"), Some("u"));
    assert_eq!(client.get("sasl.password"), Some("hunter2"));
    assert!(client.get("sasl.jaas.config").is_none());
}

#[test]
fn no_secret_shows_in_anything_that_can_be_printed() {
    let yaml = r#"
kafka:
  bootstrap-servers: broker:9093
  security:
    protocol: sasl-ssl
    ssl: { keystore-location: k.p12, keystore-password: CANARY, key-password: CANARY }
    sasl:
      mechanism: oauthbearer
      username: u
      password: CANARY
      oauthbearer: { token-endpoint-url: "https://u:CANARY@idp/token", client-id: c, client-secret: "${THE_SECRET}" }
  properties: { ssl.key.pem: CANARY, sasl.oauthbearer.config: CANARY }
  consumer: { properties: { whatever: CANARY } }
repo: { url: "db://u:CANARY@host", password: CANARY }
"#;
    let settings = Setup::with(yaml).variable("THE_SECRET", "CANARY").load();
    // The address of the token endpoint is no secret by type, so it may show in the client's settings, but
    // not here.
    let printed = [
        format!("{:?}", settings.effective()),
        format!("{:?}", settings.kafka().security.sasl.password),
        format!("{:?}", settings.kafka().properties),
        format!("{:?}", settings.kafka().consumer),
        format!("{:?}", settings.inner.tree),
        format!("{:?}", settings.warnings()),
        format!("{:?}", settings.required_features()),
    ];
    for text in printed {
        assert!(!text.contains("CANARY"), "{text}");
    }
}

#[test]
fn what_was_not_built_in_is_an_error_that_names_the_feature() {
    let yaml = "
kafka:
  bootstrap-servers: a:9093
  security: { protocol: ssl }
  producer: { compression-type: zstd }
";
    let settings = Setup::with(yaml).load();
    assert!(settings.check_features(&|_| true).is_ok());
    insta::assert_snapshot!(
        "missing_features",
        settings.check_features(&|_| false).expect_err("nothing is built in")
    );
}

#[test]
fn a_raw_setting_that_librdkafka_lacks_is_refused() {
    let yaml = "
kafka:
  properties: { socket.keepalive.enable: true }
  consumer:
    properties:
      fetch.max.wait.ms: 5
      fetch.wait.maximum: 5
";
    let settings = Setup::with(yaml).load();
    let known = |name: &str| matches!(name, "socket.keepalive.enable" | "fetch.wait.max.ms");
    insta::assert_snapshot!(
        "unknown_raw_setting",
        settings.check_raw_settings(&known).expect_err("an unknown name")
    );
}
