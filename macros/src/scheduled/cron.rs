//! The check of a cron expression: six fields, as in Spring: second, minute, hour, day, month, weekday.

use std::ops::RangeInclusive;

use crate::util::quoted_list;

const MONTHS: &[&str] = &["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const WEEKDAYS: &[&str] = &["MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN"];
const SHORTCUTS: &[&str] = &["@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"];

struct Field {
    name: &'static str,
    range: RangeInclusive<u32>,
    names: &'static [&'static str],
    /// Whether `?` and the letters `L`, `W` and `#` mean something here.
    is_day: bool,
}

const FIELDS: [Field; 6] = [
    Field { name: "second", range: 0..=59, names: &[], is_day: false },
    Field { name: "minute", range: 0..=59, names: &[], is_day: false },
    Field { name: "hour", range: 0..=23, names: &[], is_day: false },
    Field { name: "day of the month", range: 1..=31, names: &[], is_day: true },
    Field { name: "month", range: 1..=12, names: MONTHS, is_day: false },
    Field { name: "weekday", range: 0..=7, names: WEEKDAYS, is_day: true },
];

/// Says what is wrong, with its column from 1.
pub(crate) fn check(expression: &str) -> Result<(), String> {
    if expression.starts_with('@') {
        if SHORTCUTS.contains(&expression) {
            return Ok(());
        }
        return Err(format!(
            "`{expression}` is no shortcut; they are {}",
            quoted_list(SHORTCUTS.iter().copied())
        ));
    }
    let fields = split(expression);
    if fields.len() == 5 {
        return Err(format!(
            "`cron` has 6 fields and starts with the seconds, this one has 5; write `0 {expression}` to run at second 0"
        ));
    }
    if fields.len() != FIELDS.len() {
        return Err(format!(
            "`cron` has 6 fields (second, minute, hour, day of the month, month, weekday), this one has {}",
            fields.len()
        ));
    }
    for ((column, text), field) in fields.into_iter().zip(&FIELDS) {
        check_field(field, column, text)?;
    }
    Ok(())
}

/// The fields, each with its column from 1.
fn split(expression: &str) -> Vec<(usize, &str)> {
    let start = expression.as_ptr() as usize;
    expression.split_whitespace().map(|text| (text.as_ptr() as usize - start + 1, text)).collect()
}

fn check_field(field: &Field, column: usize, text: &str) -> Result<(), String> {
    let mut at = column;
    for item in text.split(',') {
        check_item(field, at, item)?;
        at += item.len() + 1;
    }
    Ok(())
}

fn check_item(field: &Field, column: usize, item: &str) -> Result<(), String> {
    let fault = |at: usize, what: &str| Err(format!("`cron` is wrong at column {at}: {what}"));
    let (base, step) = item.split_once('/').map_or((item, None), |(base, step)| (base, Some(step)));
    if let Some(step) = step
        && !step.parse::<u32>().is_ok_and(|step| step > 0)
    {
        return fault(
            column + base.len() + 1,
            &format!("`{step}` is not a step; write a whole number above zero"),
        );
    }
    if base == "*" || (base == "?" && field.is_day) || (field.is_day && is_special_day(base)) {
        return Ok(());
    }
    if base.is_empty() {
        return fault(column, &format!("the {} is missing", field.name));
    }
    let (first, last) = base.split_once('-').map_or((base, None), |(first, last)| (first, Some(last)));
    let low = value(field, first).or_else(|what| fault(column, &what).map(|()| 0))?;
    let Some(last) = last else { return Ok(()) };
    let at = column + first.len() + 1;
    let high = value(field, last).or_else(|what| fault(at, &what).map(|()| 0))?;
    // A range of weekdays may end on Sunday, whichever number it has.
    if high < low && !(field.is_day && high == 0) {
        return fault(column, &format!("the range `{base}` runs backwards"));
    }
    Ok(())
}

fn value(field: &Field, text: &str) -> Result<u32, String> {
    let is_named = |name: &&&str| name.eq_ignore_ascii_case(text);
    if let Some(name) = field.names.iter().find(is_named) {
        let index = field.names.iter().position(|other| other == name).unwrap_or_default();
        return Ok(u32::try_from(index).unwrap_or_default() + 1);
    }
    if let Ok(number) = text.parse::<u32>()
        && field.range.contains(&number)
    {
        return Ok(number);
    }
    let (low, high) = (field.range.start(), field.range.end());
    let names = match (field.names.first(), field.names.last()) {
        (Some(first), Some(last)) => format!(", or `{first}` to `{last}`"),
        _ => String::new(),
    };
    Err(format!(
        "`{text}` is no {}; it takes {low} to {high}{names}, `*`, ranges, lists and steps",
        field.name
    ))
}

/// `L`, `L-3`, `LW`, `15W`, `5L`, `FRI#2`.
fn is_special_day(text: &str) -> bool {
    let is_letter = |character: char| matches!(character, 'L' | 'W' | '#');
    let rest = text.replace(is_letter, " ");
    let is_part = |part: &str| {
        let number = part.trim_start_matches('-');
        number.chars().all(|digit| digit.is_ascii_digit())
            || WEEKDAYS.iter().any(|day| day.eq_ignore_ascii_case(part))
    };
    text.contains(is_letter) && rest.split_whitespace().all(is_part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn springs_expressions_are_accepted() {
        for expression in [
            "0 0 * * * *",
            "*/10 * * * * *",
            "0 0 8-10 * * *",
            "0 0 6,19 * * *",
            "0 0/30 8-10 * * *",
            "0 0 9-17 * * MON-FRI",
            "0 0 0 25 DEC ?",
            "0 0 0 L * *",
            "0 0 0 L-3 * *",
            "0 0 0 1W * *",
            "0 0 0 LW * *",
            "0 0 0 * * 5L",
            "0 0 0 * * THUL",
            "0 0 0 ? * 5#2",
            "0 0 0 ? * MON#1",
            "0 0 0 * * FRI-0",
            "@hourly",
        ] {
            assert_eq!(check(expression), Ok(()), "{expression}");
        }
    }

    #[test]
    fn mistakes_are_named_with_their_column() {
        for (expression, part) in [
            ("* * * * *", "write `0 * * * * *`"),
            ("* * *", "this one has 3"),
            ("61 * * * * *", "column 1: `61` is no second"),
            ("0 0 25 * * *", "column 5: `25` is no hour"),
            ("0 0 8,x * * *", "column 7: `x` is no hour"),
            ("0 */0 * * * *", "column 5: `0` is not a step"),
            ("0 0 0 0 * *", "column 7: `0` is no day of the month"),
            ("0 0 0 * FOO *", "column 9: `FOO` is no month"),
            ("0 0 0 * * MOON", "column 11: `MOON` is no weekday"),
            ("0 0 10-8 * * *", "column 5: the range `10-8` runs backwards"),
            ("5-0 0 0 * * *", "column 1: the range `5-0` runs backwards"),
            ("? 0 0 * * *", "column 1: `?` is no second"),
            ("0 0, 0 * * *", "column 5: the minute is missing"),
            ("@often", "`@often` is no shortcut"),
        ] {
            let message = check(expression).expect_err(expression);
            assert!(message.contains(part), "{expression}: {message}");
        }
    }
}
