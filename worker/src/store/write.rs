//! The statements that write a set of rows, in the one order that all workers keep.

use super::{columns::Parameter, custom_fields, github, issues, links, projects, reports, statuses, wits};
use crate::job::{RowSet, transform::SpecialFields};

/// One statement with its parameters.
pub(super) struct Write {
    /// The table, for people.
    pub(super) table: &'static str,
    /// The statement, which is also its name in the cache.
    pub(super) sql: &'static str,
    /// What it is given.
    pub(super) parameters: Vec<Parameter>,
}

impl Write {
    /// Whether it only locks rows, so that what it counts is no change.
    pub(super) fn is_lock(&self) -> bool {
        self.sql.trim_start().starts_with("SELECT")
    }
}

/// Everything that has to be said to store these rows.
pub(super) fn statements(rows: &RowSet, special: &SpecialFields) -> Vec<Write> {
    let mut writes = Vec::new();
    writes.extend(projects::write(&rows.projects));
    writes.extend(wits::write(&rows.wits));
    writes.extend(wits::write_relations(&rows.projects_wits));
    writes.extend(statuses::write(&rows.statuses));
    writes.extend(statuses::write_relations(&rows.projects_statuses));
    writes.extend(custom_fields::write(&rows.custom_fields));
    writes.extend(custom_fields::write_mappings(&rows.custom_fields_mappings, special));
    writes.extend(issues::write_sprints(&rows.issues));
    writes.extend(reports::write_sprints(&rows.reports));
    writes.extend(issues::write_work_items(&rows.issues));
    writes.extend(issues::write_changelogs(&rows.issues));
    writes.extend(issues::write_memberships(&rows.issues));
    writes.extend(reports::write_memberships(&rows.reports));
    writes.extend(links::write(&rows.links));
    writes.extend(github::write(&rows.github));
    writes
}
