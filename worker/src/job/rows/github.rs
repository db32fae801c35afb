//! Repositories and pull requests with their commits, reviews and comments.

use super::Rows;

/// Repositories and pull requests with their commits, reviews and comments.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GithubRows {}

impl Rows for GithubRows {
    fn merge(&mut self, _later: Self) {}

    fn count(&self) -> usize {
        0
    }

    fn lines(&self, _out: &mut Vec<String>) {}
}
