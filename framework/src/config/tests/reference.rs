//! The shipped reference is complete and true.

use std::collections::BTreeSet;

use super::Setup;
use crate::config::model::Properties;
use crate::config::schema::{SchemaNode, Shape};
use crate::config::tree::{Kind, Node, join};
use crate::config::{REFERENCE, yaml};

/// The reference with its examples in place: `#key: …` lines, and the lines `#  …` that go on below an empty
/// collection.
fn with_examples() -> String {
    let is_key = |text: &str| {
        let name: String =
            text.chars().take_while(|c| c.is_ascii_lowercase() || *c == '-' || c.is_ascii_digit()).collect();
        !name.is_empty() && text[name.len()..].starts_with(':')
    };
    let mut lines: Vec<String> = Vec::new();
    for line in REFERENCE.lines() {
        let indent = line.len() - line.trim_start().len();
        match line.trim_start().strip_prefix('#') {
            Some(rest) if is_key(rest) => lines.push(format!("{}{rest}", &line[..indent])),
            Some(rest) if rest.starts_with("  ") => {
                // The examples replace the empty collection they stand below.
                if let Some(above) = lines.last_mut() {
                    *above = above.replace(": {}", ":").replace(": []", ":");
                }
                lines.push(format!("{}{rest}", &line[..indent]));
            }
            _ => lines.push(line.to_owned()),
        }
    }
    lines.join("\n") + "\n"
}

fn keys_of(node: &Node, path: &str, keys: &mut BTreeSet<String>) {
    match &node.kind {
        Kind::Map(entries) => {
            for (key, child) in entries {
                let path = join(path, key);
                keys.insert(path.clone());
                keys_of(child, &path, keys);
            }
        }
        Kind::List(items) => items.iter().for_each(|item| keys_of(item, &format!("{path}[]"), keys)),
        Kind::Empty | Kind::Scalar(_) => {}
    }
}

/// The keys of the schema. Where the reference says "every key of that section" the section is not repeated.
fn schema_keys(schema: SchemaNode, path: &str, keys: &mut BTreeSet<String>) {
    match schema.shape() {
        Shape::Section { keys: known, .. } => {
            for (key, schema) in known {
                let child = join(path, key);
                let of_consumer = SchemaNode::definition("ConsumerProperties").get(key).is_some();
                if path == "kafka.listeners.consume" && of_consumer {
                    continue;
                }
                keys.insert(child.clone());
                let repeated = path == "kafka.listeners.consume" || path == "kafka.clusters.east";
                if !repeated {
                    schema_keys(SchemaNode::child(schema), &child, keys);
                }
            }
        }
        Shape::List { items, .. } => schema_keys(items, &format!("{path}[]"), keys),
        Shape::Map(values) => {
            let example = match path {
                "kafka.listeners" => "consume",
                "kafka.clusters" => "east",
                "scheduling.jobs" => "cleanup",
                _ => return,
            };
            keys.insert(join(path, example));
            schema_keys(values, &join(path, example), keys);
        }
        _ => {}
    }
}

#[test]
fn the_reference_says_what_the_defaults_are() {
    let settings = Setup::with(REFERENCE).load();
    assert_eq!(settings.properties(), &Properties::default());
}

#[test]
fn the_reference_lists_every_key_and_no_other() {
    let with_examples = with_examples();
    let root = yaml::parse("reference.yaml", with_examples.into_bytes()).expect("the examples are YAML");
    let mut listed = BTreeSet::new();
    keys_of(&root, "", &mut listed);
    let mut known = BTreeSet::new();
    schema_keys(SchemaNode::root(), "", &mut known);

    let missing: Vec<_> = known.difference(&listed).collect();
    assert!(missing.is_empty(), "the reference lacks {missing:?}");
    let repeated = |key: &&String| {
        let free = [
            "kafka.listeners.consume.",
            "kafka.clusters.east.",
            "kafka.topics[].configs.",
            "kafka.error.dead-letter.routes.",
            "logging.level.",
        ];
        free.iter().any(|prefix| key.starts_with(prefix))
    };
    let more: Vec<_> = listed.difference(&known).filter(|key| !repeated(key)).collect();
    assert!(more.is_empty(), "the reference has {more:?} that the types have not");
}
