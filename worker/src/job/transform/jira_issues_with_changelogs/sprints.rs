//! The sprint field.

use std::{borrow::Cow, collections::BTreeSet};

use serde::Deserialize;

use crate::job::{
    Scope,
    reading::{Element, List, Scalar},
    registry::Transformed,
    rows::{Given, Key, Sprint},
};

#[derive(Deserialize)]
struct SprintMeta<'a> {
    #[serde(borrow, default)]
    id: Scalar<'a>,
    #[serde(borrow, default)]
    name: Scalar<'a>,
    #[serde(borrow, default)]
    state: Scalar<'a>,
    #[serde(borrow, default, rename = "boardId")]
    board_id: Scalar<'a>,
    #[serde(borrow, default)]
    goal: Scalar<'a>,
    #[serde(borrow, default, rename = "startDate")]
    start_date: Scalar<'a>,
    #[serde(borrow, default, rename = "endDate")]
    end_date: Scalar<'a>,
    #[serde(borrow, default, rename = "completeDate")]
    complete_date: Scalar<'a>,
}

/// Adds the sprints of the field and returns their ids.
pub(super) fn read(field: &Scalar<'_>, issue: &str, scope: Scope, into: &mut Transformed) -> BTreeSet<String> {
    let mut ids = BTreeSet::new();
    let Some(json) = field.json() else { return ids };
    let elements = match serde_json::from_str::<List<Element<SprintMeta<'_>>>>(json) {
        Ok(List::Items(elements)) => elements,
        Ok(List::Nothing) => return ids,
        Ok(List::Other) | Err(_) => {
            into.warnings.add("sprint_unreadable", Some(issue));
            return ids;
        }
    };
    for element in elements {
        // Self-hosted sites write sprints as texts that were never meant to be read.
        let Some(meta) = element.read() else {
            into.warnings.add("sprint_unreadable", Some(issue));
            continue;
        };
        let Some(id) = meta.id.id().map(Cow::into_owned) else {
            into.warnings.add("unusable_sprint", None);
            continue;
        };
        ids.insert(id.clone());
        let (Some(name), Some(state)) = (meta.name.filled_text(), meta.state.filled_text()) else {
            into.warnings.add("unusable_sprint", Some(&id));
            continue;
        };
        let mut sprint = Sprint {
            name: name.into_owned(),
            state: state.to_lowercase(),
            goal: given(&meta.goal, meta.goal.text().map(Cow::into_owned)),
            start_date: meta.start_date.date(&mut into.warnings, Some(&id)),
            end_date: meta.end_date.date(&mut into.warnings, Some(&id)),
            complete_date: meta.complete_date.date(&mut into.warnings, Some(&id)),
            board_id: given(&meta.board_id, meta.board_id.id().and_then(|id| id.parse().ok())),
        };
        let key = Key { scope, external_id: id };
        if let Some(earlier) = into.rows.issues.sprints.remove(&key) {
            sprint.fill_from(earlier);
        }
        into.rows.issues.sprints.insert(key, sprint);
    }
    ids
}

/// What a key says: something unreadable says nothing.
fn given<T>(value: &Scalar<'_>, read: Option<T>) -> Given<T> {
    (read.is_some() || value.is_null()).then_some(read)
}
