//! The jobs, run by the tests, on a broker inside each test; with `KAFKA_BOOTSTRAP_SERVERS=host:port` on that cluster, whose
//! topics with other names they leave alone.

// A library that nobody names is not linked, and its jobs would not be found.
use admin_tasks as _;
use kafka_boot::admin::{ConfigSource, NewTopic};
use kafka_boot::prelude::*;

/// A prefix that no other run uses.
fn prefix(test: &str) -> String {
    let nanos =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("it is later than 1970");
    format!("scratch-{test}-{}-", nanos.as_nanos())
}

async fn started(prefix: &str) -> TestApp {
    let builder = TestApp::builder()
        .property("housekeeping.prefix", prefix)
        .property("housekeeping.delete-empty-topics", true);
    builder.start().await.expect("the service starts")
}

async fn retention(admin: &Admin, topic: &str) -> (Option<String>, ConfigSource) {
    let settings = admin.describe_topic_configs(topic).await.expect("the topic is there");
    let found = settings.into_iter().find(|entry| entry.name == "retention.ms").expect("every topic has it");
    (found.value, found.source)
}

#[tokio::test]
async fn retention_is_set_where_it_differs_and_nothing_else_is_touched() {
    let prefix = prefix("retention");
    let app = started(&prefix).await;
    let admin = app.bean::<Admin>();
    let (ours, compacted) = (format!("{prefix}a"), format!("{prefix}b"));
    let theirs = format!("other-{prefix}");
    admin.create_topic(NewTopic::new(&ours).partitions(1)).await.expect("created");
    let new = NewTopic::new(&compacted).partitions(1).config("cleanup.policy", "compact");
    admin.create_topic(new).await.expect("created");
    admin.create_topic(NewTopic::new(&theirs).partitions(1)).await.expect("created");

    app.run("apply_retention").await;
    for topic in [&ours, &compacted] {
        assert_eq!(
            retention(&admin, topic).await,
            (Some("86400000".to_owned()), ConfigSource::Topic),
            "{topic}"
        );
    }
    let settings = admin.describe_topic_configs(&compacted).await.expect("the topic is there");
    let policy = settings.iter().find(|entry| entry.name == "cleanup.policy").expect("every topic has it");
    assert_eq!(policy.value.as_deref(), Some("compact"));
    assert_eq!(retention(&admin, &theirs).await.1, ConfigSource::Default);
    admin.delete_topics(&[&ours, &compacted, &theirs]).await.expect("answered");
}

#[tokio::test]
async fn empty_topics_are_deleted_and_others_are_kept() {
    let prefix = prefix("empty");
    let app = started(&prefix).await;
    let admin = app.bean::<Admin>();
    let (empty, used) = (format!("{prefix}empty"), format!("{prefix}used"));
    for topic in [&empty, &used] {
        admin.create_topic(NewTopic::new(topic).partitions(2)).await.expect("created");
    }
    app.send(&used, "a record").await;

    app.run("delete_empty_topics").await;
    app.wait_until_async(async || {
        let topics = admin.list_topics().await.expect("answered");
        !topics.iter().any(|topic| topic.name == empty)
    })
    .await;
    assert!(admin.describe_topic(&used).await.is_ok());
    app.run("report_lag").await;
    admin.delete_topics(&[&used]).await.expect("answered");
}
