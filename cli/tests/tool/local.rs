//! The commands that need no cluster: `config`, `completions`, `man`, `dev`.

use std::fs;

use crate::support::{Stage, begin, tool, words};

/// What a command says about a service whose `application.yml` is this.
fn config(yaml: &str, command: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("application.yml"), yaml).unwrap();
    fs::write(folder.path().join("application-prod.yml"), "kafka: { client-id: prod }\n").unwrap();
    let path = folder.path().display().to_string();
    tool(&words(&format!("--config-dir {path} {command}")), &[], "").replace(&path, "<folder>")
}

const SERVICE: &str = "\
application: { name: shop }
kafka:
  bootstrap-servers: [a:9092, b:9092]
  security: { protocol: sasl-plaintext, sasl: { mechanism: plain, username: u, password: hush }, allow-insecure: true }
  consumer: { group-id: shop }
  topics: [ { name: orders, partitions: 3 } ]
  properties: { client.rack: r1 }
shop: { limit: 3 }
";

#[test]
fn a_configuration_is_checked_and_shown_without_its_service() {
    let told: Vec<_> = [
        "config check",
        "config check --profile prod --output json",
        "config print",
        "config print --output json",
    ]
    .iter()
    .map(|command| format!("$ kafka-boot {command}\n{}", config(SERVICE, command)))
    .collect();
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn what_is_not_set_is_shown_with_its_default() {
    let told = config(
        "kafka:\n  consumer: { group-id: shop }\n  topics: [ { name: a } ]\n",
        "config print --effective",
    );
    let row = |key: &str| {
        let found = told.lines().find(|line| line.split_whitespace().next() == Some(key));
        found.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
    };
    let set = |key: &str| row(key).unwrap_or_else(|| panic!("`{key}` is missing:\n{told}"));
    assert!(set("kafka.consumer.group-id").starts_with("kafka.consumer.group-id shop application.yml:2:"));
    assert_eq!(set("kafka.consumer.session-timeout"), "kafka.consumer.session-timeout 45s default");
    assert_eq!(set("kafka.producer.acks"), "kafka.producer.acks all default");
    assert!(set("kafka.topics[0].name").contains("application.yml"), "{told}");
    assert!(row("kafka.client-id").is_none(), "it has no default");
}

#[test]
fn a_configuration_at_fault_is_told_as_at_the_start_of_its_service() {
    let told: Vec<_> = [
        "kafka:\n  consumer:\n    auto-offset-reset: earlest\n  producers: {}\n",
        "kafka: { properties: { no.such.setting: 1 } }\n",
        "kafka: [\n",
    ]
    .iter()
    .map(|yaml| format!("{yaml}{}", config(yaml, "config check")))
    .collect();
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn the_clients_judge_their_settings_each_for_itself() {
    let told: Vec<_> = [
        "kafka: { consumer: { group-id: g, properties: { fetch.error.backoff.ms: soon } } }\n",
        "kafka: { listeners: { slow: { properties: { fetch.error.backoff.ms: soon } } } }\n",
        "kafka: { clusters: { east: { bootstrap-servers: \"e:1\", consumer: { properties: { fetch.error.backoff.ms: soon } } } } }\n",
        "kafka: { producer: { properties: { queue.buffering.backpressure.threshold: many } } }\n",
        // An attribute in the service's code may say the rest.
        "kafka: { listeners: { slow: { heartbeat-interval: 50s } } }\n",
        "kafka: { listeners: { slow: { properties: { fetch.error.backoff.ms: 600 } }, odd: { partitions: { a: \"0-2\" } } } }\n",
    ]
    .iter()
    .map(|yaml| format!("{yaml}{}", config(yaml, "config check")))
    .collect();
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn where_there_is_no_configuration_none_is_valid() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().display().to_string();
    let check = |environment: &[(&str, &str)]| {
        tool(&words(&format!("config check --config-dir {path}")), environment, "").replace(&path, "<folder>")
    };
    let told = check(&[]);
    assert_eq!(check(&[("KAFKA_BOOTSTRAP_SERVERS", "a:1")]), told, "variables are those of any folder");
    insta::assert_snapshot!("nothing_to_check", told);
    fs::write(folder.path().join("application.yml"), "").unwrap();
    assert!(check(&[]).starts_with("exit code 0\n"), "{}", check(&[]));
}

#[test]
fn schema_and_reference_are_those_of_the_framework() {
    let schema = tool(&words("config schema"), &[], "");
    assert!(schema.contains("\"title\": \"kafka-boot configuration\""), "{schema}");
    let reference = tool(&words("config reference"), &[], "");
    assert!(reference.contains(kafka_boot::config::REFERENCE));
}

#[test]
fn shells_and_readers_are_served() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = tool(&words(&format!("completions {shell}")), &[], "");
        assert!(script.starts_with("exit code 0\n"), "{script}");
        assert!(script.contains("reset-offsets") && script.contains("until-end"), "{shell}");
    }
    let page = tool(&words("man"), &[], "");
    assert!(page.contains(".TH kafka-boot 1") && page.contains("produce"), "{page}");
    let folder = tempfile::tempdir().unwrap();
    let told = tool(&words(&format!("man --directory {}", folder.path().display())), &[], "");
    assert!(told.starts_with("exit code 0\n"), "{told}");
    for page in ["kafka-boot.1", "kafka-boot-consume.1", "kafka-boot-groups-reset-offsets.1"] {
        assert!(folder.path().join(page).is_file(), "{page}");
    }
}

#[test]
fn a_broker_for_development_keeps_what_it_is_given() {
    let folder = tempfile::tempdir().unwrap();
    let dev = format!(
        "dev --port 0 --data-directory {}/data --topic orders:3 --output json",
        folder.path().display()
    );
    for round in 1..=2 {
        let begun = begin(&words(&dev));
        let told = begun.lines(4).join("");
        let (_, rest) = told.split_once("\"bootstrapServers\": \"").unwrap();
        let (servers, _) = rest.split_once('"').unwrap();
        let on = |command: &str, input: &str| {
            tool(&words(&format!("--bootstrap-servers {servers} {command}")), &[], input)
        };
        assert!(on("topics describe orders", "").contains("orders  2"));
        assert!(on("produce orders --partition 0", "x\n").contains("Wrote 1 record"));
        let count = on("consume orders --until-end", "").matches("x\n").count();
        assert_eq!(count, round, "what was written before is still there");
        // Two brokers on one folder would spoil it.
        let second = tool(&words(&dev), &[], "");
        assert!(second.starts_with("exit code 1\n"), "{second}");
        assert!(second.contains("--in-memory"), "{second}");
        assert_eq!(begun.end().0, 0);
    }
}

#[test]
fn misuse_of_local_commands_is_told_with_a_remedy() {
    let stage = Stage::new();
    let port = stage.broker.bootstrap_servers().rsplit(':').next().unwrap().to_owned();
    let told: Vec<_> = [
        format!("dev --in-memory --port {port}"),
        "dev --in-memory --data-directory x".to_owned(),
        "dev --topic orders:none".to_owned(),
        "dev --brokers 0".to_owned(),
        "dev --data-directory /proc/nowhere".to_owned(),
        "config".to_owned(),
        "config check --config-dir /nowhere/at/all".to_owned(),
        "completions tcsh".to_owned(),
        "man --directory /proc/nowhere".to_owned(),
    ]
    .iter()
    .map(|command| {
        format!("$ kafka-boot {command}\n{}", tool(&words(command), &[], "")).replace(&port, "<port>")
    })
    .collect();
    insta::assert_snapshot!(told.join("\n"));
}
