//! `jira_dev_status`: not built yet.

use crate::job::{
    Context,
    batching::{Table, Tables},
    registry::{DataType, PayloadShape, Transformed},
};

/// The registry's entry.
pub static DATA_TYPE: DataType = DataType {
    name: "jira_dev_status",
    aliases: &[],
    seeks: Tables::of(&[Table::WorkItems]),
    needs: Tables::NONE,
    stores: Tables::NONE,
    transform,
};

fn transform(_: &str, _: &Context<'_>) -> Result<Transformed, PayloadShape> {
    Err(PayloadShape("jira_dev_status cannot be transformed yet".to_owned()))
}
