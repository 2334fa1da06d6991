//! Medians, and the Markdown tables that show them.

use std::collections::BTreeMap;

use crate::Result;
use crate::measure::Measurement;

/// What the contenders of one suite measured, in the order in which they first ran.
#[derive(Debug, Default)]
pub(crate) struct Results {
    names: Vec<&'static str>,
    measurements: BTreeMap<&'static str, Vec<Measurement>>,
}

impl Results {
    pub(crate) fn add(&mut self, contender: &'static str, measurement: Measurement) {
        if !self.names.contains(&contender) {
            self.names.push(contender);
        }
        self.measurements.entry(contender).or_default().push(measurement);
    }

    pub(crate) fn names(&self) -> &[&'static str] {
        &self.names
    }

    /// The median over a contender's runs of what `read` makes of each; `None` if it did not run.
    pub(crate) fn median(
        &self,
        contender: &str,
        read: impl Fn(&Measurement) -> Result<f64>,
    ) -> Result<Option<f64>> {
        let Some(runs) = self.measurements.get(contender) else { return Ok(None) };
        let values = runs.iter().map(read).collect::<Result<Vec<_>>>()?;
        Ok(median(values))
    }
}

/// The middle value; the mean of the two in the middle if their number is even; `None` if there are none.
pub(crate) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = *values.get(middle)?;
    if values.len() % 2 == 1 {
        return Some(upper);
    }
    Some(values[middle - 1].midpoint(upper))
}

/// One Markdown table under a heading.
pub(crate) struct Table(String);

impl Table {
    pub(crate) fn new(heading: &str, columns: &[&str]) -> Self {
        let rule = " ---: |".repeat(columns.len() - 1);
        Self(format!("### {heading}\n\n| {} |\n| :--- |{rule}\n", columns.join(" | ")))
    }

    pub(crate) fn row(&mut self, cells: &[String]) {
        self.0.extend(["| ", &cells.join(" | "), " |\n"]);
    }

    pub(crate) fn into_markdown(self) -> String {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_whatever_the_order() {
        let cases = [(vec![], None), (vec![3.0], Some(3.0)), (vec![9.0, 1.0, 2.0], Some(2.0))];
        for (values, expected) in cases {
            assert_eq!(median(values.clone()), expected, "{values:?}");
        }
        assert_eq!(median(vec![4.0, 1.0, 2.0, 8.0]), Some(3.0));
    }
}
