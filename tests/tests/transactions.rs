//! Transactions of the template: all or nothing, for those who read committed records.

#![expect(clippy::unwrap_used, reason = "a test may unwrap what it expects")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use kafka_boot::prelude::*;
use kafka_boot::{Ended, RunningApp, TransactionError};
use kafka_boot_tests::consume::read_topic;
use kafka_boot_tests::kafka::Kafka;
use kafka_boot_tests::seed::unique_name;
use kafka_boot_tests::service::options;

const DEADLINE: Duration = Duration::from_mins(1);

async fn start(kafka: &Kafka, id: Option<&str>) -> (RunningApp, Arc<KafkaTemplate>) {
    let id = id.map(|id| format!("kafka.producer.transactional-id={id}"));
    let options = options(kafka, id.as_deref());
    let app = App::new().without_discovery().without_logging().load_options(options).start().await.unwrap();
    let template = app.beans().named::<KafkaTemplate>("").unwrap();
    (app, template)
}

async fn stop(app: RunningApp) {
    assert_eq!(app.stop().await, Ended::Clean);
}

/// What those see who read committed records.
async fn committed(kafka: &Kafka, topic: &str) -> BTreeSet<String> {
    let (servers, topic) = (kafka.bootstrap_servers().to_owned(), topic.to_owned());
    let read = tokio::task::spawn_blocking(move || read_topic(&servers, &topic, DEADLINE));
    let records = read.await.unwrap().unwrap();
    let values: BTreeSet<String> = records.iter().map(|record| record.text().to_owned()).collect();
    assert_eq!(values.len(), records.len(), "each is there once");
    values
}

fn texts<const N: usize>(values: [&str; N]) -> BTreeSet<String> {
    values.map(str::to_owned).into()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_is_written_as_a_whole_or_not_at_all() {
    let Some(kafka) = Kafka::shared() else { return };
    let topic = unique_name("transactions");
    kafka.create_topic(&topic, 3).unwrap();
    let (app, template) = start(kafka, Some(&topic)).await;
    let name = topic.as_str();
    let sum = template
        .transaction(|tx| async move {
            for (key, value) in [("a", "one"), ("b", "two"), ("c", "three")] {
                tx.send_keyed(name, key, value).await?;
            }
            Ok(3)
        })
        .await
        .unwrap();
    assert_eq!(sum, 3);

    let failed = template.transaction(|tx| async move {
        tx.send(name, "never seen").await?;
        Err::<(), _>("not enough money".into())
    });
    let error = failed.await.unwrap_err();
    assert!(matches!(&error, TransactionError::Aborted(_)), "{error:?}");
    assert_eq!(error.to_string(), "the transaction was aborted: not enough money");

    // Beside transactions, the template sends as ever.
    template.send(name, "four").await.unwrap();
    assert_eq!(committed(kafka, name).await, texts(["one", "two", "three", "four"]));

    // A transaction that is given up half way leaves nothing, and the next one goes on.
    let given_up = template.transaction(|tx| async move {
        tx.send(name, "given up").await?;
        std::future::pending::<Result<()>>().await
    });
    assert!(tokio::time::timeout(Duration::from_secs(2), given_up).await.is_err());
    // Who keeps the transaction sends nothing any more.
    let kept = template.transaction(|tx| async move { Ok(tx) }).await.unwrap();
    let refused = kept.send(name, "too late").await.unwrap_err();
    assert!(refused.to_string().contains("the transaction has ended"), "{refused}");
    template
        .transaction(|tx| async move {
            tx.send(name, "five").await?;
            Ok(())
        })
        .await
        .unwrap();
    assert_eq!(committed(kafka, name).await, texts(["one", "two", "three", "four", "five"]));
    stop(app).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transactions_at_once_do_not_mix() {
    let Some(kafka) = Kafka::shared() else { return };
    let topic = unique_name("transactions");
    kafka.create_topic(&topic, 3).unwrap();
    let (app, template) = start(kafka, Some(&topic)).await;
    let mut running = tokio::task::JoinSet::new();
    for number in 0..60 {
        let (template, topic) = (Arc::clone(&template), topic.clone());
        running.spawn(async move {
            let name = topic.as_str();
            let outcome = template.transaction(|tx| async move {
                for part in ["first", "second"] {
                    tx.send(name, format!("{number} {part}")).await?;
                }
                if number % 3 == 0 { Err("every third is aborted".into()) } else { Ok(()) }
            });
            assert_eq!(outcome.await.is_ok(), number % 3 != 0);
        });
    }
    assert_eq!(running.join_all().await.len(), 60);
    let expected: BTreeSet<String> = (0..60)
        .filter(|number| number % 3 != 0)
        .flat_map(|number| [format!("{number} first"), format!("{number} second")])
        .collect();
    assert_eq!(committed(kafka, &topic).await, expected);
    stop(app).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_takes_the_name_over_fences_the_one_before() {
    let Some(kafka) = Kafka::shared() else { return };
    let topic = unique_name("transactions");
    kafka.create_topic(&topic, 1).unwrap();
    let name = topic.as_str();
    let (first, of_first) = start(kafka, Some(&topic)).await;
    let send = async |template: &KafkaTemplate, value: &'static str| {
        let outcome = template.transaction(|tx| async move {
            tx.send(name, value).await?;
            Ok(())
        });
        outcome.await
    };
    send(&of_first, "one").await.unwrap();
    let (second, of_second) = start(kafka, Some(&topic)).await;
    send(&of_second, "two").await.unwrap();
    send(&of_first, "fenced").await.unwrap_err();
    // The error is one of that transaction: the first takes the name over again.
    send(&of_first, "three").await.unwrap();
    assert_eq!(committed(kafka, name).await, texts(["one", "two", "three"]));
    stop(first).await;
    stop(second).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_name_there_are_no_transactions() {
    let Some(kafka) = Kafka::shared() else { return };
    let (app, template) = start(kafka, None).await;
    let error = template.transaction(|_| async { Ok(()) }).await.unwrap_err();
    assert!(error.to_string().contains("set `transactional-id` of its producer"), "{error}");
    stop(app).await;
}
