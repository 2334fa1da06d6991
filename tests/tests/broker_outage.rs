//! A broker that dies and comes back: the services say what is happening, calmly, and go on by themselves.

#![expect(clippy::unwrap_used, reason = "a test may unwrap what it expects")]

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use kafka_boot_tests::kafka::{Kafka, KafkaOptions};
use kafka_boot_tests::process::{Line, Process, Program, workspace_binary};
use kafka_boot_tests::wait::{eventually, poll};

const MINUTE: Duration = Duration::from_mins(1);

/// How soon after the crash health must say so.
const DOWN_WITHIN: Duration = Duration::from_secs(10);

/// How soon after the broker answers again health must be UP and records flow.
const UP_WITHIN: Duration = Duration::from_secs(15);

/// How long the broker stays away: long enough for the client's rate limits to show.
const OUTAGE: Duration = Duration::from_secs(20);

/// "A few" lines a second, over the outage as a whole and in its worst second.
const LINES_A_SECOND: usize = 3;
const LINES_IN_THE_WORST_SECOND: usize = 10;

#[test]
fn the_example_survives_the_crash_of_its_broker_and_says_so_calmly() {
    let Some(kafka) = Kafka::start_or_skip(&KafkaOptions::default()) else { return };
    let example = workspace_binary("scheduled-producer", "scheduled-producer").unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let service = Program::new(example)
        .directory(root)
        .env("KAFKA_BOOTSTRAP_SERVERS", kafka.bootstrap_servers())
        .env("KAFKA_CONSUMER_AUTO_OFFSET_RESET", "earliest")
        .start()
        .unwrap();
    let (seen, _) = service.wait_for_line_after(0, MINUTE, is_health("UP")).unwrap();
    let (seen, _) = service.wait_for_line_after(seen, MINUTE, |line| line.contains(" consumed ")).unwrap();

    kafka.kill9(0).unwrap();
    let crashed = Instant::now();
    let (seen, down) = service.wait_for_line_after(seen, MINUTE, is_health("DOWN")).unwrap();
    assert!(down.at - crashed <= DOWN_WITHIN, "health went DOWN only after {:?}", down.at - crashed);
    eventually(2 * OUTAGE, "the outage to be over", || crashed.elapsed() >= OUTAGE);
    let restarted = Instant::now();
    let calm = lines_between(&service, crashed, restarted);
    kafka.restart(0).unwrap();
    let answers = Instant::now();
    let (seen, up) = service.wait_for_line_after(seen, MINUTE, is_health("UP")).unwrap();
    let (_, flows) = service.wait_for_line_after(seen, MINUTE, |line| line.contains(" consumed ")).unwrap();

    let recovered = up.at.max(flows.at).saturating_duration_since(answers);
    let worst = worst_second(&calm);
    eprintln!(
        "outage: DOWN after {:.1?}, UP and consuming {recovered:.1?} after the broker answered; {} lines in {:.1?}, \
         {worst} in the worst second",
        down.at - crashed,
        calm.len(),
        restarted - crashed
    );
    assert!(recovered <= UP_WITHIN, "{recovered:?} after the broker answered");
    let outage_seconds = usize::try_from((restarted - crashed).as_secs()).unwrap();
    assert!(!calm.is_empty() && calm.len() <= LINES_A_SECOND * outage_seconds, "{}", text_of(&calm));
    assert!(worst <= LINES_IN_THE_WORST_SECOND, "{}", text_of(&calm));

    // What was acknowledged by then is in the topic, and is handled, each record in its place.
    let acknowledged = places(&service, " produced ");
    let consumed = poll(MINUTE, "all that was acknowledged to be consumed", || {
        let consumed = places(&service, " consumed ");
        let missing = acknowledged.keys().filter(|place| !consumed.contains_key(*place)).count();
        if missing == 0 {
            Ok(consumed)
        } else {
            Err(format!("{missing} of {} are missing", acknowledged.len()))
        }
    })
    .unwrap();
    assert!(consumed.values().all(|times| *times == 1), "a short outage repeats nothing: {consumed:?}");
}

fn is_health(status: &str) -> impl FnMut(&str) -> bool {
    let said = format!("health changed health={status}");
    move |line| line.contains(&said)
}

/// What the service said from one moment to another, apart from its ordinary work.
fn lines_between(service: &Process, from: Instant, to: Instant) -> Vec<Line> {
    let lines = service.lines().into_iter();
    lines.filter(|line| line.at >= from && line.at < to).collect()
}

/// The most lines within any one second.
fn worst_second(lines: &[Line]) -> usize {
    let within = |first: &Line| {
        lines.iter().filter(|line| line.at >= first.at && line.at - first.at < Duration::from_secs(1)).count()
    };
    lines.iter().map(within).max().unwrap_or_default()
}

fn text_of(lines: &[Line]) -> String {
    lines.iter().map(|line| line.text.as_str()).collect::<Vec<_>>().join("\n")
}

/// How often each partition and offset stands in the lines of this kind: `produced sent=test-2@17`, or
/// `consumed record=Record(topic = test, partition = 2, …, offset = 17, …`.
fn places(service: &Process, what: &str) -> BTreeMap<(u32, u64), usize> {
    let mut places = BTreeMap::new();
    for line in service.lines().iter().filter(|line| line.text.contains(what)) {
        let text = line.text.as_str();
        let (partition, offset) = match text.split_once("sent=test-") {
            Some((_, place)) => {
                place.split_once('@').map(|(partition, offset)| (number(partition), number(offset)))
            }
            None => Some((number_after(text, "partition = "), number_after(text, "offset = "))),
        }
        .unwrap_or_else(|| panic!("no place in `{text}`"));
        *places.entry((u32::try_from(partition).unwrap(), offset)).or_default() += 1;
    }
    places
}

fn number_after(text: &str, name: &str) -> u64 {
    number(text.split_once(name).unwrap_or_else(|| panic!("no `{name}` in `{text}`")).1)
}

/// The number that a text begins with.
fn number(text: &str) -> u64 {
    let end = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    text[..end].parse().unwrap()
}
