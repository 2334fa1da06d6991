//! The tool as a process of its own: how soon it is there, and how it ends.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use kafka_boot_tests::process::{Program, Signal};

use crate::support::Stage;

const TOOL: &str = env!("CARGO_BIN_EXE_kafka-boot");
const MINUTE: Duration = Duration::from_mins(1);
/// What was promised for the start; the best of a few, because the machine has other things to do as well.
const START_MAX: Duration = Duration::from_millis(20);
const TRIES: usize = 20;

#[test]
fn it_starts_within_twenty_milliseconds() {
    for arguments in [&["--version"][..], &["--help"], &["config", "reference"]] {
        let mut best = Duration::MAX;
        for _ in 0..TRIES {
            let began = Instant::now();
            let output = Command::new(TOOL).args(arguments).output().unwrap();
            best = best.min(began.elapsed());
            assert!(output.status.success(), "{arguments:?}");
        }
        assert!(best < START_MAX, "{arguments:?} took {best:?}");
    }
}

#[test]
fn ctrl_c_ends_what_follows_and_what_was_read_is_committed() {
    let stage = Stage::new();
    stage.produce("orders", 0, 3);
    let mut following = Program::new(TOOL)
        .args(["--bootstrap-servers", stage.broker.bootstrap_servers()])
        .args(["consume", "orders", "--from-beginning", "--group", "live"])
        .start()
        .unwrap();
    following.wait_for_line(MINUTE, |line| line == "2").unwrap();
    following.signal(Signal::Interrupt).unwrap();
    assert_eq!(following.wait(MINUTE).unwrap().code(), Some(0));
    let described = stage.says("groups describe live");
    assert!(described.contains("live   orders  0          3               3               0"), "{described}");

    let mut waiting = Program::new(TOOL)
        .args(["--bootstrap-servers", stage.broker.bootstrap_servers()])
        .args(["consume", "orders", "--max", "100", "--from-beginning"])
        .start()
        .unwrap();
    waiting.wait_for_line(MINUTE, |line| line == "2").unwrap();
    waiting.signal(Signal::Terminate).unwrap();
    assert_eq!(waiting.wait(MINUTE).unwrap().code(), Some(130), "it had not read what it was to read");
}

#[test]
fn who_reads_no_more_ends_what_follows() {
    let stage = Stage::new();
    stage.produce("orders", 0, 3);
    let mut following = Command::new(TOOL)
        .args(["--bootstrap-servers", stage.broker.bootstrap_servers()])
        .args(["consume", "orders", "--from-beginning"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(following.stdout.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    assert_eq!(line, "0\n");
    // As `head -1` does.
    drop(output);
    let deadline = Instant::now() + MINUTE;
    let status = loop {
        if let Some(status) = following.try_wait().unwrap() {
            break status;
        }
        if Instant::now() >= deadline {
            following.kill().unwrap();
            panic!("it goes on although nobody reads");
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    assert_eq!(status.code(), Some(0));
}
