//! The two columns side by side, and what is wrong with them.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use serde::Deserialize;

/// What one case did on one broker.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Case {
    /// Its name, the same on every broker.
    #[serde(rename = "case")]
    pub(crate) name: String,
    /// What the clients said, without what differs from run to run.
    pub(crate) output: String,
    /// What should have held and did not.
    pub(crate) failure: Option<String>,
    /// How long it took, in milliseconds; only to be shown.
    pub(crate) millis: u64,
}

/// All cases on one broker.
#[derive(Debug)]
pub(crate) struct Column {
    cases: BTreeMap<String, Case>,
}

impl Column {
    pub(crate) fn new(cases: Vec<Case>) -> Self {
        Self { cases: cases.into_iter().map(|case| (case.name.clone(), case)).collect() }
    }
}

/// Both columns.
#[derive(Debug)]
pub(crate) struct Table {
    real: Column,
    embedded: Column,
}

impl Table {
    pub(crate) fn new(real: Column, embedded: Column) -> Self {
        Self { real, embedded }
    }

    /// Leaves each broker's transcript in `directory`, for a human and `diff`.
    pub(crate) fn write(&self, directory: &Path) -> std::io::Result<()> {
        for (name, column) in [("real-kafka.txt", &self.real), ("embedded.txt", &self.embedded)] {
            let text: Vec<String> = column.cases.values().map(transcript).collect();
            std::fs::write(directory.join(name), text.join("\n"))?;
        }
        Ok(())
    }

    /// One text a case that is not as it has to be, with both outputs.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let mut complaints: Vec<String> = self.rows().into_iter().filter_map(|row| row.complaint()).collect();
        if self.real.cases.is_empty() {
            complaints.push("no case has run: does `CONFORMANCE_CASES` name one?".to_owned());
        }
        complaints
    }

    fn rows(&self) -> Vec<Row<'_>> {
        let mut names: Vec<&String> = self.real.cases.keys().chain(self.embedded.cases.keys()).collect();
        names.sort();
        names.dedup();
        let row = |name: &'_ String| Row {
            real: self.real.cases.get(name),
            embedded: self.embedded.cases.get(name),
        };
        names.into_iter().map(row).collect()
    }
}

/// One case on both brokers. On a broker that has ended early, a case may be missing.
struct Row<'a> {
    real: Option<&'a Case>,
    embedded: Option<&'a Case>,
}

impl Row<'_> {
    fn name(&self) -> &str {
        self.real.or(self.embedded).map_or("", |case| &case.name)
    }

    fn same(&self) -> bool {
        match (self.real, self.embedded) {
            (Some(real), Some(embedded)) => {
                real.output == embedded.output && real.failure.is_none() && embedded.failure.is_none()
            }
            _ => false,
        }
    }

    fn complaint(&self) -> Option<String> {
        if self.same() {
            return None;
        }
        let name = self.name();
        let real = self.real.map_or_else(|| "did not run\n".to_owned(), transcript);
        let embedded = self.embedded.map_or_else(|| "did not run\n".to_owned(), transcript);
        let first = first_difference(&real, &embedded);
        Some(format!("==== {name}\n{first}---- real Kafka\n{real}---- embedded broker\n{embedded}"))
    }
}

impl fmt::Display for Table {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = self.rows();
        let width = rows.iter().map(|row| row.name().chars().count()).max().unwrap_or_default();
        writeln!(formatter, "{:width$} | {:20} | {:20} | same?", "case", "real Kafka", "embedded")?;
        for row in &rows {
            let same = if row.same() { "yes" } else { "NO" };
            let (real, embedded) = (cell(row.real), cell(row.embedded));
            writeln!(formatter, "{:width$} | {real:20} | {embedded:20} | {same}", row.name())?;
        }
        let same = rows.iter().filter(|row| row.same()).count();
        writeln!(formatter, "{same} of {} cases are the same", rows.len())
    }
}

fn cell(case: Option<&Case>) -> String {
    case.map_or_else(
        || "did not run".to_owned(),
        |case| {
            let verdict = if case.failure.is_some() { "FAILED" } else { "holds" };
            format!("{verdict}, {} lines, {} ms", case.output.lines().count(), case.millis)
        },
    )
}

fn transcript(case: &Case) -> String {
    let failure = case.failure.as_ref().map(|failure| format!("FAILED: {failure}\n")).unwrap_or_default();
    format!("# {}\n{}{failure}", case.name, case.output)
}

/// Where a reader should look first.
fn first_difference(real: &str, embedded: &str) -> String {
    let mut lines = real.lines().zip(embedded.lines());
    lines.find(|(one, other)| one != other).map_or_else(String::new, |(one, other)| {
        format!("first difference:\n  real Kafka: {one}\n  embedded:   {other}\n")
    })
}

#[test]
fn a_difference_and_two_equal_failures_are_complained_about() {
    let case = |output: &str, failure: Option<&str>| Case {
        name: "a case".to_owned(),
        output: output.to_owned(),
        failure: failure.map(str::to_owned),
        millis: 1,
    };
    let table = |real, embedded| Table::new(Column::new(vec![real]), Column::new(vec![embedded]));
    assert_eq!(table(case("same", None), case("same", None)).complaints(), Vec::<String>::new());

    let different = table(case("one\n", None), case("other\n", None)).complaints();
    assert!(different[0].contains("real Kafka: one\n"), "{different:?}");
    assert!(different[0].contains("other\n"), "{different:?}");
    let both_fail = table(case("same", Some("broken")), case("same", Some("broken"))).complaints();
    assert_eq!(both_fail.len(), 1, "{both_fail:?}");
    let missing = Table::new(Column::new(vec![case("same", None)]), Column::new(Vec::new())).complaints();
    assert!(missing[0].contains("did not run"), "{missing:?}");
    assert_eq!(Table::new(Column::new(Vec::new()), Column::new(Vec::new())).complaints().len(), 1);
}
