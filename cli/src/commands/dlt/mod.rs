//! `dlt`: dead letters, listed, shown, sent again, or done with.
//!
//! Whatever changes something tells first what it would do, and does it with `--execute`.

mod select;

use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, SecondsFormat, Utc};
use clap::Subcommand;
use kafka_boot::{DeadLetter, DeadLetterError, DeadLetterFilter, DeadLetters, Replay, ReplayReport, escaped};
use kafka_boot_client::Admin;
use serde_json::{Map, Value, json};

use self::select::Selection;
use super::positions;
use crate::error::CliError;
use crate::output::{Output, Table};

/// How many letters a table shows, unless more are asked for.
const LISTED: u32 = 100;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Lists the letters of a dead-letter topic
    List {
        /// The dead-letter topic
        topic: String,
        #[command(flatten)]
        selection: Selection,
        /// How many at most, the first by partition and offset
        #[arg(long, value_name = "N", default_value_t = LISTED, value_parser = clap::value_parser!(u32).range(1..))]
        limit: u32,
    },
    /// Shows all of a letter
    Show {
        /// The dead-letter topic
        topic: String,
        /// Where it is, as `partition:offset`
        #[arg(value_parser = select::place)]
        place: (i32, i64),
    },
    /// Sends letters again, to where their records were read from, and marks them as done
    Replay {
        /// The dead-letter topic
        topic: String,
        #[command(flatten)]
        selection: Selection,
        /// How many at most, the first by partition and offset [default: all]
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
        limit: Option<u32>,
        /// Send them to this topic instead
        #[arg(long, value_name = "TOPIC")]
        to: Option<String>,
        /// Send at most so many a second
        #[arg(long, value_name = "N")]
        rate: Option<u32>,
        /// Send this value in place of the letter's own
        #[arg(long, value_name = "TEXT")]
        value: Option<String>,
        /// Add this header, in the place of those of its name
        #[arg(long, value_parser = super::setting, value_name = "NAME=VALUE")]
        set_header: Vec<(String, String)>,
        /// Leave the headers of this name out
        #[arg(long, value_name = "NAME")]
        delete_header: Vec<String>,
        /// Send them, rather than tell which would be sent
        #[arg(long)]
        execute: bool,
    },
    /// Marks letters as done without sending them; they stay in their topic
    Discard {
        /// The dead-letter topic
        topic: String,
        #[command(flatten)]
        selection: Selection,
        /// How many at most, the first by partition and offset [default: all]
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
        limit: Option<u32>,
        /// Mark them, rather than tell which would be marked
        #[arg(long)]
        execute: bool,
    },
}

pub(crate) async fn execute(
    command: &Command,
    letters: &DeadLetters,
    admin: &Admin,
    output: &mut Output<'_>,
) -> Result<(), CliError> {
    match command {
        Command::List { topic, selection, limit } => {
            check(topic, selection, admin).await?;
            let limit = *limit as usize;
            // One more tells whether there are more.
            let mut found = letters.list(topic, &selection.filter().limit(limit.saturating_add(1))).await?;
            let has_more = found.len() > limit;
            found.truncate(limit);
            tell(&found, output)?;
            if has_more {
                output.note(&format!("There are more: these are the first {limit}. `--limit` shows others."));
            }
            Ok(())
        }
        Command::Show { topic, place: (partition, offset) } => {
            let one = DeadLetterFilter::one(*partition, *offset).with_done();
            match letters.list(topic, &one).await?.first() {
                Some(letter) => show(letter, output),
                None => Err(CliError::failed(format!("`{topic}` has no record at {partition}:{offset}"))
                    .with_help(format!("`kafka-boot dlt list {topic}` shows where there are some"))),
            }
        }
        Command::Replay { topic, selection, limit, to, rate, value, set_header, delete_header, execute } => {
            let mut replay = Replay::new().rate(rate.unwrap_or(0));
            if let Some(to) = to {
                replay = replay.to(to);
            }
            let (value, set, delete) = (value.clone(), set_header.clone(), delete_header.clone());
            replay = replay.edit(move |_, mut record| {
                if let Some(value) = &value {
                    record.payload = Some(value.clone().into());
                }
                record.headers.retain(|(name, _)| {
                    !delete.contains(name) && !set.iter().any(|(replaced, _)| replaced == name)
                });
                for (name, value) in &set {
                    record = record.header(name, value.clone());
                }
                record
            });
            check(topic, selection, admin).await?;
            let filter = limited(selection, *limit);
            if *execute {
                return told(&letters.replay(topic, &filter, replay).await?, output);
            }
            let found = letters.list(topic, &filter).await?;
            tell(&found, output)?;
            output.note("Nothing was sent: `--execute` sends these.");
            let lost = found.iter().filter(|letter| to.is_none() && letter.origin.is_none()).count();
            if lost > 0 {
                let lost = count(lost);
                output
                    .note(&format!("{lost} would stay: where from, is not said. Name a topic with `--to`."));
            }
            Ok(())
        }
        Command::Discard { topic, selection, limit, execute } => {
            check(topic, selection, admin).await?;
            let filter = limited(selection, *limit);
            if !execute {
                tell(&letters.list(topic, &filter).await?, output)?;
                output.note("Nothing was marked: `--execute` marks these as done.");
                return Ok(());
            }
            let report = letters.discard(topic, &filter).await?;
            output.done("discarded", &report.done.to_string(), &format!("Discarded {}.", count(report.done)))
        }
    }
}

fn limited(selection: &Selection, limit: Option<u32>) -> DeadLetterFilter {
    let filter = selection.filter();
    limit.map_or(filter.clone(), |limit| filter.limit(limit as usize))
}

/// Names a partition that is not there, rather than to find no letters in it.
async fn check(topic: &str, selection: &Selection, admin: &Admin) -> Result<(), CliError> {
    let Some(partition) = selection.partition else { return Ok(()) };
    let there = positions::partitions(topic, admin).await?;
    if there.iter().any(|known| known.partition == partition) {
        return Ok(());
    }
    Err(positions::no_partition(topic, partition, there.len()))
}

/// Tells what was replayed. Letters that were meant and stay are no success.
fn told(report: &ReplayReport, output: &mut Output<'_>) -> Result<(), CliError> {
    let places: Vec<_> =
        report.without_origin.iter().map(|letter| (letter.partition, letter.offset)).collect();
    let told = if output.json {
        let place = |(partition, offset): &(i32, i64)| json!({ "partition": partition, "offset": offset });
        output.json(&json!({
            "result": "replayed",
            "name": report.done.to_string(),
            "withoutOrigin": places.iter().map(place).collect::<Value>(),
        }))
    } else {
        output.line(&format!("Replayed {}.", count(report.done)))
    };
    for (partition, offset) in &places {
        output.note(&format!("{partition}:{offset} does not say where it comes from."));
    }
    if places.is_empty() {
        return told;
    }
    let (left, all) = (places.len(), places.len() + report.done);
    Err(CliError::failed(format!("not replayed: {left} of {}", count(all)))
        .with_help("name a topic to send them to with `--to`"))
}

fn count(letters: usize) -> String {
    if letters == 1 { "1 letter".to_owned() } else { format!("{letters} letters") }
}

fn tell(letters: &[DeadLetter], output: &mut Output<'_>) -> Result<(), CliError> {
    if output.json {
        return output.json(&letters.iter().map(as_json).collect::<Value>());
    }
    let mut table = Table::new(&["PLACE", "TIME", "KEY", "FROM", "ERROR", "MESSAGE", "DONE"]);
    for letter in letters {
        let shown = |bytes: &[u8]| escaped(bytes).to_string();
        let failure = letter.failure.as_ref();
        table.row([
            format!("{}:{}", letter.partition, letter.offset),
            time(letter.time),
            letter.key.as_deref().map_or_else(|| "-".to_owned(), shown),
            letter.origin.as_ref().map_or_else(
                || "-".to_owned(),
                |origin| format!("{}:{}:{}", origin.topic, origin.partition, origin.offset),
            ),
            failure.map_or_else(|| "-".to_owned(), |failure| shown(failure.type_name.as_bytes())),
            failure.map_or_else(|| "-".to_owned(), |failure| shown(failure.message.as_bytes())),
            if letter.is_done { "yes" } else { "no" }.to_owned(),
        ]);
    }
    output.table(&table)
}

fn show(letter: &DeadLetter, output: &mut Output<'_>) -> Result<(), CliError> {
    if output.json {
        return output.json(&as_json(letter));
    }
    let shown =
        |bytes: Option<&[u8]>| bytes.map_or_else(|| "null".to_owned(), |bytes| escaped(bytes).to_string());
    output.line(&format!("{}:{}:{}", letter.topic, letter.partition, letter.offset))?;
    output.line(&format!("  time      {}", time(letter.time)))?;
    output.line(&format!("  done      {}", if letter.is_done { "yes" } else { "no" }))?;
    if let Some(origin) = &letter.origin {
        output.line(&format!("  from      {}:{}:{}", origin.topic, origin.partition, origin.offset))?;
        output.line(&format!("  written   {}", time(origin.time)))?;
        output.line(&format!("  group     {}", origin.group))?;
    }
    if let Some(failure) = &letter.failure {
        output.line(&format!("  error     {}", shown(Some(failure.type_name.as_bytes()))))?;
        output.line(&format!("  message   {}", shown(Some(failure.message.as_bytes()))))?;
        for line in failure.trace.lines() {
            output.line(&format!("    {}", shown(Some(line.as_bytes()))))?;
        }
    }
    for (name, value) in letter.headers.iter() {
        output.line(&format!("  header    {} = {}", shown(Some(name.as_bytes())), shown(value)))?;
    }
    output.line(&format!("  key       {}", shown(letter.key.as_deref())))?;
    output.line(&format!("  value     {}", shown(letter.value.as_deref())))
}

fn as_json(letter: &DeadLetter) -> Value {
    let headers = letter.headers.iter().map(|(name, value)| {
        let mut header = Map::from_iter([("name".to_owned(), Value::from(name))]);
        insert(&mut header, "value", value);
        Value::Object(header)
    });
    let mut object = Map::from_iter([
        ("topic".to_owned(), json!(letter.topic)),
        ("partition".to_owned(), json!(letter.partition)),
        ("offset".to_owned(), json!(letter.offset)),
        ("time".to_owned(), json!(time(letter.time))),
        ("done".to_owned(), json!(letter.is_done)),
        ("headers".to_owned(), headers.collect()),
    ]);
    insert(&mut object, "key", letter.key.as_deref());
    insert(&mut object, "value", letter.value.as_deref());
    let origin = letter.origin.as_ref().map(|origin| {
        json!({
            "topic": origin.topic,
            "partition": origin.partition,
            "offset": origin.offset,
            "time": time(origin.time),
            "group": origin.group,
        })
    });
    let failure = letter.failure.as_ref().map(
        |failure| json!({ "type": failure.type_name, "message": failure.message, "trace": failure.trace }),
    );
    object.extend([("origin".to_owned(), json!(origin)), ("error".to_owned(), json!(failure))]);
    Value::Object(object)
}

/// Bytes as text, or as base64 under a name of its own where they are none, as `consume` writes them.
fn insert(object: &mut Map<String, Value>, name: &str, bytes: Option<&[u8]>) {
    let (name, value) = match bytes.map(|bytes| (bytes, std::str::from_utf8(bytes))) {
        None => (name.to_owned(), Value::Null),
        Some((_, Ok(text))) => (name.to_owned(), Value::from(text)),
        Some((bytes, Err(_))) => (format!("{name}Base64"), Value::from(STANDARD.encode(bytes))),
    };
    object.insert(name, value);
}

fn time(time: SystemTime) -> String {
    DateTime::<Utc>::from(time).to_rfc3339_opts(SecondsFormat::Millis, true)
}

impl From<DeadLetterError> for CliError {
    fn from(error: DeadLetterError) -> Self {
        match error.client_error() {
            Some(client) => Self::Client(client.clone()),
            None => Self::failed(error.to_string())
                .with_help("`kafka-boot topics list` shows those that are there"),
        }
    }
}
