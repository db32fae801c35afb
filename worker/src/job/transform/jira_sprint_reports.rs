//! `jira_sprint_reports`: not built yet.

use crate::job::{
    Context,
    batching::{Table, Tables},
    registry::{DataType, PayloadShape, Transformed},
};

/// The registry's entry.
pub static DATA_TYPE: DataType = DataType {
    name: "jira_sprint_reports",
    aliases: &[],
    seeks: Tables::of(&[Table::WorkItems, Table::Sprints]),
    needs: Tables::NONE,
    stores: Tables::of(&[Table::Sprints]),
    transform,
};

fn transform(_: &str, _: &Context<'_>) -> Result<Transformed, PayloadShape> {
    Err(PayloadShape("jira_sprint_reports cannot be transformed yet".to_owned()))
}
