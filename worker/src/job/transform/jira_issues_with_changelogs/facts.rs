//! What a document says about one issue, once or several times.

use std::collections::{BTreeMap, BTreeSet};

use super::{history::History, memberships};
use crate::job::{
    Context,
    references::Target,
    registry::Transformed,
    rows::{Change, Issue, Key, WorkItem},
};

/// What is known of an issue before its rows are made.
#[derive(Debug)]
pub(super) struct Facts {
    /// Its columns.
    pub(super) item: WorkItem,
    /// The sprints of its field, by external id.
    pub(super) sprints: BTreeSet<String>,
    /// Its history.
    pub(super) history: History,
}

impl Facts {
    /// Adds what a later element says about the same issue. Only news change columns; histories are put together in any case.
    pub(super) fn add(&mut self, mut later: Self) {
        if later.item.is_news_to(&self.item) {
            let earlier = std::mem::take(&mut self.item);
            later.item.fill_from(earlier);
            self.item = later.item;
        }
        self.sprints.append(&mut later.sprints);
        self.history.entries.append(&mut later.history.entries);
        // The one that reaches further back knows more about the beginning, and a whole one more than a truncated one.
        let reach = [self.history.coverage, later.history.coverage];
        self.history.coverage = reach.into_iter().flatten().min();
    }

    /// The external ids of the statuses that its history names.
    pub(super) fn statuses(&self) -> impl Iterator<Item = &String> {
        let changes = self.history.entries.values().filter_map(|entry| entry.status.as_ref());
        changes.flat_map(|(from, to)| [from, to]).flatten()
    }

    /// Makes the rows.
    pub(super) fn become_rows(self, key: Key, context: &Context<'_>, into: &mut Transformed) {
        let Self { item, sprints, history } = self;
        let memberships = memberships::of(&sprints, &history.entries);
        for (sprint, membership) in &memberships {
            let named = membership.neighbours.iter().flat_map(|(before, after)| [before, after]).flatten();
            for id in named.chain([sprint]) {
                into.rows.issues.mentioned.insert(Key { scope: context.scope, external_id: id.clone() });
            }
            let of_field = into.rows.issues.sprints.get(&Key { scope: context.scope, external_id: sprint.clone() });
            let is_dated = of_field.is_some_and(|sprint| matches!(sprint.start_date, Some(Some(_))));
            if membership.added.is_none() && item.created.is_none() && !is_dated && sprints.contains(sprint) {
                // Only what is stored may tell since when.
                let pair = Key { scope: key.scope, external_id: format!("{sprint}/{}", key.external_id) };
                into.references.add(Target::Membership, pair, "undated_membership");
            }
        }
        let mut start = item.created.filter(|_| history.coverage.is_some_and(|coverage| !coverage.truncated));
        let mut changes = BTreeMap::new();
        for (place, entry) in history.entries {
            let Some((from, to)) = entry.status else { continue };
            changes.insert(place.id, Change { from, to, at: place.at, start, changed_by: entry.by });
            start = Some(place.at);
        }
        into.rows.issues.issues.insert(key, Issue { item, coverage: history.coverage, changes, memberships });
    }
}
