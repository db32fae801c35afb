//! `sprints`, `work_items`, `changelogs` and `work_items_sprints`, as issues tell of them.

mod changelogs;
mod memberships;
mod metrics;
mod sprints;
mod work_items;

use super::write::Write;
use crate::job::rows::IssueRows;

pub(super) fn write_sprints(rows: &IssueRows) -> Vec<Write> {
    sprints::write(&rows.sprints)
}

/// The rows of the issues, which stay locked from here on, changed or not: what follows is computed from what is stored, and two
/// workers must not do that for one issue at once.
pub(super) fn write_work_items(rows: &IssueRows) -> Vec<Write> {
    work_items::write(&rows.issues)
}

/// Status changes, and what follows from all that are stored now.
pub(super) fn write_changelogs(rows: &IssueRows) -> Vec<Write> {
    let mut writes = Vec::new();
    writes.extend(changelogs::write(rows));
    writes.extend(changelogs::write_starts(&rows.issues));
    writes.extend(metrics::write(&rows.issues));
    writes
}

pub(super) fn write_memberships(rows: &IssueRows) -> Option<Write> {
    memberships::write(rows)
}
