//! `jira_custom_fields`: what Jira's createmeta says about projects, their work item types and the fields of those.
//!
//! Three shapes are read: `projects` with `issuetypes` whose `fields` is an object by field id; the same lists as `values` and
//! `issueTypes`; and `fields` as an array. Where an element comes several times, the first one that can be used counts.

use serde::Deserialize;

use super::{
    jira_fields::{self, Fields},
    jira_projects::{self, ProjectMeta},
    opening::{self, refused},
};
use crate::job::{
    Context,
    batching::{Table, Tables},
    reading::{Element, List},
    registry::{DataType, PayloadShape, Transformed},
    rows::Scope,
};

/// The registry's entry.
pub static DATA_TYPE: DataType = DataType {
    name: NAME,
    aliases: &[],
    seeks: Tables::NONE,
    needs: Tables::NONE,
    stores: Tables::of(&[Table::Projects, Table::Wits, Table::Fields]),
    transform,
};

const NAME: &str = "jira_custom_fields";

#[derive(Deserialize)]
struct Document<'a> {
    #[serde(borrow, default)]
    projects: List<Element<ProjectMeta<'a>>>,
    #[serde(borrow, default)]
    values: List<Element<ProjectMeta<'a>>>,
}

fn transform(document: &str, context: &Context<'_>) -> Result<Transformed, PayloadShape> {
    let Some(Document { projects, values }) = opening::object(NAME, document)? else {
        return Ok(Transformed::default());
    };
    let projects = match (projects, values) {
        (List::Items(projects), _) | (List::Nothing, List::Items(projects)) => projects,
        (List::Nothing, List::Nothing) if opening::names_a_list(document, &["projects", "values"]) => Vec::new(),
        _ => return Err(refused(NAME, "has no list of projects under \"projects\" or \"values\"")),
    };
    let mut result = Transformed::default();
    if !jira_projects::add_all(projects, add_fields, context.scope, &mut result) {
        return Err(refused(NAME, "lists projects, none of them with id, key and name"));
    }
    Ok(result)
}

fn add_fields(fields: Fields<'_>, scope: Scope, into: &mut Transformed) {
    for (id, field) in fields.0 {
        jira_fields::add(&id, field.read(), "string", scope, into);
    }
}
