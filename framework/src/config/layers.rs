//! Lays the sources over one another with the `config` crate, without losing where each value came from.
//!
//! A [`Layer`] is one source: a file, one variable, one argument. The crate merges values, not places, so
//! each value travels with the number of its place as its origin, and the places of sections, which the crate
//! forgets, are kept beside it by path.

use std::collections::{BTreeMap, HashMap};

use config::{Config, ConfigError as LayerError, Map, Source, Value, ValueKind};

use super::error::{ConfigError, ConfigErrorKind};
use super::tree::{Kind, Node, Place, join};

/// The largest list index that a variable or an argument may set.
pub(crate) const MAX_INDEX: usize = 1023;

/// One step on the way to a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Key(String),
    Index(usize),
}

/// The dotted form of a path, as messages show it.
pub(crate) fn dotted(path: &[Step]) -> String {
    path.iter().fold(String::new(), |text, step| match step {
        Step::Key(key) => join(&text, key),
        Step::Index(index) => format!("{text}[{index}]"),
    })
}

/// One source, in the form in which the `config` crate takes it.
#[derive(Clone, Debug)]
struct Layer {
    values: Map<String, Value>,
}

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, LayerError> {
        Ok(self.values.clone())
    }
}

/// The sources gathered so far, from the weakest to the strongest.
#[derive(Debug, Default)]
pub(crate) struct Layers {
    stack: Vec<Layer>,
    places: Vec<Place>,
    sections: HashMap<String, Place>,
}

impl Layers {
    /// Adds a whole document. Its root must be a map whose keys are plain names.
    pub(crate) fn add_document(&mut self, root: &Node) -> Result<(), ConfigError> {
        let mut values = Map::new();
        for (key, node) in root.as_map().into_iter().flatten() {
            refuse_odd_name(key, node)?;
            let value = self.value(node, key);
            values.insert(key.clone(), value);
        }
        self.stack.push(Layer { values });
        Ok(())
    }

    /// Adds one value at a path that begins with a key.
    pub(crate) fn add_value(&mut self, path: &[Step], node: Node) -> Result<(), ConfigError> {
        // The crate's path language knows indices and plain names. What follows the last index travels as a
        // map, whose keys may be of any form.
        let indexed = path.iter().rposition(|step| matches!(step, Step::Index(_))).map_or(1, |last| last + 1);
        let (head, tail) = path.split_at(indexed.min(path.len()));
        for step in head {
            if let Step::Key(key) = step {
                refuse_odd_name(key, &node)?;
            }
        }
        let head_text = dotted(head);
        let place = node.place.clone();
        let nested = tail.iter().rev().fold(node, |inner, step| {
            let key = if let Step::Key(key) = step { key.clone() } else { String::new() };
            Node::new(Kind::Map(BTreeMap::from([(key, inner)])), place.clone())
        });
        let value = self.value(&nested, &head_text);
        self.stack.push(Layer { values: Map::from_iter([(head_text, value)]) });
        Ok(())
    }

    /// The merged tree.
    pub(crate) fn merge(&self) -> Result<Node, ConfigError> {
        let mut builder = Config::builder();
        for layer in &self.stack {
            builder = builder.add_source(layer.clone());
        }
        let merged = builder.build().and_then(|config| config.collect()).map_err(|error| {
            ConfigError::new(ConfigErrorKind::InvalidValue, Place::Nowhere, error.to_string())
        })?;
        let entries = merged.into_iter().map(|(key, value)| {
            let node = self.node(value, &key);
            (key, node)
        });
        Ok(Node::new(Kind::Map(entries.collect()), Place::Nowhere))
    }

    /// The crate's form of a node.
    fn value(&mut self, node: &Node, path: &str) -> Value {
        self.places.push(node.place.clone());
        let origin = (self.places.len() - 1).to_string();
        let kind = match &node.kind {
            Kind::Empty => ValueKind::Nil,
            Kind::Scalar(text) => ValueKind::String(text.clone()),
            Kind::List(items) => {
                let items = items.iter().enumerate();
                ValueKind::Array(
                    items.map(|(index, item)| self.value(item, &format!("{path}[{index}]"))).collect(),
                )
            }
            Kind::Map(entries) => {
                self.sections.insert(path.to_owned(), node.place.clone());
                let entries = entries.iter();
                let entries = entries.map(|(key, node)| (key.clone(), self.value(node, &join(path, key))));
                ValueKind::Table(entries.collect())
            }
        };
        Value::new(Some(&origin), kind)
    }

    fn node(&self, value: Value, path: &str) -> Node {
        let numbered = value.origin().and_then(|number| number.parse::<usize>().ok());
        let place = numbered.and_then(|number| self.places.get(number)).or_else(|| self.sections.get(path));
        let place = place.cloned().unwrap_or_default();
        let kind = match value.kind {
            ValueKind::Nil => Kind::Empty,
            ValueKind::Array(items) => {
                let items = items.into_iter().enumerate();
                Kind::List(items.map(|(index, item)| self.node(item, &format!("{path}[{index}]"))).collect())
            }
            ValueKind::Table(entries) => {
                let entries = entries.into_iter().map(|(key, value)| {
                    let node = self.node(value, &join(path, &key));
                    (key, node)
                });
                Kind::Map(entries.collect())
            }
            ValueKind::String(text) => Kind::Scalar(text),
            other => Kind::Scalar(other.to_string()),
        };
        Node::new(kind, place)
    }
}

/// Refuses a key of the outermost level that the path language would take apart.
fn refuse_odd_name(key: &str, node: &Node) -> Result<(), ConfigError> {
    let plain = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
    if plain {
        return Ok(());
    }
    let message = "expected a name of letters, digits, `-` and `_`";
    Err(ConfigError::new(ConfigErrorKind::UnknownKey, node.place.clone(), message).key(key).on_key())
}

#[cfg(test)]
mod tests {
    use super::super::yaml;
    use super::*;

    fn key(name: &str) -> Step {
        Step::Key(name.to_owned())
    }

    #[test]
    fn later_layers_win_and_every_value_keeps_its_place() {
        let mut layers = Layers::default();
        for (name, text) in [
            ("a.yml", "kafka:\n  client-id: a\n  topics: [ { name: x }, { name: y } ]\n"),
            ("b.yml", "kafka:\n  client-id: b\n  properties: { socket.keepalive.enable: true }\n"),
        ] {
            let root = yaml::parse(name, text.as_bytes().to_vec()).expect("plain YAML");
            layers.add_document(&root).expect("plain names");
        }
        let variable = Node::scalar("z", Place::Variable("KAFKA_TOPICS_1_NAME".into()));
        let path = [key("kafka"), key("topics"), Step::Index(1), key("name")];
        layers.add_value(&path, variable).expect("a plain path");
        let merged = layers.merge().expect("the layers merge");

        let place = |path: &[&str]| merged.at(path).map(|node| node.place.to_string());
        assert_eq!(place(&["kafka", "client-id"]).as_deref(), Some("b.yml:2:14"));
        assert_eq!(place(&["kafka"]).as_deref(), Some("b.yml:2:3"));
        let raw = merged.at(&["kafka", "properties", "socket.keepalive.enable"]);
        assert_eq!(raw.and_then(Node::as_scalar), Some("true"));
        let Some(Kind::List(topics)) = merged.at(&["kafka", "topics"]).map(|node| &node.kind) else {
            panic!("`kafka.topics` is a list")
        };
        assert_eq!(topics[0].get("name").map(|node| node.place.to_string()).as_deref(), Some("a.yml:3:21"));
        assert_eq!(topics[1].get("name").and_then(Node::as_scalar), Some("z"));
    }
}
