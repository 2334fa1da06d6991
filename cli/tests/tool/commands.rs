//! Every command against the embedded broker: what it says, and with which exit code.

use std::fs;
use std::time::{Duration, Instant};

use kafka_boot::OffsetMap;
use kafka_boot_client::{Admin, ClientConfig, Consumer, ConsumerEvent, PartitionOffset, TopicPartition};
use kafka_boot_embedded::EmbeddedBroker;
use kafka_boot_embedded::control::{ApiKey, ResponseError};

use crate::support::{self, Stage};

/// Exit code, output and errors of a command.
fn tool(command: &str, environment: &[(&str, &str)], input: &str) -> String {
    support::tool(&support::words(command), environment, input)
}

#[test]
fn a_topic_lives_and_dies() {
    let stage = Stage::new();
    let story: Vec<String> = [
        "topics create test --partitions 3 --replication-factor 1 --config retention.ms=60000",
        "topics list",
        "topics list --exclude-internal --output json",
        "topics describe test",
        "topics describe orders --output json",
        "topics alter test --set cleanup.policy=compact --delete retention.ms",
        "configs describe --topic test",
        "configs alter --topic test --set retention.ms=1000 --output json",
        "configs describe --topic test --output json",
        "topics partitions test 5",
        "topics create test --if-not-exists",
        "topics delete test --yes",
        "topics list",
    ]
    .iter()
    .map(|command| format!("$ kafka-boot {command}\n{}", stage.says(command)))
    .collect();
    insta::assert_snapshot!(story.join("\n"));
}

#[test]
fn records_are_deleted_up_to_an_offset() {
    let stage = Stage::new();
    stage.produce("orders", 1, 5);
    let story: Vec<String> = [
        "offsets orders",
        "records delete orders:1 --before 2",
        "records delete orders:1 --before 2 --yes",
        "offsets orders",
        "records delete orders:1 --before end --yes --output json",
        "offsets orders --output json",
    ]
    .iter()
    .map(|command| format!("$ kafka-boot {command}\n{}", stage.says(command)))
    .collect();
    insta::assert_snapshot!(story.join("\n"));
}

#[test]
fn a_group_is_set_back_and_deleted() {
    let stage = Stage::new();
    stage.produce("orders", 0, 3);
    stage.produce("orders", 1, 12);
    let story: Vec<String> = [
        "groups reset-offsets testgroup --topic orders --to-latest --execute",
        "groups list",
        "groups describe testgroup",
        "groups reset-offsets testgroup --topic orders --to-earliest",
        "groups describe testgroup",
        "groups reset-offsets testgroup --topic orders --to-earliest --execute",
        "groups reset-offsets testgroup --topic orders:1 --to-offset 10 --execute",
        "groups describe testgroup",
        "groups reset-offsets testgroup --all-topics --shift-by 5 --execute",
        "groups reset-offsets testgroup --topic orders:1 --shift-by -2 --execute --output json",
        "groups reset-offsets testgroup --all-topics --to-current",
        "groups reset-offsets testgroup --topic orders --to-datetime 2001-09-09T01:46:40.000",
        "groups reset-offsets testgroup --topic orders --to-datetime 2999-01-01T00:00:00+02:00",
        "groups reset-offsets testgroup --topic orders --by-duration P1D",
        "groups reset-offsets testgroup --topic orders --by-duration PT0S",
        "groups describe testgroup --members",
        "groups describe --all-groups",
        "groups describe testgroup --output json",
        "groups delete-offsets testgroup --topic orders:0",
        "groups delete-offsets testgroup --topic orders:0 --yes",
        "groups describe testgroup",
        "groups list --state",
        "groups delete testgroup --yes",
        "groups list --output json",
    ]
    .iter()
    .map(|command| format!("$ kafka-boot {command}\n{}", stage.says(command)))
    .collect();
    insta::assert_snapshot!(story.join("\n"));
}

#[test]
fn offsets_are_kept_in_a_file_and_set_from_it() {
    let stage = Stage::new();
    stage.produce("orders", 0, 3);
    stage.produce("orders", 1, 12);
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let reset = "groups reset-offsets g";
    stage.says(&format!("{reset} --topic orders:0 --to-offset 2 --execute"));
    let exported = stage.says(&format!("{reset} --topic orders --to-current --export"));
    assert_eq!(exported, "exit code 0\n--- output\norders,0,2\norders,1,12\n--- errors\n");
    let told = stage.story(&[
        (&format!("{reset} --from-file {}", file("three", "orders,0,1\norders,1,5\n")), ""),
        (&format!("{reset} --from-file {} --execute", file("four", "other,orders,0,0\ng,orders,1,7\n")), ""),
        ("groups describe g", ""),
        (&format!("{reset} --from-file {}", file("far", "orders,1,99\n")), ""),
        (&format!("{reset} --from-file {}", file("broken", "orders,1,5\norders,one,5\n")), ""),
        (&format!("{reset} --from-file {}", file("unknown", "orders,9,5\n")), ""),
        (&format!("{reset} --from-file {}", file("others", "other,orders,0,5\n")), ""),
        (&format!("{reset} --from-file {}", file("empty", "")), ""),
        (&format!("{reset} --from-file /nowhere/at/all"), ""),
        (&format!("{reset} --from-file x --topic orders"), ""),
        (&format!("{reset} --from-file x --to-latest"), ""),
    ]);
    insta::assert_snapshot!(told.replace(&folder.path().display().to_string(), "<folder>"));
}

#[test]
fn misuse_of_groups_is_told_with_a_remedy() {
    let stage = Stage::new();
    let story: Vec<String> = [
        "groups describe",
        "groups describe nobody",
        "groups delete nobody --yes",
        "groups delete-offsets nobody --topic orders --yes",
        "groups reset-offsets g --topic nothing --to-earliest",
        "groups reset-offsets g --topic orders:7 --to-earliest",
        "groups reset-offsets g --topic orders:x --to-earliest",
        "groups reset-offsets g --topic orders",
        "groups reset-offsets g --topic orders --to-earliest --to-latest",
        "groups reset-offsets g --to-earliest",
        "groups reset-offsets g --topic orders --to-offset -1",
        "groups reset-offsets g --topic orders --shift-by 1",
        "groups reset-offsets g --topic orders --to-datetime yesterday",
        "groups reset-offsets g --topic orders --by-duration 1h",
        "groups describe g --members --state",
        "groups describe g --all-groups",
    ]
    .iter()
    .map(|command| format!("$ kafka-boot {command}\n{}", stage.says(command)))
    .collect();
    insta::assert_snapshot!(story.join("\n"));
}

#[test]
fn a_group_with_members_is_shown_with_them_and_left_alone() {
    let stage = Stage::new();
    stage.produce("orders", 0, 3);
    let config = ClientConfig::from_iter([
        ("bootstrap.servers", stage.broker.bootstrap_servers()),
        ("group.id", "busy"),
        ("client.id", "worker"),
        ("auto.offset.reset", "earliest"),
    ]);
    let mut consumer = Consumer::new(&config).unwrap();
    consumer.subscribe(&["orders"]).unwrap();
    let deadline = Instant::now() + Duration::from_mins(1);
    let (mut records, mut events) = (Vec::new(), Vec::new());
    while records.is_empty() {
        assert!(Instant::now() < deadline, "the consumer gets no records: {events:?}");
        consumer.poll(10, Duration::from_millis(100), &mut records, &mut events).unwrap();
        for event in events.drain(..) {
            if let ConsumerEvent::Assign { partitions } = event {
                let start = |partition| PartitionOffset::new(partition, PartitionOffset::COMMITTED);
                consumer.assign(&partitions.into_iter().map(start).collect::<Vec<_>>()).unwrap();
            }
        }
    }
    let members = stage.says("groups describe busy --members");
    assert!(members.contains("#PARTITIONS") && members.contains("orders(0"), "{members}");
    let shown = stage.says("groups describe --all-groups --state --output json");
    assert!(shown.contains("\"state\": \"Stable\"") && shown.contains("\"members\": 1"), "{shown}");
    let described = stage.says("groups describe busy --output json");
    assert!(described.contains("\"clientId\": \"worker\""), "{described}");
    assert!(described.contains("\"logEndOffset\": 3"), "{described}");
    assert!(!described.contains("no active members"), "{described}");
    insta::assert_snapshot!(
        "group_active",
        format!(
            "{}\n{}",
            stage.says("groups reset-offsets busy --topic orders --to-earliest --execute"),
            stage.says("groups delete busy --yes")
        )
    );
}

#[test]
fn what_the_engine_has_handled_ahead_is_shown() {
    let stage = Stage::new();
    stage.produce("orders", 0, 9);
    let config = ClientConfig::from_iter([("bootstrap.servers", stage.broker.bootstrap_servers())]);
    let admin = Admin::new(&config).unwrap();
    let mut offset = PartitionOffset::new(TopicPartition::new("orders", 0), 2);
    offset.metadata = Some(OffsetMap::from_done(2, [3..5, 7..8]).encode(4096).0);
    let results = stage
        .runtime
        .block_on(admin.alter_group_offsets("ahead", &[offset], Duration::from_secs(10)))
        .unwrap();
    assert!(results.iter().all(|(_, result)| result.is_ok()), "{results:?}");
    insta::assert_snapshot!("group_ahead", stage.says("groups describe ahead"));
}

#[test]
fn the_cluster_is_described() {
    let stage = Stage::new();
    let told = stage.says("cluster describe");
    // The cluster's id differs from run to run.
    let (before, after) = told.split_once("Cluster: ").unwrap();
    let (_, after) = after.split_once('\n').unwrap();
    insta::assert_snapshot!(format!("{before}Cluster: <id>\n{after}"));
}

#[test]
fn a_deletion_asks() {
    let stage = Stage::new();
    insta::assert_snapshot!("deletion_without_answer", stage.answers("topics delete orders", ""));
    insta::assert_snapshot!("deletion_refused", stage.answers("topics delete orders", "n\n"));
    assert!(stage.says("topics list").contains("orders"));
    insta::assert_snapshot!("deletion_confirmed", stage.answers("topics delete orders", "y\n"));
    assert!(!stage.says("topics list").contains("orders"));
}

#[test]
fn misuse_is_told_with_a_remedy() {
    let stage = Stage::new();
    let story: Vec<String> = [
        "topics describe nothing",
        "topics delete nothing --yes",
        "topics create orders",
        "topics create a/b",
        "topics create wide --partitions 0",
        "topics create wide --replication-factor 9",
        "topics create odd --config retention.ms",
        "topics create odd --config retention.ms=soon",
        "topics partitions orders 1",
        "topics partitions nothing 4",
        "topics alter orders",
        "topics alter orders --set no.such.setting=1",
        "configs describe",
        "configs describe --topic a --broker 1",
        "offsets nothing",
        "records delete orders:7 --before 1 --yes",
        "records delete nothing:0 --before 1 --yes",
        "records delete orders:0 --before 999 --yes",
        "records delete orders --before 1",
        "records delete orders:x --before 1",
        "records delete orders:0 --before -1",
        "topics lisst",
        "topics list --output xml",
        "topics list --config-dir /nowhere/at/all",
        "topics list --command-config /nowhere/at/all",
    ]
    .iter()
    .map(|command| format!("$ kafka-boot {command}\n{}", stage.says(command)))
    .collect();
    insta::assert_snapshot!(story.join("\n"));
}

#[test]
fn what_is_denied_is_told_with_whom_to_ask() {
    let stage = Stage::new();
    let control = stage.broker.control();
    let told = [
        (ApiKey::CreateTopics, ResponseError::TopicAuthorizationFailed, "topics create secret"),
        (ApiKey::DeleteTopics, ResponseError::TopicAuthorizationFailed, "topics delete orders --yes"),
        (
            ApiKey::IncrementalAlterConfigs,
            ResponseError::TopicAuthorizationFailed,
            "topics alter orders --set retention.ms=1",
        ),
        (ApiKey::DescribeConfigs, ResponseError::ClusterAuthorizationFailed, "configs describe --broker 1"),
        (
            ApiKey::OffsetCommit,
            ResponseError::GroupAuthorizationFailed,
            "groups reset-offsets g --topic orders --to-latest --execute",
        ),
        (ApiKey::DeleteGroups, ResponseError::GroupAuthorizationFailed, "groups delete g --yes"),
        (
            ApiKey::FindCoordinator,
            ResponseError::GroupAuthorizationFailed,
            "consume orders --group g --until-end",
        ),
        (ApiKey::Produce, ResponseError::TopicAuthorizationFailed, "produce orders"),
    ]
    .map(|(api, error, command)| {
        let denied = control.on(api).fail(error);
        let told = stage.answers(command, "a record\n");
        assert!(denied.hits() > 0, "{command}");
        format!("$ kafka-boot {command}\n{told}")
    });
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn who_cannot_prove_who_it_is_is_told_so() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let broker =
        runtime.block_on(EmbeddedBroker::builder().user("alice", "wonder").topic("t", 1).start()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("client.properties");
    let list = |password: &str| {
        let settings = [
            format!("bootstrap.servers={}", broker.bootstrap_servers()),
            "security.protocol=SASL_PLAINTEXT".to_owned(),
            "sasl.mechanism=PLAIN".to_owned(),
            "sasl.username=alice".to_owned(),
            format!("sasl.password={password}"),
        ];
        fs::write(&file, settings.join("\n")).unwrap();
        tool(&format!("topics list --command-config {}", file.display()), &[], "")
    };
    assert_eq!(list("wonder"), "exit code 0\n--- output\nt\n--- errors\n");
    // As Java has it.
    let login = format!(
        "bootstrap.servers = {}\nsecurity.protocol: SASL_PLAINTEXT\nsasl.mechanism PLAIN\nsasl.jaas.config=\
         org.apache.kafka.common.security.plain.PlainLoginModule required \\\n  username=\"alice\" \\\n  \
         password=\"wonder\";\n",
        broker.bootstrap_servers()
    );
    fs::write(&file, login).unwrap();
    let told = tool(&format!("topics list --command-config {}", file.display()), &[], "");
    assert_eq!(told, "exit code 0\n--- output\nt\n--- errors\n");
    let told = list("looking-glass");
    assert!(!told.contains("looking-glass"), "{told}");
    let port = broker.bootstrap_servers().rsplit(':').next().unwrap().to_owned();
    // How long it took differs from run to run.
    let (before, after) = told.split_once(" (after ").unwrap();
    let (_, after) = after.split_once(')').unwrap();
    insta::assert_snapshot!("wrong_password", format!("{before}{after}").replace(&port, "<port>"));
}

#[test]
fn without_a_broker_the_exit_code_says_so() {
    // A port that only the system may listen on, and nobody does.
    let told = tool("--bootstrap-servers 127.0.0.1:1 topics list", &[], "");
    assert!(told.starts_with("exit code 69\n"), "{told}");
    assert!(told.contains("--bootstrap-servers"), "{told}");
}

#[test]
fn the_connection_comes_from_the_service_its_profile_the_environment_or_a_file() {
    let stage = Stage::new();
    let servers = stage.broker.bootstrap_servers();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().display();
    fs::write(folder.path().join("application.yml"), "kafka: { bootstrap-servers: embedded }\n").unwrap();
    let profile = format!("kafka: {{ bootstrap-servers: \"{servers}\" }}\n");
    fs::write(folder.path().join("application-prod.yml"), profile).unwrap();
    fs::write(folder.path().join("client.properties"), format!("# ours\nbootstrap.servers={servers}\n"))
        .unwrap();
    fs::write(folder.path().join("broken.properties"), "lonely\n").unwrap();

    let list = |flags: &str, environment: &[(&str, &str)]| {
        tool(&format!("topics list {flags}"), environment, "").replace(&path.to_string(), "<folder>")
    };
    let found = "exit code 0\n--- output\norders\n--- errors\n";
    assert_eq!(list(&format!("--config-dir {path} --profile prod"), &[]), found);
    assert_eq!(list(&format!("--config-dir {path}"), &[("APP_PROFILES_ACTIVE", "prod")]), found);
    assert_eq!(list(&format!("--config-dir {path}"), &[("KAFKA_BOOTSTRAP_SERVERS", servers)]), found);
    assert_eq!(list(&format!("--command-config {path}/client.properties"), &[]), found);
    insta::assert_snapshot!("connection_embedded", list(&format!("--config-dir {path}"), &[]));
    insta::assert_snapshot!(
        "properties_broken",
        list(&format!("--command-config {path}/broken.properties"), &[])
    );

    fs::write(folder.path().join("raw.properties"), "# ours\nclient.id=hush\n\nno.such.setting=1\n").unwrap();
    insta::assert_snapshot!(
        "properties_unknown",
        list(&format!("--command-config {path}/raw.properties"), &[])
    );

    let java = format!(
        "bootstrap.servers: {servers}\nkey.serializer=org.apache.kafka.common.serialization.StringSerializer\n\
         group.id=mine\nacks=all\nmax.request.size=2000\n"
    );
    fs::write(folder.path().join("java.properties"), java).unwrap();
    insta::assert_snapshot!(
        "properties_of_java",
        list(&format!("--command-config {path}/java.properties"), &[])
    );

    fs::write(folder.path().join("application.yml"), "kafka: { bootstrap-server: localhost:9092 }\n")
        .unwrap();
    insta::assert_snapshot!("yaml_broken", list(&format!("--config-dir {path}"), &[]));
}
