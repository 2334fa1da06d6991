//! Kafka's own command-line tools: a second opinion that shares no code with librdkafka.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Installation, Kafka};
use crate::process::{Program, Stream};
use crate::{Error, ErrorKind, Result};

/// The start of a Java program takes about a second, and several times that on a loaded machine.
const TOOL_DEADLINE: Duration = Duration::from_mins(1);

/// A small and quickly started virtual machine that keeps its log to itself.
const JAVA_OPTIONS: [&str; 4] = [
    "-Xmx256m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=error",
];

/// What a tool said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolOutput {
    /// Its exit status; `None` if a signal ended it.
    pub code: Option<i32>,
    /// Its standard output, lines joined by line feeds.
    pub stdout: String,
    /// Its standard error, lines joined by line feeds.
    pub stderr: String,
}

/// One record as Kafka's console consumer printed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumedRecord {
    /// Where it was.
    pub partition: i32,
    /// Its offset there.
    pub offset: i64,
    /// `name:value` pairs, or `NO_HEADERS`, as the tool writes them.
    pub headers: String,
    /// The key, `null` if it had none.
    pub key: String,
    /// The value, `null` for a tombstone; a value with line feeds is cut at the first.
    pub value: String,
}

/// One row of Kafka's description of a consumer group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupRow {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The committed offset: the next one to be read. `None` if nothing was committed.
    pub committed: Option<i64>,
    /// The offset after the last record.
    pub end: Option<i64>,
    /// How many records are left.
    pub lag: Option<i64>,
    /// The member that owns the partition, if any.
    pub member: Option<String>,
    /// That member's `client.id`, if any.
    pub client: Option<String>,
}

impl ToolOutput {
    /// This output if the tool succeeded, else an error of kind [`ErrorKind::Tool`] that shows it.
    pub fn success(self) -> Result<Self> {
        if self.code == Some(0) {
            return Ok(self);
        }
        let message = format!("the tool ended with {:?}:\n{}\n{}", self.code, self.stdout, self.stderr);
        Err(Error::new(ErrorKind::Tool, message))
    }
}

impl Kafka {
    /// Runs one of Kafka's tools by its main class, with `--bootstrap-server` and `args`, and waits for its end.
    ///
    /// Fails with [`ErrorKind::Timeout`] when it takes longer than `deadline`; its exit status is the caller's to judge.
    ///
    /// ```no_run
    /// # use kafka_boot_tests::kafka::Kafka;
    /// # use std::time::Duration;
    /// # let kafka = Kafka::shared().unwrap();
    /// let listed = kafka.tool("org.apache.kafka.tools.TopicCommand", &["--list"], Duration::from_secs(30)).unwrap();
    /// println!("{}", listed.success().unwrap().stdout);
    /// ```
    pub fn tool(&self, main_class: &str, args: &[&str], deadline: Duration) -> Result<ToolOutput> {
        let mut all = vec!["--bootstrap-server", self.bootstrap_servers()];
        all.extend_from_slice(args);
        run_java(self.installation()?, main_class, &all, deadline)
    }

    /// Reads up to `max` records of `topic` from its beginning with Kafka's console consumer, outside of any lasting
    /// group; gives up when none has come for `timeout`.
    pub fn console_consumer(
        &self,
        topic: &str,
        max: usize,
        timeout: Duration,
    ) -> Result<Vec<ConsumedRecord>> {
        let (max, timeout_ms) = (max.to_string(), timeout.as_millis().to_string());
        let mut args =
            vec!["--topic", topic, "--from-beginning", "--max-messages", &max, "--timeout-ms", &timeout_ms];
        for shown in ["print.partition=true", "print.offset=true", "print.headers=true", "print.key=true"] {
            args.extend(["--formatter-property", shown]);
        }
        // The tool itself treats an idle timeout as an error, but still prints what it has read.
        let output =
            self.tool("org.apache.kafka.tools.consumer.ConsoleConsumer", &args, timeout + TOOL_DEADLINE)?;
        if output.code != Some(0) && !output.stderr.contains("TimeoutException") {
            return Err(output
                .success()
                .err()
                .unwrap_or_else(|| Error::new(ErrorKind::Tool, "no exit status")));
        }
        output.stdout.lines().filter(|line| line.starts_with("Partition:")).map(parse_record).collect()
    }

    /// Writes `key:value` lines with Kafka's console producer, whose partitioner is Java's.
    pub fn console_producer(&self, topic: &str, lines: &[String]) -> Result<()> {
        let path = std::env::temp_dir().join(crate::seed::unique_name("console-producer"));
        let failed = |error| Error::io(format!("cannot write `{}`", path.display()), error);
        std::fs::write(&path, lines.join("\n") + "\n").map_err(failed)?;
        let class_path = self.installation()?.class_path().to_owned();
        // The tool reads its standard input, which a child of the harness has only through a shell.
        let mut process = Program::new("sh")
            .args(["-c", "exec \"$0\" \"$@\" < \"$RECORDS\"", "java"])
            .args(JAVA_OPTIONS)
            .args(["-cp", &class_path, "org.apache.kafka.tools.ConsoleProducer"])
            .args(["--bootstrap-server", self.bootstrap_servers(), "--topic", topic])
            .args(["--reader-property", "parse.key=true", "--reader-property", "key.separator=:"])
            .env("RECORDS", &path)
            .start()?;
        let status = process.wait(TOOL_DEADLINE);
        // Left behind, it would be a small file in the folder for temporary ones.
        drop(std::fs::remove_file(&path));
        let output = ToolOutput {
            code: status?.code(),
            stdout: process.text(Stream::Out),
            stderr: process.text(Stream::Err),
        };
        output.success().map(drop)
    }

    /// Describes a consumer group with Kafka's own tool; a group that does not exist has no rows.
    pub fn consumer_groups_describe(&self, group: &str) -> Result<Vec<GroupRow>> {
        let class = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand";
        let output = self.tool(class, &["--describe", "--group", group], TOOL_DEADLINE)?;
        if output.stdout.contains("GroupIdNotFoundException")
            || output.stderr.contains("GroupIdNotFoundException")
        {
            return Ok(Vec::new());
        }
        // The tool ends with 0 after an error, so the text has to be looked at.
        if output.code != Some(0) || output.stdout.contains("\nError:") || output.stdout.starts_with("Error:")
        {
            return Err(Error::new(ErrorKind::Tool, format!("{}\n{}", output.stdout, output.stderr)));
        }
        parse_group(&output.stdout)
    }
}

/// Runs a Java program of the installation to its end.
pub(super) fn run_java(
    installation: &Installation,
    main_class: &str,
    args: &[&str],
    deadline: Duration,
) -> Result<ToolOutput> {
    let mut process = Program::new("java")
        .args(JAVA_OPTIONS)
        .args(["-cp", installation.class_path(), main_class])
        .args(args)
        .start()?;
    let code = process.wait(deadline)?.code();
    Ok(ToolOutput { code, stdout: process.text(Stream::Out), stderr: process.text(Stream::Err) })
}

fn parse_record(line: &str) -> Result<ConsumedRecord> {
    let fields: Vec<&str> = line.splitn(5, '\t').collect();
    let unclear =
        || Error::new(ErrorKind::Parse, format!("`{line}` is not a record of the console consumer"));
    let [partition, offset, headers, key, value] = fields[..] else { return Err(unclear()) };
    Ok(ConsumedRecord {
        partition: partition
            .strip_prefix("Partition:")
            .and_then(|text| text.parse().ok())
            .ok_or_else(unclear)?,
        offset: offset.strip_prefix("Offset:").and_then(|text| text.parse().ok()).ok_or_else(unclear)?,
        headers: headers.to_owned(),
        key: key.to_owned(),
        value: value.to_owned(),
    })
}

/// Reads the table by the names of its columns, whose order and number differ between versions.
fn parse_group(text: &str) -> Result<Vec<GroupRow>> {
    let mut columns: Option<Vec<&str>> = None;
    let mut rows = Vec::new();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let words: Vec<&str> = line.split_whitespace().collect();
        if words.first() == Some(&"GROUP") {
            columns = Some(words);
            continue;
        }
        // Before the headline stand notices such as "Consumer group 'x' has no active members.".
        let Some(names) = &columns else { continue };
        let cells: BTreeMap<&str, &str> = names.iter().copied().zip(words).collect();
        let text_of =
            |name: &str| cells.get(name).filter(|cell| **cell != "-").map(|cell| (*cell).to_owned());
        let number_of = |name: &str| cells.get(name).and_then(|cell| cell.parse::<i64>().ok());
        let unclear = || Error::new(ErrorKind::Parse, format!("`{line}` is not a row of a consumer group"));
        rows.push(GroupRow {
            topic: text_of("TOPIC").ok_or_else(unclear)?,
            partition: cells.get("PARTITION").and_then(|cell| cell.parse().ok()).ok_or_else(unclear)?,
            committed: number_of("CURRENT-OFFSET"),
            end: number_of("LOG-END-OFFSET"),
            lag: number_of("LAG"),
            member: text_of("CONSUMER-ID"),
            client: text_of("CLIENT-ID"),
        });
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_table_becomes_rows_whatever_stands_before_it() {
        let text = "\nConsumer group 'g1' has no active members.\n\n\
            GROUP  TOPIC  PARTITION  CURRENT-OFFSET  LOG-END-OFFSET  LAG  CONSUMER-ID  HOST  CLIENT-ID\n\
            g1     a      0          -               7               -    -            -     -\n\
            g1     a      1          5               9               4    m-1          /127  c-1\n";
        let rows = parse_group(text).unwrap();
        assert_eq!(rows.len(), 2);
        assert_eq!((rows[0].committed, rows[0].end, rows[0].member.as_deref()), (None, Some(7), None));
        assert_eq!(
            (rows[1].committed, rows[1].lag, rows[1].client.as_deref()),
            (Some(5), Some(4), Some("c-1"))
        );
    }

    #[test]
    fn a_console_record_keeps_tabs_in_its_value() {
        let record = parse_record("Partition:1\tOffset:22\tNO_HEADERS\tnull\ta\tb").unwrap();
        assert_eq!((record.partition, record.offset, record.value.as_str()), (1, 22, "a\tb"));
        assert!(parse_record("Partition:1\tOffset:x\th\tk\tv").is_err());
    }
}
