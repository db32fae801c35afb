//! `jira_statuses_and_relationships`: not built yet.

use crate::job::{
    Context,
    batching::{Table, Tables},
    registry::{DataType, PayloadShape, Transformed},
};

/// The registry's entry.
pub static DATA_TYPE: DataType = DataType {
    name: "jira_statuses_and_relationships",
    aliases: &["jira_statuses_and_project_relationships", "jira_project_statuses"],
    seeks: Tables::of(&[Table::Projects]),
    needs: Tables::NONE,
    stores: Tables::of(&[Table::Statuses]),
    transform,
};

fn transform(_: &str, _: &Context<'_>) -> Result<Transformed, PayloadShape> {
    Err(PayloadShape("jira_statuses_and_relationships cannot be transformed yet".to_owned()))
}
