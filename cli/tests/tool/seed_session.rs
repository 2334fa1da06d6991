//! The tutorial's session on the command line, step by step, next to what Kafka's own tools print for the same state. On
//! real Kafka, or with `KAFKA_BOOT_TEST_BROKER=embedded` on the embedded broker: the snapshot is the same.

use std::fmt::Write as _;
use std::time::Duration;

use kafka_boot_tests::kafka::{Kafka, KafkaOptions};

use crate::support::{tool, words};

const DEADLINE: Duration = Duration::from_mins(2);
const TOPICS: &str = "org.apache.kafka.tools.TopicCommand";
const GROUPS: &str = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand";
const CONSUMER: &str = "org.apache.kafka.tools.consumer.ConsoleConsumer";

struct Session<'a> {
    kafka: &'a Kafka,
    transcript: String,
}

/// What a command printed.
struct Said {
    output: String,
    errors: String,
}

impl Session<'_> {
    /// Ours, as a user types it.
    fn ours(&mut self, command: &str, input: &str) -> Said {
        let servers = self.kafka.bootstrap_servers();
        let told = tool(&words(&format!("--bootstrap-servers {servers} {command}")), &[], input);
        let (code, rest) = told.split_once("\n--- output\n").unwrap();
        assert_eq!(code, "exit code 0", "{command}: {told}");
        let (output, errors) = rest.split_once("--- errors\n").unwrap();
        let said = Said { output: output.to_owned(), errors: errors.to_owned() };
        self.write(&format!("kafka-boot {command}"), &said);
        said
    }

    /// Theirs, with the name of the script that runs it.
    fn theirs(&mut self, script: &str, class: &str, arguments: &[&str]) -> Said {
        let output = self.kafka.tool(class, arguments, DEADLINE).unwrap();
        // What the client logs while it connects is no result, and differs from run to run.
        let errors = output.stderr.lines().filter(|line| {
            line.starts_with("Processed") || line.starts_with("New offset") || line.contains("has no active")
        });
        let errors = errors.collect::<Vec<_>>().join("\n");
        let said = Said { output: output.stdout, errors };
        self.write(&format!("{script} {}", arguments.join(" ")), &said);
        said
    }

    /// Untold: their names differ from run to run.
    fn delete_groups_of_console_consumers(&self) {
        let connected = format!("--bootstrap-servers {}", self.kafka.bootstrap_servers());
        let listed = tool(&words(&format!("{connected} groups list")), &[], "");
        for group in listed.lines().filter(|group| group.starts_with("console-consumer-")) {
            let told = tool(&words(&format!("{connected} groups delete {group} --yes")), &[], "");
            assert!(told.contains("Deleted group"), "{told}");
        }
    }

    fn write(&mut self, command: &str, said: &Said) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.transcript, "$ {command}");
        // Across partitions neither has an order.
        let mut output: Vec<_> =
            said.output.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
        output.sort_by_key(|line| (!line.starts_with("GROUP "), *line));
        for line in output {
            let _ = writeln!(self.transcript, "{line}");
        }
        for line in said.errors.lines() {
            let _ = writeln!(self.transcript, "(stderr) {line}");
        }
        self.transcript.push('\n');
    }
}

/// The words of each line: columns are as wide as each tool likes.
fn lines(text: &str) -> Vec<String> {
    let lines = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
    lines.filter(|line| !line.is_empty()).collect()
}

/// The same, in any order: across partitions, records have none.
fn sorted(text: &str) -> Vec<String> {
    let mut lines = lines(text);
    lines.sort_unstable();
    lines
}

#[test]
fn the_tutorials_session_gives_what_kafkas_own_tools_give() {
    let Some(kafka) = Kafka::start_or_skip(&KafkaOptions::default()) else { return };
    if !kafka.has_tools() {
        return;
    }
    let mut session = Session { kafka: &kafka, transcript: String::new() };

    // Row 2: a topic.
    let ours = session.ours("topics create test --partitions 3 --replication-factor 1", "");
    let create = ["--create", "--topic", "theirs", "--partitions", "3", "--replication-factor", "1"];
    let theirs = session.theirs("kafka-topics.sh", TOPICS, &create);
    assert_eq!(lines(&ours.output), lines(&theirs.output.replace("theirs", "test")));
    session.ours("topics delete theirs --yes", "");
    let (ours, theirs) = (
        session.ours("topics list", ""),
        session.theirs("kafka-topics.sh", TOPICS, &["--list", "--exclude-internal"]),
    );
    assert_eq!(lines(&ours.output), lines(&theirs.output));

    // Row 3: a line a record; twelve in each partition, so that what follows is the same each time.
    for partition in 0..3 {
        let input: Vec<_> = (1..=12).map(|number| format!("{partition}-{number}")).collect();
        session.ours(&format!("produce test --partition {partition}"), &input.join("\n"));
    }

    // Row 4: all of them, whatever group there may be.
    let ours = session.ours("consume test --from-beginning --until-end --output table --max 100", "");
    let consume = ["--topic", "test", "--from-beginning", "--timeout-ms", "6000", "--max-messages", "36"];
    let theirs = session.theirs("kafka-console-consumer.sh", CONSUMER, &consume);
    assert_eq!(sorted(&ours.output), sorted(&theirs.output));
    assert_eq!(sorted(&ours.output).len(), 36);
    assert_eq!(lines(&ours.errors), lines(&theirs.errors), "the same notice");

    // Row 5: as a group, whose second run gets nothing. Theirs goes on where ours has committed.
    let in_group = "consume test --from-beginning --group testgroup --until-end";
    assert_eq!(sorted(&session.ours(in_group, "").output).len(), 36);
    assert!(session.ours(in_group, "").output.is_empty());
    let in_group = ["--topic", "test", "--from-beginning", "--group", "testgroup", "--timeout-ms", "6000"];
    assert!(session.theirs("kafka-console-consumer.sh", CONSUMER, &in_group).output.trim().is_empty());

    // Row 6. Theirs has left a group of a random name when it read without one; ours has not.
    session.delete_groups_of_console_consumers();
    let (ours, theirs) =
        (session.ours("groups list", ""), session.theirs("kafka-consumer-groups.sh", GROUPS, &["--list"]));
    assert_eq!(lines(&ours.output), lines(&theirs.output));

    // Row 7: the same columns and the same notice.
    described_alike(&mut session);

    // Row 8: a dry run, then the deed.
    let all = ["--to-earliest", "--group", "testgroup", "--topic", "test"];
    reset_alike(&mut session, "--topic test --to-earliest", &all);
    described_alike(&mut session);

    // Row 9: one partition, and one that has not so many records.
    reset_alike(
        &mut session,
        "--topic test:1 --to-offset 10",
        &["--to-offset", "10", "--group", "testgroup", "--topic", "test:1"],
    );
    reset_alike(
        &mut session,
        "--topic test:2 --to-offset 99",
        &["--to-offset", "99", "--group", "testgroup", "--topic", "test:2"],
    );
    described_alike(&mut session);

    insta::assert_snapshot!(session.transcript);
}

fn described_alike(session: &mut Session<'_>) {
    let ours = session.ours("groups describe testgroup", "");
    let describe = ["--describe", "--group", "testgroup"];
    let theirs = session.theirs("kafka-consumer-groups.sh", GROUPS, &describe);
    // They order the partitions as it comes.
    assert_eq!(sorted(&ours.output), sorted(&theirs.output.replace(NOTICE, "")));
    assert_eq!(lines(&ours.output)[0], COLUMNS);
    assert_eq!(lines(&ours.errors), [NOTICE]);
    assert!(format!("{}{}", theirs.output, theirs.errors).contains(NOTICE), "{}", theirs.output);
}

const NOTICE: &str = "Consumer group 'testgroup' has no active members.";
const COLUMNS: &str = "GROUP TOPIC PARTITION CURRENT-OFFSET LOG-END-OFFSET LAG CONSUMER-ID HOST CLIENT-ID";

/// The dry runs side by side, then ours is carried out.
fn reset_alike(session: &mut Session<'_>, flags: &str, theirs: &[&str]) {
    let ours = session.ours(&format!("groups reset-offsets testgroup {flags}"), "");
    let mut arguments = vec!["--reset-offsets", "--dry-run"];
    arguments.extend_from_slice(theirs);
    let theirs = session.theirs("kafka-consumer-groups.sh", GROUPS, &arguments);
    assert_eq!(sorted(&ours.output), sorted(&theirs.output));
    let executed = session.ours(&format!("groups reset-offsets testgroup {flags} --execute"), "");
    assert_eq!(lines(&executed.output), lines(&ours.output));
}
