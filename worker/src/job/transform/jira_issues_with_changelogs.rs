//! `jira_issues_with_changelogs`: not built yet.

use crate::job::{
    Context,
    batching::{Table, Tables},
    registry::{DataType, PayloadShape, Transformed},
};

/// The registry's entry.
pub static DATA_TYPE: DataType = DataType {
    name: "jira_issues_with_changelogs",
    aliases: &["jira_single_issue_changelog", "jira_issues_changelogs"],
    seeks: Tables::of(&[Table::Projects, Table::Wits, Table::Statuses]),
    needs: Tables::of(&[Table::Fields]),
    stores: Tables::of(&[Table::WorkItems, Table::Sprints]),
    transform,
};

fn transform(_: &str, _: &Context<'_>) -> Result<Transformed, PayloadShape> {
    Err(PayloadShape("jira_issues_with_changelogs cannot be transformed yet".to_owned()))
}
