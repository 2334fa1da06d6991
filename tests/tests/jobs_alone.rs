//! An application without a listener: its jobs run until it is told to stop.

#![expect(clippy::unwrap_used, reason = "a test may unwrap what it expects")]

use std::time::Duration;

use kafka_boot::config::LoadOptions;
use kafka_boot::jobs;
use kafka_boot::prelude::*;
use kafka_boot_tests::service::Notes;

#[scheduled(fixed_delay = "20ms")]
async fn tick(notes: Bean<Notes>) {
    notes.add("tick");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_application_that_only_has_jobs_goes_on() {
    let app = App::new().without_discovery().without_logging().load_options(LoadOptions::default());
    let running = app.jobs(jobs![tick]).bean(Notes::default()).start().await.unwrap();
    let notes: Bean<Notes> = running.beans().bean().unwrap();
    tokio::select! {
        ended = running.run() => panic!("it ended by itself: {ended:?}"),
        ticks = notes.first(10) => assert!(ticks.len() >= 10),
        () = tokio::time::sleep(Duration::from_mins(1)) => panic!("it does not tick"),
    }
}
