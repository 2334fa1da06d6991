//! `--command-config`: a file of client settings as Kafka's own tools read it, in the syntax of Java's properties.

use std::collections::HashSet;
use std::fs;
use std::io::Write;
use std::path::Path;

use serde_json::{Value, json};

use crate::error::CliError;

/// What only the Java clients have, and what changes nothing of what this tool does. Settings that decide who gets in, such
/// as trust stores and callback handlers, are not among them: a connection without them is another one.
const JAVA_ONLY: &[&str] = &[
    "auto.include.jmx.reporter",
    "default.api.timeout.ms",
    "exclude.internal.topics",
    "group.remote.assignor",
    "interceptor.classes",
    "key.deserializer",
    "key.serializer",
    "max.block.ms",
    "metric.reporters",
    "metrics.num.samples",
    "metrics.recording.level",
    "metrics.sample.window.ms",
    "partitioner.adaptive.partitioning.enable",
    "partitioner.availability.timeout.ms",
    "partitioner.class",
    "partitioner.ignore.keys",
    "sasl.login.refresh.buffer.seconds",
    "sasl.login.refresh.min.period.seconds",
    "sasl.login.refresh.window.factor",
    "sasl.login.refresh.window.jitter",
    "security.providers",
    "ssl.enabled.protocols",
    "ssl.keymanager.algorithm",
    "ssl.protocol",
    "ssl.trustmanager.algorithm",
    "value.deserializer",
    "value.serializer",
];

/// What the tool decides itself, by its flags or because of what it is.
const OWN: &[&str] = &[
    "auto.commit.interval.ms",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "enable.idempotence",
    "enable.partition.eof",
    "group.id",
    "group.instance.id",
    "group.protocol",
    "max.poll.records",
    "partition.assignment.strategy",
    "statistics.interval.ms",
    "transactional.id",
];

/// A setting, and the line on which it begins, counted from 1.
#[derive(Debug, PartialEq, Eq)]
struct Entry {
    line: usize,
    name: String,
    value: String,
}

/// The file as documents of the framework's, for the cluster `kafka` itself describes or for a named one: a line of the file
/// is a line of the document, so that messages name the right one, and show no other, which may hold a secret. What is left
/// out is told to `errors`.
pub(crate) fn documents(
    file: &Path,
    cluster: Option<&str>,
    errors: &mut dyn Write,
) -> Result<Vec<(String, String)>, CliError> {
    let text = fs::read_to_string(file).map_err(|error| {
        CliError::failed(format!("`--command-config {}`: {error}", file.display()))
            .with_help("name a file of client settings, a `name=value` a line")
    })?;
    let source = file.display().to_string();
    let entries = read(&text).map_err(|(line, message)| {
        // The line itself may hold a secret.
        CliError::failed(format!("{source}:{line}: {message}"))
            .with_help("write a setting a line, and comments behind `#`")
    })?;
    let mut documents = Vec::new();
    let mut properties = cluster.map_or_else(
        || "{\"kafka\":{\"properties\":{".to_owned(),
        |name| format!("{{\"kafka\":{{\"clusters\":{{{}:{{\"properties\":{{", Value::from(name)),
    );
    let mut line = 1;
    for entry in entries {
        let Entry { name, value, .. } = &entry;
        if name == "bootstrap.servers" {
            let servers = json!({ "bootstrap-servers": value });
            let servers = match cluster {
                None => json!({ "kafka": servers }),
                Some(name) => json!({ "kafka": { "clusters": { name: servers } } }),
            };
            documents.push((source.clone(), format!("{}{servers}", "\n".repeat(entry.line - 1))));
        } else if let Some(reason) = left_out(name) {
            // Who closed the stream does not want to know.
            let _ = writeln!(errors, "{source}:{}: `{name}` is left out: {reason}", entry.line);
        } else {
            properties.push_str(&"\n".repeat(entry.line - line));
            line = entry.line;
            // JSON is YAML, but for the comma behind the last entry, which only YAML allows.
            properties.extend([
                Value::from(name.as_str()).to_string(),
                ": ".to_owned(),
                Value::from(value.as_str()).to_string(),
                ",".to_owned(),
            ]);
        }
    }
    properties.push_str(if cluster.is_some() { "\n}}}}}" } else { "\n}}}" });
    documents.push((source, properties));
    Ok(documents)
}

fn left_out(name: &str) -> Option<&'static str> {
    if JAVA_ONLY.contains(&name) {
        return Some("only the Java clients have it");
    }
    OWN.contains(&name).then_some("this tool decides about it itself")
}

/// The settings in the order of their lines; of several of one name the last one holds, as in Java. A fault is told with its
/// line.
fn read(text: &str) -> Result<Vec<Entry>, (usize, &'static str)> {
    let mut entries = Vec::new();
    let mut lines = text.lines().map(without_indent).enumerate();
    while let Some((index, first)) = lines.next() {
        if first.is_empty() || first.starts_with(['#', '!']) {
            continue;
        }
        let mut whole = first.to_owned();
        while is_continued(&whole) {
            whole.pop();
            let Some((_, next)) = lines.next() else { break };
            whole.push_str(next);
        }
        let line = index + 1;
        let (name, value) = split(&whole).ok_or((line, "expected `name=value`"))?;
        let plain =
            |text: &str| unescape(text).ok_or((line, "expected four hexadecimal digits behind `\\u`"));
        entries.push(Entry { line, name: plain(name)?, value: plain(value)?.trim().to_owned() });
    }
    let mut seen = HashSet::new();
    entries.reverse();
    entries.retain(|entry| seen.insert(entry.name.clone()));
    entries.reverse();
    Ok(entries)
}

fn without_indent(line: &str) -> &str {
    line.trim_start_matches(is_blank)
}

fn is_blank(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\u{c}')
}

/// Whether a line ends with a backslash that no other one escapes.
fn is_continued(line: &str) -> bool {
    (line.len() - line.trim_end_matches('\\').len()) % 2 == 1
}

/// Name and value: between them is the first `=`, `:` or blank that is not escaped, with blanks around it.
fn split(line: &str) -> Option<(&str, &str)> {
    let mut is_escaped = false;
    let end = line.find(|character| {
        let ends = !is_escaped && (matches!(character, '=' | ':') || is_blank(character));
        is_escaped = character == '\\' && !is_escaped;
        ends
    })?;
    let (name, rest) = line.split_at(end);
    let rest = without_indent(rest);
    let value = rest.strip_prefix(['=', ':']).map_or(rest, without_indent);
    // Blanks behind a name are no value.
    (!name.is_empty() && (!value.is_empty() || rest.starts_with(['=', ':']))).then_some((name, value))
}

fn unescape(text: &str) -> Option<String> {
    let mut plain = String::new();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character != '\\' {
            plain.push(character);
            continue;
        }
        match characters.next() {
            Some('t') => plain.push('\t'),
            Some('n') => plain.push('\n'),
            Some('r') => plain.push('\r'),
            Some('f') => plain.push('\u{c}'),
            Some('u') => {
                let digits: String = characters.by_ref().take(4).collect();
                let code = (digits.len() == 4).then(|| u32::from_str_radix(&digits, 16).ok()).flatten()?;
                plain.push(char::from_u32(code)?);
            }
            Some(other) => plain.push(other),
            None => {}
        }
    }
    Some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_syntax_is_that_of_java() {
        let text = "# a comment\n! another\n\n a=1\nb : 2 \nc 3\nd=x=y:z\ne=\nf=one \\\n    two \\\n  # three\r\n\
                    g\\ h\\==\\u00e4\\t\\\\\na=4\n";
        let found: Vec<_> = read(text)
            .expect("it is one")
            .into_iter()
            .map(|entry| (entry.line, entry.name, entry.value))
            .collect();
        let expected = [
            (5, "b", "2"),
            (6, "c", "3"),
            (7, "d", "x=y:z"),
            (8, "e", ""),
            (9, "f", "one two # three"),
            (12, "g h=", "\u{e4}\t\\"),
            (13, "a", "4"),
        ];
        let expected: Vec<_> = expected
            .into_iter()
            .map(|(line, name, value)| (line, name.to_owned(), value.to_owned()))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn what_is_no_setting_is_told_with_its_line() {
        assert_eq!(read("a=1\nlonely\n").expect_err("it has no value").0, 2);
        assert_eq!(read("a=1\n\nlonely  \n").expect_err("it has no value").0, 3);
        assert_eq!(read("=1\n").expect_err("it has no name").0, 1);
        assert_eq!(read("a=\\u12").expect_err("it is no character").0, 1);
    }
}
