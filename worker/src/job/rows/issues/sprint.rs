//! Sprints.

use serde::Serialize;

use crate::job::{reading::Moment, rows::Given};

/// A row of `sprints`, without what sprint reports say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Sprint {
    /// Its name.
    pub name: String,
    /// `future`, `active` or `closed`.
    pub state: String,
    /// What it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub goal: Given<String>,
    /// When it started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_date: Given<Moment>,
    /// When it is to end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_date: Given<Moment>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub complete_date: Given<Moment>,
    /// Whose board it is on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub board_id: Given<i64>,
}

impl Sprint {
    /// Takes over what this one says nothing of.
    pub fn fill_from(&mut self, earlier: Self) {
        self.goal = self.goal.take().or(earlier.goal);
        self.start_date = self.start_date.or(earlier.start_date);
        self.end_date = self.end_date.or(earlier.end_date);
        self.complete_date = self.complete_date.or(earlier.complete_date);
        self.board_id = self.board_id.or(earlier.board_id);
    }
}
