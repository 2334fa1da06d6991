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

/// The edit distance, in which two neighbours that changed places are one edit.
fn edit_distance(left: &[char], right: &[char]) -> usize {
    let mut rows: Vec<Vec<usize>> = vec![(0..=right.len()).collect()];
    for row in 1..=left.len() {
        let mut current = vec![row];
        for column in 1..=right.len() {
            let (a, b) = (left[row - 1], right[column - 1]);
            let replaced = rows[row - 1][column - 1] + usize::from(a != b);
            let mut best = replaced.min(rows[row - 1][column] + 1).min(current[column - 1] + 1);
            if row > 1 && column > 1 && a == right[column - 2] && left[row - 2] == b {
                best = best.min(rows[row - 2][column - 2] + 1);
            }
            current.push(best);
        }
        rows.push(current);
    }
    rows[left.len()][right.len()]
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
            ("di", Some("id")),
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
