//! The embedded broker held against a real Kafka by clients that nobody here wrote: Kafka's own tools, the Java client and
//! `kcat`. Each case runs on both brokers; what is said has to be the same, and what must hold is checked on each.
//!
//! `cargo test -p kafka-boot-tests --test conformance -- --nocapture` prints both columns;
//! `CONFORMANCE_CASES=<a part of a name>` runs only some cases. The transcripts are left in `target/kafka/conformance`.

#![expect(clippy::unwrap_used, reason = "a test may unwrap what it expects")]

use std::sync::mpsc;
use std::time::Duration;

use kafka_boot_embedded::EmbeddedBroker;
use kafka_boot_tests::kafka::{Kafka, KafkaOptions, Software};

mod java;
mod kcat;
mod table;

use table::{Case, Column, Table};

/// Generous: it is spent only when something is wrong.
const DEADLINE: Duration = Duration::from_mins(8);

/// What keeps the cases of a member group short on a real broker.
const SETTINGS: [(&str, &str); 2] = [
    ("group.consumer.min.heartbeat.interval.ms", "100"),
    ("transaction.abort.timed.out.transaction.cleanup.interval.ms", "200"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_nobody_here_wrote_see_no_difference_to_a_real_kafka() {
    // Whatever the other tests run on, this one compares with Apache Kafka.
    let options =
        SETTINGS.iter().fold(KafkaOptions::default().software(Software::Apache), |options, (name, value)| {
            options.property(*name, *value)
        });
    let Some(kafka) = tokio::task::spawn_blocking(move || Kafka::start_or_skip(&options)).await.unwrap()
    else {
        return;
    };
    // As the real one is set by the harness: a typo in a topic's name is an error, not a new topic.
    let embedded = EmbeddedBroker::builder().auto_create_topics(false).start().await.unwrap();
    let servers = [kafka.bootstrap_servers().to_owned(), embedded.bootstrap_servers().to_owned()];
    let columns = tokio::task::spawn_blocking(move || run(&servers)).await.unwrap();
    embedded.shutdown().await;
    tokio::task::spawn_blocking(move || drop(kafka)).await.unwrap();

    let Some([real, embedded]) = columns else { return };
    let table = Table::new(real, embedded);
    table.write(&java::directory().unwrap()).unwrap();
    println!("{table}");
    let complaints = table.complaints();
    assert!(complaints.is_empty(), "{} cases differ or fail:\n{}", complaints.len(), complaints.join("\n"));
}

/// All cases on both brokers, side by side. Nothing, if this machine lacks what they need.
fn run(servers: &[String; 2]) -> Option<[Column; 2]> {
    let filter = std::env::var("CONFORMANCE_CASES").unwrap_or_default();
    let driver = java::Driver::compile_or_skip()?;
    let kcat = kcat::available_or_skip();
    let (send, receive) = mpsc::channel();
    std::thread::scope(|scope| {
        for (index, bootstrap) in servers.iter().enumerate() {
            let (send, driver, filter) = (send.clone(), &driver, &filter);
            scope.spawn(move || {
                let mut cases: Vec<Case> = driver.run(bootstrap, filter, DEADLINE).unwrap();
                if kcat {
                    cases.extend(kcat::run(bootstrap, filter));
                }
                send.send((index, Column::new(cases))).unwrap();
            });
        }
    });
    drop(send);
    let mut columns: Vec<(usize, Column)> = receive.iter().collect();
    columns.sort_by_key(|(index, _)| *index);
    let [real, embedded] = columns.try_into().ok()?;
    Some([real.1, embedded.1])
}
