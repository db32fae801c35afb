//! `jira_special_fields`: not built yet.

use crate::job::{
    Context,
    batching::{Table, Tables},
    registry::{DataType, PayloadShape, Transformed},
};

/// The registry's entry.
pub static DATA_TYPE: DataType = DataType {
    name: "jira_special_fields",
    aliases: &[],
    seeks: Tables::NONE,
    needs: Tables::NONE,
    stores: Tables::of(&[Table::Fields]),
    transform,
};

fn transform(_: &str, _: &Context<'_>) -> Result<Transformed, PayloadShape> {
    Err(PayloadShape("jira_special_fields cannot be transformed yet".to_owned()))
}
