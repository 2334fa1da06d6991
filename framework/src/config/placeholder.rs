//! Replaces placeholders: `${key}`, `${key:default}`, `${VARIABLE}`, `${file:/path}`; `$${` stands for `${`.
//!
//! A name is looked up in the merged configuration, then in the environment under the same name, then there
//! in its relaxed form. Names and defaults may hold placeholders. What a variable or a file holds is taken as
//! it is, so that a password may contain any character. There are no expressions and no commands.

use std::collections::BTreeMap;
use std::path::Path;

use super::error::{ConfigError, ConfigErrorKind, ConfigErrors};
use super::files::reason;
use super::secret::is_secret_name;
use super::tree::{Kind, Node, Place, Provenance, Span, join};

/// The longest text that a placeholder may grow to, in bytes.
const MAX_LENGTH: usize = 64 * 1024;
/// The most look-ups for one text, against placeholders that multiply.
const MAX_LOOKUPS: usize = 1_000;
/// How deep placeholders may stand for each other.
const MAX_DEPTH: usize = 32;

/// Where names are looked up.
#[derive(Debug)]
pub(crate) struct Resolver<'tree> {
    tree: &'tree Node,
    environment: &'tree BTreeMap<String, String>,
}

/// A text whose placeholders were replaced.
#[derive(Debug)]
pub(crate) struct Resolved {
    pub(crate) text: String,
    pub(crate) provenance: Provenance,
    /// The files that were read for it.
    pub(crate) files: Vec<String>,
}

/// What went wrong, where in the text, and what to do.
struct Fault {
    offset: usize,
    message: String,
    help: Option<String>,
}

/// The state of one resolution.
struct Run {
    /// The keys whose values are being resolved, outermost first.
    stack: Vec<String>,
    lookups: usize,
    provenance: Provenance,
    files: Vec<String>,
}

impl<'tree> Resolver<'tree> {
    pub(crate) fn new(tree: &'tree Node, environment: &'tree BTreeMap<String, String>) -> Self {
        Self { tree, environment }
    }

    /// The tree with all placeholders replaced, as far as that is possible, and the files that were read.
    pub(crate) fn resolve_tree(&self, errors: &mut ConfigErrors) -> (Node, Vec<String>) {
        let mut files = Vec::new();
        let node = self.resolve_node(self.tree, "", errors, &mut files);
        (node, files)
    }

    fn resolve_node(
        &self,
        node: &Node,
        path: &str,
        errors: &mut ConfigErrors,
        files: &mut Vec<String>,
    ) -> Node {
        let mut resolved = node.clone();
        match &mut resolved.kind {
            Kind::Empty => {}
            Kind::Scalar(text) => match self.resolve(text, &node.place, Some(path)) {
                Ok(result) => {
                    *text = result.text;
                    resolved.provenance = result.provenance;
                    files.extend(result.files);
                }
                Err(error) => {
                    resolved.provenance = Provenance::Unresolved;
                    errors.push(error);
                }
            },
            Kind::List(items) => {
                for (index, item) in items.iter_mut().enumerate() {
                    *item = self.resolve_node(item, &format!("{path}[{index}]"), errors, files);
                }
            }
            Kind::Map(entries) => {
                for (key, child) in entries {
                    *child = self.resolve_node(child, &join(path, key), errors, files);
                }
            }
        }
        resolved
    }

    /// Replaces the placeholders of one text that stands at a place, under a key if it has one.
    pub(crate) fn resolve(
        &self,
        text: &str,
        place: &Place,
        key: Option<&str>,
    ) -> Result<Resolved, ConfigError> {
        let literal = matches!(place, Place::Variable(_) | Place::Argument(_)) || !text.contains("${");
        if literal {
            return Ok(Resolved {
                text: text.to_owned(),
                provenance: Provenance::Literal,
                files: Vec::new(),
            });
        }
        let mut run = Run {
            stack: key.map(str::to_owned).into_iter().collect(),
            lookups: 0,
            provenance: Provenance::Expanded,
            files: Vec::new(),
        };
        match self.expand(text, &mut run) {
            Ok(text) => Ok(Resolved { text, provenance: run.provenance, files: run.files }),
            Err(fault) => {
                let place = narrow(place, text, fault.offset);
                let error = ConfigError::new(ConfigErrorKind::Placeholder, place, fault.message);
                let error = if let Some(key) = key { error.key(key) } else { error };
                Err(error.maybe_help(fault.help))
            }
        }
    }

    fn expand(&self, text: &str, run: &mut Run) -> Result<String, Fault> {
        let mut expanded = String::new();
        let mut rest = text;
        while let Some(start) = rest.find("${") {
            let offset = text.len() - rest.len() + start;
            if rest[..start].ends_with('$') {
                expanded.push_str(&rest[..start - 1]);
                expanded.push_str("${");
                rest = &rest[start + 2..];
                continue;
            }
            expanded.push_str(&rest[..start]);
            let inside = &rest[start + 2..];
            let fault = |message: String, help: Option<String>| Fault { offset, message, help };
            let Some(end) = closing_brace(inside) else {
                let help = "write `}` at its end, or `$${` for a literal `${`".to_owned();
                return Err(fault("this placeholder has no end".into(), Some(help)));
            };
            let value = self.placeholder(&inside[..end], run).map_err(|inner| Fault { offset, ..inner })?;
            expanded.push_str(&value);
            if expanded.len() > MAX_LENGTH {
                return Err(fault(format!("grows beyond {MAX_LENGTH} bytes"), None));
            }
            rest = &inside[end + 1..];
        }
        expanded.push_str(rest);
        Ok(expanded)
    }

    /// The value of what stands between `${` and `}`.
    fn placeholder(&self, inside: &str, run: &mut Run) -> Result<String, Fault> {
        let fault = |message: String, help: Option<String>| Fault { offset: 0, message, help };
        run.lookups += 1;
        if run.lookups > MAX_LOOKUPS || run.stack.len() > MAX_DEPTH {
            return Err(fault("stands for too many other placeholders".into(), None));
        }
        if let Some(path) = inside.strip_prefix("file:") {
            let path = self.expand(path, run)?;
            run.provenance = Provenance::Sensitive;
            let content = read_file(&path).map_err(|message| fault(message, None))?;
            run.files.push(path);
            return Ok(content);
        }
        let (name, default) = split_default(inside);
        let name = self.expand(name, run)?;
        if name.trim().is_empty() {
            return Err(fault("expected a name between `${` and `}`".into(), None));
        }
        if let Some(value) = self.look_up(&name, run)? {
            return Ok(value);
        }
        let Some(default) = default else {
            let help = format!("set `{name}`, or give a default: `${{{name}:…}}`");
            let message = format!("`{name}` is not set, neither as a key nor in the environment");
            return Err(fault(message, Some(help)));
        };
        self.expand(default, run)
    }

    fn look_up(&self, name: &str, run: &mut Run) -> Result<Option<String>, Fault> {
        let fault = |message: String| Fault { offset: 0, message, help: None };
        if let Some(node) = self.tree.at_dotted(name).filter(|node| node.kind != Kind::Empty) {
            if run.stack.iter().any(|key| key == name) {
                let chain = run.stack.join("` → `");
                return Err(fault(format!("stands for itself: `{chain}` → `{name}`")));
            }
            let Some(text) = scalar_or_list(node) else {
                return Err(fault(format!("`{name}` is {}, not a value", node.describe())));
            };
            if is_secret_name(name) {
                run.provenance = Provenance::Sensitive;
            }
            if matches!(node.place, Place::Variable(_) | Place::Argument(_)) {
                return Ok(Some(text));
            }
            run.stack.push(name.to_owned());
            let expanded = self.expand(&text, run)?;
            run.stack.pop();
            return Ok(Some(expanded));
        }
        let relaxed: String = name
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' })
            .collect();
        let value = self.environment.get(name).or_else(|| self.environment.get(&relaxed));
        if value.is_some() && is_secret_name(name) {
            run.provenance = Provenance::Sensitive;
        }
        Ok(value.cloned())
    }
}

/// A value as a text; a list of texts with commas.
fn scalar_or_list(node: &Node) -> Option<String> {
    match &node.kind {
        Kind::Scalar(text) => Some(text.clone()),
        Kind::List(items) => {
            let items: Option<Vec<&str>> = items.iter().map(Node::as_scalar).collect();
            items.map(|items| items.join(","))
        }
        Kind::Empty | Kind::Map(_) => None,
    }
}

/// Where the `}` is that ends a placeholder, past those of the placeholders within it.
fn closing_brace(inside: &str) -> Option<usize> {
    let bytes = inside.as_bytes();
    let mut depth = 0;
    let mut index = 0;
    while index < bytes.len() {
        match bytes[index] {
            b'$' if bytes.get(index + 1) == Some(&b'{') => {
                depth += 1;
                index += 1;
            }
            b'}' if depth == 0 => return Some(index),
            b'}' => depth -= 1,
            _ => {}
        }
        index += 1;
    }
    None
}

/// The name and the default, which the first `:` outside inner placeholders parts.
fn split_default(inside: &str) -> (&str, Option<&str>) {
    let bytes = inside.as_bytes();
    let mut depth = 0;
    for index in 0..bytes.len() {
        match bytes[index] {
            b'{' if index > 0 && bytes[index - 1] == b'$' => depth += 1,
            b'}' => depth -= 1,
            b':' if depth == 0 => return (&inside[..index], Some(&inside[index + 1..])),
            _ => {}
        }
    }
    (inside, None)
}

/// The content of a file without its last line end.
fn read_file(path: &str) -> Result<String, String> {
    let length = std::fs::metadata(Path::new(path))
        .map_err(|error| format!("cannot read `{path}`: {}", reason(&error)))?
        .len();
    if length > MAX_LENGTH as u64 {
        return Err(format!("`{path}` is larger than {MAX_LENGTH} bytes"));
    }
    let content =
        std::fs::read_to_string(path).map_err(|error| format!("cannot read `{path}`: {}", reason(&error)))?;
    let content = content.strip_suffix('\n').unwrap_or(&content);
    Ok(content.strip_suffix('\r').unwrap_or(content).to_owned())
}

/// The place of the placeholder within the place of the text, where the text stands on its line as it is.
fn narrow(place: &Place, text: &str, offset: usize) -> Place {
    let Place::File { source, key, value } = place else { return place.clone() };
    let line: Vec<char> = source.text.lines().nth(value.line - 1).unwrap_or_default().chars().collect();
    let from: String = line.iter().skip(value.column - 1).collect();
    let Some(found) = from.find(text) else { return place.clone() };
    let before = from[..found + offset].chars().count();
    let length = text[offset..]
        .find('}')
        .map_or(text[offset..].chars().count(), |end| text[offset..][..=end].chars().count());
    let span = Span { line: value.line, column: value.column + before, length };
    Place::File { source: source.clone(), key: *key, value: span }
}

#[cfg(test)]
mod tests {
    use super::super::yaml;
    use super::*;
    use proptest::prelude::*;

    fn resolve(text: &str) -> Result<Resolved, ConfigError> {
        let yaml = "a: { b: x, list: [ p, q ], again: \"${a.b}\", loop: \"${a.loop}\" }\n";
        let tree = yaml::parse("a.yml", yaml.as_bytes().to_vec()).expect("plain YAML");
        let environment =
            [("HOME_TOWN", "Bern"), ("DB_PASSWORD", "pa${ss"), ("MY_KEY", "relaxed"), ("NAME", "a.b")];
        let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Resolver::new(&tree, &BTreeMap::from(environment)).resolve(text, &Place::Nowhere, None)
    }

    #[test]
    fn names_are_found_in_the_configuration_and_in_the_environment() {
        for (text, expanded) in [
            ("plain", "plain"),
            ("${a.b}", "x"),
            ("<${a.b}>${a.b}", "<x>x"),
            ("${a.list}", "p,q"),
            ("${a.again}", "x"),
            ("${HOME_TOWN}", "Bern"),
            ("${my.key}", "relaxed"),
            ("${my-key}", "relaxed"),
            ("${none:default}", "default"),
            ("${none:}", ""),
            ("${none:http://x:1}", "http://x:1"),
            ("${none:${a.b}}", "x"),
            ("${none:${also.none:deep}}", "deep"),
            ("${${NAME}}", "x"),
            ("$${a.b}", "${a.b}"),
            ("$5", "$5"),
            ("${DB_PASSWORD}", "pa${ss"),
        ] {
            assert_eq!(resolve(text).map(|resolved| resolved.text).as_deref(), Ok(expanded), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_replaced_is_refused() {
        for (text, message) in [
            ("${none}", "`none` is not set"),
            ("${a.b", "has no end"),
            ("${none:${a.b}", "has no end"),
            ("${}", "expected a name"),
            ("${a}", "is a section"),
            ("${a.loop}", "stands for itself"),
            ("${file:/no/such/file}", "cannot read `/no/such/file`"),
        ] {
            let error = resolve(text).expect_err(text);
            assert!(error.message().contains(message), "{text}: {error}");
        }
    }

    #[test]
    fn a_file_is_read_without_its_last_line_end_and_counts_as_a_secret() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("secret");
        std::fs::write(&path, "hunter2\n").expect("a file");
        let resolved = resolve(&format!("${{file:{}}}", path.display())).expect("a readable file");
        assert_eq!(resolved.text, "hunter2");
        assert_eq!(resolved.provenance, Provenance::Sensitive);
        assert_eq!(resolve("${DB_PASSWORD}").map(|r| r.provenance), Ok(Provenance::Sensitive));
    }

    #[test]
    fn placeholders_that_multiply_are_refused() {
        let levels = (1..30).map(|level| format!("k{level}: \"${{k{0}}}${{k{0}}}\"\n", level - 1));
        let text = String::from("k0: \"\"\n") + &levels.collect::<String>();
        let tree = yaml::parse("a.yml", text.into_bytes()).expect("plain YAML");
        let error = Resolver::new(&tree, &BTreeMap::new()).resolve("${k29}", &Place::Nowhere, None);
        assert!(error.expect_err("a bomb").message().contains("too many"));
    }

    proptest! {
        #[test]
        fn no_text_makes_the_resolver_panic(text in "([ab.:é$]|[{}]|\\$\\{){0,30}") {
            let _ = resolve(&text);
        }
    }
}
