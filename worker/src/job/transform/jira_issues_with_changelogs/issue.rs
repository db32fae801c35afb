//! One issue: its columns, and where to look for the rest.

use std::borrow::Cow;

use serde::Deserialize;

use super::{
    adf, custom_values,
    facts::Facts,
    fields::{Fields, Named},
    history::{self, Changelog},
    sprints,
};
use crate::job::{
    Context,
    reading::{Element, Scalar},
    references::Target,
    registry::Transformed,
    rows::{Given, Key, WorkItem},
};

#[derive(Deserialize)]
pub(super) struct IssueMeta<'a> {
    #[serde(borrow, default)]
    id: Scalar<'a>,
    #[serde(borrow, default)]
    key: Scalar<'a>,
    #[serde(borrow, default)]
    fields: Fields<'a>,
    #[serde(borrow, default)]
    changelog: Element<Changelog<'a>>,
}

/// What an issue says, with its external id; `None` where it cannot be used.
pub(super) fn read(
    issue: Option<IssueMeta<'_>>,
    context: &Context<'_>,
    into: &mut Transformed,
) -> Option<(String, Facts)> {
    let Some(issue) = issue else {
        into.warnings.add("unusable_issue", None);
        return None;
    };
    let id = issue.id.id();
    let (Some(id), Some(key)) = (&id, issue.key.filled_text()) else {
        into.warnings.add("unusable_issue", id.as_deref());
        return None;
    };
    let mut item = columns(&issue.fields, id, into);
    item.key = key.into_owned();
    custom_values::fill(&mut item, &issue.fields, context.mapping, id, into);
    for (target, external_id, warning) in [
        (Target::Project, &item.project, "unresolved_project"),
        (Target::Wit, &item.wit, "unresolved_type"),
        (Target::Status, &item.status, "unresolved_status"),
    ] {
        if let Some(Some(external_id)) = external_id {
            into.references.add(target, Key { scope: context.scope, external_id: external_id.clone() }, warning);
        }
    }
    let field = context.mapping.and_then(|mapping| mapping.sprints.as_deref());
    let sprints = field.map(|field| sprints::read(&issue.fields.get(field), id, context.scope, into));
    let history = history::read(issue.changelog.read(), context, id, into);
    Some((id.to_string(), Facts { item, sprints: sprints.unwrap_or_default(), history }))
}

fn columns(fields: &Fields<'_>, id: &str, into: &mut Transformed) -> WorkItem {
    let id_of = |name: &str| fields.key_of(name, |object| object.id.id());
    let name_of = |name: &str| fields.key_of(name, |object| object.name.text());
    WorkItem {
        project: id_of("project"),
        wit: id_of("issuetype"),
        status: id_of("status"),
        summary: fields.text("summary"),
        description: description(&fields.get("description")),
        resolution: name_of("resolution"),
        assignee: fields.key_of("assignee", |object| object.display_name.text()),
        labels: labels(&fields.get("labels")),
        priority: name_of("priority"),
        parent_external_id: id_of("parent"),
        created: fields.get("created").date(&mut into.warnings, Some(id)).flatten(),
        updated: fields.get("updated").date(&mut into.warnings, Some(id)),
        ..WorkItem::default()
    }
}

/// A document in Atlassian's format, or a string, which is left as it is.
fn description(field: &Scalar<'_>) -> Given<String> {
    if field.is_null() {
        return Some(None);
    }
    if let Some(text) = field.text() {
        return Some(Some(text.into_owned()).filter(|text| !text.is_empty()));
    }
    let is_document = Named::of(field).is_some_and(|object| object.is_document());
    field.json().filter(|_| is_document).map(adf::text)
}

fn labels(field: &Scalar<'_>) -> Given<String> {
    if field.is_null() {
        return Some(None);
    }
    let json = field.json().filter(|json| json.starts_with('['))?;
    let items: Vec<Scalar<'_>> = serde_json::from_str(json).ok()?;
    let labels: Vec<Cow<'_, str>> = items.iter().filter_map(Scalar::filled_text).collect();
    Some((!labels.is_empty()).then(|| labels.join(",")))
}
