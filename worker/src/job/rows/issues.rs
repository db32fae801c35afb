//! Issues, their status changes, their sprints.

use super::Rows;

/// Issues, their status changes, their sprints.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IssueRows {}

impl Rows for IssueRows {
    fn merge(&mut self, _later: Self) {}

    fn count(&self) -> usize {
        0
    }

    fn lines(&self, _out: &mut Vec<String>) {}
}
