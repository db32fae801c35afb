//! Sprint reports.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Key, Rows};
use crate::job::reading::Moment;

/// A number that is neither infinite nor undefined, so that it equals itself.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize)]
pub struct Estimate(f64);

impl Eq for Estimate {}

impl Estimate {
    /// The number, where it is one.
    pub fn new(number: f64) -> Option<Self> {
        number.is_finite().then_some(Self(number))
    }

    /// The number.
    pub const fn get(self) -> f64 {
        self.0
    }
}

/// What a report says of a sprint that is not stored yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NewSprint {
    /// As Jira calls it.
    pub name: String,
    /// In lower case: `future`, `active`, `closed`.
    pub state: String,
    /// What it is for.
    pub goal: Option<String>,
    /// When it began.
    pub start_date: Option<Moment>,
    /// When it was to end.
    pub end_date: Option<Moment>,
    /// When it was completed.
    pub complete_date: Option<Moment>,
}

/// The report's columns of a row of `sprints`, and the rows of `work_items_sprints` that go with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The board that it is a report of: nothing is written where the sprint is known to be another one's.
    pub board_id: Option<i64>,
    /// The sprint itself, where there is enough of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sprint: Option<NewSprint>,
    /// Sum of the estimates of completed issues.
    pub completed_estimate: Option<Estimate>,
    /// Of issues that were not completed.
    pub not_completed_estimate: Option<Estimate>,
    /// Of issues that were taken out.
    pub punted_estimate: Option<Estimate>,
    /// Of all issues.
    pub total_estimate: Option<Estimate>,
    /// How many issues were added after the start.
    pub scope_change_count: i32,
    /// The issues, by key.
    #[serde(skip)]
    pub issues: BTreeMap<String, Reported>,
}

impl Report {
    /// Completed of total, in percent.
    pub fn completion_percentage(&self) -> Option<Estimate> {
        let (completed, total) = (self.completed_estimate?.get(), self.total_estimate?.get());
        Estimate::new(completed / total * 100.0)
    }

    /// How many issues were not completed.
    pub fn carry_over_count(&self) -> i32 {
        let left = self.issues.values().filter(|issue| issue.sprint_outcome == Outcome::NotCompleted).count();
        i32::try_from(left).unwrap_or(i32::MAX)
    }
}

/// What became of an issue in a sprint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Done.
    Completed,
    /// Still open at the end.
    NotCompleted,
    /// Taken out before the end.
    Punted,
}

impl Outcome {
    /// As it is stored.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::NotCompleted => "not_completed",
            Self::Punted => "punted",
        }
    }
}

/// The report's columns of a row of `work_items_sprints`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reported {
    /// What became of the issue.
    pub sprint_outcome: Outcome,
    /// Whether it was added after the start.
    pub added_during_sprint: bool,
    /// Its estimate at the end.
    pub estimate_at_end: Option<Estimate>,
}

impl Reported {
    /// Whether it was there from the start to the end.
    pub fn is_committed(&self) -> bool {
        !self.added_during_sprint && self.sprint_outcome != Outcome::Punted
    }
}

/// Sprint reports.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReportRows {
    /// By sprint.
    pub reports: BTreeMap<Key, Report>,
}

impl Rows for ReportRows {
    /// The first report of a sprint decides about its board, so a second one has to see what became of the first.
    fn clashes_with(&self, later: &Self) -> bool {
        later.reports.iter().any(|(sprint, report)| self.reports.get(sprint).is_some_and(|earlier| earlier != report))
    }

    fn merge(&mut self, later: Self) {
        self.reports.extend(later.reports);
    }

    fn count(&self) -> usize {
        self.reports.values().map(|report| 1 + report.issues.len()).sum()
    }

    fn lines(&self, out: &mut Vec<String>) {
        #[derive(Serialize)]
        struct Of<'a> {
            #[serde(flatten)]
            sprint: &'a Key,
            issue_key: &'a str,
        }
        super::keyed("sprints", &self.reports, out);
        for (sprint, report) in &self.reports {
            let issues = report.issues.iter();
            out.extend(
                issues.filter_map(|(key, row)| super::line("work_items_sprints", &Of { sprint, issue_key: key }, row)),
            );
        }
    }
}
