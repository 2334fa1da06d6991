//! `produce` and `consume` against the embedded broker: what goes in, what comes out, and what is told.

use std::time::Duration;

use kafka_boot_client::{Producer, ProducerLimits, ProducerRecord};
use kafka_boot_embedded::control::{ApiKey, ResponseError};

use crate::support::{Stage, tool, words};

#[test]
fn lines_go_in_and_come_out() {
    let stage = Stage::new();
    let told = stage.story(&[
        ("topics create test --partitions 1", ""),
        ("produce test", "one\ntwo\n\nfour"),
        ("consume test --from-beginning --until-end", ""),
        ("produce test --key-separator ':' --header source=shell --null-marker NULL", "a:1\nb:NULL\n"),
        ("produce test --key k --partition 0 --output json", "keyed\n"),
        ("consume test --until-end --last 3 --print-key", ""),
        ("consume test --until-end --last 3 --print-key --key-separator '\\t=\\t'", ""),
        ("consume test --until-end --template '{topic}-{partition}@{offset} {key}={value} {headers} {header.source}' --key ^[ab]$", ""),
        ("consume test --until-end --value ^o --template '{value} {value-size} {key-size}'", ""),
        ("consume test --until-end --header source=^sh --template {offset}", ""),
        ("consume test --until-end --header nothing", ""),
        ("consume test --offset 1 --max 2", ""),
        ("consume test --offset 100 --until-end", ""),
        ("consume test --since 2001-01-01T00:00:00 --max 1", ""),
        ("consume test --since PT0S --until-end", ""),
        ("consume test --from-end --until-end", ""),
    ]);
    insta::assert_snapshot!(told);
}

#[test]
fn what_consume_writes_as_json_produce_takes() {
    let stage = Stage::new();
    // Records of that age are deleted otherwise.
    stage.says("topics alter orders --set retention.ms=-1");
    let producer = Producer::new(&stage.config(), ProducerLimits::default()).unwrap();
    let records = [
        ProducerRecord::new("orders").partition(1).key("k").payload("v").header("h", "1").header("h", "2"),
        ProducerRecord::new("orders").partition(0).key(vec![0xff, 0]).payload(vec![0xc3]),
        ProducerRecord::new("orders").partition(0).header("b", vec![0xfe]),
        ProducerRecord::new("orders").partition(0).payload("").timestamp(86_400_000),
    ];
    stage.runtime.block_on(async {
        for (number, record) in records.into_iter().enumerate() {
            let record = record.timestamp(1_000_000_000_000 + i64::try_from(number).unwrap());
            producer.enqueue(record).await.unwrap().await.unwrap();
        }
    });
    let read = |topic: &str| {
        let told = stage.says(&format!("consume {topic} --until-end --format json"));
        let (_, rest) = told.split_once("--- output\n").unwrap();
        let (lines, _) = rest.split_once("--- errors\n").unwrap();
        let mut lines: Vec<_> = lines.lines().map(|line| line.replace(topic, "<topic>")).collect();
        lines.sort_unstable();
        lines.join("\n") + "\n"
    };
    let written = read("orders");
    insta::assert_snapshot!("records_as_json", written);
    stage.says("topics create copy --partitions 2 --config retention.ms=-1");
    let told = stage.answers("produce copy --format json", &written);
    assert!(told.starts_with("exit code 0\n--- output\nWrote 4 records to copy.\n"), "{told}");
    assert_eq!(read("copy"), written);
    insta::assert_snapshot!(
        "record_as_hex",
        stage.says("consume orders --until-end --format hex --partition 0 --last 3")
    );
}

#[test]
fn a_group_goes_on_where_it_stands() {
    let stage = Stage::new();
    stage.produce("orders", 0, 3);
    let consume = "consume orders --from-beginning --group testgroup";
    let told = stage.story(&[
        (&format!("{consume} --until-end"), ""),
        (&format!("{consume} --until-end"), ""),
        ("groups describe testgroup", ""),
        ("groups reset-offsets testgroup --topic orders --to-earliest --execute", ""),
        (&format!("{consume} --max 2"), ""),
        ("groups describe testgroup", ""),
        // Of one partition, without joining.
        (&format!("{consume} --partition 0 --until-end"), ""),
        ("groups describe testgroup", ""),
    ]);
    insta::assert_snapshot!(told);
}

#[test]
fn consume_follows_until_it_is_told_to_end() {
    let stage = Stage::new();
    stage.produce("orders", 0, 2);
    let begun = stage.begin("consume orders --from-beginning --group live");
    assert_eq!(begun.lines(2), ["0", "1"]);
    let described = stage.says("groups describe live --state");
    assert!(described.contains("Stable"), "{described}");
    stage.produce("orders", 0, 1);
    assert_eq!(begun.lines(3), ["0", "1", "0"]);
    let (code, errors) = begun.end();
    assert_eq!((code, errors.as_str()), (0, "Processed a total of 3 messages\n"));
    // What was read is committed, and the group has been left.
    insta::assert_snapshot!("group_left_behind", stage.says("groups describe live"));
}

#[test]
fn an_end_before_what_was_asked_for_is_no_success() {
    let stage = Stage::new();
    let begun = stage.begin("consume orders --max 1");
    let (code, errors) = begun.end();
    assert_eq!((code, errors.as_str()), (130, "interrupted\n"));
}

#[test]
fn two_members_share_the_partitions_and_lose_nothing() {
    let stage = Stage::new();
    stage.produce("orders", 0, 50);
    stage.produce("orders", 1, 50);
    let first = stage.begin("consume orders --from-beginning --group shared");
    assert_eq!(first.lines(100).len(), 100);
    let second = stage.begin("consume orders --from-beginning --group shared");
    let deadline = std::time::Instant::now() + Duration::from_mins(1);
    while !stage.says("groups describe shared --members").contains("orders(1)") {
        assert!(std::time::Instant::now() < deadline, "the partitions are never shared");
    }
    stage.produce("orders", 0, 5);
    stage.produce("orders", 1, 5);
    let gone_on = || first.output.text().lines().count() + second.output.text().lines().count();
    while gone_on() < 110 {
        assert!(std::time::Instant::now() < deadline, "{} records", gone_on());
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(
        gone_on(),
        110,
        "nothing comes twice: the first member committed before it gave a partition up"
    );
    assert_eq!(first.end().0, 0);
    assert_eq!(second.end().0, 0);
}

#[test]
fn the_end_of_a_transaction_is_no_record_to_wait_for() {
    use rdkafka::ClientConfig;
    use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
    let stage = Stage::new();
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", stage.broker.bootstrap_servers()).set("transactional.id", "t");
    let producer: BaseProducer = config.create().unwrap();
    let patience = Duration::from_secs(30);
    producer.init_transactions(patience).unwrap();
    producer.begin_transaction().unwrap();
    producer.send(BaseRecord::<(), str>::to("orders").partition(0).payload("kept")).unwrap();
    producer.commit_transaction(patience).unwrap();
    producer.begin_transaction().unwrap();
    producer.send(BaseRecord::<(), str>::to("orders").partition(0).payload("dropped")).unwrap();
    producer.flush(patience).unwrap();
    // Open: committed records end before it, and a reader does not wait for it.
    insta::assert_snapshot!("transaction_open", stage.says("consume orders --until-end"));
    producer.abort_transaction(patience).unwrap();
    insta::assert_snapshot!("transaction_aborted", stage.says("consume orders --until-end"));
    let all = stage.says("consume orders --until-end --isolation-level read-uncommitted");
    assert!(all.contains("kept\ndropped\n"), "{all}");
}

#[test]
fn the_last_records_are_records_and_not_offsets() {
    use rdkafka::ClientConfig;
    use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
    let stage = Stage::new();
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", stage.broker.bootstrap_servers()).set("transactional.id", "t");
    let producer: BaseProducer = config.create().unwrap();
    let patience = Duration::from_secs(30);
    producer.init_transactions(patience).unwrap();
    for number in 0..8 {
        producer.begin_transaction().unwrap();
        let payload = number.to_string();
        producer.send(BaseRecord::<(), str>::to("orders").partition(0).payload(&payload)).unwrap();
        // Every second one is taken back: records and ends of transactions take up offsets in turn.
        if number % 2 == 0 {
            producer.commit_transaction(patience).unwrap();
        } else {
            producer.flush(patience).unwrap();
            producer.abort_transaction(patience).unwrap();
        }
    }
    stage.produce("orders", 1, 5);
    let last = |flags: &str| stage.says(&format!("consume orders --until-end --partition {flags}"));
    let records = |values: &[&str]| {
        let lines = values.concat();
        let count = values.len();
        format!("exit code 0\n--- output\n{lines}--- errors\nProcessed a total of {count} messages\n")
    };
    assert_eq!(last("0 --last 1"), records(&["6\n"]));
    assert_eq!(last("0 --last 3"), records(&["2\n", "4\n", "6\n"]));
    assert_eq!(last("0 --last 9"), records(&["0\n", "2\n", "4\n", "6\n"]));
    assert_eq!(last("0 --last 3 --isolation-level read-uncommitted"), records(&["5\n", "6\n", "7\n"]));
    assert_eq!(last("1 --last 2"), records(&["3\n", "4\n"]));
    let both = last("0,1 --last 2");
    assert!(both.contains("4\n6\n") && both.contains("3\n4\n") && both.contains("total of 4 "), "{both}");
    // In a group that stands nowhere, too.
    assert_eq!(last("0 --last 2 --group g"), records(&["4\n", "6\n"]));
    assert_eq!(last("0 --last 2 --group g"), records(&[]));
}

#[test]
fn a_group_stands_where_it_began_before_there_is_a_record() {
    let stage = Stage::new();
    stage.produce("orders", 0, 3);
    let begun = stage.begin("consume orders --group early");
    let deadline = std::time::Instant::now() + Duration::from_mins(1);
    let stands = || {
        let told = stage.says("groups describe early");
        told.contains("early  orders  0          3 ") && told.contains("early  orders  1          0 ")
    };
    while !stands() {
        assert!(std::time::Instant::now() < deadline, "{}", stage.says("groups describe early"));
    }
    assert_eq!(begun.end(), (0, "Processed a total of 0 messages\n".to_owned()));
    // What came while nobody read is read by whoever comes next.
    stage.produce("orders", 0, 2);
    let told = stage.says("consume orders --group early --from-end --until-end");
    assert_eq!(told, "exit code 0\n--- output\n0\n1\n--- errors\nProcessed a total of 2 messages\n");
}

#[test]
fn partitions_that_are_added_are_followed_from_their_beginning() {
    let stage = Stage::new();
    stage.produce("orders", 0, 1);
    let begun = stage.begin("consume orders --last 1 --template {partition}:{value}");
    assert_eq!(begun.lines(1), ["0:0"]);
    assert!(stage.says("topics partitions orders 4").starts_with("exit code 0\n"));
    stage.produce("orders", 3, 2);
    assert_eq!(begun.lines(3), ["0:0", "3:0", "3:1"]);
    // Those that were there are read on.
    stage.produce("orders", 1, 1);
    assert_eq!(begun.lines(4)[3], "1:0");
    assert_eq!(begun.end(), (0, "Processed a total of 4 messages\n".to_owned()));
}

#[test]
fn what_is_not_written_is_told_by_its_lines() {
    let stage = Stage::new();
    let long = "x".repeat(2_000_000);
    let told = stage.answers("produce orders", &format!("one\n{long}\nthree\n"));
    insta::assert_snapshot!("line_too_long", told);
    // The broker refuses what comes, line by line.
    let denied = stage.broker.control().on(ApiKey::Produce).fail(ResponseError::TopicAuthorizationFailed);
    insta::assert_snapshot!("lines_refused", stage.answers("produce orders --rate 1000", "1\n2\n3\n"));
    assert!(denied.hits() > 0);
}

#[test]
fn misuse_of_records_is_told_with_a_remedy() {
    let stage = Stage::new();
    let told = stage.story(&[
        ("produce", ""),
        ("produce nothing", "x\n"),
        ("produce orders --partition 7", "x\n"),
        ("produce orders --partition -1", "x\n"),
        ("produce orders --file /nowhere/at/all", ""),
        ("produce orders --file /", ""),
        ("produce orders --key-separator ':'", "a:1\nb\nc:3\n"),
        ("produce orders --key-separator '\\x'", ""),
        ("produce orders --key a --key-separator ':'", ""),
        ("produce orders --header source", ""),
        ("produce orders --acks 2", ""),
        ("produce orders --compression rar", ""),
        ("produce orders --rate 0", ""),
        ("produce orders --format json", "{\"value\": 1}\nvalue\n"),
        ("produce orders --format json", "{\"valeu\": 1}\n"),
        ("produce orders --format json", "{\"value\": 1, \"partition\": 9}\n"),
        ("produce orders --format json --repartition", "{\"value\": 1, \"partition\": 9}\n"),
        ("consume nothing", ""),
        ("consume orders --partition 7", ""),
        ("consume orders --from-beginning --offset 3", ""),
        ("consume orders --offset -3", ""),
        ("consume orders --last 0", ""),
        ("consume orders --max 0", ""),
        ("consume orders --since yesterday", ""),
        ("consume orders --since P1H", ""),
        ("consume orders --value '('", ""),
        ("consume orders --header =x", ""),
        ("consume orders --template '{kay}'", ""),
        ("consume orders --template '{key'", ""),
        ("consume orders --template x --format json", ""),
        ("consume orders --format xml", ""),
        ("consume orders --cluster east", ""),
    ]);
    insta::assert_snapshot!(told);
}

#[test]
fn a_service_with_several_clusters_is_asked_which() {
    let stage = Stage::new();
    let folder = tempfile::tempdir().unwrap();
    let servers = stage.broker.bootstrap_servers();
    let yaml = format!(
        "kafka:\n  bootstrap-servers: 127.0.0.1:1\n  producer: {{ transactional-id: mine }}\n  \
         consumer: {{ group-instance-id: one }}\n  clusters:\n    east: {{ bootstrap-servers: \"{servers}\" }}\n"
    );
    std::fs::write(folder.path().join("application.yml"), yaml).unwrap();
    let says = |command: &str, input: &str| {
        let flags = format!("--config-dir {} --cluster east {command}", folder.path().display());
        tool(&words(&flags), &[], input)
    };
    assert_eq!(
        says("produce orders --acks 1 --compression zstd", "x\n"),
        "exit code 0\n--- output\nWrote 1 record to orders.\n--- errors\n"
    );
    assert_eq!(
        says("consume orders --until-end --group g", ""),
        "exit code 0\n--- output\nx\n--- errors\nProcessed a total of 1 messages\n"
    );
    let told = says("topics list", "").replace("east", "west");
    assert!(told.contains("orders"), "{told}");
    let told = tool(
        &words(&format!("--config-dir {} --cluster west topics list", folder.path().display())),
        &[],
        "",
    );
    insta::assert_snapshot!("cluster_unknown", told);
}
