//! From the names that other sources use to keys: `KAFKA_CONSUMER_GROUP_ID`, `--kafka.topics[0].name`, and
//! the flat `kafka.consumer.group-id: x` that YAML files may hold.

use std::collections::BTreeMap;

use super::error::{ConfigError, ConfigErrorKind};
use super::layers::{MAX_INDEX, Step};
use super::schema::{SchemaNode, Shape};
use super::tree::{Kind, Node, Place, join};

/// The path that an environment variable sets, if it is the name of a key in any relaxed spelling.
///
/// Dashes of the key are dropped or written `_`, as in `KAFKA_CONSUMER_GROUPID` and
/// `KAFKA_CONSUMER_GROUP_ID`; an element of a list is named by its number, as in `KAFKA_TOPICS_0_NAME`.
/// `known` is what the files say: it tells which listener, cluster or property of the user's own a name
/// means.
pub(crate) fn variable_path(name: &str, known: &Node) -> Option<Vec<Step>> {
    let is_plain =
        name.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_');
    let tokens: Vec<&str> = name.split('_').collect();
    if !is_plain || tokens.iter().any(|token| token.is_empty()) {
        return None;
    }
    let mut path = Vec::new();
    if match_schema(SchemaNode::root(), Some(known), &tokens, &mut path) {
        return Some(path);
    }
    path.clear();
    match_known(known, &tokens, &mut path).then_some(path)
}

/// Whether the first words of a variable's name are those of a section, so that it was probably meant for a
/// key.
pub(crate) fn begins_like_a_section(name: &str) -> bool {
    const SECTIONS: [&str; 12] = [
        "KAFKA_CONSUMER_",
        "KAFKA_PRODUCER_",
        "KAFKA_ADMIN_",
        "KAFKA_SECURITY_",
        "KAFKA_LISTENERS_",
        "KAFKA_CLUSTERS_",
        "KAFKA_SUPERVISION_",
        "KAFKA_EMBEDDED_",
        "KAFKA_ERROR_",
        "KAFKA_BOOTSTRAP_",
        "LIFECYCLE_",
        "SCHEDULING_",
    ];
    SECTIONS.iter().any(|section| name.starts_with(section))
}

/// How many of the first words of a name spell the given key.
fn spells(tokens: &[&str], key: &str) -> Option<usize> {
    let wanted: String =
        key.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_uppercase();
    let mut rest = wanted.as_str();
    for (index, token) in tokens.iter().enumerate() {
        rest = rest.strip_prefix(token)?;
        if rest.is_empty() {
            return Some(index + 1);
        }
    }
    None
}

fn match_schema(schema: SchemaNode, known: Option<&Node>, tokens: &[&str], path: &mut Vec<Step>) -> bool {
    let shape = schema.shape();
    if tokens.is_empty() {
        return !matches!(shape, Shape::Section { .. } | Shape::Map(_));
    }
    match shape {
        Shape::Section { keys, .. } => keys.iter().any(|(key, schema)| {
            let Some(used) = spells(tokens, key) else { return false };
            path.push(Step::Key(key.clone()));
            let below = known.and_then(|node| node.get(key));
            match_schema(SchemaNode::child(schema), below, &tokens[used..], path) || undo(path)
        }),
        Shape::Map(values) => match_map(values, known, tokens, path),
        Shape::List { items, .. } => {
            let Some(index) = index(tokens[0]) else { return false };
            path.push(Step::Index(index));
            match_schema(items, None, &tokens[1..], path) || undo(path)
        }
        _ => false,
    }
}

/// Matches a key of the user's choice: one that the files have, or else what the words spell.
fn match_map(values: SchemaNode, known: Option<&Node>, tokens: &[&str], path: &mut Vec<Step>) -> bool {
    for (key, below) in known.and_then(Node::as_map).into_iter().flatten() {
        let Some(used) = spells(tokens, key) else { continue };
        path.push(Step::Key(key.clone()));
        if match_schema(values, Some(below), &tokens[used..], path) {
            return true;
        }
        path.pop();
    }
    if !matches!(values.shape(), Shape::Section { .. }) {
        // Kafka's names have dots; log targets, the only other such map, are Rust paths with `_`.
        let is_level = matches!(path.last(), Some(Step::Key(key)) if key == "level");
        let separator = if is_level { "_" } else { "." };
        path.push(Step::Key(tokens.join(separator).to_ascii_lowercase()));
        return true;
    }
    (1..tokens.len()).any(|used| {
        path.push(Step::Key(tokens[..used].join("_").to_ascii_lowercase()));
        match_schema(values, None, &tokens[used..], path) || undo(path)
    })
}

/// Matches a property of the program's own, which only the files know.
fn match_known(known: &Node, tokens: &[&str], path: &mut Vec<Step>) -> bool {
    if tokens.is_empty() {
        return known.as_map().is_none();
    }
    match &known.kind {
        Kind::Map(entries) => entries.iter().any(|(key, below)| {
            let Some(used) = spells(tokens, key) else { return false };
            // The framework's sections are the schema's alone.
            if path.is_empty() && SchemaNode::root().get(key).is_some() {
                return false;
            }
            path.push(Step::Key(key.clone()));
            match_known(below, &tokens[used..], path) || undo(path)
        }),
        Kind::List(items) => {
            let Some(index) = index(tokens[0]).filter(|index| *index <= items.len()) else { return false };
            path.push(Step::Index(index));
            items.get(index).map_or(tokens.len() == 1, |item| match_known(item, &tokens[1..], path))
                || undo(path)
        }
        Kind::Empty | Kind::Scalar(_) => false,
    }
}

fn undo(path: &mut Vec<Step>) -> bool {
    path.pop();
    false
}

fn index(text: &str) -> Option<usize> {
    text.parse().ok().filter(|index| *index <= MAX_INDEX)
}

/// The path that a dotted key means: `kafka.topics[0].name`, and below `properties` and the like, where keys
/// hold dots themselves, all that is left as one key.
pub(crate) fn dotted_path(key: &str) -> Option<Vec<Step>> {
    let mut path = Vec::new();
    let mut schema = Some(SchemaNode::root());
    let mut rest = key;
    while !rest.is_empty() {
        let holds_any_key = schema.is_some_and(|schema| match schema.shape() {
            Shape::Map(values) => !matches!(values.shape(), Shape::Section { .. }),
            _ => false,
        });
        let (part, next) =
            if holds_any_key { (rest, "") } else { rest.split_once('.').unwrap_or((rest, "")) };
        if part.is_empty() || (next.is_empty() && rest.ends_with('.') && !holds_any_key) {
            return None;
        }
        let (name, indices) = part.find('[').map_or((part, ""), |at| part.split_at(at));
        if name.is_empty() {
            return None;
        }
        schema = schema.and_then(|schema| schema.get(name));
        path.push(Step::Key(name.to_owned()));
        for bracketed in indices.split_inclusive(']') {
            let number = bracketed.strip_prefix('[')?.strip_suffix(']')?;
            path.push(Step::Index(index(number)?));
            schema = schema.and_then(|schema| match schema.shape() {
                Shape::List { items, .. } => Some(items),
                _ => None,
            });
        }
        rest = next;
    }
    (!path.is_empty()).then_some(path)
}

/// Spreads the flat keys of a document into sections, and drops sections in which nothing is written.
pub(crate) fn normalise(root: Node) -> Result<Node, ConfigError> {
    normalise_map(root, Some(SchemaNode::root()), "")
}

fn normalise_map(node: Node, schema: Option<SchemaNode>, path: &str) -> Result<Node, ConfigError> {
    let place = node.place;
    let Kind::Map(entries) = node.kind else { return Ok(Node { place, ..node }) };
    let keeps_dots = schema.is_some_and(|schema| match schema.shape() {
        Shape::Map(values) => !matches!(values.shape(), Shape::Section { .. }),
        _ => false,
    });
    let mut spread = Node::new(Kind::Map(BTreeMap::new()), place);
    for (key, child) in entries {
        let (first, rest) = if keeps_dots { (key.as_str(), None) } else { split_flat(&key) };
        let child = match rest {
            Some(rest) => {
                let place = child.place.clone();
                Node::new(Kind::Map(BTreeMap::from([(rest.to_owned(), child)])), place)
            }
            None => child,
        };
        let child_schema = schema.and_then(|schema| schema.get(first));
        let child_path = join(path, first);
        let child = normalise_map(child, child_schema, &child_path)?;
        let is_section = child_schema
            .is_some_and(|schema| matches!(schema.shape(), Shape::Section { .. } | Shape::Map(_)));
        if is_section && child.kind == Kind::Empty {
            continue;
        }
        combine(&mut spread, first, child, &child_path)?;
    }
    Ok(spread)
}

/// The first part of a flat key and the rest; a key that begins or ends with a dot stays whole.
fn split_flat(key: &str) -> (&str, Option<&str>) {
    match key.split_once('.') {
        Some((first, rest)) if !first.is_empty() && !rest.is_empty() => (first, Some(rest)),
        _ => (key, None),
    }
}

/// Adds a child to a section that may have got one of that name from a flat key.
fn combine(section: &mut Node, key: &str, child: Node, path: &str) -> Result<(), ConfigError> {
    let entries = section.make_map();
    let Some(existing) = entries.get_mut(key) else {
        entries.insert(key.to_owned(), child);
        return Ok(());
    };
    let Kind::Map(more) = child.kind else { return Err(given_twice(existing, child.place, path)) };
    if existing.as_map().is_none() {
        return Err(given_twice(existing, child.place, path));
    }
    for (key, node) in more {
        combine(existing, &key, node, &join(path, &key))?;
    }
    Ok(())
}

fn given_twice(first: &Node, second: Place, path: &str) -> ConfigError {
    let error = ConfigError::new(ConfigErrorKind::Syntax, second, format!("`{path}` is given a second time"));
    error.key(path).help(format!("it is given first at {}; keep one", first.place)).on_key()
}

#[cfg(test)]
mod tests {
    use super::super::layers::dotted;
    use super::super::yaml;
    use super::*;

    fn known() -> Node {
        let text = "kafka: { listeners: { order-events: { concurrency: 1 } } }\nrepo: { jdbc-url: x, hosts: [ a ] }\n";
        yaml::parse("a.yml", text.as_bytes().to_vec()).expect("plain YAML")
    }

    #[test]
    fn variables_find_their_keys_in_any_relaxed_spelling() {
        for (name, key) in [
            ("KAFKA_CONSUMER_GROUP_ID", Some("kafka.consumer.group-id")),
            ("KAFKA_CONSUMER_GROUPID", Some("kafka.consumer.group-id")),
            ("KAFKA_BOOTSTRAPSERVERS", Some("kafka.bootstrap-servers")),
            ("KAFKA_BOOTSTRAP_SERVERS", Some("kafka.bootstrap-servers")),
            ("KAFKA_TOPICS_0_NAME", Some("kafka.topics[0].name")),
            ("KAFKA_TOPICS_0_CONFIGS_RETENTION_MS", Some("kafka.topics[0].configs.retention.ms")),
            ("KAFKA_TOPICS_99999999_NAME", None),
            ("KAFKA_LISTENERS_CONSUME_CONCURRENCY", Some("kafka.listeners.consume.concurrency")),
            ("KAFKA_LISTENERS_CONSUME_ALL_GROUP_ID", Some("kafka.listeners.consume_all.group-id")),
            ("KAFKA_LISTENERS_ORDER_EVENTS_ACK_MODE", Some("kafka.listeners.order-events.ack-mode")),
            ("KAFKA_CLUSTERS_EAST_PRODUCER_ACKS", Some("kafka.clusters.east.producer.acks")),
            ("KAFKA_PROPERTIES_SOCKET_KEEPALIVE_ENABLE", Some("kafka.properties.socket.keepalive.enable")),
            ("KAFKA_SECURITY_SASL_PASSWORD", Some("kafka.security.sasl.password")),
            ("LOGGING_LEVEL_MY_SERVICE", Some("logging.level.my_service")),
            ("SCHEDULING_JOBS_PRODUCE_FIXED_DELAY", Some("scheduling.jobs.produce.fixed-delay")),
            ("APPLICATION_NAME", Some("application.name")),
            ("REPO_JDBC_URL", Some("repo.jdbc-url")),
            ("REPO_JDBCURL", Some("repo.jdbc-url")),
            ("REPO_HOSTS_0", Some("repo.hosts[0]")),
            ("KAFKA_HOME", None),
            ("KAFKA_PORT_9092_TCP", None),
            ("KAFKA_CONSUMER", None),
            ("KAFKA_CONSUMER_GROPU_ID", None),
            ("kafka_consumer_group_id", None),
            ("KAFKA__CONSUMER", None),
            ("PATH", None),
        ] {
            let path = variable_path(name, &known()).map(|path| dotted(&path));
            assert_eq!(path.as_deref(), key, "{name}");
        }
    }

    #[test]
    fn dotted_keys_become_paths() {
        let steps = dotted_path("kafka.properties.socket.keepalive.enable").expect("a path");
        assert_eq!(steps.len(), 3);
        assert_eq!(dotted_path("kafka.topics[2].name").expect("a path").len(), 4);
        for malformed in ["", ".", "a.", ".a", "a..b", "a[", "a[x]", "a[1", "a[99999]", "[0]"] {
            assert!(dotted_path(malformed).is_none(), "{malformed}");
        }
    }

    #[test]
    fn flat_keys_are_spread_but_for_those_that_hold_dots_themselves() {
        let text =
            "kafka.consumer.group-id: a\nkafka:\n  properties: { a.b: c }\n  consumer:\n    concurrency: 2\n";
        let root =
            normalise(yaml::parse("a.yml", text.as_bytes().to_vec()).expect("plain YAML")).expect("no clash");
        assert_eq!(root.at(&["kafka", "consumer", "group-id"]).and_then(Node::as_scalar), Some("a"));
        assert_eq!(root.at(&["kafka", "consumer", "concurrency"]).and_then(Node::as_scalar), Some("2"));
        assert_eq!(root.at(&["kafka", "properties", "a.b"]).and_then(Node::as_scalar), Some("c"));
    }

    #[test]
    fn a_section_without_lines_wipes_nothing_out() {
        let text = "kafka:\n  consumer:\n  client-id: x\n";
        let root =
            normalise(yaml::parse("a.yml", text.as_bytes().to_vec()).expect("plain YAML")).expect("no clash");
        assert!(root.at(&["kafka", "consumer"]).is_none());
    }
}
