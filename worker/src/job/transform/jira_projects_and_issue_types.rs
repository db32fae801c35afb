//! `jira_projects_and_issue_types`: what Jira's project search says about projects and their work item types.
//!
//! The projects come as a bare array or as `values` of a page. Where an element comes several times, the first one counts.

use serde::Deserialize;

use super::{
    jira_projects::{self, ProjectMeta},
    opening::{self, refused},
};
use crate::job::{
    Context,
    batching::{Table, Tables},
    reading::{Element, List},
    registry::{DataType, PayloadShape, Transformed},
};

/// The registry's entry.
pub static DATA_TYPE: DataType = DataType {
    name: NAME,
    aliases: &["jira_project_search"],
    seeks: Tables::NONE,
    needs: Tables::NONE,
    stores: Tables::of(&[Table::Projects, Table::Wits]),
    transform,
};

const NAME: &str = "jira_projects_and_issue_types";

#[derive(Deserialize)]
struct Page<'a> {
    #[serde(borrow, default)]
    values: List<Element<ProjectMeta<'a>>>,
}

fn transform(document: &str, context: &Context<'_>) -> Result<Transformed, PayloadShape> {
    let projects = if document.trim_start().starts_with('[') {
        opening::root(NAME, document)?.unwrap_or_default()
    } else {
        match opening::object(NAME, document)? {
            None => Vec::new(),
            Some(Page { values: List::Items(projects) }) => projects,
            Some(Page { values: List::Nothing }) if opening::names_a_list(document, &["values"]) => Vec::new(),
            Some(_) => return Err(refused(NAME, "is no list of projects and has none under \"values\"")),
        }
    };
    let mut result = Transformed::default();
    if !jira_projects::add_all(projects, |_, _, _| (), context.scope, &mut result) {
        return Err(refused(NAME, "lists projects, none of them with id, key and name"));
    }
    Ok(result)
}
