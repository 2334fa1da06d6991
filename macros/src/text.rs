//! The checks of strings. Each says what is wrong, what is expected, and how to put it right.

use crate::util::quoted_list;

/// Kafka's limit, from which brokers derive file names.
const TOPIC_LENGTH_MAX: usize = 249;
/// The units of time, largest first.
const DURATION_UNITS: [&str; 7] = ["d", "h", "m", "s", "ms", "us", "ns"];

/// Whether the text has a placeholder; an error if one is not closed or names nothing.
pub(crate) fn has_placeholder(text: &str) -> Result<bool, String> {
    let mut open = Vec::new();
    let mut found = false;
    let mut rest = text.char_indices().peekable();
    while let Some((at, character)) = rest.next() {
        match character {
            // `$${` stands for `${`.
            '$' if text[at..].starts_with("$${") => drop(rest.nth(1)),
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

pub(crate) fn name(key: &str, text: &str) -> Result<(), String> {
    match text.chars().find(|character| !is_name_character(*character)) {
        Some(other) => Err(format!(
            "`{key}` holds `{other}`; it takes letters, digits, `.`, `_` and `-`, and no placeholder"
        )),
        None => Ok(()),
    }
}

pub(crate) fn prefix(text: &str) -> Result<(), String> {
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

pub(crate) fn topic(topic: &str) -> Result<(), String> {
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
        Some(other) => {
            let other = if other == ' ' { "a space".to_owned() } else { format!("`{other}`") };
            Err(format!(
                "topic `{topic}` holds {other}; a topic's name takes letters, digits, `.`, `_` and `-`"
            ))
        }
        None => Ok(()),
    }
}

/// The waits between attempts, as the fields of a backoff: `1s` each time, or `100ms..10s`, each twice the one before, or
/// `100ms..10s x3`.
pub(crate) fn backoff(key: &str, text: &str) -> Result<Vec<(&'static str, String)>, String> {
    if has_placeholder(text)? {
        return Err(format!(
            "`{key}` takes no placeholder; give `backoff.initial`, `backoff.multiplier` and `backoff.max` in the YAML file"
        ));
    }
    let malformed = || {
        format!(
            "`{key}` is a wait, as in `\"1s\"`, or a range of waits, as in `\"100ms..10s x2\"`; found `{text}`"
        )
    };
    let (range, multiplier) = match text.split_once(" x") {
        Some((range, multiplier)) => (range.trim(), Some(multiplier.trim())),
        None => (text.trim(), None),
    };
    let Some((initial, max)) = range.split_once("..") else {
        if multiplier.is_some() {
            return Err(malformed());
        }
        duration(key, false, range)?;
        let same = range.to_owned();
        return Ok(vec![("initial", same.clone()), ("max", same), ("multiplier", "1".to_owned())]);
    };
    let (initial, max) = (initial.trim(), max.trim());
    duration(key, false, initial)?;
    duration(key, false, max)?;
    let multiplier = multiplier.unwrap_or("2");
    let is_number = multiplier.parse::<f64>().is_ok_and(|number| (1.0..=100.0).contains(&number));
    if !is_number || multiplier.contains(['e', 'E', '+']) {
        return Err(malformed());
    }
    let fields = [("initial", initial), ("max", max), ("multiplier", multiplier)];
    Ok(fields.map(|(name, value)| (name, value.to_owned())).to_vec())
}

/// Finds what is certainly wrong; the expression itself is compiled by librdkafka.
pub(crate) fn pattern(pattern: &str) -> Result<(), String> {
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

/// The milliseconds of a text that [`duration`] takes; what is below one is left out.
pub(crate) fn milliseconds(text: &str) -> u64 {
    let parts = text.split(' ').map(|part| {
        let digits = part.len() - part.trim_start_matches(|character: char| character.is_ascii_digit()).len();
        let (number, unit) = part.split_at(digits);
        let number: u64 = number.parse().unwrap_or(u64::MAX);
        match unit {
            "d" => number.saturating_mul(86_400_000),
            "h" => number.saturating_mul(3_600_000),
            "m" => number.saturating_mul(60_000),
            "s" => number.saturating_mul(1_000),
            "us" => number / 1_000,
            "ns" => number / 1_000_000,
            _ => number,
        }
    });
    parts.fold(0, u64::saturating_add)
}

/// A whole number with a unit, or several, as in `1m 30s`; a number alone counts milliseconds.
pub(crate) fn duration(key: &str, zero: bool, text: &str) -> Result<(), String> {
    let is_digit = |character: char| character.is_ascii_digit();
    if text.starts_with('-') {
        return Err(format!("`{key}` cannot be negative, found `{text}`"));
    }
    if !zero && !text.contains(|character| matches!(character, '1'..='9')) && text.contains(is_digit) {
        return Err(format!("`{key}` must be more than zero, found `{text}`"));
    }
    if text.chars().all(is_digit) {
        return Ok(());
    }
    let mut next_rank = 0;
    for part in text.split(' ') {
        let unit = part.trim_start_matches(is_digit);
        if unit.len() == part.len() || unit.is_empty() {
            return Err(format!(
                "`{key}` takes whole numbers with units, as in `500ms`, `5s` or `1m 30s`, found `{text}`"
            ));
        }
        let Some(rank) = DURATION_UNITS.iter().position(|known| *known == unit) else {
            let units = quoted_list(DURATION_UNITS);
            return Err(format!("`{key}` has the unknown unit `{unit}`; write one of {units}"));
        };
        if rank < next_rank {
            return Err(format!(
                "`{key}` names its units from the largest to the smallest, each once, found `{text}`"
            ));
        }
        next_rank = rank + 1;
    }
    Ok(())
}

pub(crate) fn zone(text: &str) -> Result<(), String> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_need_a_whole_number_and_a_known_unit() {
        for text in ["5s", "1000ms", "2m", "1h", "7d", "1500", "1m 30s", "1h 1ms", "10s"] {
            assert_eq!(duration("timeout", false, text), Ok(()), "{text}");
        }
        for (text, part) in [
            ("5seconds", "unknown unit `seconds`"),
            ("5 s", "whole number"),
            ("1.5s", "unit `.5s`"),
            ("30s 1m", "from the largest"),
            ("1m 1m", "from the largest"),
            ("s", "whole number"),
            ("-5s", "cannot be negative"),
            ("0s", "more than zero"),
        ] {
            let message = duration("timeout", false, text).expect_err(text);
            assert!(message.contains(part), "{text}: {message}");
        }
    }

    #[test]
    fn durations_are_counted_in_milliseconds() {
        for (text, expected) in
            [("5s", 5_000), ("1500", 1_500), ("1m 30s", 90_000), ("1h 1ms", 3_600_001), ("2d", 172_800_000)]
        {
            assert_eq!(milliseconds(text), expected, "{text}");
        }
        assert_eq!(milliseconds("999us"), 0);
    }

    #[test]
    fn placeholders_are_found_and_must_be_closed() {
        assert_eq!(has_placeholder("orders"), Ok(false));
        assert_eq!(has_placeholder("costs $5 {x}"), Ok(false));
        assert_eq!(has_placeholder("$${orders}"), Ok(false));
        assert_eq!(
            has_placeholder("$${x}-${orders"),
            Err("the placeholder `${orders` is not closed; add `}`".to_owned())
        );
        assert_eq!(has_placeholder("${orders.topic}"), Ok(true));
        assert_eq!(has_placeholder("a-${b:${c:d}}-e"), Ok(true));
        assert!(has_placeholder("x-${orders").expect_err("open").contains("`${orders` is not closed"));
        assert!(has_placeholder("${:x}").expect_err("nameless").contains("names no key"));
    }

    #[test]
    fn topic_names_follow_the_brokers_rule() {
        for name in ["orders", "Orders_1.v2-x", "a"] {
            assert_eq!(topic(name), Ok(()), "{name}");
        }
        for name in [".", "..", "or ders", "bestellung-größe", "orders.*", &"x".repeat(250)] {
            topic(name).expect_err(name);
        }
    }

    #[test]
    fn prefixes_are_kebab_case_words_joined_by_dots() {
        for text in ["repo", "shop.order-repo", "a1.b2"] {
            assert_eq!(prefix(text), Ok(()), "{text}");
        }
        for text in ["Repo", "shop..repo", "shop_repo", "-repo", "repo-", "a--b", "1a", "repo."] {
            prefix(text).expect_err(text);
        }
    }

    #[test]
    fn patterns_must_close_what_they_open() {
        for text in ["orders.*", "^(a|b)-[)]$", r"a\("] {
            assert_eq!(pattern(text), Ok(()), "{text}");
        }
        for text in ["(a", "a)", "[a", "a\\"] {
            pattern(text).expect_err(text);
        }
    }
}
