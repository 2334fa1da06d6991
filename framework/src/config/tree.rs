//! The tree every source is read into: texts, lists and maps, each with the place it came from.
//!
//! A scalar stays a text until it is bound to a type, so YAML's surprises (`no`, `1_000`, `0o17`) have no say
//! in what a value means.

use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::sync::Arc;

/// A file's content, kept for the excerpts in errors.
#[derive(PartialEq, Eq)]
pub(crate) struct SourceText {
    pub(crate) name: String,
    pub(crate) text: String,
}

impl fmt::Debug for SourceText {
    /// Shows the name alone: the text may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SourceText({})", self.name)
    }
}

/// A stretch of one line, counted in characters from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Span {
    pub(crate) line: usize,
    pub(crate) column: usize,
    pub(crate) length: usize,
}

/// Where a value was given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Place {
    /// Nowhere: it is a default, or the whole of the configuration.
    #[default]
    Nowhere,
    /// In a file as a whole.
    WholeFile(String),
    /// In a file.
    File { source: Arc<SourceText>, key: Option<Span>, value: Span },
    /// In an environment variable.
    Variable(String),
    /// In an argument of the command line.
    Argument(String),
    /// In an attribute of the program.
    Attribute { file: &'static str, line: u32 },
}

impl Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nowhere => f.write_str("the configuration"),
            Self::WholeFile(name) => f.write_str(name),
            Self::File { source, value, .. } => {
                write!(f, "{}:{}:{}", source.name, value.line, value.column)
            }
            Self::Variable(name) => write!(f, "environment variable `{name}`"),
            Self::Argument(key) => write!(f, "command line argument `--{key}`"),
            Self::Attribute { file, line } => write!(f, "attribute at {file}:{line}"),
        }
    }
}

/// Where a value was given, for messages: `config/application.yml:14:24`, or the name of a variable or an
/// argument.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin(pub(crate) Place);

impl Origin {
    /// A line of the program, as `file!()` and `line!()` give it.
    ///
    /// ```
    /// use kafka_boot::config::Origin;
    /// assert_eq!(Origin::attribute("src/main.rs", 12).to_string(), "attribute at src/main.rs:12");
    /// ```
    pub const fn attribute(file: &'static str, line: u32) -> Self {
        Self(Place::Attribute { file, line })
    }
}

impl Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a node is.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Nothing was written after the key.
    Empty,
    Scalar(String),
    List(Vec<Node>),
    Map(BTreeMap<String, Node>),
}

/// Whether a value is the one that stands at its place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Provenance {
    /// It stands there.
    #[default]
    Literal,
    /// A placeholder stands there, and was replaced.
    Expanded,
    /// A placeholder stood for a file of its own or a variable with a telling name: no message may repeat the
    /// value.
    Sensitive,
    /// A placeholder stands there that could not be replaced, which has been reported.
    Unresolved,
}

/// A value, and where it was given.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) kind: Kind,
    pub(crate) place: Place,
    /// Whether the value is the one that stands at its place.
    pub(crate) provenance: Provenance,
}

impl fmt::Debug for Node {
    /// Shows the shape alone: any value may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Empty => f.write_str("empty"),
            Kind::Scalar(_) => f.write_str("…"),
            Kind::List(items) => f.debug_list().entries(items).finish(),
            Kind::Map(entries) => f.debug_map().entries(entries).finish(),
        }
    }
}

impl Node {
    pub(crate) fn new(kind: Kind, place: Place) -> Self {
        Self { kind, place, provenance: Provenance::Literal }
    }

    pub(crate) fn scalar(text: impl Into<String>, place: Place) -> Self {
        Self::new(Kind::Scalar(text.into()), place)
    }

    pub(crate) fn empty_map() -> Self {
        Self::new(Kind::Map(BTreeMap::new()), Place::Nowhere)
    }

    pub(crate) fn as_map(&self) -> Option<&BTreeMap<String, Self>> {
        if let Kind::Map(entries) = &self.kind { Some(entries) } else { None }
    }

    pub(crate) fn as_scalar(&self) -> Option<&str> {
        if let Kind::Scalar(text) = &self.kind { Some(text) } else { None }
    }

    /// The node under one key.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        self.as_map()?.get(key)
    }

    /// The node at a path, key by key; no steps is the node itself.
    pub(crate) fn at(&self, path: &[&str]) -> Option<&Self> {
        path.iter().try_fold(self, |node, key| node.get(key))
    }

    /// The node at a dotted path, where keys may themselves hold dots.
    pub(crate) fn at_dotted(&self, path: &str) -> Option<&Self> {
        if path.is_empty() {
            return Some(self);
        }
        if let Some(found) = self.get(path) {
            return Some(found);
        }
        path.match_indices('.').find_map(|(dot, _)| self.get(&path[..dot])?.at_dotted(&path[dot + 1..]))
    }

    /// The map in this node, which becomes one if it is none.
    pub(crate) fn make_map(&mut self) -> &mut BTreeMap<String, Self> {
        if !matches!(self.kind, Kind::Map(_)) {
            self.kind = Kind::Map(BTreeMap::new());
        }
        match &mut self.kind {
            Kind::Map(entries) => entries,
            Kind::Empty | Kind::Scalar(_) | Kind::List(_) => {
                unreachable!("the node was made a map just above")
            }
        }
    }

    /// Lays another node over this one: maps are merged, anything else is replaced.
    pub(crate) fn overlay(&mut self, top: Self) {
        match (&mut self.kind, top.kind) {
            (_, Kind::Empty) => {}
            (Kind::Map(below), Kind::Map(above)) => {
                for (key, node) in above {
                    match below.get_mut(&key) {
                        Some(existing) => existing.overlay(node),
                        None => {
                            below.insert(key, node);
                        }
                    }
                }
                if top.place != Place::Nowhere {
                    self.place = top.place;
                }
            }
            (_, kind) => *self = Self { kind, place: top.place, provenance: top.provenance },
        }
    }

    /// What the node is, in the words of a message.
    pub(crate) const fn describe(&self) -> &'static str {
        match self.kind {
            Kind::Empty => "nothing",
            Kind::Scalar(_) => "a value",
            Kind::List(_) => "a list",
            Kind::Map(_) => "a section",
        }
    }
}

/// A dotted path with one more key.
pub(crate) fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_debug_output_of_a_tree_shows_a_value() {
        let mut node = Node::empty_map();
        node.make_map().insert("password".into(), Node::scalar("hunter2", Place::Nowhere));
        assert_eq!(format!("{node:?}"), r#"{"password": …}"#);
        let source = SourceText { name: "a.yml".into(), text: "password: hunter2".into() };
        assert_eq!(format!("{source:?}"), "SourceText(a.yml)");
    }
}
