//! Results: aligned tables for people, JSON for programs; and questions before something is lost.

use std::fmt::Write as _;
use std::io::{BufRead, Write};

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
        Ok(writeln!(self.sink, "{text}")?)
    }

    pub(crate) fn json(&mut self, value: &Value) -> Result<(), CliError> {
        Ok(writeln!(self.sink, "{value:#}")?)
    }

    pub(crate) fn table(&mut self, table: &Table) -> Result<(), CliError> {
        Ok(self.sink.write_all(table.render(self.color).as_bytes())?)
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
        write!(self.errors, "{question} [y/N] ")?;
        self.errors.flush()?;
        let mut answer = String::new();
        self.input.read_line(&mut answer)?;
        if ["y", "yes"].contains(&answer.trim().to_lowercase().as_str()) {
            return Ok(());
        }
        writeln!(self.errors)?;
        Err(CliError::failed("not confirmed: nothing was changed")
            .with_help("answer `y`, or pass `--yes` in a script"))
    }
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

    fn render(&self, color: bool) -> String {
        let lines: Vec<&Vec<String>> = std::iter::once(&self.header).chain(&self.rows).collect();
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
    use super::Table;

    #[test]
    fn columns_are_aligned_and_only_eyes_get_colours() {
        let mut table = Table::new(&["TOPIC", "N"]);
        table.row(["längste".to_owned(), "1".to_owned()]);
        table.row(["a".to_owned(), "20".to_owned()]);
        assert_eq!(table.render(false), "TOPIC    N\nlängste  1\na        20\n");
        assert!(table.render(true).starts_with("\x1b[1mTOPIC    N\x1b[0m\n"));
    }
}
