//! The JSON schema of the configuration, and a view of it that the checks walk along.

use std::sync::LazyLock;

use schemars::SchemaGenerator;
use serde_json::{Map, Value, json};

use super::model::Properties;

static SCHEMA: LazyLock<Value> =
    LazyLock::new(|| SchemaGenerator::default().into_root_schema_for::<Properties>().to_value());

/// The JSON schema of `application.yml`, generated from the types of [`model`](super::model), for editors.
///
/// Beside what the types say it allows a `${…}` placeholder wherever a value may stand, and sections of the
/// program's own at the outermost level.
///
/// ```
/// let schema = kafka_boot::config::json_schema();
/// assert!(schema.pointer("/properties/kafka").is_some());
/// ```
pub fn json_schema() -> Value {
    let mut schema = SCHEMA.clone();
    allow_placeholders(&mut schema);
    if let Some(root) = schema.as_object_mut() {
        root.insert("title".into(), "kafka-boot configuration".into());
        root.insert("additionalProperties".into(), true.into());
    }
    schema
}

/// Lets a text with a placeholder stand for every number, word and flag, and a text with commas for every
/// list.
fn allow_placeholders(schema: &mut Value) {
    let Some(object) = schema.as_object_mut() else { return };
    for container in ["properties", "$defs"] {
        for child in object.get_mut(container).and_then(Value::as_object_mut).into_iter().flatten() {
            allow_placeholders(child.1);
        }
    }
    for single in ["items", "additionalProperties"] {
        if let Some(child) = object.get_mut(single) {
            allow_placeholders(child);
        }
    }
    let types = types(object);
    let is_text = types.contains(&"string") && !object.contains_key("enum") && !object.contains_key("oneOf");
    let is_section = types.contains(&"object") || object.contains_key("$ref") || object.contains_key("$defs");
    let is_list = types.contains(&"array");
    if is_text && !object.contains_key("format") {
        // YAML reads `client-id: 7` as a number; here it is a text.
        object.insert("type".into(), json!(["string", "number", "boolean"]));
    }
    if is_text || is_section || object.is_empty() {
        return;
    }
    let placeholder =
        if is_list { json!({ "type": "string" }) } else { json!({ "type": "string", "pattern": r"\$\{" }) };
    // For the same reason a word such as `1` of `acks` may be a number.
    let numbers = object.get("oneOf").and_then(Value::as_array).into_iter().flatten();
    let numbers: Vec<i64> =
        numbers.filter_map(|word| word["const"].as_str()).filter_map(|word| word.parse().ok()).collect();
    let annotations = ["description", "default"].map(|name| (name, object.remove(name)));
    let exact = Value::Object(std::mem::take(object));
    let mut accepted = vec![exact, placeholder];
    if !numbers.is_empty() {
        accepted.push(json!({ "enum": numbers }));
    }
    object.insert("anyOf".into(), accepted.into());
    for (name, value) in annotations {
        if let Some(value) = value {
            object.insert(name.into(), value);
        }
    }
}

fn types(object: &Map<String, Value>) -> Vec<&str> {
    match object.get("type") {
        Some(Value::String(name)) => vec![name],
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

/// A place in the schema.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SchemaNode(&'static Value);

/// What may stand at a place of the schema.
#[derive(Debug)]
pub(crate) enum Shape {
    /// A map with known keys.
    Section {
        keys: &'static Map<String, Value>,
        required: Vec<&'static str>,
    },
    /// A map with keys of the user's choice.
    Map(SchemaNode),
    List {
        items: SchemaNode,
        minimum: usize,
    },
    Choice(Vec<&'static str>),
    Text {
        minimum: usize,
        maximum: usize,
        format: TextFormat,
    },
    Integer {
        minimum: i128,
        maximum: i128,
    },
    Number {
        minimum: f64,
        maximum: f64,
    },
    Boolean,
    TimeSpan {
        minimum: Option<&'static str>,
        maximum: Option<&'static str>,
    },
    DataSize {
        minimum: Option<&'static str>,
        maximum: Option<&'static str>,
    },
    Secret,
}

/// What form a text must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TextFormat {
    Any,
    TopicName,
    TopicPattern,
    PartitionList,
}

impl SchemaNode {
    /// The whole configuration.
    pub(crate) fn root() -> Self {
        Self(&SCHEMA)
    }

    /// A type by its name in `$defs`.
    pub(crate) fn definition(name: &str) -> Self {
        Self(&SCHEMA["$defs"][name])
    }

    /// The schema under a key, known or of the user's choice.
    pub(crate) fn get(self, key: &str) -> Option<Self> {
        match self.shape() {
            Shape::Section { keys, .. } => keys.get(key).map(Self),
            Shape::Map(values) => Some(values),
            _ => None,
        }
    }

    pub(crate) fn child(schema: &'static Value) -> Self {
        Self(schema)
    }

    /// Follows references and looks through the `null` that an optional value may be.
    fn resolved(self) -> &'static Map<String, Value> {
        static NOTHING: LazyLock<Map<String, Value>> = LazyLock::new(Map::new);
        let Some(object) = self.0.as_object() else { return &NOTHING };
        if let Some(name) =
            object.get("$ref").and_then(Value::as_str).and_then(|path| path.rsplit('/').next())
        {
            return Self::definition(name).resolved();
        }
        let is_null = |choice: &&Value| choice["type"] == "null";
        match object.get("anyOf").and_then(Value::as_array) {
            Some(choices) => {
                choices.iter().find(|choice| !is_null(choice)).map_or(&NOTHING, |one| Self(one).resolved())
            }
            None => object,
        }
    }

    pub(crate) fn shape(self) -> Shape {
        let object = self.resolved();
        let number = |name: &str| object.get(name).and_then(Value::as_f64);
        let count =
            |name: &str| object.get(name).and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok());
        let whole = |name: &str| object.get(name).and_then(Value::as_f64).map(to_whole);
        let text = |name: &str| object.get(name).and_then(Value::as_str);
        if let Some(choices) = choices(object) {
            return Shape::Choice(choices);
        }
        match (text("format"), types(object).first().copied()) {
            (Some("time-span"), _) => {
                Shape::TimeSpan { minimum: text("x-minimum"), maximum: text("x-maximum") }
            }
            (Some("data-size"), _) => {
                Shape::DataSize { minimum: text("x-minimum"), maximum: text("x-maximum") }
            }
            (Some("password"), _) => Shape::Secret,
            (_, Some("boolean")) => Shape::Boolean,
            (_, Some("integer")) => Shape::Integer {
                minimum: whole("minimum").unwrap_or(0),
                maximum: whole("maximum").unwrap_or(i128::from(u32::MAX)),
            },
            (_, Some("number")) => Shape::Number {
                minimum: number("minimum").unwrap_or(f64::MIN),
                maximum: number("maximum").unwrap_or(f64::MAX),
            },
            (_, Some("array")) => Shape::List {
                items: object.get("items").map_or(self, Self),
                minimum: count("minItems").unwrap_or(0),
            },
            (_, Some("object")) => Self::object(object),
            (format, _) => Shape::Text {
                minimum: count("minLength").unwrap_or(0),
                maximum: count("maxLength").unwrap_or(usize::MAX),
                format: match format {
                    Some("topic-name") => TextFormat::TopicName,
                    Some("topic-pattern") => TextFormat::TopicPattern,
                    Some("partition-list") => TextFormat::PartitionList,
                    _ => TextFormat::Any,
                },
            },
        }
    }

    fn object(object: &'static Map<String, Value>) -> Shape {
        static ANY: LazyLock<Value> = LazyLock::new(|| json!({ "type": "string" }));
        if let Some(keys) = object.get("properties").and_then(Value::as_object) {
            let required = object.get("required").and_then(Value::as_array).into_iter().flatten();
            return Shape::Section { keys, required: required.filter_map(Value::as_str).collect() };
        }
        Shape::Map(Self(
            object.get("additionalProperties").filter(|values| values.is_object()).unwrap_or(&ANY),
        ))
    }
}

/// The words of an enumeration, which stand in a list of their own or each with its description.
fn choices(object: &'static Map<String, Value>) -> Option<Vec<&'static str>> {
    if let Some(words) = object.get("enum").and_then(Value::as_array) {
        return Some(words.iter().filter_map(Value::as_str).collect());
    }
    let words = object.get("oneOf")?.as_array()?.iter().map(|word| word["const"].as_str());
    words.collect()
}

/// A bound of the schema, which is far below where a float stops being exact.
#[expect(clippy::cast_possible_truncation, reason = "the bounds are whole numbers that were written as such")]
fn to_whole(bound: f64) -> i128 {
    bound as i128
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where the schema is checked in, for editors and reviewers.
    const CHECKED_IN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/config/schema.json");

    #[test]
    fn the_schema_that_is_checked_in_is_the_one_the_types_give() {
        let generated = serde_json::to_string_pretty(&json_schema()).expect("a schema is JSON") + "\n";
        if std::env::var_os("UPDATE_SCHEMA").is_some() {
            std::fs::write(CHECKED_IN, &generated).expect("the schema can be written");
        }
        let checked_in = std::fs::read_to_string(CHECKED_IN).unwrap_or_default();
        assert!(checked_in == generated, "schema.json is out of date: run the tests with UPDATE_SCHEMA=1");
    }

    #[test]
    fn every_key_has_a_description() {
        fn walk(node: SchemaNode, path: &str) {
            match node.shape() {
                Shape::Section { keys, .. } => {
                    for (key, schema) in keys {
                        assert!(schema["description"].is_string(), "{path}.{key} has no description");
                        walk(SchemaNode(schema), &format!("{path}.{key}"));
                    }
                }
                Shape::Map(values) => walk(values, &format!("{path}.*")),
                Shape::List { items, .. } => walk(items, &format!("{path}[]")),
                _ => {}
            }
        }
        walk(SchemaNode::root(), "");
    }
}
