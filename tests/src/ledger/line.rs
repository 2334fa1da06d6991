//! The text of one line: fields between tabs, in which tabs, line feeds and backslashes are escaped.

use std::borrow::Cow;
use std::fmt::{Display, Write};
use std::str::{FromStr, Split};

/// Stands for "no value" in an optional field. A value that is this text is written with an escape in front.
const NONE: &str = "-";

/// Builds one line.
pub(super) struct LineWriter(String);

/// Takes one line apart, from left to right. Every method answers `None` for a field that is missing or malformed.
pub(super) struct LineReader<'a>(Split<'a, char>);

impl LineWriter {
    pub(super) fn new() -> Self {
        Self(String::with_capacity(160))
    }

    pub(super) fn number(&mut self, value: impl Display) -> &mut Self {
        // Writing into a `String` cannot fail.
        let _ = write!(self.0, "{value}\t");
        self
    }

    pub(super) fn text(&mut self, value: &str) -> &mut Self {
        if value.contains(['\t', '\n', '\\']) {
            for character in value.chars() {
                match character {
                    '\t' => self.0.push_str("\\t"),
                    '\n' => self.0.push_str("\\n"),
                    '\\' => self.0.push_str("\\\\"),
                    other => self.0.push(other),
                }
            }
        } else {
            self.0.push_str(value);
        }
        self.0.push('\t');
        self
    }

    pub(super) fn optional_text(&mut self, value: Option<&str>) -> &mut Self {
        match value {
            None => self.0.push_str(NONE),
            Some(NONE) => self.0.push_str("\\-"),
            Some(value) => return self.text(value),
        }
        self.0.push('\t');
        self
    }

    /// The line with its end; the last tab becomes the line feed.
    pub(super) fn finish(mut self) -> String {
        self.0.pop();
        self.0.push('\n');
        self.0
    }
}

impl<'a> LineReader<'a> {
    pub(super) fn new(line: &'a str) -> Self {
        Self(line.split('\t'))
    }

    pub(super) fn number<T: FromStr>(&mut self) -> Option<T> {
        self.0.next()?.parse().ok()
    }

    pub(super) fn text(&mut self) -> Option<String> {
        unescape(self.0.next()?).map(Cow::into_owned)
    }

    #[expect(clippy::option_option, reason = "the outer one says malformed, the inner one says no value")]
    pub(super) fn optional_text(&mut self) -> Option<Option<String>> {
        match self.0.next()? {
            NONE => Some(None),
            text => Some(Some(unescape(text)?.into_owned())),
        }
    }

    /// Whether every field has been taken.
    pub(super) fn is_finished(&mut self) -> bool {
        self.0.next().is_none()
    }
}

fn unescape(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('\\') {
        return Some(Cow::Borrowed(text));
    }
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character != '\\' {
            plain.push(character);
            continue;
        }
        plain.push(match characters.next()? {
            't' => '\t',
            'n' => '\n',
            '-' => '-',
            '\\' => '\\',
            _ => return None,
        });
    }
    Some(Cow::Owned(plain))
}
