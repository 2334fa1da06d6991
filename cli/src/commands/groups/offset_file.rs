//! Offsets in a file, a partition a line, in the form of Kafka's own tool: `topic,partition,offset`, or the same behind the
//! name of the group.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use kafka_boot_client::{PartitionOffset, TopicPartition};

use super::Selection;
use crate::commands::positions::Offsets;
use crate::error::CliError;

/// What the file says of `group`.
pub(super) fn read(file: &Path, group: &str) -> Result<Offsets, CliError> {
    let name = file.display().to_string();
    let text = fs::read_to_string(file).map_err(|error| {
        CliError::failed(format!("`--from-file {name}`: {error}"))
            .with_help("name a file as `--export` writes it")
    })?;
    let offsets = parse(&text, group).map_err(|(line, message)| {
        CliError::failed(format!("{name}:{line}: {message}"))
            .with_help("write `topic,partition,offset`, such as `orders,0,42`, a partition a line")
    })?;
    if offsets.is_empty() {
        return Err(CliError::failed(format!("`--from-file {name}` says nothing of the group `{group}`"))
            .with_help("write `topic,partition,offset`, such as `orders,0,42`, a partition a line"));
    }
    Ok(offsets)
}

/// The offsets, or the number of the line that is none and what is wrong with it.
fn parse(text: &str, group: &str) -> Result<Offsets, (usize, String)> {
    let mut offsets = Offsets::new();
    for (number, line) in (1..).zip(text.lines()) {
        let fields: Vec<_> = line.split(',').map(|field| field.trim().trim_matches('"')).collect();
        let (topic, partition, offset) = match fields[..] {
            [""] => continue,
            [of, ..] if fields.len() == 4 && of != group => continue,
            [topic, partition, offset] | [_, topic, partition, offset] => (topic, partition, offset),
            _ => return Err((number, format!("expected three or four fields, found {}", fields.len()))),
        };
        let partition = partition
            .parse::<u16>()
            .map_err(|_| (number, format!("expected the number of a partition, found `{partition}`")))?;
        let offset = offset
            .parse::<i64>()
            .ok()
            .filter(|offset| *offset >= 0)
            .ok_or_else(|| (number, format!("expected an offset from 0 on, found `{offset}`")))?;
        if topic.is_empty() {
            return Err((number, "expected the name of a topic, found nothing".to_owned()));
        }
        let partition = TopicPartition::new(topic, partition.into());
        if offsets.insert(partition.clone(), offset).is_some() {
            return Err((number, format!("`{partition}` is there already, in a line before")));
        }
    }
    Ok(offsets)
}

/// The partitions of `offsets`.
pub(super) fn selections(offsets: &Offsets) -> Vec<Selection> {
    let mut topics: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
    for partition in offsets.keys() {
        topics.entry(&partition.topic).or_default().push(partition.partition);
    }
    let selection = |(topic, partitions): (&str, Vec<i32>)| Selection {
        topic: topic.to_owned(),
        partitions: Some(partitions),
    };
    topics.into_iter().map(selection).collect()
}

/// The offsets as the text of such a file.
pub(super) fn write(offsets: &[PartitionOffset]) -> String {
    let mut text = String::new();
    for PartitionOffset { partition, offset, .. } in offsets {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{},{},{offset}", partition.topic, partition.partition);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_with_and_without_the_group_are_read() {
        let text = "orders,0,5\n\n g , orders , 1 , 6 \nother,orders,1,7\n\"pay\",2,0\r\n";
        let offsets = parse(text, "g").expect("all lines are well-formed");
        let expected = [(("orders", 0), 5), (("orders", 1), 6), (("pay", 2), 0)];
        let expected: Offsets = expected
            .into_iter()
            .map(|((topic, partition), offset)| (TopicPartition::new(topic, partition), offset))
            .collect();
        assert_eq!(offsets, expected);
    }

    #[test]
    fn a_line_that_is_no_offset_is_told_with_its_number() {
        for (text, line) in [
            ("orders,0", 1),
            ("orders,0,1\norders,x,1", 2),
            ("orders,0,-1", 1),
            ("orders,0,1\n\norders,0,2", 3),
            (",0,1", 1),
            ("a,b,c,d,e", 1),
        ] {
            assert_eq!(parse(text, "g").expect_err(text).0, line, "{text}");
        }
    }
}
