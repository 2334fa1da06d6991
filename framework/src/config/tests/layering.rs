//! Which source wins, and how values find their keys.

use super::Setup;
use crate::config::model::{Acks, AutoOffsetReset, LogLevel, SaslMechanism, SecurityProtocol};
use crate::config::{DataSize, TimeSpan};

#[test]
fn each_source_wins_over_the_one_before() {
    let setup = Setup::with("kafka: { client-id: base, consumer: { concurrency: 1, group-id: base } }\n")
        .file("application-dev.yml", "kafka: { client-id: dev, consumer: { concurrency: 2 } }\n")
        .argument("--profile=dev");
    let client_id = |setup: &Setup| setup.load().kafka().client_id.clone().unwrap_or_default();
    assert_eq!(client_id(&setup), "dev");
    assert_eq!(setup.load().kafka().consumer.group_id.as_deref(), Some("base"));

    let setup = setup.file("config/application.yml", "kafka: { client-id: folder }\n");
    assert_eq!(client_id(&setup), "folder");
    let setup = setup.file("config/application-dev.yml", "kafka: { client-id: folder-dev }\n");
    assert_eq!(client_id(&setup), "folder-dev");
    let setup = setup.variable("KAFKA_CLIENT_ID", "variable");
    assert_eq!(client_id(&setup), "variable");
    let setup = setup.argument("--kafka.client-id=argument");
    assert_eq!(client_id(&setup), "argument");

    let settings = setup.load();
    assert_eq!(settings.profiles(), ["dev"]);
    assert_eq!(settings.application().profiles.active, ["dev"]);
    assert_eq!(
        settings.sources(),
        [
            "application.yml",
            "application-dev.yml",
            "config/application.yml",
            "config/application-dev.yml",
            "environment variable `KAFKA_CLIENT_ID`",
            "argument `--kafka.client-id`",
        ]
    );
}

#[test]
fn defaults_are_under_every_file_and_documents_over_them() {
    let mut setup = Setup::with("kafka: { client-id: file, consumer: { group-id: file } }\n");
    let defaults = "kafka: { client-id: default, consumer: { group-id: default, concurrency: 3 } }\n";
    setup.options.defaults.push(("defaults".to_owned(), defaults.to_owned()));
    let documents = "kafka: { consumer: { group-id: document } }\n";
    setup.options.documents.push(("documents".to_owned(), documents.to_owned()));
    let settings = setup.load();
    assert_eq!(settings.kafka().client_id.as_deref(), Some("file"));
    assert_eq!(settings.kafka().consumer.group_id.as_deref(), Some("document"));
    assert_eq!(settings.kafka().consumer.concurrency, 3);
    assert_eq!(settings.sources(), ["defaults", "application.yml", "documents"]);
    let settings = setup.variable("KAFKA_CONSUMER_CONCURRENCY", "2").load();
    assert_eq!(settings.kafka().consumer.concurrency, 2);
}

#[test]
fn a_service_is_described_in_a_few_lines() {
    let yaml = "
application: { name: scheduled-producer }
kafka:
  bootstrap-servers: ${KAFKA_BOOTSTRAP_SERVERS:embedded}
  consumer: { group-id: default, auto-offset-reset: latest }
  producer: { acks: all, retries: 3 }
  admin:    { request-timeout: 5s }
  topics:   [ { name: test, partitions: 3, replication-factor: 1 } ]
  listeners:
    consume: { concurrency: 1, ack-mode: batch }
logging: { level: { root: info } }
";
    let setup = Setup::with(yaml);
    assert!(setup.load().kafka().bootstrap_servers.is_embedded());
    assert_eq!(setup.load().kafka().topics[0].partitions, Some(3));
    let setup = setup.variable("KAFKA_BOOTSTRAP_SERVERS", "a:9092,b:9092");
    assert_eq!(setup.load().kafka().bootstrap_servers.joined(), "a:9092,b:9092");
    let keys = setup.load().kafka().listeners["consume"].keys().to_vec();
    assert_eq!(keys, ["ack-mode", "concurrency"]);
}

#[test]
fn of_several_profiles_the_later_one_wins() {
    let files = || {
        Setup::with("application: { profiles: { active: [a, b] } }\n")
            .file("application-a.yml", "kafka: { client-id: a }\n")
            .file("application-b.yaml", "kafka: { client-id: b }\n")
    };
    assert_eq!(files().load().kafka().client_id.as_deref(), Some("b"));
    let by_variable = files().variable("APP_PROFILES_ACTIVE", "b, a");
    assert_eq!(by_variable.load().kafka().client_id.as_deref(), Some("a"));
    assert_eq!(by_variable.load().profiles(), ["b", "a"]);
    let by_argument = by_variable.argument("--profile=b");
    assert_eq!(by_argument.load().kafka().client_id.as_deref(), Some("b"));
}

#[test]
fn the_active_profiles_may_be_a_placeholder() {
    let setup = Setup::with("application: { profiles: { active: \"${STAGE:}\" } }\n")
        .file("application-prod.yml", "kafka: { client-id: prod }\n");
    assert!(setup.load().profiles().is_empty());
    let setup = setup.variable("STAGE", "prod");
    assert_eq!(setup.load().kafka().client_id.as_deref(), Some("prod"));
}

#[test]
fn a_profile_of_the_file_that_has_no_file_is_a_warning() {
    let settings = Setup::with("application: { profiles: { active: local } }\n").load();
    assert!(
        settings.warnings().iter().any(|warning| warning.contains("`local`")),
        "{:?}",
        settings.warnings()
    );
}

#[test]
fn another_folder_or_file_can_be_named() {
    let setup = Setup::with("kafka: { client-id: usual }\n")
        .file("else/application.yml", "kafka: { client-id: folder }\n")
        .file("else/service.yml", "kafka: { client-id: file }\n")
        .file("else/service-dev.yml", "kafka: { consumer: { concurrency: 7 } }\n");
    let by_variable = setup.variable("KAFKA_BOOT_CONFIG", "else");
    assert_eq!(by_variable.load().kafka().client_id.as_deref(), Some("folder"));
    let by_argument = by_variable.argument("--config=else/service.yml").argument("--profile=dev");
    assert_eq!(by_argument.load().kafka().client_id.as_deref(), Some("file"));
    assert_eq!(by_argument.load().kafka().consumer.concurrency, 7);
}

#[test]
fn without_any_file_the_defaults_hold() {
    let settings = Setup::new().load();
    assert!(settings.kafka().bootstrap_servers.is_embedded());
    assert!(settings.sources().is_empty());
}

#[test]
fn values_are_read_as_what_their_keys_ask_for() {
    let yaml = "
kafka:
  bootstrap-servers: a:9092, b:9092
  consumer: { auto-offset-reset: LATEST, session-timeout: 30000, queued-max-bytes: 64MiB, check-crcs: true }
  producer: { acks: 1, enable-idempotence: false, linger: 20 ms }
logging: { level: { root: warn, my_service::orders: debug } }
";
    let setup = Setup::with(&yaml.replace("20 ms", "20ms"));
    let settings = setup.load();
    let kafka = settings.kafka();
    assert_eq!(kafka.bootstrap_servers.addresses(), ["a:9092", "b:9092"]);
    assert_eq!(kafka.consumer.auto_offset_reset, AutoOffsetReset::Latest);
    assert_eq!(kafka.consumer.session_timeout, TimeSpan::from_secs(30));
    assert_eq!(kafka.consumer.queued_max_bytes, DataSize::from_mib(64));
    assert!(kafka.consumer.check_crcs);
    assert_eq!(kafka.producer.acks, Acks::Leader);
    assert_eq!(settings.logging().root_level(), LogLevel::Warn);
    assert_eq!(settings.logging().level["my_service::orders"], LogLevel::Debug);
}

#[test]
fn elements_of_a_list_can_be_set_from_outside() {
    let setup = Setup::with("kafka: { topics: [ { name: a, partitions: 1 }, { name: b } ] }\n")
        .variable("KAFKA_TOPICS_0_PARTITIONS", "6")
        .argument("--kafka.topics[1].name=c")
        .argument("--kafka.topics[1].configs.retention.ms=1000");
    let topics = &setup.load().kafka().topics.clone();
    assert_eq!(topics[0].partitions, Some(6));
    assert_eq!(topics[1].name, "c");
    assert_eq!(topics[1].configs["retention.ms"], "1000");
}

#[test]
fn values_from_outside_are_taken_as_they_are() {
    let settings = Setup::with("kafka: { client-id: \"${NAME}\" }\n")
        .variable("NAME", "${none}: [x")
        .variable("KAFKA_CONSUMER_GROUP_ID", "a${b")
        .load();
    assert_eq!(settings.kafka().client_id.as_deref(), Some("${none}: [x"));
    assert_eq!(settings.kafka().consumer.group_id.as_deref(), Some("a${b"));
}

#[test]
fn own_sections_are_bound_to_own_types() {
    #[derive(Debug, PartialEq, serde::Deserialize)]
    #[serde(rename_all = "kebab-case")]
    enum Mode {
        Fast,
        Limited { rate: u32 },
    }
    #[derive(Debug, PartialEq, serde::Deserialize)]
    #[serde(rename_all = "kebab-case", deny_unknown_fields)]
    struct Repo {
        url: String,
        pool_size: u16,
        ratio: f32,
        timeout: TimeSpan,
        hosts: Vec<String>,
        mode: Mode,
        other: Mode,
        note: Option<String>,
    }
    let yaml = "
app:
  repo:
    url: ${DB_URL:db://local}
    pool-size: 4
    ratio: 0.5
    timeout: 5s
    hosts: a, b
    mode: fast
    other: { limited: { rate: 3 } }
    note: ~
";
    let setup = Setup::with(yaml).variable("APP_REPO_POOL_SIZE", "8");
    let repo: Repo = setup.load().bind("app.repo").expect("a well-formed section");
    let expected = Repo {
        url: "db://local".into(),
        pool_size: 8,
        ratio: 0.5,
        timeout: TimeSpan::from_secs(5),
        hosts: vec!["a".into(), "b".into()],
        mode: Mode::Fast,
        other: Mode::Limited { rate: 3 },
        note: None,
    };
    assert_eq!(repo, expected);

    let refused = |yaml: &str| Setup::with(yaml).load().bind::<Repo>("app.repo").expect_err(yaml).to_string();
    let error = refused("app:\n  repo:\n    url: x\n    pool-size: many\n");
    assert!(error.contains("application.yml:4:16") && error.contains("app.repo.pool-size"), "{error}");
    let error = refused("app:\n  repo:\n    url: x\n");
    assert!(error.contains("missing field `pool-size`"), "{error}");
    let error = refused("app:\n  repo:\n    uri: x\n");
    assert!(error.contains("unknown field `uri`"), "{error}");
}

#[test]
fn named_clusters_start_from_the_sections_of_the_default_one() {
    let yaml = "
kafka:
  bootstrap-servers: a:9092
  consumer: { group-id: orders, fetch-max-wait: 1s }
  clusters:
    east:
      bootstrap-servers: east:9093
      security: { protocol: SASL_SSL, sasl: { mechanism: SCRAM-SHA-512, username: u, password: p } }
      consumer: { fetch-max-wait: 2s }
";
    let settings = Setup::with(yaml).load();
    let east = settings.kafka().cluster(Some("east")).expect("a cluster");
    assert_eq!(east.consumer.group_id.as_deref(), Some("orders"));
    assert_eq!(east.consumer.fetch_max_wait, TimeSpan::from_secs(2));
    assert_eq!(east.security.protocol, SecurityProtocol::SaslSsl);
    assert_eq!(east.security.sasl.mechanism, Some(SaslMechanism::ScramSha512));
    assert_eq!(settings.kafka().consumer.fetch_max_wait, TimeSpan::from_secs(1));
}

#[test]
fn arguments_that_are_no_keys_are_left_to_the_program() {
    let setup = Setup::new();
    let arguments = ["run", "--verbose", "-x", "--repo.url=db", "--", "--kafka.bad"];
    let setup = arguments.iter().fold(setup, |setup, argument| setup.argument(argument));
    let settings = setup.load();
    assert_eq!(settings.free_arguments(), ["run", "--verbose", "-x", "--kafka.bad"]);
    assert_eq!(
        settings.bind::<std::collections::BTreeMap<String, String>>("repo").expect("a map")["url"],
        "db"
    );
}

#[test]
fn a_variable_that_is_nearly_a_key_is_a_warning_and_others_are_not() {
    let settings = Setup::new()
        .variable("KAFKA_CONSUMER_GROPU_ID", "x")
        .variable("KAFKA_HOME", "/opt/kafka")
        .variable("KAFKA_PORT_9092_TCP", "tcp://10.0.0.1:9092")
        .load();
    assert_eq!(settings.warnings().len(), 1, "{:?}", settings.warnings());
    assert!(settings.warnings()[0].contains("`KAFKA_CONSUMER_GROPU_ID`"));
}

#[cfg(unix)]
#[test]
fn secrets_that_every_user_can_read_are_warned_about() {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    let security = "protocol: sasl-ssl, sasl: { mechanism: plain, username: u, password: ";
    let setup = Setup::new().file("pw", "hunter2\n");
    let path = setup.path().join("pw");
    let yaml = format!(
        "kafka: {{ bootstrap-servers: a:1, security: {{ {security}\"${{file:{}}}\" }} }} }}\n",
        path.display()
    );
    let setup = setup.file("application.yml", yaml);
    let warnings_at = |mode: u32, file: &str| {
        fs::set_permissions(setup.path().join(file), fs::Permissions::from_mode(mode))
            .expect("a file of one's own");
        setup.load().warnings().len()
    };
    assert_eq!(warnings_at(0o600, "pw"), 0);
    assert_eq!(warnings_at(0o644, "pw"), 1);

    let setup =
        Setup::with(&format!("kafka: {{ bootstrap-servers: a:1, security: {{ {security}hunter2 }} }} }}\n"));
    let path = setup.path().join("application.yml");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).expect("a file of one's own");
    assert_eq!(setup.load().warnings().len(), 1);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("a file of one's own");
    assert!(setup.load().warnings().is_empty());
}
