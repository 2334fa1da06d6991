//! What a key may take, and the check of what was written.
//!
//! A string with a placeholder is known only at start; every other value is checked here, while it compiles.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Ident, Lit, LitInt, LitStr, Type};

use crate::context::Context;
use crate::entries::{Key, Value};
use crate::function::spaceless;
use crate::scheduled::cron;
use crate::text;
use crate::util::{did_you_mean, quoted_list};

/// The kind of value that a key takes.
pub(crate) enum Kind {
    /// Text that is not empty.
    Text,
    /// A name without placeholders: letters, digits, `.`, `_`, `-`.
    Name,
    /// A topic's name, emitted as a list of one.
    Topic,
    /// Topic names.
    Topics,
    /// A regular expression over topic names.
    Pattern,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// An integer from one to a limit, which is the configuration's.
    Count {
        /// The limit.
        max: i64,
    },
    /// `true` or `false`.
    Switch,
    /// A span of time.
    Duration {
        /// Whether zero makes sense.
        zero: bool,
    },
    /// A cron expression of six fields.
    Cron,
    /// A time zone of the IANA database.
    Zone,
    /// librdkafka's own settings.
    Properties,
    /// Partitions by topic.
    Partitions,
    /// The path of a configuration section.
    Prefix,
    /// The path of a function, which the expansion calls.
    Function,
    /// A topic's name, emitted as it is.
    TopicName,
    /// A number from 0 to 1.
    Fraction,
    /// The waits between attempts: `"100ms..10s x2"`.
    Backoff,
    /// Types of errors.
    Types,
    /// More keys, in parentheses.
    Group(&'static [Key]),
}

/// A checked value, as the descriptor holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Setting {
    Str(String),
    Int(i64),
    Bool(bool),
    List(Vec<String>),
    Map(Vec<(String, String)>),
    /// Several keys below the key.
    Fields(Vec<(&'static str, String)>),
    /// Something that the expansion names, and the descriptor does not hold.
    Item,
}

impl Setting {
    /// The `AttributeValue`s that stand for this value, with their keys, as far as the descriptor holds them.
    pub(crate) fn expand(&self, key: &str, private: &TokenStream) -> Vec<(String, TokenStream)> {
        if let Self::Fields(fields) = self {
            let field = |(name, text): &(&str, String)| {
                (format!("{key}.{name}"), quote!(#private::AttributeValue::Str(#text)))
            };
            return fields.iter().map(field).collect();
        }
        self.value(private).map(|value| (key.to_owned(), value)).into_iter().collect()
    }

    fn value(&self, private: &TokenStream) -> Option<TokenStream> {
        let variant = match self {
            Self::Str(text) => quote!(Str(#text)),
            Self::Int(number) => quote!(Int(#number)),
            Self::Bool(switch) => quote!(Bool(#switch)),
            Self::List(items) => quote!(List(&[#(#items),*])),
            Self::Map(entries) => {
                let pairs = entries.iter().map(|(key, value)| quote!((#key, #value)));
                quote!(Map(&[#(#pairs),*]))
            }
            Self::Fields(_) | Self::Item => return None,
        };
        Some(quote!(#private::AttributeValue::#variant))
    }
}

/// Checks what was written against what `key` takes; on a mistake, says so and returns `None`.
pub(crate) fn check(context: &Context, key: &Key, name: &Ident, value: &Value) -> Option<Setting> {
    let checked = match (&key.kind, value) {
        (Kind::Topics, Value::List(topics)) => return check_topics(context, key, name, topics),
        (Kind::Properties, Value::Map(entries)) => return check_map(context, entries, property_name),
        (Kind::Partitions, Value::Map(entries)) => return check_map(context, entries, topic_or_placeholder),
        (Kind::Function, Value::Path(_)) => return Some(Setting::Item),
        (Kind::Types, Value::Types(types)) => check_types(key, types),
        (kind, Value::Literal { negative, literal }) => check_literal(key, kind, negative.is_some(), literal),
        _ => Err(wrong_type(key)),
    };
    match checked {
        Ok(setting) => Some(setting),
        Err(message) => {
            // An empty list has no token of its own to point at.
            let is_empty = matches!(value, Value::List(items) if items.is_empty());
            if is_empty {
                context.error_on(name, message);
            } else {
                context.error_on(value, message);
            }
            None
        }
    }
}

fn check_literal(key: &Key, kind: &Kind, negative: bool, literal: &Lit) -> Result<Setting, String> {
    match (kind, literal) {
        (
            Kind::Topics
            | Kind::Properties
            | Kind::Partitions
            | Kind::Function
            | Kind::Types
            | Kind::Group(_),
            _,
        ) => Err(wrong_type(key)),
        (Kind::Fraction, Lit::Float(number)) if !negative => check_fraction(key, number.base10_digits()),
        (Kind::Fraction, Lit::Int(number)) if !negative => check_fraction(key, number.base10_digits()),
        (_, Lit::Str(text)) => check_text(key, kind, &text.value()),
        (Kind::Count { max }, Lit::Int(number)) => match signed(negative, number)? {
            count if (1..=*max).contains(&count) => Ok(Setting::Int(count)),
            count => Err(format!("`{}` is from 1 to {max}, found `{count}`", key.name)),
        },
        (Kind::Duration { zero }, Lit::Int(number)) => {
            check_milliseconds(key, *zero, signed(negative, number)?)
        }
        (Kind::Switch, Lit::Bool(switch)) if !negative => Ok(Setting::Bool(switch.value)),
        _ => Err(wrong_type(key)),
    }
}

fn check_text(key: &Key, kind: &Kind, text: &str) -> Result<Setting, String> {
    let name = key.name;
    if text.trim().is_empty() {
        return Err(format!("`{name}` is empty; write it as in `{}`", key.example));
    }
    if let Kind::Backoff = kind {
        return text::backoff(name, text).map(Setting::Fields);
    }
    if !matches!(kind, Kind::Name | Kind::Prefix) && text::has_placeholder(text)? {
        return Ok(match kind {
            Kind::Topic => Setting::List(vec![text.to_owned()]),
            _ => Setting::Str(text.to_owned()),
        });
    }
    match kind {
        Kind::Text => {}
        Kind::Name => text::name(name, text)?,
        Kind::Prefix => text::prefix(text)?,
        Kind::Topic => {
            text::topic(text)?;
            return Ok(Setting::List(vec![text.to_owned()]));
        }
        Kind::TopicName => text::topic(text)?,
        Kind::Fraction => return check_fraction(key, text),
        Kind::Pattern => text::pattern(text)?,
        Kind::OneOf(choices) => check_choice(name, text, choices)?,
        Kind::Duration { zero } => text::duration(name, *zero, text)?,
        Kind::Cron => cron::check(text)?,
        Kind::Zone => text::zone(text)?,
        Kind::Count { .. }
        | Kind::Switch
        | Kind::Topics
        | Kind::Properties
        | Kind::Partitions
        | Kind::Function
        | Kind::Backoff
        | Kind::Types
        | Kind::Group(_) => return Err(wrong_type(key)),
    }
    Ok(Setting::Str(text.to_owned()))
}

fn check_topics(context: &Context, key: &Key, name: &Ident, topics: &[LitStr]) -> Option<Setting> {
    if topics.is_empty() {
        context.error_on(name, format!("`topics` is empty; write it as in `{}`", key.example));
        return None;
    }
    let mut names = Vec::new();
    for literal in topics {
        let name = literal.value();
        let checked = match text::has_placeholder(&name) {
            Ok(true) => Ok(()),
            Ok(false) if name.is_empty() => {
                Err("a topic's name is empty; write it as in `\"orders\"`".to_owned())
            }
            Ok(false) if names.contains(&name) => {
                Err(format!("topic `{name}` is listed twice; keep one of them"))
            }
            Ok(false) => text::topic(&name),
            Err(message) => Err(message),
        };
        if let Err(message) = checked {
            context.error_on(literal, message);
            return None;
        }
        names.push(name);
    }
    Some(Setting::List(names))
}

/// Checks a table of texts, whose names are judged by `check_name`.
fn check_map(
    context: &Context,
    entries: &[(LitStr, LitStr)],
    check_name: fn(&str) -> Result<(), String>,
) -> Option<Setting> {
    let mut checked: Vec<(String, String)> = Vec::new();
    for (key, value) in entries {
        let name = key.value();
        if let Err(message) = check_name(&name) {
            context.error_on(key, message);
            return None;
        }
        if checked.iter().any(|(other, _)| *other == name) {
            context.error_on(key, format!("`{name}` is given twice; keep one of them"));
            return None;
        }
        if let Err(message) = text::has_placeholder(&value.value()) {
            context.error_on(value, message);
            return None;
        }
        checked.push((name, value.value()));
    }
    Some(Setting::Map(checked))
}

fn topic_or_placeholder(name: &str) -> Result<(), String> {
    if text::has_placeholder(name)? { Ok(()) } else { text::topic(name) }
}

fn property_name(name: &str) -> Result<(), String> {
    if name.is_empty() || name.contains(char::is_whitespace) {
        return Err(
            "a property's name is empty or holds a space; write it as in `\"fetch.min.bytes\"`".to_owned()
        );
    }
    Ok(())
}

fn check_types(key: &Key, types: &[Type]) -> Result<Setting, String> {
    if types.is_empty() {
        return Err(format!("`{}` names no type; write it as in `{}`", key.name, key.example));
    }
    let names: Vec<String> = types.iter().map(spaceless).collect();
    match names.iter().enumerate().find(|(index, name)| names[..*index].contains(name)) {
        Some((_, name)) => Err(format!("`{name}` is named twice; keep one of them")),
        None => Ok(Setting::List(names)),
    }
}

fn check_fraction(key: &Key, digits: &str) -> Result<Setting, String> {
    match digits.parse::<f64>() {
        Ok(number) if (0.0..=1.0).contains(&number) => Ok(Setting::Str(digits.to_owned())),
        _ => Err(format!("`{}` is from 0 to 1, found `{digits}`", key.name)),
    }
}

fn check_choice(key: &str, text: &str, choices: &'static [&'static str]) -> Result<(), String> {
    if choices.contains(&text) {
        return Ok(());
    }
    let listed = quoted_list(choices.iter().copied());
    let hint = did_you_mean(text, choices.iter().copied())
        .map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
    Err(format!("`{key}` is one of {listed}, found `{text}`{hint}"))
}

fn check_milliseconds(key: &Key, zero: bool, milliseconds: i64) -> Result<Setting, String> {
    if milliseconds < 0 {
        return Err(format!("`{}` cannot be negative, found `{milliseconds}` milliseconds", key.name));
    }
    if milliseconds == 0 && !zero {
        return Err(format!("`{}` must be more than zero milliseconds, as in `{}`", key.name, key.example));
    }
    Ok(Setting::Int(milliseconds))
}

fn signed(negative: bool, number: &LitInt) -> Result<i64, String> {
    let magnitude: i64 = number.base10_parse().map_err(|_| format!("`{number}` does not fit in 64 bits"))?;
    Ok(if negative { -magnitude } else { magnitude })
}

fn wrong_type(key: &Key) -> String {
    let expected = match key.kind {
        Kind::Text
        | Kind::Name
        | Kind::Pattern
        | Kind::Topic
        | Kind::TopicName
        | Kind::Zone
        | Kind::Prefix => "a string",
        Kind::Cron => "a string of six fields",
        Kind::OneOf(choices) => {
            return format!("`{}` takes a string: one of {}", key.name, quoted_list(choices.iter().copied()));
        }
        Kind::Topics => "a list of strings",
        Kind::Count { .. } => "an integer or a placeholder",
        Kind::Switch => "`true`, `false` or a placeholder",
        Kind::Duration { .. } => "milliseconds as an integer, or a string with a unit",
        Kind::Properties | Kind::Partitions => "a table of strings",
        Kind::Function => "the path of a function",
        Kind::Fraction => "a number from 0 to 1",
        Kind::Backoff => "a string of waits",
        Kind::Types => "types in parentheses",
        Kind::Group(_) => "keys in parentheses",
    };
    format!("`{}` takes {expected}, as in `{}`", key.name, key.example)
}
