//! `dlt`: dead letters, listed, shown, sent again, or done with.
//!
//! Whatever changes something tells first what it would do, and does it with `--execute`.

mod select;

use std::time::SystemTime;

use chrono::{DateTime, SecondsFormat, Utc};
use clap::Subcommand;
use kafka_boot::{DeadLetter, DeadLetterError, DeadLetterFilter, DeadLetters, Replay, escaped};
use serde_json::{Value, json};

use self::select::Selection;
use crate::error::CliError;
use crate::output::{Output, Table};

/// How many letters a table shows, unless more are asked for.
const LISTED: usize = 100;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Lists the letters of a dead-letter topic
    List {
        /// The dead-letter topic
        topic: String,
        #[command(flatten)]
        selection: Selection,
        /// How many at most
        #[arg(long, default_value_t = LISTED)]
        limit: usize,
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
        /// Mark them, rather than tell which would be marked
        #[arg(long)]
        execute: bool,
    },
}

pub(crate) async fn execute(
    command: &Command,
    letters: &DeadLetters,
    output: &mut Output<'_>,
) -> Result<(), CliError> {
    match command {
        Command::List { topic, selection, limit } => {
            let found = letters.list(topic, &selection.filter().limit(*limit)).await?;
            tell(&found, output)
        }
        Command::Show { topic, place: (partition, offset) } => {
            let one = DeadLetterFilter::one(*partition, *offset).with_done();
            match letters.list(topic, &one).await?.first() {
                Some(letter) => show(letter, output),
                None => Err(CliError::failed(format!("`{topic}` has no record at {partition}:{offset}"))
                    .with_help(format!("`kafka-boot dlt list {topic}` shows where there are some"))),
            }
        }
        Command::Replay { topic, selection, to, rate, value, set_header, delete_header, execute } => {
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
            if !execute {
                tell(&letters.list(topic, &selection.filter()).await?, output)?;
                output.note("Nothing was sent: `--execute` sends these.");
                return Ok(());
            }
            let report = letters.replay(topic, &selection.filter(), replay).await?;
            for letter in &report.without_origin {
                let place = format!("{}:{}", letter.partition, letter.offset);
                output.note(&format!("{place} does not say where it comes from: name a topic with `--to`."));
            }
            output.done("replayed", &report.done.to_string(), &format!("Replayed {}.", count(report.done)))
        }
        Command::Discard { topic, selection, execute } => {
            if !execute {
                tell(&letters.list(topic, &selection.filter()).await?, output)?;
                output.note("Nothing was marked: `--execute` marks these as done.");
                return Ok(());
            }
            let report = letters.discard(topic, &selection.filter()).await?;
            output.done("discarded", &report.done.to_string(), &format!("Discarded {}.", count(report.done)))
        }
    }
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
    let text = |bytes: Option<&[u8]>| bytes.map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    let headers: Vec<Value> =
        letter.headers.iter().map(|(name, value)| json!({ "name": name, "value": text(value) })).collect();
    json!({
        "topic": letter.topic,
        "partition": letter.partition,
        "offset": letter.offset,
        "time": time(letter.time),
        "done": letter.is_done,
        "key": text(letter.key.as_deref()),
        "value": text(letter.value.as_deref()),
        "headers": headers,
        "origin": letter.origin.as_ref().map(|origin| json!({
            "topic": origin.topic,
            "partition": origin.partition,
            "offset": origin.offset,
            "time": time(origin.time),
            "group": origin.group,
        })),
        "error": letter.failure.as_ref().map(|failure| json!({
            "type": failure.type_name,
            "message": failure.message,
            "trace": failure.trace,
        })),
    })
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
