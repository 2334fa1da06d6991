//! `dlt` against the embedded broker.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use kafka_boot_cli::{Interrupt, Process, Terminals, run};
use kafka_boot_client::{ClientConfig, Producer, ProducerLimits, ProducerRecord};
use kafka_boot_embedded::EmbeddedBroker;
use tokio::runtime::Runtime;

struct Stage {
    runtime: Runtime,
    broker: EmbeddedBroker,
}

impl Stage {
    /// A topic with three letters.
    fn new() -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let broker = EmbeddedBroker::builder().topic("orders", 2).topic("orders-dlt", 2).topic("other", 1);
        let broker = runtime.block_on(broker.start()).unwrap();
        let stage = Self { runtime, broker };
        // Records of that age are deleted otherwise.
        stage.says("topics alter orders-dlt --set retention.ms=-1");
        for (number, error) in [(0i64, "shop::Invalid"), (1, "std::io::Error")] {
            let letter = ProducerRecord::new("orders-dlt")
                .partition(1)
                .timestamp(1_772_368_200_000 + number)
                .key("k")
                .payload(format!("order {number}"))
                .header("trace", "7")
                .header("kafka_dlt-original-topic", "orders")
                .header("kafka_dlt-original-partition", 1i32.to_be_bytes().to_vec())
                .header("kafka_dlt-original-offset", number.to_be_bytes().to_vec())
                .header("kafka_dlt-original-timestamp", 1_772_368_100_000i64.to_be_bytes().to_vec())
                .header("kafka_dlt-original-consumer-group", "billing")
                .header("kafka_dlt-exception-fqcn", error)
                .header("kafka_dlt-exception-message", "no\nlines")
                .header("kafka_dlt-exception-stacktrace", format!("{error}: no lines\nCaused by: none"));
            stage.write(letter);
        }
        let stray =
            ProducerRecord::new("orders-dlt").partition(0).timestamp(1_772_368_200_000).payload("stray");
        stage.write(stray);
        stage
    }

    fn write(&self, record: ProducerRecord) {
        let config = ClientConfig::from_iter([("bootstrap.servers", self.broker.bootstrap_servers())]);
        let producer = Producer::new(&config, ProducerLimits::default()).unwrap();
        self.runtime.block_on(async { producer.enqueue(record).await.unwrap().await.unwrap() });
    }

    fn says(&self, command: &str) -> String {
        let (mut output, mut errors) = (Vec::new(), Vec::new());
        let servers = self.broker.bootstrap_servers();
        let arguments = format!("kafka-boot --bootstrap-servers {servers} {command}");
        let code = run(
            arguments.split_whitespace(),
            &mut Process {
                environment: Vec::new(),
                color: false,
                terminals: Terminals::default(),
                interrupt: Interrupt::new(),
                input: Box::new(std::io::empty()),
                output: &mut output,
                is_reader_gone: || false,
                errors: &mut errors,
            },
        );
        let (output, errors) = (String::from_utf8(output).unwrap(), String::from_utf8(errors).unwrap());
        format!("{code}\n{output}{errors}")
    }
}

/// What each command says, in turn.
fn transcript(stage: &Stage, commands: &[&str]) -> String {
    let said: Vec<String> =
        commands.iter().map(|command| format!("$ {command}\n{}\n", stage.says(command))).collect();
    said.concat()
}

#[test]
fn letters_are_listed_and_shown() {
    let commands = [
        "dlt list orders-dlt",
        "dlt list orders-dlt --error Invalid --partition 1 --offsets 0-5 --limit 1",
        "dlt show orders-dlt 1:0",
        "dlt show orders-dlt 1:0 --output json",
        "dlt show orders-dlt 1:9",
        "dlt list none",
        "dlt list orders-dlt --limit 2",
        "dlt list orders-dlt --partition 9",
        "dlt list none --partition 0",
        "dlt list orders-dlt --partition -1",
        "dlt list orders-dlt --limit 0",
        "dlt list orders-dlt --since yesterday",
    ];
    insta::assert_snapshot!("dlt_listed_and_shown", transcript(&Stage::new(), &commands));
}

#[test]
fn letters_are_replayed_once_and_discarded_after_it_was_told_which() {
    let replay = "dlt replay orders-dlt --error Invalid --value repaired --set-header by=ops --delete-header trace --execute";
    let commands = [
        "dlt replay orders-dlt --error Invalid",
        replay,
        replay,
        "offsets orders",
        "dlt replay orders-dlt --partition 9 --execute",
        "dlt discard orders-dlt --partition 9",
        "dlt replay orders-dlt --limit 1",
        "dlt replay orders-dlt",
        "dlt replay orders-dlt --limit 1 --execute",
        "dlt replay orders-dlt --partition 0 --execute --output json",
        "dlt replay orders-dlt --execute",
        "dlt replay orders-dlt --to other --rate 100 --execute",
        "dlt list orders-dlt",
        "dlt discard orders-dlt --with-done --limit 2",
        "dlt discard orders-dlt --with-done --partition 0",
        "dlt discard orders-dlt --with-done --partition 0 --execute",
    ];
    insta::assert_snapshot!("dlt_replayed_and_discarded", transcript(&Stage::new(), &commands));
}

#[test]
fn bytes_that_are_no_text_are_kept() {
    let stage = Stage::new();
    let letter = ProducerRecord::new("orders-dlt")
        .partition(0)
        .timestamp(1_772_368_200_000)
        .key(vec![0xff, 0])
        .payload(vec![0xc3])
        .header("h", vec![0xfe])
        .header("t", "text");
    stage.write(letter);
    insta::assert_snapshot!("dlt_bytes", stage.says("dlt show orders-dlt 0:1 --output json"));
}

#[test]
fn a_limit_takes_the_first_letters_whichever_broker_answers_first() {
    let stage = Stage::new();
    for _ in 0..5 {
        let told = stage.says("dlt replay orders-dlt --limit 2");
        assert!(told.contains("\n0:0 ") && told.contains("\n1:0 ") && !told.contains("\n1:1 "), "{told}");
    }
}
