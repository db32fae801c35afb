//! The history of an issue: which of its changes matter, and how far back it reaches.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::custom_values::number;
use crate::job::{
    Context,
    reading::{Element, List, Moment, Scalar},
    registry::Transformed,
    rows::{Coverage, Given, Number},
    warnings::Warnings,
};

#[derive(Deserialize)]
pub(super) struct Changelog<'a> {
    #[serde(borrow, default)]
    total: Scalar<'a>,
    #[serde(borrow, default)]
    histories: List<Element<HistoryMeta<'a>>>,
}

#[derive(Deserialize)]
struct HistoryMeta<'a> {
    #[serde(borrow, default)]
    id: Scalar<'a>,
    #[serde(borrow, default)]
    created: Scalar<'a>,
    #[serde(borrow, default)]
    author: Scalar<'a>,
    #[serde(borrow, default)]
    items: List<Element<Item<'a>>>,
}

#[derive(Deserialize)]
struct Item<'a> {
    #[serde(borrow, default)]
    field: Scalar<'a>,
    #[serde(borrow, default, rename = "fieldId")]
    field_id: Scalar<'a>,
    #[serde(borrow, default)]
    from: Scalar<'a>,
    #[serde(borrow, default, rename = "fromString")]
    from_string: Scalar<'a>,
    #[serde(borrow, default)]
    to: Scalar<'a>,
    #[serde(borrow, default, rename = "toString")]
    to_string: Scalar<'a>,
}

/// The order of changes: by time, and within a second by Jira's number, compared as a number.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) at: Moment,
    digits: usize,
    pub(super) id: String,
}

/// What one entry of the history changed.
#[derive(Debug, Default)]
pub(super) struct Entry {
    /// By whom.
    pub(super) by: Given<String>,
    /// Status, by external ids.
    pub(super) status: Option<(Option<String>, Option<String>)>,
    /// Lists of sprints, by external ids.
    pub(super) sprints: Vec<(Vec<String>, Vec<String>)>,
    /// Estimates.
    pub(super) estimates: Vec<(Option<Number>, Option<Number>)>,
}

/// What a history tells, in order.
#[derive(Debug, Default)]
pub(super) struct History {
    pub(super) entries: BTreeMap<Place, Entry>,
    pub(super) coverage: Option<Coverage>,
}

/// Reads a history.
pub(super) fn read(
    changelog: Option<Changelog<'_>>,
    context: &Context<'_>,
    issue: &str,
    into: &mut Transformed,
) -> History {
    let mut history = History::default();
    let Some(changelog) = changelog else { return history };
    let total = changelog.total.int().and_then(|total| usize::try_from(total).ok());
    let histories = match changelog.histories {
        List::Items(histories) => histories,
        List::Nothing => Vec::new(),
        List::Other => {
            into.warnings.add("unusable_history", Some(issue));
            return history;
        }
    };
    let truncated = total.is_some_and(|total| total > histories.len());
    if truncated {
        into.warnings.add("changelog_truncated", Some(issue));
    }
    let mut oldest: Option<Moment> = None;
    for meta in &histories {
        let Some((place, entry)) = read_entry(meta.as_read(), context, issue, &mut into.warnings) else { continue };
        oldest = Some(oldest.map_or(place.at, |oldest| oldest.min(place.at)));
        if entry.is_nothing() {
            continue;
        }
        history.entries.insert(place, entry);
    }
    history.coverage = oldest.map(|oldest| Coverage { oldest, truncated });
    history
}

fn read_entry(
    meta: Option<&HistoryMeta<'_>>,
    context: &Context<'_>,
    issue: &str,
    warnings: &mut Warnings,
) -> Option<(Place, Entry)> {
    let (Some(meta), Some(id)) = (meta, meta.and_then(|meta| meta.id.id())) else {
        warnings.add("unusable_history", Some(issue));
        return None;
    };
    let Some(at) = meta.created.date(&mut Warnings::default(), None).flatten() else {
        // Without its time it has no place among the others.
        warnings.add("bad_date", Some(&id));
        return None;
    };
    let items = if let List::Items(items) = &meta.items { items.as_slice() } else { &[] };
    let mut entry = Entry { by: author(&meta.author), ..Entry::default() };
    for item in items.iter().filter_map(Element::as_read) {
        entry.add(item, context, issue, warnings);
    }
    Some((Place { at, digits: id.len(), id: id.into_owned() }, entry))
}

/// A name, where there is an author at all.
fn author(author: &Scalar<'_>) -> Given<String> {
    #[derive(Deserialize)]
    struct Author<'a> {
        #[serde(borrow, default, rename = "displayName")]
        display_name: Scalar<'a>,
    }
    if !author.is_present() || author.is_null() {
        return author.is_present().then_some(None);
    }
    let read: Element<Author<'_>> = serde_json::from_str(author.json()?).ok()?;
    read.read().map(|author| author.display_name.text().map(std::borrow::Cow::into_owned))
}

impl Entry {
    fn add(&mut self, item: &Item<'_>, context: &Context<'_>, issue: &str, warnings: &mut Warnings) {
        let field = item.field.text();
        if field.as_deref() == Some("status") {
            if self.status.is_none() {
                let id = |value: &Scalar<'_>| value.id().map(std::borrow::Cow::into_owned);
                self.status = Some((id(&item.from), id(&item.to)));
            }
            return;
        }
        let Some(mapping) = context.mapping else { return };
        let field_id = item.field_id.text();
        let is = |mapped: &Option<String>| mapped.is_some() && mapped.as_deref() == field_id.as_deref();
        // Older sites name no field id; the name of this field is Jira's own.
        let is_sprint = || field_id.is_none() && mapping.sprints.is_some() && field.as_deref() == Some("Sprint");
        if is(&mapping.sprints) || is_sprint() {
            self.sprints.push((ids(&item.from), ids(&item.to)));
        } else if is(&mapping.story_points) {
            let mut read = |value: &Scalar<'_>| {
                let number = number(value);
                let is_blank = value.text().is_some_and(|text| text.trim().is_empty());
                if number.is_none() && value.is_present() && !value.is_null() && !is_blank {
                    warnings.add("bad_number", Some(issue));
                }
                number
            };
            self.estimates.push((read(&item.from_string), read(&item.to_string)));
        }
    }

    const fn is_nothing(&self) -> bool {
        self.status.is_none() && self.sprints.is_empty() && self.estimates.is_empty()
    }
}

/// A list of ids: `12, 15`.
fn ids(value: &Scalar<'_>) -> Vec<String> {
    let text = value.id().unwrap_or_default();
    text.split(',').map(str::trim).filter(|id| !id.is_empty()).map(str::to_owned).collect()
}
