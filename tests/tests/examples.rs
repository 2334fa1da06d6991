//! The examples on the broker of this run, real Kafka or the embedded one: their own tests pass there, and each one starts, does
//! what it is for, and ends as it should.

#![expect(clippy::unwrap_used, reason = "a test may unwrap what it expects")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use kafka_boot_tests::kafka::{Kafka, KafkaOptions};
use kafka_boot_tests::process::{Program, Signal, workspace_binary};

const DEADLINE: Duration = Duration::from_mins(2);

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Runs the example's tests on the cluster.
fn test(example: &str, kafka: &Kafka) {
    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["test", "--quiet", "--package", example, "--test", "service"])
        .current_dir(repository())
        .env("KAFKA_BOOTSTRAP_SERVERS", kafka.bootstrap_servers())
        .output()
        .unwrap();
    let told =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{example}: {told}");
    assert!(told.contains("test result: ok."), "{example}: {told}");
}

/// Runs the example until it says `line`, and tells it to stop.
fn run(example: &str, directory: &Path, kafka: &Kafka, arguments: &[&str], line: &str) {
    let program = workspace_binary(example, example).unwrap();
    let mut running = Program::new(program)
        .directory(directory)
        .env("KAFKA_BOOTSTRAP_SERVERS", kafka.bootstrap_servers())
        .args(arguments)
        .start()
        .unwrap();
    running.wait_for_line(DEADLINE, |told| told.contains(line)).unwrap();
    running.signal(Signal::Terminate).unwrap();
    let status = running.wait(DEADLINE).unwrap();
    assert_eq!(status.code(), Some(0), "{example}: {:?}", running.lines().last());
}

#[test]
fn each_example_passes_its_tests_and_does_what_it_is_for() {
    // Of their own, because their topics have fixed names.
    let Some(kafka) = Kafka::start_or_skip(&KafkaOptions::default()) else { return };
    let folder = tempfile::tempdir().unwrap();
    let ledger = format!("--ledger.file={}", folder.path().join("payments.csv").display());
    let root = repository();
    let of = |example: &str| root.join("examples").join(example);

    test("scheduled-producer", &kafka);
    run("scheduled-producer", &root, &kafka, &[], " consumed ");
    test("batch-etl", &kafka);
    run("batch-etl", &of("batch-etl"), &kafka, &[], "summarized ");
    test("manual-ack", &kafka);
    let own = "--kafka.consumer.auto-offset-reset=latest";
    run("manual-ack", &of("manual-ack"), &kafka, &[&ledger, own], "written ");
    test("orders", &kafka);
    let database = format!("--database.file={}", folder.path().join("orders.db").display());
    let arguments = [&database, "--profile=dev", "--kafka.embedded.port=0", own];
    run("orders", &of("orders"), &kafka, &arguments, "an event could not be applied ");
    test("admin-tasks", &kafka);
    run(
        "admin-tasks",
        &of("admin-tasks"),
        &kafka,
        &["--scheduling.jobs.report_lag.fixed-delay=1s"],
        "keeps up",
    );

    let payments = std::fs::read_to_string(folder.path().join("payments.csv")).unwrap();
    // Beside what its tests have sent.
    assert!(payments.lines().any(|line| line.ends_with(",9.99 EUR")), "{payments}");
}
