//! `jira_issues_with_changelogs`: issues with their fields, their histories and their sprints.
//!
//! A document holds one issue under `issue` or several under `issues`. The same issue twice counts as two messages about it would:
//! the newer one has the say, and what their histories tell is put together.

use std::collections::{BTreeMap, BTreeSet, btree_map::Entry};

use serde::Deserialize;

use self::facts::Facts;
use crate::job::{
    Context,
    batching::{Table, Tables},
    reading::{self, Element, List, Scalar},
    references::Target,
    registry::{DataType, PayloadShape, Transformed},
    rows::Key,
};

mod adf;
mod custom_values;
mod facts;
mod fields;
mod history;
mod issue;
mod memberships;
mod sprints;

/// The registry's entry.
pub static DATA_TYPE: DataType = DataType {
    name: "jira_issues_with_changelogs",
    aliases: &["jira_single_issue_changelog", "jira_issues_changelogs"],
    // Sprints are looked for too; which of them keep two messages apart is known better by their rows.
    seeks: Tables::of(&[Table::Projects, Table::Wits, Table::Statuses]),
    needs: Tables::of(&[Table::Fields]),
    stores: Tables::of(&[Table::WorkItems, Table::Sprints]),
    transform,
};

#[derive(Deserialize)]
struct Document<'a> {
    #[serde(borrow, default)]
    issue: Scalar<'a>,
    #[serde(borrow, default)]
    issues: Scalar<'a>,
}

fn transform(document: &str, context: &Context<'_>) -> Result<Transformed, PayloadShape> {
    let wrong = |what: &str| PayloadShape(format!("the document of jira_issues_with_changelogs {what}"));
    if reading::is_empty(document) {
        return Ok(Transformed::default());
    }
    if reading::is_too_deep(document) {
        return Err(wrong("is nested deeper than 128 levels"));
    }
    let unreadable = |error: serde_json::Error| wrong(&format!("cannot be read (column {})", error.column()));
    let root: Element<Document<'_>> = serde_json::from_str(document).map_err(unreadable)?;
    let Document { issue, issues } = root.read().ok_or_else(|| wrong("is not an object"))?;
    let given: Vec<Element<issue::IssueMeta<'_>>> = match (issues.json(), issue.json()) {
        (None | Some("null"), Some(one)) if one != "null" => vec![serde_json::from_str(one).map_err(unreadable)?],
        (Some(several), _) => match serde_json::from_str(several).map_err(unreadable)? {
            List::Items(issues) => issues,
            List::Nothing => return Ok(Transformed::default()),
            List::Other => return Err(wrong("has something else than a list under \"issues\"")),
        },
        (None, Some(_)) => return Ok(Transformed::default()),
        (None, None) => return Err(wrong("has neither \"issue\" nor \"issues\"")),
    };

    let mut result = Transformed::default();
    let count = given.len();
    let mut issues: BTreeMap<Key, Facts> = BTreeMap::new();
    for issue in given {
        let Some((id, facts)) = issue::read(issue.read(), context, &mut result) else { continue };
        match issues.entry(Key { scope: context.scope, external_id: id }) {
            Entry::Vacant(place) => {
                place.insert(facts);
            }
            Entry::Occupied(mut earlier) => earlier.get_mut().add(facts),
        }
    }
    if count > 0 && issues.is_empty() {
        return Err(wrong(&format!("lists {count} issues, none of them with id and key")));
    }
    let statuses: BTreeSet<&String> = issues.values().flat_map(Facts::statuses).collect();
    for status in statuses {
        let key = Key { scope: context.scope, external_id: status.clone() };
        result.references.add(Target::Status, key, "unresolved_status");
    }
    for (key, facts) in issues {
        facts.become_rows(key, context, &mut result);
    }
    Ok(result)
}
