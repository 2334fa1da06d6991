//! Regular expressions over topic names: POSIX's extended ones, which the client understands.

use std::iter::Peekable;
use std::str::Chars;

/// The expression as the client takes it. One that does not begin with `^` is that of the whole name.
pub(super) fn anchored(pattern: &str) -> String {
    if pattern.starts_with('^') { pattern.to_owned() } else { format!("^({pattern})$") }
}

/// What is wrong with an expression, if something is.
pub(super) fn fault(pattern: &str) -> Option<String> {
    let mut characters = pattern.chars().peekable();
    let mut open_groups = 0u32;
    // Whether something stands here that can be repeated.
    let mut is_repeatable = false;
    while let Some(character) = characters.next() {
        match character {
            '\\' if characters.next().is_none() => return Some("it ends in an escape".to_owned()),
            '[' => {
                if let Err(fault) = class(&mut characters) {
                    return Some(fault);
                }
            }
            '(' => open_groups += 1,
            ')' if open_groups == 0 => return Some("it closes a group that is not open".to_owned()),
            ')' => open_groups -= 1,
            '*' | '+' | '?' | '{' if !is_repeatable => {
                return Some(format!("there is nothing that `{character}` could repeat"));
            }
            _ => {}
        }
        is_repeatable = !matches!(character, '(' | '|' | '^');
    }
    (open_groups > 0).then(|| "a group is not closed".to_owned())
}

/// Reads the rest of a class, behind its `[`.
fn class(characters: &mut Peekable<Chars<'_>>) -> Result<(), String> {
    let unclosed = || "a class is not closed".to_owned();
    characters.next_if_eq(&'^');
    let mut before = None;
    let mut is_first = true;
    loop {
        let character = characters.next().ok_or_else(unclosed)?;
        match character {
            ']' if !is_first => return Ok(()),
            '[' if matches!(characters.peek(), Some(':' | '.' | '=')) => {
                named(characters).ok_or_else(unclosed)?;
                before = None;
            }
            '-' if before.is_some() && characters.peek().is_some_and(|next| !matches!(next, ']' | '[')) => {
                let (from, to) = (before.take(), characters.next());
                if from > to {
                    let (from, to) = (from.unwrap_or_default(), to.unwrap_or_default());
                    return Err(format!("the range `{from}-{to}` is empty"));
                }
            }
            other => before = Some(other),
        }
        is_first = false;
    }
}

/// Reads the rest of a name such as `[:alpha:]`, behind its first bracket.
fn named(characters: &mut Peekable<Chars<'_>>) -> Option<()> {
    let kind = characters.next()?;
    loop {
        if characters.next()? == kind && characters.next_if_eq(&']').is_some() {
            return Some(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_without_an_anchor_is_that_of_the_whole_name() {
        assert_eq!(anchored("orders-.*"), "^(orders-.*)$");
        assert_eq!(anchored("a|b"), "^(a|b)$");
        assert_eq!(anchored("^orders-"), "^orders-");
    }

    #[test]
    fn what_the_client_understands_is_right() {
        for pattern in [
            "orders.*",
            "^(a|b)-[)]$",
            r"a\(",
            "[]a]+",
            "[^]a-z]",
            "a{1,2}",
            "[[:alnum:]_-]+",
            "[a-]",
            "[-a]",
            "^$",
            r"[\]",
            "(a)*",
        ] {
            assert_eq!(fault(pattern), None, "{pattern}");
        }
    }

    #[test]
    fn what_it_does_not_is_named() {
        for (pattern, expected) in [
            ("^orders-(", "a group is not closed"),
            ("orders)", "it closes a group that is not open"),
            ("orders-[a", "a class is not closed"),
            ("orders-[]", "a class is not closed"),
            ("[[:alpha", "a class is not closed"),
            ("orders-[z-a]", "the range `z-a` is empty"),
            ("orders\\", "it ends in an escape"),
            ("*orders", "there is nothing that `*` could repeat"),
            ("^+", "there is nothing that `+` could repeat"),
            ("(a|?)", "there is nothing that `?` could repeat"),
        ] {
            assert_eq!(fault(pattern).as_deref(), Some(expected), "{pattern}");
        }
    }
}
