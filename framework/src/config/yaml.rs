//! Reads YAML into a [`Node`] tree that knows the place of every key and value.
//!
//! What the format has beyond plain documents is refused or bounded, since a configuration file needs none of
//! it: tags, several documents, keys given twice, deep nesting, and aliases that multiply.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError};

use super::error::{ConfigError, ConfigErrorKind};
use super::tree::{Kind, Node, Place, SourceText, Span};

/// The largest file that is read, in bytes.
pub(crate) const MAX_FILE_BYTES: u64 = 1 << 20;
/// The most values one file may hold, its aliases written out.
const MAX_NODES: usize = 100_000;
/// How deep values may lie within each other.
const MAX_DEPTH: usize = 64;

/// Reads a file's bytes as one YAML document whose root is a map. An empty file is an empty map.
pub(crate) fn parse(name: &str, bytes: Vec<u8>) -> Result<Node, ConfigError> {
    let text = decode(name, bytes)?;
    let source = Arc::new(SourceText { name: name.to_owned(), text });
    refuse_control_characters(&source)?;
    let builder = Builder::new(&source);
    builder.run()
}

/// The text of a file: UTF-8, without the mark that some editors begin it with.
fn decode(name: &str, bytes: Vec<u8>) -> Result<String, ConfigError> {
    let whole = |message: &str, help: &str| {
        ConfigError::new(ConfigErrorKind::Syntax, Place::WholeFile(name.to_owned()), message).help(help)
    };
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err(whole("is encoded in UTF-16", "save the file as UTF-8"));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = valid.split(|byte| *byte == b'\n').count();
        whole(&format!("line {line} is not valid UTF-8"), "save the file as UTF-8")
    })?;
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}

fn refuse_control_characters(source: &Arc<SourceText>) -> Result<(), ConfigError> {
    for (index, line) in source.text.lines().enumerate() {
        let found = line.chars().enumerate().find(|(_, c)| c.is_control() && *c != '\t');
        let Some((column, character)) = found else { continue };
        let span = Span { line: index + 1, column: column + 1, length: 1 };
        let place = Place::File { source: Arc::clone(source), key: None, value: span };
        let message = format!("control character U+{:04X} is not allowed here", u32::from(character));
        return Err(ConfigError::new(ConfigErrorKind::Syntax, place, message)
            .help("remove it, or write it as an escape in double quotes, such as `\"\\t\"`"));
    }
    Ok(())
}

/// A collection that is being read.
struct Frame {
    node: Node,
    anchor: usize,
    /// The key whose value comes next, in a map.
    key: Option<(String, Span)>,
    /// What `<<` brought in; the map's own keys win over it.
    merged: Vec<Node>,
}

struct Builder<'source> {
    source: &'source Arc<SourceText>,
    frames: Vec<Frame>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
    root: Option<Node>,
}

impl<'source> Builder<'source> {
    fn new(source: &'source Arc<SourceText>) -> Self {
        Self { source, frames: Vec::new(), anchors: HashMap::new(), nodes: 0, root: None }
    }

    fn run(mut self) -> Result<Node, ConfigError> {
        let source = Arc::clone(self.source);
        let mut documents = 0;
        for event in Parser::new_from_str(&source.text) {
            let (event, span) = event.map_err(|error| self.scan_error(&error))?;
            let span = first_line(span);
            match event {
                Event::DocumentStart(_) => {
                    documents += 1;
                    if documents > 1 {
                        return Err(self.refuse(span, "a second document begins here").help(
                            "put what holds for one profile into a file `application-<profile>.yml` of its own",
                        ));
                    }
                }
                Event::Scalar(text, style, anchor, tag) => {
                    self.refuse_tag(tag.is_some(), span)?;
                    self.scalar(&text, style, anchor, span)?;
                }
                Event::SequenceStart(anchor, tag) => {
                    self.refuse_tag(tag.is_some(), span)?;
                    self.open(Kind::List(Vec::new()), anchor, span)?;
                }
                Event::MappingStart(anchor, tag) => {
                    self.refuse_tag(tag.is_some(), span)?;
                    self.open(Kind::Map(BTreeMap::new()), anchor, span)?;
                }
                Event::SequenceEnd | Event::MappingEnd => self.close()?,
                Event::Alias(anchor) => self.alias(anchor, span)?,
                Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
            }
        }
        let root = self.root.take().unwrap_or_else(Node::empty_map);
        match root.kind {
            Kind::Map(_) => Ok(root),
            Kind::Empty => Ok(Node::empty_map()),
            Kind::Scalar(_) | Kind::List(_) => Err(ConfigError::new(
                ConfigErrorKind::Syntax,
                root.place.clone(),
                format!("expected `key: value` lines, found {}", root.describe()),
            )),
        }
    }

    fn refuse(&self, span: Span, message: impl Into<String>) -> ConfigError {
        let place = Place::File { source: Arc::clone(self.source), key: None, value: span };
        ConfigError::new(ConfigErrorKind::Syntax, place, message)
    }

    fn refuse_tag(&self, tagged: bool, span: Span) -> Result<(), ConfigError> {
        if !tagged {
            return Ok(());
        }
        Err(self
            .refuse(span, "a YAML tag (`!…`) is not allowed")
            .help("remove it: the type follows from the key"))
    }

    fn scan_error(&self, error: &ScanError) -> ConfigError {
        let marker = error.marker();
        let line = marker.line().max(1);
        let span = Span { line, column: marker.col() + 1, length: 1 };
        let text = self.source.text.lines().nth(line - 1).unwrap_or_default();
        let begins_with_tab = text.trim_start_matches(' ').starts_with('\t');
        let refused = self.refuse(span, error.info());
        if begins_with_tab { refused.help("indent with spaces; YAML allows no tabs there") } else { refused }
    }

    fn scalar(
        &mut self,
        text: &str,
        style: ScalarStyle,
        anchor: usize,
        span: Span,
    ) -> Result<(), ConfigError> {
        if let Some(frame) = self.frames.last_mut()
            && matches!(frame.node.kind, Kind::Map(_))
            && frame.key.is_none()
        {
            if text.is_empty() {
                return Err(self.refuse(span, "expected a key"));
            }
            frame.key = Some((text.to_owned(), span));
            return Ok(());
        }
        let is_empty = style == ScalarStyle::Plain && matches!(text, "" | "~" | "null" | "Null" | "NULL");
        let kind = if is_empty { Kind::Empty } else { Kind::Scalar(text.to_owned()) };
        let node = self.node(kind, span)?;
        self.place_node(node, anchor)
    }

    /// A new node at this place, with the key that waits for it.
    fn node(&mut self, kind: Kind, span: Span) -> Result<Node, ConfigError> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return Err(self.refuse(span, format!("the file holds more than {MAX_NODES} values")));
        }
        let key = self.frames.last().and_then(|frame| frame.key.as_ref()).map(|(_, span)| *span);
        Ok(Node::new(kind, Place::File { source: Arc::clone(self.source), key, value: span }))
    }

    fn open(&mut self, kind: Kind, anchor: usize, span: Span) -> Result<(), ConfigError> {
        if self.frames.len() >= MAX_DEPTH {
            return Err(self.refuse(span, format!("values lie more than {MAX_DEPTH} deep within each other")));
        }
        if let Some(frame) = self.frames.last()
            && matches!(frame.node.kind, Kind::Map(_))
            && frame.key.is_none()
        {
            return Err(self.refuse(span, "a key must be a plain text"));
        }
        let node = self.node(kind, span)?;
        self.frames.push(Frame { node, anchor, key: None, merged: Vec::new() });
        Ok(())
    }

    fn close(&mut self) -> Result<(), ConfigError> {
        let Some(mut frame) = self.frames.pop() else { return Ok(()) };
        for merged in frame.merged {
            let Kind::Map(entries) = merged.kind else { continue };
            let own = frame.node.make_map();
            for (key, node) in entries {
                own.entry(key).or_insert(node);
            }
        }
        self.place_node(frame.node, frame.anchor)
    }

    fn alias(&mut self, anchor: usize, span: Span) -> Result<(), ConfigError> {
        let Some(node) = self.anchors.get(&anchor).cloned() else {
            return Err(self.refuse(span, "an alias cannot stand within the value that it names"));
        };
        if let Some(frame) = self.frames.last()
            && matches!(frame.node.kind, Kind::Map(_))
            && frame.key.is_none()
        {
            return Err(self.refuse(span, "an alias cannot be a key"));
        }
        let (size, depth) = extent(&node);
        self.nodes += size;
        if self.nodes > MAX_NODES {
            return Err(self.refuse(span, format!("the aliases stand for more than {MAX_NODES} values")));
        }
        if self.frames.len() + depth > MAX_DEPTH {
            return Err(self.refuse(span, format!("values lie more than {MAX_DEPTH} deep within each other")));
        }
        self.place_node(node, 0)
    }

    /// Puts a finished node where it belongs: into the collection around it, or at the root.
    fn place_node(&mut self, node: Node, anchor: usize) -> Result<(), ConfigError> {
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        let Some(frame) = self.frames.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        match &mut frame.node.kind {
            Kind::List(items) => items.push(node),
            Kind::Map(entries) => {
                let Some((key, span)) = frame.key.take() else { return Ok(()) };
                if key == "<<" {
                    return self.merge(node, span);
                }
                if let Some(first) = entries.get(&key) {
                    let message = format!("`{key}` is given a second time");
                    let place = first.place.clone();
                    return Err(self
                        .refuse(span, message)
                        .help(format!("it is given first at {place}; keep one")));
                }
                entries.insert(key, node);
            }
            Kind::Empty | Kind::Scalar(_) => {}
        }
        Ok(())
    }

    fn merge(&mut self, node: Node, span: Span) -> Result<(), ConfigError> {
        let refused = self.refuse(span, "`<<` takes an alias of a section, or a list of them");
        let Some(frame) = self.frames.last_mut() else { return Ok(()) };
        match node.kind {
            Kind::Map(_) => frame.merged.push(node),
            Kind::List(items) if items.iter().all(|item| item.as_map().is_some()) => {
                frame.merged.extend(items);
            }
            _ => return Err(refused),
        }
        Ok(())
    }
}

/// The part on its first line of what the parser marks, as the errors show it.
fn first_line(span: saphyr_parser::Span) -> Span {
    let (start, end) = (span.start, span.end);
    let length = if end.line() == start.line() { end.col().saturating_sub(start.col()) } else { 1 };
    Span { line: start.line().max(1), column: start.col() + 1, length: length.max(1) }
}

/// How many nodes a tree has, and how deep they lie.
fn extent(node: &Node) -> (usize, usize) {
    let children: Vec<&Node> = match &node.kind {
        Kind::List(items) => items.iter().collect(),
        Kind::Map(entries) => entries.values().collect(),
        Kind::Empty | Kind::Scalar(_) => Vec::new(),
    };
    children
        .into_iter()
        .map(extent)
        .fold((1, 1), |(size, depth), (more, below)| (size + more, depth.max(below + 1)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Result<Node, ConfigError> {
        parse("a.yml", text.as_bytes().to_vec())
    }

    #[test]
    fn scalars_stay_texts_and_know_their_place() {
        let root = read("a: no\nb:\n  - 1_000\n  - \"0o17\"\nc: ~\n").expect("plain YAML");
        assert_eq!(root.get("a").and_then(Node::as_scalar), Some("no"));
        assert!(matches!(root.get("c").map(|node| &node.kind), Some(Kind::Empty)));
        let Some(Kind::List(items)) = root.get("b").map(|node| &node.kind) else { panic!("`b` is a list") };
        assert_eq!(items[1].as_scalar(), Some("0o17"));
        assert_eq!(items[1].place.to_string(), "a.yml:4:5");
    }

    #[test]
    fn a_byte_order_mark_and_windows_line_ends_are_accepted() {
        let root = read("\u{feff}a: 1\r\nb: 2\r\n").expect("plain YAML");
        assert_eq!(root.get("b").and_then(Node::as_scalar), Some("2"));
    }

    #[test]
    fn an_empty_file_is_an_empty_map() {
        for text in ["", "\n", "# nothing\n", "---\n", "~\n"] {
            assert!(read(text).expect("empty").as_map().is_some_and(BTreeMap::is_empty), "{text:?}");
        }
    }

    #[test]
    fn aliases_and_merge_keys_share_a_section() {
        let root = read("base: &b { x: 1, y: 2 }\none: *b\ntwo: { <<: *b, y: 3 }\n").expect("plain YAML");
        assert_eq!(root.at(&["one", "x"]).and_then(Node::as_scalar), Some("1"));
        assert_eq!(root.at(&["two", "x"]).and_then(Node::as_scalar), Some("1"));
        assert_eq!(root.at(&["two", "y"]).and_then(Node::as_scalar), Some("3"));
    }

    #[test]
    fn aliases_that_multiply_are_refused() {
        let levels = (1..9).map(|level| {
            let row = vec![format!("*a{}", level - 1); 10].join(", ");
            format!("a{level}: &a{level} [{row}]\n")
        });
        let text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n") + &levels.collect::<String>();
        let error = read(&text).expect_err("a bomb");
        assert!(error.message().contains("aliases stand for more than"), "{error}");
    }

    #[test]
    fn deep_nesting_is_refused_at_once() {
        for text in ["[".repeat(10_000), "{a: ".repeat(10_000), "- ".repeat(10_000)] {
            assert!(read(&format!("a: {text}")).is_err());
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse("a.yml", bytes);
        }

        #[test]
        fn no_yaml_like_text_makes_the_reader_panic(text in "([a-c]|[-:?,\\[\\]{}#&*!|>'\"%@` \n\t~<.$]){0,60}") {
            if let Err(error) = read(&text) {
                // Rendering must survive every place that the parser reports.
                let _ = error.to_string();
            }
        }
    }
}
