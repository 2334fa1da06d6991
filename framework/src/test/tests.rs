//! What only the inside can see: whose log is whose.

use std::sync::Arc;
use std::time::Duration;

use tracing::info;

use crate::test::TestApp;
use crate::test::real_broker;
use crate::test::session::Session;

fn session(name: &str) -> Arc<Session> {
    TestApp::builder().name(name).without_discovery().prepare().unwrap()
}

#[test]
fn a_log_holds_what_its_own_test_said_on_any_of_its_threads_and_nothing_else() {
    let (one, other) = (session("one"), session("other"));
    let apps = [&one, &other].map(|session| {
        let app = TestApp::owning(Arc::clone(session));
        session.block_on(app.started()).unwrap()
    });
    for (session, word) in [(&one, "apple"), (&other, "pear")] {
        session.block_on(async {
            info!("the test says {word}");
            session.spawned(async move { info!("a task says {word}") }).await.unwrap();
            session.blocking(move || info!("a thread says {word}")).await.unwrap();
        });
    }
    for (session, own, foreign) in [(&one, "apple", "pear"), (&other, "pear", "apple")] {
        let report = session.report();
        for said in ["the test says", "a task says", "a thread says"] {
            assert!(report.contains(&format!("{said} {own}")), "{report}");
        }
        assert!(!report.contains(foreign), "{report}");
        assert!(report.contains("embedded broker started"), "{report}");
    }
    drop(apps);
    assert!(one.report().contains("stopped"), "{}", one.report());
}

#[test]
fn a_test_ends_once() {
    let session = session("once");
    let app = session.block_on(TestApp::owning(Arc::clone(&session)).started()).unwrap();
    drop(app);
    assert_eq!(session.finish(true), None);
}

#[test]
fn one_test_at_a_time_has_a_shared_broker() {
    let servers = format!("turns-of-{}:9092", std::process::id());
    let turn = real_broker::take_turn(&servers, Duration::ZERO).unwrap();
    let refused = real_broker::take_turn(&servers, Duration::from_millis(30)).unwrap_err().to_string();
    assert!(refused.contains("another test holds it"), "{refused}");
    let others = real_broker::take_turn(&format!("{servers}0"), Duration::ZERO);
    assert!(others.is_ok(), "another cluster is free");
    drop(turn);
    assert!(real_broker::take_turn(&servers, Duration::ZERO).is_ok());
}

#[test]
fn groups_of_two_tests_differ() {
    assert_ne!(real_broker::group_suffix(), real_broker::group_suffix());
}
