//! Compares a tree with the schema and reports every difference, so that one start shows all of them.

use super::duration::{self, TimeSpan};
use super::error::{ConfigError, ConfigErrorKind, ConfigErrors, did_you_mean, must_hide, squeeze};
use super::partitions::{self, PartitionList};
use super::pattern;
use super::schema::{SchemaNode, Shape, TextFormat};
use super::size::{self, DataSize};
use super::tree::{Kind, Node, Place, Provenance, join};

/// What is wrong with a text: the expectation and, if one is known, the remedy.
#[derive(Debug)]
struct Fault {
    message: String,
    help: Option<String>,
}

impl Fault {
    fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), help: None }
    }
}

/// Checks a node and everything below it.
pub(crate) fn check(node: &Node, schema: SchemaNode, path: &str, errors: &mut ConfigErrors) {
    let shape = schema.shape();
    match (&shape, &node.kind) {
        _ if node.provenance == Provenance::Unresolved => {}
        (Shape::Section { keys, required }, Kind::Map(entries)) => {
            for (key, child) in entries {
                let child_path = join(path, key);
                if let Some(schema) = keys.get(key) {
                    check(child, SchemaNode::child(schema), &child_path, errors);
                } else {
                    let known = keys.keys().map(String::as_str);
                    errors.push(unknown_key(child, key, &child_path, known));
                }
            }
            for key in required.iter().filter(|key| !entries.contains_key(**key)) {
                let message = format!("`{key}` is missing");
                let error = ConfigError::new(ConfigErrorKind::MissingValue, node.place.clone(), message);
                errors.push(error.key(&join(path, key)));
            }
        }
        (Shape::Map(values), Kind::Map(entries)) => {
            for (key, child) in entries {
                check(child, *values, &join(path, key), errors);
            }
        }
        (Shape::List { items, minimum }, Kind::List(nodes)) => {
            if nodes.len() < *minimum {
                let message = "expected at least one value";
                errors.push(ConfigError::at(ConfigErrorKind::InvalidValue, node, path, message));
            }
            for (index, item) in nodes.iter().enumerate() {
                let item_path = format!("{path}[{index}]");
                if item.kind == Kind::Empty {
                    errors.push(hole(item, nodes, &item_path));
                } else {
                    check(item, *items, &item_path, errors);
                }
            }
        }
        // A text with commas is a list of texts.
        (Shape::List { items, minimum }, Kind::Scalar(text)) if !is_section(*items) => {
            for part in text.split(',').map(str::trim).filter(|part| *minimum > 0 || !part.is_empty()) {
                let fault =
                    if part.is_empty() { Err(Fault::new(expectation(&items.shape()))) } else { Ok(()) };
                report(fault.and_then(|()| check_text(&items.shape(), part)), node, path, &shape, errors);
            }
        }
        (Shape::Section { .. } | Shape::Map(_) | Shape::List { minimum: 0, .. }, Kind::Empty) => {}
        (shape, Kind::Scalar(text)) if !is_collection(shape) => {
            report(check_text(shape, text), node, path, shape, errors);
        }
        (shape, Kind::Empty) => {
            let message = format!("{}, found nothing", expectation(shape));
            let error = ConfigError::at(ConfigErrorKind::MissingValue, node, path, message);
            errors.push(error.help("give a value, or remove the line to keep the default"));
        }
        (shape, _) => {
            let message = format!("{}, found {}", expectation(shape), node.describe());
            let error = ConfigError::at(ConfigErrorKind::InvalidValue, node, path, message);
            errors.push(if matches!(shape, Shape::Secret) { error.hide_value() } else { error });
        }
    }
}

fn report(result: Result<(), Fault>, node: &Node, path: &str, shape: &Shape, errors: &mut ConfigErrors) {
    let Err(fault) = result else { return };
    let error = ConfigError::at(ConfigErrorKind::InvalidValue, node, path, fault.message);
    // A remedy may quote the value, or tell what is in it.
    let is_secret = matches!(shape, Shape::Secret) || must_hide(node, path);
    errors.push(if is_secret { error.hide_value() } else { error.maybe_help(fault.help) });
}

/// The error of an element that is not given, as when only the second is set from outside.
fn hole(item: &Node, items: &[Node], path: &str) -> ConfigError {
    let place = std::iter::once(item).chain(items).find_map(first_place);
    let message = format!("`{path}` is not given, while another element of the list is");
    ConfigError::new(ConfigErrorKind::MissingValue, place.unwrap_or_default(), message)
        .key(path)
        .help("count the elements of a list from 0, without a gap")
}

/// The first place that a node, or what is in it, was given at.
fn first_place(node: &Node) -> Option<Place> {
    if node.place != Place::Nowhere {
        return Some(node.place.clone());
    }
    node.as_map().into_iter().flatten().find_map(|(_, child)| first_place(child))
}

fn is_collection(shape: &Shape) -> bool {
    matches!(shape, Shape::Section { .. } | Shape::Map(_) | Shape::List { .. })
}

fn is_section(schema: SchemaNode) -> bool {
    is_collection(&schema.shape())
}

/// The error of a key that is not there, with the one that was probably meant.
pub(crate) fn unknown_key<'a>(
    node: &Node,
    key: &str,
    path: &str,
    known: impl Iterator<Item = &'a str> + Clone,
) -> ConfigError {
    let help =
        spring_remedy(key).map(str::to_owned).or_else(|| did_you_mean(key, known.clone())).or_else(|| {
            let keys: Vec<String> = known.map(|key| format!("`{key}`")).collect();
            (!keys.is_empty()).then(|| format!("the keys here are {}", keys.join(", ")))
        });
    ConfigError::new(ConfigErrorKind::UnknownKey, node.place.clone(), "unknown key")
        .key(path)
        .maybe_help(help)
        .on_key()
}

/// What to use in place of a Spring Boot key that has another name here.
fn spring_remedy(key: &str) -> Option<&'static str> {
    Some(match squeeze(key).as_str() {
        "enableautocommit" => "use `commit: auto`; the other ways to commit are `sync`, `async` and `manual`",
        "fetchminsize" => "use `fetch-min-bytes`",
        "keydeserializer" | "valuedeserializer" | "keyserializer" | "valueserializer" => {
            "leave it out: the types of the handler's arguments, or of what is sent, decide"
        }
        "buffermemory" => "use `max-in-flight-bytes`",
        "transactionidprefix" => "use `transactional-id`",
        "listener" => "use `kafka.consumer`, for all listeners, or `kafka.listeners.<id>`, for one",
        "retry" => "use `kafka.error`",
        "jaas" => "use `kafka.security.sasl`",
        "bundle" => "use `kafka.security.ssl`, with PEM files",
        "ssl" | "sasl" => "use `kafka.security.ssl` and `kafka.security.sasl`",
        "truststorelocation" | "truststorecertificates" => "use `ca-location`, with a PEM file",
        "truststorepassword" | "truststoretype" => {
            "leave it out: `ca-location` names a PEM file, which has none"
        }
        "keystorelocation" => "use `keystore-location`, with a PKCS#12 file",
        "keystorepassword" => "use `keystore-password`",
        _ => return None,
    })
}

/// What is expected at a place, for messages.
fn expectation(shape: &Shape) -> String {
    match shape {
        Shape::Section { .. } | Shape::Map(_) => "expected a section of `key: value` lines".into(),
        Shape::List { .. } => "expected a list".into(),
        Shape::Choice(words) => {
            let words: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
            format!("expected one of {}", words.join(", "))
        }
        Shape::Text { format: TextFormat::TopicName, .. } => {
            "expected a topic name of up to 249 letters, digits, `.`, `_` and `-`".into()
        }
        Shape::Text { format: TextFormat::TopicPattern, .. } => {
            "expected a regular expression over topic names".into()
        }
        Shape::Text { format: TextFormat::PartitionList, .. } => format!("expected {}", partitions::EXPECTED),
        Shape::Text { .. } | Shape::Secret => "expected a text".into(),
        Shape::Integer { minimum, maximum } => format!("expected a whole number from {minimum} to {maximum}"),
        Shape::Number { minimum, maximum } => format!("expected a number from {minimum} to {maximum}"),
        Shape::Boolean => "expected `true` or `false`".into(),
        Shape::TimeSpan { .. } => format!("expected {}", duration::EXPECTED),
        Shape::DataSize { .. } => format!("expected {}", size::EXPECTED),
    }
}

fn check_text(shape: &Shape, text: &str) -> Result<(), Fault> {
    match shape {
        Shape::Choice(words) => check_choice(shape, words, text),
        Shape::Text { minimum, maximum, format } => {
            check_plain_text(shape, text, *minimum, *maximum, *format)
        }
        Shape::Integer { minimum, maximum } => {
            let value = whole_number(text).ok_or_else(|| number_fault(shape, text))?;
            if (*minimum..=*maximum).contains(&value) { Ok(()) } else { Err(Fault::new(expectation(shape))) }
        }
        Shape::Number { minimum, maximum } => {
            let value = decimal_number(text).ok_or_else(|| number_fault(shape, text))?;
            if (*minimum..=*maximum).contains(&value) { Ok(()) } else { Err(Fault::new(expectation(shape))) }
        }
        Shape::Boolean => match text {
            "true" | "false" => Ok(()),
            _ => Err(Fault { help: boolean_remedy(text), ..Fault::new(expectation(shape)) }),
        },
        Shape::TimeSpan { minimum, maximum } => {
            check_unit::<TimeSpan>(text, *minimum, *maximum, shape, "a plain number counts milliseconds")
        }
        Shape::DataSize { minimum, maximum } => {
            check_unit::<DataSize>(text, *minimum, *maximum, shape, "a plain number counts bytes")
        }
        Shape::Secret | Shape::Section { .. } | Shape::Map(_) | Shape::List { .. } => Ok(()),
    }
}

fn check_choice(shape: &Shape, words: &[&str], text: &str) -> Result<(), Fault> {
    if relaxed_word(words, text).is_some() {
        return Ok(());
    }
    Err(Fault { help: did_you_mean(text, words.iter().copied()), ..Fault::new(expectation(shape)) })
}

/// The word of an enumeration that is meant: `SASL_SSL` and `sasl-ssl` are one, as they are in Spring.
pub(crate) fn relaxed_word<'a>(words: &[&'a str], text: &str) -> Option<&'a str> {
    let same = |left: &str, right: &str| {
        let unify = |c: char| if c == '_' { '-' } else { c.to_ascii_lowercase() };
        left.chars().map(unify).eq(right.chars().map(unify))
    };
    words.iter().copied().find(|word| same(word, text))
}

fn check_plain_text(
    shape: &Shape,
    text: &str,
    minimum: usize,
    maximum: usize,
    format: TextFormat,
) -> Result<(), Fault> {
    let length = text.chars().count();
    if length < minimum {
        return Err(Fault::new(format!("{} that is not empty", expectation(shape))));
    }
    let fits = match format {
        TextFormat::Any => true,
        TextFormat::TopicName => {
            let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
            text.chars().all(legal) && text != "." && text != ".."
        }
        TextFormat::TopicPattern => match pattern::fault(text) {
            Some(fault) => return Err(Fault::new(format!("{}: {fault}", expectation(shape)))),
            None => true,
        },
        TextFormat::PartitionList => match text.parse::<PartitionList>() {
            Err(error) => return Err(Fault::new(error.to_string())),
            Ok(_) => true,
        },
    };
    if fits && length <= maximum { Ok(()) } else { Err(Fault::new(expectation(shape))) }
}

fn check_unit<T>(
    text: &str,
    minimum: Option<&str>,
    maximum: Option<&str>,
    shape: &Shape,
    plain: &str,
) -> Result<(), Fault>
where
    T: std::str::FromStr + PartialOrd,
{
    let Ok(value) = text.parse::<T>() else {
        let squeezed = text.replace(' ', "");
        let help = if squeezed != text && squeezed.parse::<T>().is_ok() {
            format!("write `{squeezed}`")
        } else {
            plain.to_owned()
        };
        return Err(Fault { help: Some(help), ..Fault::new(expectation(shape)) });
    };
    let bound = |text: Option<&str>| text.and_then(|text| text.parse::<T>().ok());
    match (bound(minimum), bound(maximum)) {
        (Some(least), _) if value < least => {
            Err(Fault::new(format!("expected at least `{}`", minimum.unwrap_or_default())))
        }
        (_, Some(most)) if value > most => {
            Err(Fault::new(format!("expected at most `{}`", maximum.unwrap_or_default())))
        }
        _ => Ok(()),
    }
}

/// A whole number in plain decimals; the other forms that YAML has are refused.
pub(crate) fn whole_number(text: &str) -> Option<i128> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let octal_looking = digits.len() > 1 && digits.starts_with('0');
    if plain && !octal_looking { text.parse().ok() } else { None }
}

/// A number in plain decimals, with or without a fraction.
pub(crate) fn decimal_number(text: &str) -> Option<f64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let plain = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if plain(whole) && plain(fraction) {
        text.parse().ok().filter(|number: &f64| number.is_finite())
    } else {
        None
    }
}

fn number_fault(shape: &Shape, text: &str) -> Fault {
    let without = text.replace(['_', ','], "");
    let help = if without != text && whole_number(&without).is_some() {
        Some(format!("write `{without}`"))
    } else if text.starts_with('0') || text.contains(['e', 'E']) {
        Some("write the number out in decimals".to_owned())
    } else {
        None
    };
    Fault { help, ..Fault::new(expectation(shape)) }
}

fn boolean_remedy(text: &str) -> Option<String> {
    let meant = match text.to_ascii_lowercase().as_str() {
        "yes" | "on" | "y" | "1" | "true" => "true",
        "no" | "off" | "n" | "0" | "false" => "false",
        _ => return None,
    };
    Some(format!("write `{meant}`; `{text}` is no boolean here"))
}
