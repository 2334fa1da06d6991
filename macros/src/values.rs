//! What a key may take, and the check of what was written.
//!
//! A string with a placeholder is known only at start; every other value is checked here, while it compiles.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Ident, Lit, LitInt, LitStr};

use crate::context::Context;
use crate::entries::{Key, Value};
use crate::scheduled::cron;
use crate::util::{did_you_mean, quoted_list};

/// Kafka's limit, from which brokers derive file names.
const TOPIC_LENGTH_MAX: usize = 249;
const DURATION_UNITS: [&str; 5] = ["ms", "s", "m", "h", "d"];

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
    /// An integer of at least one.
    Count,
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
    /// The path of a configuration section.
    Prefix,
}

/// A checked value, as the descriptor holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Setting {
    Str(String),
    Int(i64),
    Bool(bool),
    List(Vec<String>),
    Map(Vec<(String, String)>),
}

impl Setting {
    /// The `AttributeValue` that stands for this value.
    pub(crate) fn expand(&self, private: &TokenStream) -> TokenStream {
        let variant = match self {
            Self::Str(text) => quote!(Str(#text)),
            Self::Int(number) => quote!(Int(#number)),
            Self::Bool(switch) => quote!(Bool(#switch)),
            Self::List(items) => quote!(List(&[#(#items),*])),
            Self::Map(entries) => {
                let pairs = entries.iter().map(|(key, value)| quote!((#key, #value)));
                quote!(Map(&[#(#pairs),*]))
            }
        };
        quote!(#private::AttributeValue::#variant)
    }
}

/// Checks what was written against what `key` takes; on a mistake, says so and returns `None`.
pub(crate) fn check(context: &Context, key: &Key, name: &Ident, value: &Value) -> Option<Setting> {
    let checked = match (&key.kind, value) {
        (Kind::Topics, Value::List(topics)) => return check_topics(context, key, name, topics),
        (Kind::Properties, Value::Map(entries)) => return check_properties(context, entries),
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
        (Kind::Topics | Kind::Properties, _) => Err(wrong_type(key)),
        (_, Lit::Str(text)) => check_text(key, kind, &text.value()),
        (Kind::Count, Lit::Int(number)) => match signed(negative, number)? {
            count if count >= 1 => Ok(Setting::Int(count)),
            count => Err(format!("`{}` is at least 1, found `{count}`", key.name)),
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
    if !matches!(kind, Kind::Name | Kind::Prefix) && has_placeholder(text)? {
        return Ok(match kind {
            Kind::Topic => Setting::List(vec![text.to_owned()]),
            _ => Setting::Str(text.to_owned()),
        });
    }
    match kind {
        Kind::Text => {}
        Kind::Name => check_name(name, text)?,
        Kind::Prefix => check_prefix(text)?,
        Kind::Topic => {
            check_topic(text)?;
            return Ok(Setting::List(vec![text.to_owned()]));
        }
        Kind::Pattern => check_pattern(text)?,
        Kind::OneOf(choices) => check_choice(name, text, choices)?,
        Kind::Duration { zero } => check_duration(key, *zero, text)?,
        Kind::Cron => cron::check(text)?,
        Kind::Zone => check_zone(text)?,
        Kind::Count | Kind::Switch | Kind::Topics | Kind::Properties => return Err(wrong_type(key)),
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
        let checked = match has_placeholder(&name) {
            Ok(true) => Ok(()),
            Ok(false) if name.is_empty() => {
                Err("a topic's name is empty; write it as in `\"orders\"`".to_owned())
            }
            Ok(false) if names.contains(&name) => {
                Err(format!("topic `{name}` is listed twice; keep one of them"))
            }
            Ok(false) => check_topic(&name),
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

fn check_properties(context: &Context, entries: &[(LitStr, LitStr)]) -> Option<Setting> {
    let mut properties: Vec<(String, String)> = Vec::new();
    for (key, value) in entries {
        let name = key.value();
        if name.is_empty() || name.contains(char::is_whitespace) {
            context.error_on(
                key,
                "a property's name is empty or holds a space; write it as in `\"fetch.min.bytes\"`",
            );
            return None;
        }
        if properties.iter().any(|(other, _)| *other == name) {
            context.error_on(key, format!("property `{name}` is given twice; keep one of them"));
            return None;
        }
        if let Err(message) = has_placeholder(&value.value()) {
            context.error_on(value, message);
            return None;
        }
        properties.push((name, value.value()));
    }
    Some(Setting::Map(properties))
}

/// Whether the text has a placeholder; an error if one is not closed or names nothing.
fn has_placeholder(text: &str) -> Result<bool, String> {
    let mut open = Vec::new();
    let mut found = false;
    let mut rest = text.char_indices().peekable();
    while let Some((at, character)) = rest.next() {
        match character {
            '$' if rest.next_if(|(_, next)| *next == '{').is_some() => {
                found = true;
                open.push(at);
                if matches!(rest.peek(), Some((_, '}' | ':'))) {
                    return Err("a placeholder names no key; write it as in `${some.key}`".to_owned());
                }
            }
            '}' => drop(open.pop()),
            _ => {}
        }
    }
    match open.first() {
        Some(at) => Err(format!("the placeholder `{}` is not closed; add `}}`", &text[*at..])),
        None => Ok(found),
    }
}

fn check_name(key: &str, text: &str) -> Result<(), String> {
    match text.chars().find(|character| !is_name_character(*character)) {
        Some(other) => Err(format!(
            "`{key}` holds `{other}`; it takes letters, digits, `.`, `_` and `-`, and no placeholder"
        )),
        None => Ok(()),
    }
}

fn check_prefix(text: &str) -> Result<(), String> {
    let is_word = |word: &str| {
        word.starts_with(|first: char| first.is_ascii_lowercase())
            && !word.ends_with('-')
            && !word.contains("--")
            && word.chars().all(|one| one.is_ascii_lowercase() || one.is_ascii_digit() || one == '-')
    };
    if text.split('.').all(is_word) {
        return Ok(());
    }
    Err(format!(
        "`{text}` is not a section of the configuration; write kebab-case words joined by dots, as in `shop.order-repo`"
    ))
}

fn check_topic(topic: &str) -> Result<(), String> {
    if topic.len() > TOPIC_LENGTH_MAX {
        let length = topic.len();
        return Err(format!(
            "a topic's name has at most {TOPIC_LENGTH_MAX} characters, this one has {length}"
        ));
    }
    if topic == "." || topic == ".." {
        return Err(format!("a topic cannot be named `{topic}`"));
    }
    match topic.chars().find(|character| !is_name_character(*character)) {
        Some('*' | '^' | '$' | '+' | '(') => Err(format!(
            "topic `{topic}` looks like a regular expression; use `pattern = \"{topic}\"`, or letters, digits, `.`, `_` and `-`"
        )),
        Some(other) => Err(format!(
            "topic `{topic}` holds `{other}`; a topic's name takes letters, digits, `.`, `_` and `-`"
        )),
        None => Ok(()),
    }
}

/// Finds what is certainly wrong; the expression itself is compiled by librdkafka.
fn check_pattern(pattern: &str) -> Result<(), String> {
    let (mut depth, mut class, mut escaped) = (0_u32, false, false);
    for (column, character) in (1_usize..).zip(pattern.chars()) {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            ']' => class = false,
            _ if class => {}
            '[' => class = true,
            '(' => depth += 1,
            ')' if depth == 0 => {
                return Err(format!("`pattern` closes a group that is not open, at column {column}"));
            }
            ')' => depth -= 1,
            _ => {}
        }
    }
    if depth > 0 || class || escaped {
        return Err(format!("the regular expression `{pattern}` ends inside a group, a class or an escape"));
    }
    Ok(())
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

fn check_duration(key: &Key, zero: bool, text: &str) -> Result<(), String> {
    let name = key.name;
    let digits = text.trim_end_matches(|character: char| character.is_ascii_alphabetic());
    let unit = &text[digits.len()..];
    let units = quoted_list(DURATION_UNITS);
    let number = digits.trim_end();
    if number.starts_with('-') {
        return Err(format!("`{name}` cannot be negative, found `{text}`"));
    }
    if number.is_empty() || !number.chars().all(|character| character.is_ascii_digit()) {
        return Err(format!(
            "`{name}` takes a whole number with a unit ({units}), as in `\"5s\"`, found `{text}`"
        ));
    }
    if unit.is_empty() {
        return Err(format!("`{name}` has no unit; write one of {units}, as in `\"{number}ms\"`"));
    }
    if !DURATION_UNITS.contains(&unit) {
        return Err(format!("`{name}` has the unknown unit `{unit}`; write one of {units}"));
    }
    if !zero && number.chars().all(|digit| digit == '0') {
        return Err(format!("`{name}` must be more than zero, found `{text}`"));
    }
    Ok(())
}

fn check_zone(text: &str) -> Result<(), String> {
    let valid =
        |character: char| character.is_ascii_alphanumeric() || matches!(character, '/' | '_' | '-' | '+');
    if text.chars().all(valid) {
        return Ok(());
    }
    Err(format!(
        "`{text}` is not a time zone; write a name of the IANA database, as in `Europe/Berlin` or `UTC`"
    ))
}

fn is_name_character(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '.' | '_' | '-')
}

fn signed(negative: bool, number: &LitInt) -> Result<i64, String> {
    let magnitude: i64 = number.base10_parse().map_err(|_| format!("`{number}` does not fit in 64 bits"))?;
    Ok(if negative { -magnitude } else { magnitude })
}

fn wrong_type(key: &Key) -> String {
    let expected = match key.kind {
        Kind::Text | Kind::Name | Kind::Pattern | Kind::Topic | Kind::Zone | Kind::Prefix => "a string",
        Kind::Cron => "a string of six fields",
        Kind::OneOf(choices) => {
            return format!("`{}` takes a string: one of {}", key.name, quoted_list(choices.iter().copied()));
        }
        Kind::Topics => "a list of strings",
        Kind::Count => "an integer or a placeholder",
        Kind::Switch => "`true`, `false` or a placeholder",
        Kind::Duration { .. } => "milliseconds as an integer, or a string with a unit",
        Kind::Properties => "a table of strings",
    };
    format!("`{}` takes {expected}, as in `{}`", key.name, key.example)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Key = Key {
        name: "timeout",
        yaml: "timeout",
        kind: Kind::Duration { zero: false },
        example: "timeout = 1000",
    };

    #[test]
    fn durations_need_a_whole_number_and_a_known_unit() {
        for text in ["5s", "1000ms", "2m", "1h", "7d", "10 s"] {
            assert_eq!(check_duration(&TIMEOUT, false, text), Ok(()), "{text}");
        }
        for (text, part) in [
            ("5", "has no unit"),
            ("5 seconds", "unknown unit `seconds`"),
            ("1.5s", "whole number"),
            ("s", "whole number"),
            ("-5s", "cannot be negative"),
            ("0s", "more than zero"),
        ] {
            let message = check_duration(&TIMEOUT, false, text).expect_err(text);
            assert!(message.contains(part), "{text}: {message}");
        }
    }

    #[test]
    fn placeholders_are_found_and_must_be_closed() {
        assert_eq!(has_placeholder("orders"), Ok(false));
        assert_eq!(has_placeholder("costs $5 {x}"), Ok(false));
        assert_eq!(has_placeholder("${orders.topic}"), Ok(true));
        assert_eq!(has_placeholder("a-${b:${c:d}}-e"), Ok(true));
        assert!(has_placeholder("x-${orders").expect_err("open").contains("`${orders` is not closed"));
        assert!(has_placeholder("${:x}").expect_err("nameless").contains("names no key"));
    }

    #[test]
    fn topic_names_follow_the_brokers_rule() {
        for topic in ["orders", "Orders_1.v2-x", "a"] {
            assert_eq!(check_topic(topic), Ok(()), "{topic}");
        }
        for topic in [".", "..", "or ders", "bestellung-größe", "orders.*", &"x".repeat(250)] {
            check_topic(topic).expect_err(topic);
        }
    }

    #[test]
    fn prefixes_are_kebab_case_words_joined_by_dots() {
        for prefix in ["repo", "shop.order-repo", "a1.b2"] {
            assert_eq!(check_prefix(prefix), Ok(()), "{prefix}");
        }
        for prefix in ["Repo", "shop..repo", "shop_repo", "-repo", "repo-", "a--b", "1a", "repo."] {
            check_prefix(prefix).expect_err(prefix);
        }
    }

    #[test]
    fn patterns_must_close_what_they_open() {
        for pattern in ["orders.*", "^(a|b)-[)]$", r"a\("] {
            assert_eq!(check_pattern(pattern), Ok(()), "{pattern}");
        }
        for pattern in ["(a", "a)", "[a", "a\\"] {
            check_pattern(pattern).expect_err(pattern);
        }
    }
}
