//! `github_prs_commits_reviews_comments`: not built yet.

use crate::job::{
    Context,
    batching::{Table, Tables},
    registry::{DataType, PayloadShape, Transformed},
};

/// The registry's entry.
pub static DATA_TYPE: DataType = DataType {
    name: "github_prs_commits_reviews_comments",
    aliases: &["github_prs", "github_prs_nested"],
    seeks: Tables::of(&[Table::Repositories]),
    needs: Tables::NONE,
    stores: Tables::of(&[Table::PullRequests]),
    transform,
};

fn transform(_: &str, _: &Context<'_>) -> Result<Transformed, PayloadShape> {
    Err(PayloadShape("github_prs_commits_reviews_comments cannot be transformed yet".to_owned()))
}
