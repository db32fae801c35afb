//! `jira_projects_and_issue_types`: not built yet.

use crate::job::{
    Context,
    batching::{Table, Tables},
    registry::{DataType, PayloadShape, Transformed},
};

/// The registry's entry.
pub static DATA_TYPE: DataType = DataType {
    name: "jira_projects_and_issue_types",
    aliases: &["jira_project_search"],
    seeks: Tables::NONE,
    needs: Tables::NONE,
    stores: Tables::of(&[Table::Projects, Table::Wits]),
    transform,
};

fn transform(_: &str, _: &Context<'_>) -> Result<Transformed, PayloadShape> {
    Err(PayloadShape("jira_projects_and_issue_types cannot be transformed yet".to_owned()))
}
