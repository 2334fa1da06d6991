//! Handlers that panic and fail, and dead-letter topics that do not take a record: the oracle says that nothing is lost, and
//! that nothing is committed before its topic has it.

#![expect(clippy::unwrap_used, reason = "a test may unwrap what it expects")]

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use kafka_boot_tests::kafka::{Kafka, KafkaOptions, Software};
use kafka_boot_tests::ledger::Outcome;
use kafka_boot_tests::oracle::assert_holds;
use kafka_boot_tests::process::Process;
use kafka_boot_tests::produce::{alter_topic, create_topic_with};
use kafka_boot_tests::scenario::{History, Scenario};
use kafka_boot_tests::wait::eventually;

const SERVICE: &str = env!("CARGO_BIN_EXE_ledger-service");
const PARTITIONS: i32 = 12;
const AT_WORK_MAX: u32 = 64;
const MINUTE: Duration = Duration::from_mins(1);
/// What a kill may have done twice: what is in flight and not committed in each partition.
const REPEATS_PER_KILL: usize = 12 * 256;
/// The attempts that the service's configuration allows.
const ATTEMPTS: u32 = 3;
/// What a record's wait looks like in the log.
const WAITS: &str = "a record cannot be written where it is to go";

fn scenario<'k>(kafka: &'k Kafka, name: &str) -> Scenario<'k> {
    let scenario = Scenario::new(kafka, SERVICE, name, PARTITIONS).unwrap().short_session();
    scenario.setting("kafka.error.attempts", ATTEMPTS)
}

/// Every letter once, and no others than these.
fn assert_letters(history: &History, is_poison: impl Fn(u64) -> bool) {
    let expected: HashSet<u64> =
        history.acked.iter().map(|record| record.uid).filter(|uid| is_poison(*uid)).collect();
    let found: HashSet<u64> = history.dead_letters.iter().copied().collect();
    assert!(!expected.is_empty());
    assert!(
        found == expected,
        "{} letters are missing, {} are there for no reason",
        expected.difference(&found).count(),
        found.difference(&expected).count()
    );
}

fn said(process: &Process, what: &str) -> usize {
    process.lines().iter().filter(|line| line.text.contains(what)).count()
}

/// R8: one record in a hundred panics at every attempt, in four ways; the process lives, and each has its dead letter.
#[test]
fn panics_of_every_kind_become_dead_letters_and_hurt_nobody_else() {
    const RECORDS: u64 = 100_000;
    let Some(kafka) = Kafka::shared() else { return };
    for by_key in [false, true] {
        let mut scenario = scenario(kafka, if by_key { "panics-by-key" } else { "panics" });
        if by_key {
            scenario = scenario.by_key(AT_WORK_MAX);
        }
        scenario.set("ledger.poison-every", 100);
        scenario.set("ledger.poison-panics", true);
        scenario.seed(RECORDS).unwrap();
        let instance = scenario.start().unwrap();
        scenario.drain(4 * MINUTE).unwrap();
        let process = scenario.stop(instance).unwrap();
        assert_eq!(said(&process, "partitions lost"), 0);
        let history = scenario.finish().unwrap();
        assert_holds(&history.judge(0));
        assert_letters(&history, |uid| uid % 100 == 0);
        assert_eq!(history.dead_letters.len(), 1_000, "each is written once");
        let mut attempts: HashMap<u64, usize> = HashMap::new();
        for entry in history.entries.iter().filter(|entry| entry.outcome == Outcome::Panic) {
            *attempts.entry(entry.uid).or_default() += 1;
        }
        assert!(attempts.values().all(|attempts| *attempts == ATTEMPTS as usize));
        eprintln!("R8: {RECORDS} records, by key: {by_key}, 1000 that panic, 1000 dead letters, 0 lost");
    }
}

/// R8, the other half: every record of one key panics, and those of the others do not wait for it.
#[test]
fn a_key_whose_records_all_panic_goes_to_the_dead_letters_and_the_others_on() {
    let Some(kafka) = Kafka::shared() else { return };
    let mut scenario = scenario(kafka, "panicking-key").by_key(AT_WORK_MAX);
    scenario.set("ledger.poison-key", "key-7");
    scenario.set("ledger.poison-panics", true);
    scenario.seed(20_000).unwrap();
    let instance = scenario.start().unwrap();
    scenario.drain(2 * MINUTE).unwrap();
    scenario.stop(instance).unwrap();
    let history = scenario.finish().unwrap();
    assert_holds(&history.judge(0));
    let keys: HashMap<u64, Option<&str>> =
        history.acked.iter().map(|record| (record.uid, record.key.as_deref())).collect();
    assert_letters(&history, |uid| keys[&uid] == Some("key-7"));
}

/// R13 with attempts in place: a third of the records fails twice; a kill in between; the order is kept.
#[test]
fn attempts_in_place_lose_nothing_and_keep_the_order_across_kills() {
    let Some(kafka) = Kafka::shared() else { return };
    for by_key in [false, true] {
        let mut scenario = scenario(kafka, if by_key { "retries-by-key" } else { "retries" });
        if by_key {
            scenario = scenario.by_key(AT_WORK_MAX);
        }
        scenario.set("ledger.error-every", 3);
        scenario.set("ledger.error-attempts", ATTEMPTS - 1);
        scenario.set("ledger.poison-every", 1_000);
        scenario.seed(100_000).unwrap();
        for _ in 0..3 {
            let killed = scenario.start().unwrap();
            scenario.work_on(20_000).unwrap();
            scenario.kill(killed).unwrap();
        }
        let last = scenario.start().unwrap();
        scenario.drain(4 * MINUTE).unwrap();
        scenario.stop(last).unwrap();
        let history = scenario.finish().unwrap();
        assert_holds(&history.judge(REPEATS_PER_KILL));
        assert_letters(&history, |uid| uid % 1_000 == 0);
        assert!(history.entries.iter().all(|entry| entry.attempt <= ATTEMPTS), "no attempt too many");
        eprintln!(
            "R13 in place: 100000 records, by key: {by_key}, {} attempts, 3 kills, {} repeated, 0 lost",
            history.entries.len(),
            history.repeats()
        );
    }
}

/// R13 with retry topics: the same failures, and the count of attempts lives on in the records through kills.
#[test]
fn attempts_in_retry_topics_lose_nothing_and_are_counted_across_kills() {
    const RECORDS: u64 = 100_000;
    let Some(kafka) = Kafka::shared() else { return };
    let mut scenario = scenario(kafka, "retry-topics")
        .setting("kafka.error.attempts", 1)
        .setting("kafka.error.retry-topics.attempts", ATTEMPTS)
        .setting("kafka.error.retry-topics.backoff.initial", "500ms")
        .setting("kafka.error.retry-topics.backoff.multiplier", 2)
        .setting("kafka.error.retry-topics.backoff.max", "10s");
    scenario.set("ledger.error-every", 3);
    scenario.set("ledger.error-attempts", ATTEMPTS - 1);
    scenario.set("ledger.poison-every", 1_000);
    scenario.seed(RECORDS).unwrap();
    for _ in 0..3 {
        let killed = scenario.start().unwrap();
        scenario.work_on(20_000).unwrap();
        scenario.kill(killed).unwrap();
    }
    let last = scenario.start().unwrap();
    scenario.drain(4 * MINUTE).unwrap();
    // Those in retry topics: two thirds of the attempts at records that fail.
    let failing = |uid: u64| uid.is_multiple_of(3) || uid.is_multiple_of(1_000);
    let attempts: u64 = (0..RECORDS).map(|uid| if failing(uid) { u64::from(ATTEMPTS) } else { 1 }).sum();
    eventually(2 * MINUTE, "all attempts", || scenario.attempts().unwrap() >= attempts);
    eventually(2 * MINUTE, "the retry topics to be read", || {
        let before = scenario.attempts().unwrap();
        std::thread::sleep(Duration::from_secs(3));
        scenario.attempts().unwrap() == before
    });
    scenario.stop(last).unwrap();
    let history = scenario.finish().unwrap();
    assert_holds(&history.judge(3 * REPEATS_PER_KILL));
    assert_letters(&history, |uid| uid % 1_000 == 0);
    for entry in &history.entries {
        let expected = match entry.topic.strip_prefix(&history.topic).unwrap() {
            "" => 1,
            "-retry-500" => 2,
            "-retry-1000" => 3,
            other => panic!("a topic `{other}`"),
        };
        assert_eq!(entry.attempt, expected, "record {} in `{}`", entry.uid, entry.topic);
    }
    eprintln!(
        "R13 in retry topics: {RECORDS} records, {} attempts, 3 kills, {} repeated, 0 lost",
        history.entries.len(),
        history.repeats()
    );
}

/// R14: the broker is gone for 30 s.
#[test]
fn dead_letters_survive_an_outage_of_the_broker() {
    let Some(kafka) = Kafka::start_or_skip(&KafkaOptions::default()) else { return };
    // Longer than the outage: an assignment in the same process that begins again further back would look like bad order.
    let mut scenario = scenario(&kafka, "outage")
        .setting("kafka.consumer.session-timeout", "60s")
        .setting("ledger.delay", "2ms");
    scenario.set("ledger.poison-every", 20);
    scenario.seed(20_000).unwrap();
    let instance = scenario.start().unwrap();
    scenario.work_on(4_000).unwrap();
    scenario.disrupted();
    kafka.kill9(0).unwrap();
    std::thread::sleep(Duration::from_secs(30));
    kafka.restart(0).unwrap();
    scenario.disrupted();
    scenario.drain(3 * MINUTE).unwrap();
    scenario.stop(instance).unwrap();
    let history = scenario.finish().unwrap();
    assert_holds(&history.judge(REPEATS_PER_KILL));
    assert_letters(&history, |uid| uid % 20 == 0);
    eprintln!("R14: broker away for 30 s: 1000 poison records, {} letters", history.dead_letters.len());
}

/// R14: the dead-letter topic takes no record as large as these, until it does.
#[test]
fn dead_letters_too_large_for_their_topic_wait_until_it_takes_them() {
    let Some(kafka) = Kafka::shared() else { return };
    if Software::from_environment() != Software::Apache {
        return;
    }
    let mut scenario = scenario(kafka, "too-large");
    let letters = format!("{}-dlt", scenario.topic());
    create_topic_with(kafka.bootstrap_servers(), &letters, PARTITIONS, &[("max.message.bytes", "300")])
        .unwrap();
    let servers = kafka.bootstrap_servers();
    waits_until(&mut scenario, || {
        alter_topic(servers, &letters, &[("max.message.bytes", "2000000")]).unwrap();
    });
    let history = scenario.finish().unwrap();
    assert_holds(&history.judge(0));
    assert_letters(&history, |uid| history.acked.iter().any(|record| record.uid == uid && is_poison(record)));
}

/// R14: nobody may write to the dead-letter topic, until somebody may.
#[test]
fn dead_letters_that_may_not_be_written_wait_until_they_may() {
    let options = KafkaOptions::default()
        .property("authorizer.class.name", "org.apache.kafka.metadata.authorizer.StandardAuthorizer")
        .property("allow.everyone.if.no.acl.found", "true");
    if options.software != Software::Apache {
        return;
    }
    let Some(kafka) = Kafka::start_or_skip(&options) else { return };
    let mut scenario = scenario(&kafka, "forbidden");
    let letters = format!("{}-dlt", scenario.topic());
    create_topic_with(kafka.bootstrap_servers(), &letters, PARTITIONS, &[]).unwrap();
    let everything = ["--allow-principal", "User:*", "--operation", "Read", "--operation", "Describe"];
    let rule = ["--deny-principal", "User:*", "--operation", "Write"];
    let acl = |arguments: &[&str]| {
        let arguments = [&["--topic", &letters][..], arguments].concat();
        kafka.tool(ACL_COMMAND, &arguments, MINUTE).unwrap().success().unwrap();
    };
    acl(&[&["--add"][..], &everything].concat());
    acl(&[&["--add"][..], &rule].concat());
    waits_until(&mut scenario, || acl(&["--remove", "--force"]));
    let history = scenario.finish().unwrap();
    assert_holds(&history.judge(0));
    assert_letters(&history, |uid| history.acked.iter().any(|record| record.uid == uid && is_poison(record)));
}

const ACL_COMMAND: &str = "org.apache.kafka.tools.AclCommand";
const POISON_KEY: &str = "key-7";

fn is_poison(record: &kafka_boot_tests::ledger::Produced) -> bool {
    record.key.as_deref() == Some(POISON_KEY)
}

/// Every record of one key is poison. Its partition waits, uncommitted, and the others are read to their ends; after the
/// repair, so is that one.
fn waits_until(scenario: &mut Scenario<'_>, repair: impl FnOnce()) {
    scenario.set("ledger.poison-key", POISON_KEY);
    scenario.seed(20_000).unwrap();
    let instance = scenario.start().unwrap();
    instance.process.wait_for_line(MINUTE, |line| line.contains(WAITS)).unwrap();
    eventually(MINUTE, "the other partitions to be read", || {
        scenario.look().unwrap().iter().filter(|sample| sample.lag() == 0).count() == PARTITIONS as usize - 1
    });
    let stuck = scenario.look().unwrap();
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(
        stuck.iter().map(|sample| sample.committed).collect::<Vec<_>>(),
        scenario.look().unwrap().iter().map(|sample| sample.committed).collect::<Vec<_>>(),
        "nothing is committed past a record that waits"
    );
    let complaints = said(&instance.process, WAITS);
    assert!(complaints <= 3, "{complaints} complaints are too many");
    instance
        .process
        .wait_for_line(MINUTE, |line| line.contains("health=DOWN") && line.contains("waits for"))
        .unwrap();
    repair();
    scenario.drain(2 * MINUTE).unwrap();
    scenario.stop(instance).unwrap();
}
