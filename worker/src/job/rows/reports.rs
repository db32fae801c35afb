//! Sprint reports.

use super::Rows;

/// Sprint reports.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReportRows {}

impl Rows for ReportRows {
    fn merge(&mut self, _later: Self) {}

    fn count(&self) -> usize {
        0
    }

    fn lines(&self, _out: &mut Vec<String>) {}
}
