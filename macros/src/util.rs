//! Words for messages: near misses and lists of choices.

/// `` `a`, `b`, `c` ``: a list of choices for a message.
pub(crate) fn quoted_list<'a>(choices: impl IntoIterator<Item = &'a str>) -> String {
    choices.into_iter().map(|choice| format!("`{choice}`")).collect::<Vec<_>>().join(", ")
}

/// The choice that was probably meant: nearest in edits, ignoring case, `_` and `-`; `None` when none is near.
pub(crate) fn did_you_mean<'a>(found: &str, choices: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let found = normalized(found);
    choices
        .into_iter()
        .map(|choice| (edit_distance(&found, &normalized(choice)), choice))
        .filter(|(distance, choice)| *distance <= 1.max(choice.len() / 3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, choice)| choice)
}

fn normalized(word: &str) -> Vec<char> {
    word.chars().filter(|character| !matches!(character, '_' | '-')).flat_map(char::to_lowercase).collect()
}

/// The Levenshtein distance.
fn edit_distance(left: &[char], right: &[char]) -> usize {
    let mut previous: Vec<usize> = (0..=right.len()).collect();
    for (row, a) in left.iter().enumerate() {
        let mut current = vec![row + 1];
        for (column, b) in right.iter().enumerate() {
            let replaced = previous[column] + usize::from(a != b);
            current.push(replaced.min(previous[column + 1] + 1).min(current[column] + 1));
        }
        previous = current;
    }
    previous[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_misses_are_found_and_far_ones_are_not() {
        let choices = ["topic", "topics", "ack_mode", "auto_startup", "id"];
        for (found, expected) in [
            ("topik", Some("topic")),
            ("topcis", Some("topics")),
            ("ackMode", Some("ack_mode")),
            ("autoStartup", Some("auto_startup")),
            ("ids", Some("id")),
            ("retries", None),
            ("", None),
        ] {
            assert_eq!(did_you_mean(found, choices), expected, "{found}");
        }
    }
}
