//! `kcat`, the client on librdkafka that people have at hand.

use std::time::{Duration, Instant};

use kafka_boot_tests::process::{Program, Stream};
use kafka_boot_tests::produce::create_topic;
use kafka_boot_tests::seed::notice;

use crate::java::in_ci;
use crate::table::Case;

/// Generous: it is spent only when something is wrong.
const DEADLINE: Duration = Duration::from_mins(1);

/// What is expected, or what was found instead.
type Verdict = Result<(), String>;

/// The name of a case, its topic's number of partitions, and its steps.
type Entry = (&'static str, i32, fn(&mut Script) -> Verdict);

const CASES: [Entry; 11] = [
    ("metadata as text and as JSON", 3, metadata),
    ("keys, headers and partitions", 3, parts),
    ("offsets to start from", 1, offsets),
    ("offsets by query", 1, queries),
    ("null keys and tombstones", 1, tombstones),
    ("records as JSON", 1, json),
    ("a group that goes on where it stopped", 2, group),
    ("idempotence and acks", 1, idempotence),
    ("every codec", 1, codecs),
    ("a transaction, at both isolation levels", 1, transaction),
    ("a topic that is not there", 1, unknown_topic),
];

/// Whether `kcat` is there; a line says so when it is not.
///
/// # Panics
/// With `CI=true`, when it is missing.
pub(crate) fn available_or_skip() -> bool {
    let found = std::process::Command::new("kcat").arg("-V").output().is_ok();
    assert!(found || !in_ci(), "`kcat` is needed in CI: install the package of that name");
    if !found {
        notice("skipped: the conformance cases of `kcat` (it is not installed)");
    }
    found
}

/// Runs the cases whose names contain `filter` on one broker.
pub(crate) fn run(bootstrap: &str, filter: &str) -> Vec<Case> {
    let named = CASES.iter().map(|(name, partitions, steps)| (format!("kcat: {name}"), *partitions, *steps));
    named
        .filter(|(name, ..)| name.contains(filter))
        .map(|(name, partitions, steps)| {
            let started = Instant::now();
            let mut script = Script::new(bootstrap, &name);
            let made = create_topic(bootstrap, &script.topic, partitions).map_err(|error| error.to_string());
            let failure = made.and_then(|()| steps(&mut script)).err();
            let millis = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
            Case { name, output: script.transcript, failure, millis }
        })
        .collect()
}

/// What a case works with.
struct Script {
    bootstrap: String,
    topic: String,
    transcript: String,
}

impl Script {
    fn new(bootstrap: &str, name: &str) -> Self {
        let topic: String = name
            .chars()
            .map(|one| if one.is_ascii_alphanumeric() { one.to_ascii_lowercase() } else { '-' })
            .collect();
        Self { bootstrap: bootstrap.to_owned(), topic: format!("cf-{topic}"), transcript: String::new() }
    }

    /// Runs `kcat` with these arguments, separated by blanks, in which `TOPIC` stands for the topic of the case.
    fn kcat(&mut self, input: &str, arguments: &str) -> Result<String, String> {
        let arguments = arguments.replace("TOPIC", &self.topic);
        // `printf` is the shell's own, so this is one process, and what it reads ends.
        let mut process = Program::new("sh")
            .args(["-c", "printf '%s' \"$INPUT\" | kcat \"$@\"", "kcat", "-b", &self.bootstrap])
            .args(["-X", "broker.address.family=v4", "-X", "socket.timeout.ms=10000"])
            .args(arguments.split(' '))
            .env("INPUT", input)
            .start()
            .map_err(|error| error.to_string())?;
        let status = process.wait(DEADLINE).map_err(|error| error.to_string())?;
        let output = self.normalised(&process.text(Stream::Out));
        let errors = self.normalised(&process.text(Stream::Err));
        // Which broker, and which thread, is of no interest.
        let errors: Vec<&str> =
            errors.lines().filter(|line| !line.starts_with('%') || line.contains("ERROR")).collect();
        self.say(&format!("$ kcat {arguments}\n{output}"));
        for line in errors {
            self.say(&format!("! {line}"));
        }
        self.say(&format!("exit: {}", status.code().unwrap_or(-1)));
        Ok(output)
    }

    fn say(&mut self, line: &str) {
        self.transcript.push_str(line);
        self.transcript.push('\n');
    }

    fn normalised(&self, text: &str) -> String {
        let port = self.bootstrap.rsplit(':').next().unwrap_or_default();
        let text = text.replace(&self.bootstrap, "<broker>").replace(port, "<port>");
        // Of its two connections to the one broker, the first that is there is asked.
        text.replace("broker -1: <broker>/bootstrap", "broker 1: <broker>/1")
            .replace("\"id\":-1,\"name\":\"<broker>/bootstrap\"", "\"id\":1,\"name\":\"<broker>/1\"")
    }

    /// Runs `kcat`, whose output has to be this.
    fn says(&mut self, input: &str, arguments: &str, expected: &str) -> Verdict {
        let output = self.kcat(input, arguments)?;
        same(arguments, &output, expected)
    }

    /// Runs `kcat`, whose output has to be these lines in any order.
    fn says_sorted(&mut self, arguments: &str, expected: &[&str]) -> Verdict {
        let before = self.transcript.len();
        let output = self.kcat("", arguments)?;
        self.transcript.truncate(before);
        let mut lines: Vec<&str> = output.lines().collect();
        lines.sort_unstable();
        self.say(&format!("$ kcat {arguments}\n{}", lines.join("\n")));
        same(arguments, &lines.join("\n"), &expected.join("\n"))
    }
}

fn same(what: &str, found: &str, expected: &str) -> Verdict {
    if found == expected {
        return Ok(());
    }
    Err(format!("`kcat {what}` says\n{found}\ninstead of\n{expected}"))
}

fn contains(text: &str, expected: &str) -> Verdict {
    if text.contains(expected) { Ok(()) } else { Err(format!("`{expected}` is not in\n{text}")) }
}

fn metadata(script: &mut Script) -> Verdict {
    let text = script.kcat("", "-L -t TOPIC")?;
    contains(&text, "with 3 partitions:")?;
    contains(&text, "broker 1 at <broker> (controller)")?;
    let json = script.kcat("", "-L -J -t TOPIC")?;
    contains(&json, "\"partition\":2,\"leader\":1,\"replicas\":[{\"id\":1}],\"isrs\":[{\"id\":1}]")
}

fn parts(script: &mut Script) -> Verdict {
    script.says("k1:v1\nk2:v2\n", "-P -t TOPIC -p 0 -K : -H a=1 -H b=2", "")?;
    script.says("k3:v3\n", "-P -t TOPIC -p 2 -K :", "")?;
    let expected = ["0 0 k1 v1 a=1,b=2", "0 1 k2 v2 a=1,b=2", "2 0 k3 v3 "];
    script.says_sorted("-C -q -t TOPIC -o beginning -e -f %p\\x20%o\\x20%k\\x20%s\\x20%h\\n", &expected)?;
    script.says("", "-C -q -t TOPIC -p 2 -o beginning -e -f %k=%s\\n", "k3=v3")?;
    // librdkafka's partitioner is its own, and the same on every broker.
    script.says("x:1\ny:2\nz:3\n", "-P -t TOPIC -K : -X topic.partitioner=murmur2_random", "")?;
    script.kcat("", "-C -q -t TOPIC -p 1 -o beginning -e -f %k=%s\\n").map(drop)
}

fn offsets(script: &mut Script) -> Verdict {
    script.says("v0\nv1\nv2\nv3\nv4\n", "-P -t TOPIC", "")?;
    script.says("", "-C -q -t TOPIC -p 0 -o 3 -e", "v3\nv4")?;
    script.says("", "-C -q -t TOPIC -p 0 -o -2 -e", "v3\nv4")?;
    script.says("", "-C -q -t TOPIC -p 0 -o beginning -c 2", "v0\nv1")?;
    script.says("", "-C -q -t TOPIC -p 0 -o s@0 -e", "v0\nv1\nv2\nv3\nv4")?;
    script.says("", "-C -q -t TOPIC -p 0 -o end -e", "")?;
    script.says("", "-C -q -t TOPIC -p 0 -o 99 -e -X auto.offset.reset=earliest", "v0\nv1\nv2\nv3\nv4")
}

fn queries(script: &mut Script) -> Verdict {
    script.says("v0\nv1\nv2\n", "-P -t TOPIC", "")?;
    for (time, offset) in [("0", 0), ("-1", 3), ("-2", 0), ("9999999999999", -1)] {
        let expected = format!("{} [0] offset {offset}", script.topic);
        script.says("", &format!("-Q -t TOPIC:0:{time}"), &expected)?;
    }
    Ok(())
}

fn tombstones(script: &mut Script) -> Verdict {
    script.says("k1:v1\nk2:\nv3\n", "-P -t TOPIC -Z -K :", "")?;
    script.says("", "-C -q -t TOPIC -e -o beginning -Z -f %k:%s:%S\\n", "k1:v1:2\nk2:NULL:-1\nNULL:v3:2")
}

fn json(script: &mut Script) -> Verdict {
    script.says("k:v\n", "-P -t TOPIC -K : -H h=1", "")?;
    let before = script.transcript.len();
    let text = script.kcat("", "-C -q -t TOPIC -e -o beginning -J")?;
    script.transcript.truncate(before);
    let mut record: serde_json::Value =
        serde_json::from_str(&text).map_err(|error| format!("{text}: {error}"))?;
    let stamped = record["ts"].as_u64().is_some_and(|time| time > 1_600_000_000_000);
    record["ts"] = stamped.into();
    script.say(&format!("{record}"));
    if stamped { contains(&text, "\"headers\":[\"h\",\"1\"]") } else { Err(format!("no time in {text}")) }
}

fn group(script: &mut Script) -> Verdict {
    script.says("a\nb\nc\n", "-P -t TOPIC -p 0", "")?;
    script.says("d\n", "-P -t TOPIC -p 1", "")?;
    let group = format!("{}-group", script.topic);
    let read = format!("-q -G {group} -X auto.offset.reset=earliest -X heartbeat.interval.ms=300 -e TOPIC");
    script.says_sorted(&read, &["a", "b", "c", "d"])?;
    script.says("e\n", "-P -t TOPIC -p 1", "")?;
    script.says_sorted(&read, &["e"])
}

fn idempotence(script: &mut Script) -> Verdict {
    script.says("a\nb\n", "-P -t TOPIC -X enable.idempotence=true", "")?;
    for acks in ["0", "1", "-1"] {
        script.says(&format!("acks {acks}\n"), &format!("-P -t TOPIC -X acks={acks}"), "")?;
    }
    script.says("", "-C -q -t TOPIC -o beginning -c 5", "a\nb\nacks 0\nacks 1\nacks -1")
}

fn codecs(script: &mut Script) -> Verdict {
    let lines: Vec<String> = (0..100).map(|at| format!("value {at}")).collect();
    let lines = lines.join("\n") + "\n";
    for (at, codec) in ["none", "gzip", "snappy", "lz4", "zstd"].into_iter().enumerate() {
        let produce = format!("-P -t TOPIC -X compression.codec={codec} -X linger.ms=50");
        script.says(&lines, &produce, "")?;
        script.says("", &format!("-C -q -t TOPIC -p 0 -o {} -c 100", at * 100), lines.trim_end())?;
    }
    Ok(())
}

fn transaction(script: &mut Script) -> Verdict {
    script.says("a\nb\n", "-P -t TOPIC -X transactional.id=cf-kcat", "")?;
    script.says("c\n", "-P -t TOPIC -X transactional.id=cf-kcat", "")?;
    script.says(
        "",
        "-C -q -t TOPIC -o beginning -e -X isolation.level=read_committed -f %o:%s\\n",
        "0:a\n1:b\n3:c",
    )?;
    script.says("", "-C -q -t TOPIC -o beginning -e -X isolation.level=read_uncommitted", "a\nb\nc")?;
    let expected = format!("{} [0] offset 5", script.topic);
    script.says("", "-Q -t TOPIC:0:-1", &expected)
}

fn unknown_topic(script: &mut Script) -> Verdict {
    let text = script.kcat("", "-L -t TOPIC-none")?;
    contains(&text, "with 0 partitions: Broker: Unknown topic or partition")?;
    script
        .kcat("v\n", "-P -t TOPIC-none -X message.timeout.ms=1500 -X topic.metadata.propagation.max.ms=500")
        .map(drop)
}
