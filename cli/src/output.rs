//! Results: aligned tables for people, JSON for programs; and questions before something is lost.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, BufRead, Write};

use serde_json::{Value, json};

use crate::error::CliError;
use crate::{Interrupt, Terminals};

/// Where a command writes, and how.
pub(crate) struct Output<'a> {
    pub(crate) json: bool,
    pub(crate) color: bool,
    pub(crate) terminals: Terminals,
    pub(crate) interrupt: &'a Interrupt,
    /// Whether every question is answered already.
    pub(crate) yes: bool,
    pub(crate) input: &'a mut Box<dyn BufRead + Send>,
    pub(crate) sink: &'a mut dyn Write,
    pub(crate) is_reader_gone: fn() -> bool,
    pub(crate) errors: &'a mut dyn Write,
}

impl Output<'_> {
    pub(crate) fn line(&mut self, text: &str) -> Result<(), CliError> {
        let text = if self.terminals.output { for_eyes(text) } else { text.into() };
        Ok(writeln!(self.sink, "{text}")?)
    }

    /// Tells people something that is no result.
    pub(crate) fn note(&mut self, text: &str) {
        let text = if self.terminals.errors { for_eyes(text) } else { text.into() };
        // Whoever closed the stream does not want to know.
        let _ = writeln!(self.errors, "{text}");
    }

    pub(crate) fn json(&mut self, value: &Value) -> Result<(), CliError> {
        Ok(writeln!(self.sink, "{value:#}")?)
    }

    pub(crate) fn table(&mut self, table: &Table) -> Result<(), CliError> {
        Ok(self.sink.write_all(table.render(self.color, self.terminals.output).as_bytes())?)
    }

    /// Tells that something was done: a sentence, or an object a line.
    pub(crate) fn done(&mut self, what: &str, name: &str, sentence: &str) -> Result<(), CliError> {
        if self.json {
            return Ok(writeln!(self.sink, "{}", json!({ "result": what, "name": name }))?);
        }
        self.line(sentence)
    }

    /// Goes on only if the answer is yes. The end of the input is a no.
    pub(crate) fn confirm(&mut self, question: &str) -> Result<(), CliError> {
        if self.yes {
            return Ok(());
        }
        let question = if self.terminals.errors { for_eyes(question) } else { question.into() };
        let _ = write!(self.errors, "{question} [y/N] ").and_then(|()| self.errors.flush());
        let mut answer = String::new();
        self.input.read_line(&mut answer).map_err(CliError::Input)?;
        if ["y", "yes"].contains(&answer.trim().to_lowercase().as_str()) {
            return Ok(());
        }
        let _ = writeln!(self.errors);
        Err(CliError::failed("not confirmed: nothing was changed")
            .with_help("answer `y`, or pass `--yes` in a script"))
    }
}

/// A stream whose end may be gone: who does not read what is told must not change what is done, nor how it ends.
pub(crate) struct Heedless<'a>(pub(crate) &'a mut dyn Write);

impl Write for Heedless<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = self.0.write_all(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let _ = self.0.flush();
        Ok(())
    }
}

/// Text for a terminal: what is of others, such as a group's name, must not move its cursor nor turn its text round. Lines
/// stay lines.
pub(crate) fn for_eyes(text: &str) -> Cow<'_, str> {
    let harms = |character: char| {
        let turns = matches!(character, '\u{61c}' | '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        (character.is_control() && character != '\n') || turns
    };
    if !text.contains(harms) {
        return text.into();
    }
    let escaped = text.chars().map(|character| {
        if harms(character) { character.escape_default().to_string() } else { character.to_string() }
    });
    escaped.collect::<String>().into()
}

/// Columns that are as wide as their widest cell.
pub(crate) struct Table {
    header: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(header: &[&str]) -> Self {
        Self { header: header.iter().map(|&name| name.to_owned()).collect(), rows: Vec::new() }
    }

    pub(crate) fn row(&mut self, cells: impl Into<Vec<String>>) {
        self.rows.push(cells.into());
    }

    /// As text, for a terminal or as it is.
    fn render(&self, color: bool, is_shown: bool) -> String {
        let cell = |cell: &String| if is_shown { for_eyes(cell).replace('\n', "\\n") } else { cell.clone() };
        let lines: Vec<Vec<String>> = std::iter::once(&self.header)
            .chain(&self.rows)
            .map(|line| line.iter().map(cell).collect())
            .collect();
        let width = |column: usize| {
            lines.iter().filter_map(|line| line.get(column)).map(|cell| cell.chars().count()).max()
        };
        let widths: Vec<usize> = (0..self.header.len()).map(|column| width(column).unwrap_or(0)).collect();
        let mut text = String::new();
        for (index, line) in lines.iter().enumerate() {
            let mut row = String::new();
            for (cell, width) in line.iter().zip(&widths) {
                // Writing to a string cannot fail.
                let _ = write!(row, "{cell:<width$}  ");
            }
            let row = row.trim_end();
            let _ = if color && index == 0 {
                writeln!(text, "\x1b[1m{row}\x1b[0m")
            } else {
                writeln!(text, "{row}")
            };
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::{Table, for_eyes};

    #[test]
    fn columns_are_aligned_and_only_eyes_get_colours() {
        let mut table = Table::new(&["TOPIC", "N"]);
        table.row(["längste".to_owned(), "1".to_owned()]);
        table.row(["a".to_owned(), "20".to_owned()]);
        assert_eq!(table.render(false, false), "TOPIC    N\nlängste  1\na        20\n");
        assert!(table.render(true, true).starts_with("\x1b[1mTOPIC    N\x1b[0m\n"));
    }

    #[test]
    fn what_others_wrote_moves_no_cursor() {
        let mut table = Table::new(&["GROUP", "N"]);
        table.row(["a\x1b[2J\nb\u{202e}".to_owned(), "1".to_owned()]);
        assert_eq!(table.render(false, true), "GROUP                  N\na\\u{1b}[2J\\nb\\u{202e}  1\n");
        assert!(table.render(false, false).contains("a\x1b[2J\nb"), "a file gets it as it is");
        assert_eq!(for_eyes("one\ntwo"), "one\ntwo");
    }
}
