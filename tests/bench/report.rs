//! The figures as a table for people and as a file for programs.

use std::{fmt::Write as _, fs, path::Path};

use serde::Serialize;

use crate::outcome::{Doing, Outcome};

/// One figure.
#[derive(Debug, Serialize)]
struct Row {
    what: String,
    /// `null`: could not be measured.
    value: Option<f64>,
    unit: &'static str,
    /// What it has to reach; `null`: said for comparison only.
    reach: Option<f64>,
    /// Whether `reach` is the least that it may be instead of the most.
    at_least: bool,
    ok: bool,
}

/// The figures of one bench.
#[derive(Debug, Default)]
pub(crate) struct Report {
    rows: Vec<Row>,
}

impl Report {
    /// A figure that must not exceed `reach`.
    pub(crate) fn figure(&mut self, what: impl Into<String>, value: f64, unit: &'static str, reach: f64) {
        // The file and the table show three digits; the judgement is made on what was measured.
        let ok = value <= reach;
        let value = Some(rounded(value));
        self.rows.push(Row { what: what.into(), value, unit, reach: Some(reach), at_least: false, ok });
    }

    /// A figure that must not be below `reach`.
    pub(crate) fn at_least(&mut self, what: impl Into<String>, value: f64, unit: &'static str, reach: f64) {
        let ok = value >= reach;
        let value = Some(rounded(value));
        self.rows.push(Row { what: what.into(), value, unit, reach: Some(reach), at_least: true, ok });
    }

    /// A figure that others are compared with.
    pub(crate) fn context(&mut self, what: impl Into<String>, value: f64, unit: &'static str) {
        self.rows.push(Row {
            what: what.into(),
            value: Some(rounded(value)),
            unit,
            reach: None,
            at_least: false,
            ok: true,
        });
    }

    /// What could not be measured was not reached.
    pub(crate) fn missing(&mut self, what: impl Into<String>) {
        self.rows.push(Row { what: what.into(), value: None, unit: "", reach: None, at_least: false, ok: false });
    }

    pub(crate) fn reached(&self) -> bool {
        !self.rows.is_empty() && self.rows.iter().all(|row| row.ok)
    }

    pub(crate) fn write(&self, path: &Path) -> Outcome<()> {
        let text = serde_json::to_string_pretty(&self.rows)?;
        fs::write(path, text + "\n").doing(path.display())
    }

    pub(crate) fn table(&self) -> String {
        let shown: Vec<[String; 5]> = self.rows.iter().map(Row::shown).collect();
        let heading = ["what", "value", "unit", "reach", ""].map(str::to_owned);
        let width =
            |column: usize| shown.iter().chain([&heading]).map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths = [0, 1, 2, 3, 4].map(width);
        let mut table = String::new();
        for [what, value, unit, reach, mark] in [&heading].into_iter().chain(&shown) {
            let line = format!(
                "{what:<0$}  {value:>1$} {unit:<2$}  {reach:>3$}  {mark}",
                widths[0], widths[1], widths[2], widths[3]
            );
            let _ = writeln!(table, "{}", line.trim_end());
        }
        table
    }
}

impl Row {
    fn shown(&self) -> [String; 5] {
        let mark = match (self.ok, self.reach) {
            (false, _) => "NOT REACHED",
            (true, Some(_)) => "ok",
            (true, None) => "",
        };
        [
            self.what.clone(),
            self.value.map_or_else(|| "-".to_owned(), |value| value.to_string()),
            self.unit.to_owned(),
            self.reach.map_or_else(String::new, |reach| format!("{} {reach}", if self.at_least { '≥' } else { '≤' })),
            mark.to_owned(),
        ]
    }
}

fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_or_too_much_is_not_reached() {
        let mut report = Report::default();
        assert!(!report.reached(), "nothing measured");
        report.figure("start", 1.4996, "s", 1.5);
        report.context("a bare loop", 9.0, "s");
        assert!(report.reached());
        let table = report.table();
        assert_eq!(
            table.lines().collect::<Vec<_>>(),
            ["what         value unit  reach", "start          1.5 s     ≤ 1.5  ok", "a bare loop      9 s"]
        );
        report.figure("start", 1.5001, "s", 1.5);
        assert!(!report.reached());
        let mut report = Report::default();
        report.at_least("ratio", 15.0, "×", 15.0);
        assert!(report.reached());
        report.at_least("ratio", 14.99, "×", 15.0);
        assert!(!report.reached() && report.table().contains("≥ 15"));
        let mut report = Report::default();
        report.missing("5,000 workers: this machine allows 4,000 processes");
        assert!(!report.reached());
        assert!(report.table().contains("NOT REACHED"));
    }
}
