//! `consume`: reads the records of a topic, from anywhere, and goes on until it is told to end.
//!
//! 1. A group's offset is committed only for records that were written out before, and once before the first of them, where
//!    the group stands nowhere.
//! 2. A record costs no allocation: it is written from the memory it was received in, into one buffer.
//! 3. Outside a group nothing is ever committed.

mod fetched;
mod filter;
mod follow;
mod format;
mod hex;
mod last;
mod span;
mod template;

use clap::{Args, ValueEnum};
use kafka_boot_client::Admin;

use self::filter::{Filter, HeaderFilter};
use self::follow::{Follow, Group};
use self::format::Format;
use self::span::Start;
use self::template::Template;
use super::{positions, time};
use crate::connection::Connected;
use crate::error::CliError;
use crate::output::Output;

#[derive(Debug, Args)]
pub(crate) struct Command {
    /// The topic
    topic: String,
    #[command(flatten)]
    begin: Begin,
    /// Read as a member of this group, from where it stands, and commit what was read
    #[arg(long, value_name = "GROUP")]
    group: Option<String>,
    /// Only these partitions; with `--group` as its only reader
    #[arg(long, value_name = "N", value_delimiter = ',', value_parser = clap::value_parser!(i32).range(0..))]
    partition: Vec<i32>,
    /// End after so many records
    #[arg(long, visible_alias = "max-messages", value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    max: Option<u64>,
    /// End where the partitions end at the start
    #[arg(long)]
    until_end: bool,
    /// How a record is written [default: text, or json with `--output json`]
    #[arg(long, value_enum)]
    format: Option<Form>,
    /// How a record is written, as text with `{topic}`, `{partition}`, `{offset}`, `{time}`, `{timestamp}`, `{key}`, `{value}`,
    /// `{key-size}`, `{value-size}`, `{headers}`, `{header.NAME}`
    #[arg(long, value_name = "TEXT", value_parser = template::parse, conflicts_with = "format")]
    template: Option<Template>,
    /// With text: write the key in front of the value
    #[arg(long)]
    print_key: bool,
    /// What to write between key and value; `\t` is a tab
    #[arg(long, value_name = "TEXT", default_value = "\\t", value_parser = super::separator)]
    key_separator: String,
    /// Only records whose key matches a regular expression
    #[arg(long, value_name = "REGEX", value_parser = filter::regex)]
    key: Option<regex::bytes::Regex>,
    /// Only records whose value matches a regular expression
    #[arg(long, value_name = "REGEX", value_parser = filter::regex)]
    value: Option<regex::bytes::Regex>,
    /// Only records with a header of this name, whose value matches a regular expression if one is given
    #[arg(long = "header", value_name = "NAME[=REGEX]", value_parser = filter::header)]
    headers: Vec<HeaderFilter>,
    /// Which records of transactions are read [default: as the service's consumer, else committed ones]
    #[arg(long, value_enum)]
    isolation_level: Option<Isolation>,
}

/// Where to begin: one of these. In a group, where it stands nowhere yet.
#[derive(Debug, Args)]
#[group(multiple = false)]
struct Begin {
    /// With the first record that is there [the default with `--until-end`]
    #[arg(long)]
    from_beginning: bool,
    /// With the next record to come [the default]
    #[arg(long)]
    from_end: bool,
    /// With this offset of each partition, or the nearest that is there
    #[arg(long, value_name = "OFFSET", allow_hyphen_values = true, value_parser = clap::value_parser!(i64).range(0..))]
    offset: Option<i64>,
    /// With the last N records of each partition
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(1..))]
    last: Option<i64>,
    /// With the first record of this time or later, in UTC unless a zone is given; or that is at most this old, as `PT1H`
    #[arg(long, value_name = "TIME|DURATION", value_parser = time::since)]
    since: Option<time::Since>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// The value, a line each
    Text,
    /// An object a line, which `produce --format json` takes
    Json,
    /// Key and value as bytes
    Hex,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Isolation {
    ReadCommitted,
    ReadUncommitted,
}

impl Command {
    fn start(&self) -> Start {
        match &self.begin {
            Begin { from_beginning: true, .. } => Start::Beginning,
            Begin { offset: Some(offset), .. } => Start::Offset(*offset),
            Begin { last: Some(count), .. } => Start::Last(*count),
            Begin { since: Some(since), .. } => Start::Time(since.millis()),
            Begin { from_end: false, .. } if self.until_end => Start::Beginning,
            Begin { .. } => Start::End,
        }
    }

    fn format(&self, output: &Output<'_>) -> Format {
        let is_shown = output.terminals.output;
        match (&self.template, self.format) {
            (Some(template), _) => Format::Template { template: template.clone(), is_shown },
            (None, Some(Form::Json)) => Format::Json,
            (None, Some(Form::Hex)) => Format::Hex,
            (None, None) if output.json => Format::Json,
            (None, _) => {
                let separator = self.print_key.then(|| self.key_separator.clone().into_bytes());
                Format::Text { key_separator: separator, is_shown }
            }
        }
    }
}

pub(super) async fn execute(
    command: &Command,
    connected: &Connected,
    admin: &Admin,
    output: &mut Output<'_>,
) -> Result<(), CliError> {
    let mut partitions = positions::partitions(&command.topic, admin).await?;
    let count = partitions.len();
    if let Some(unknown) = command.partition.iter().find(|number| !(0..count).contains(&index(**number))) {
        return Err(positions::no_partition(&command.topic, *unknown, count));
    }
    if !command.partition.is_empty() {
        partitions.retain(|partition| command.partition.contains(&partition.partition));
    }
    let mut config = connected.consumer(command.group.as_deref())?;
    // What was read may be deleted meanwhile; then reading goes on with what is left.
    config.set("auto.offset.reset", "earliest");
    if let Some(isolation) = command.isolation_level {
        let committed = isolation == Isolation::ReadCommitted;
        config.set("isolation.level", if committed { "read_committed" } else { "read_uncommitted" });
    }
    output.interrupt.listen();
    let filter =
        Filter { key: command.key.clone(), value: command.value.clone(), headers: command.headers.clone() };
    let follow = Follow {
        topic: &command.topic,
        partitions,
        grows: command.partition.is_empty() && command.group.is_none() && !command.until_end,
        start: command.start(),
        until_end: command.until_end,
        group: match &command.group {
            None => Group::None,
            Some(_) if command.partition.is_empty() => Group::Member,
            Some(_) => Group::Offsets,
        },
        max: command.max,
        filter,
        format: command.format(output),
        admin,
    };
    follow.run(config, output).await
}

/// A partition's number as an index; none is negative.
fn index(partition: i32) -> usize {
    usize::try_from(partition).unwrap_or(usize::MAX)
}
