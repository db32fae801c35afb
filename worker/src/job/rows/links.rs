//! Pull requests of issues, as Jira knows them.

use super::Rows;

/// Pull requests of issues, as Jira knows them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LinkRows {}

impl Rows for LinkRows {
    fn merge(&mut self, _later: Self) {}

    fn count(&self) -> usize {
        0
    }

    fn lines(&self, _out: &mut Vec<String>) {}
}
