//! Issues, their status changes, their sprints.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{Key, Rows, Scope, keyed, line};

mod change;
mod membership;
mod number;
mod sprint;
mod work_item;

pub use change::{Change, Coverage};
pub use membership::{Membership, Neighbours};
pub use number::Number;
pub use sprint::Sprint;
pub use work_item::WorkItem;

/// What a document says about one issue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issue {
    /// The row of `work_items`.
    pub item: WorkItem,
    /// How far back its history reaches; `None` where it brings none.
    pub coverage: Option<Coverage>,
    /// Rows of `changelogs` by external id.
    pub changes: BTreeMap<String, Change>,
    /// Rows of `work_items_sprints` by the sprint's external id.
    pub memberships: BTreeMap<String, Membership>,
}

/// Issues, their status changes, their sprints.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IssueRows {
    /// `sprints`
    pub sprints: BTreeMap<Key, Sprint>,
    /// The issues by external id, with all that hangs on them.
    pub issues: BTreeMap<Key, Issue>,
    /// Every sprint that a membership depends on.
    pub mentioned: BTreeSet<Key>,
}

/// The key of a row that belongs to an issue, for people.
#[derive(Serialize)]
struct OfIssue<'a> {
    #[serde(flatten)]
    scope: Scope,
    issue: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    external_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sprint: Option<&'a str>,
}

impl IssueRows {
    /// All status changes in the order of their keys, each with its issue. Jira numbers them across issues.
    pub fn changes(&self) -> BTreeMap<Key, (&str, &Change)> {
        let of_issue = |(key, issue)| -> Vec<(Key, (&str, &Change))> {
            let (key, issue): (&Key, &Issue) = (key, issue);
            let change = |(id, change): (&String, _)| {
                (Key { scope: key.scope, external_id: id.clone() }, (key.external_id.as_str(), change))
            };
            issue.changes.iter().map(change).collect()
        };
        self.issues.iter().flat_map(of_issue).collect()
    }

    /// All memberships, each with its issue's key, its issue and its sprint's external id.
    pub fn memberships(&self) -> impl Iterator<Item = (&Key, &Issue, &str, &Membership)> + Clone {
        self.issues.iter().flat_map(|(key, issue)| {
            issue.memberships.iter().map(move |(sprint, membership)| (key, issue, sprint.as_str(), membership))
        })
    }
}

impl Rows for IssueRows {
    /// An issue has a version and its history is computed from what is stored, so two different things about one issue are
    /// written one after the other. A membership depends on its sprint's dates, so a sprint that changes ends the batch too.
    fn clashes_with(&self, later: &Self) -> bool {
        later.issues.iter().any(|(key, issue)| self.issues.get(key).is_some_and(|earlier| earlier != issue))
            || later
                .sprints
                .iter()
                .any(|(key, sprint)| self.mentioned.contains(key) && self.sprints.get(key) != Some(sprint))
    }

    fn merge(&mut self, later: Self) {
        for (key, mut sprint) in later.sprints {
            if let Some(earlier) = self.sprints.remove(&key) {
                sprint.fill_from(earlier);
            }
            self.sprints.insert(key, sprint);
        }
        self.issues.extend(later.issues);
        self.mentioned.extend(later.mentioned);
    }

    fn count(&self) -> usize {
        let hanging = |issue: &Issue| 1 + issue.changes.len() + issue.memberships.len();
        self.sprints.len() + self.issues.values().map(hanging).sum::<usize>()
    }

    fn lines(&self, out: &mut Vec<String>) {
        keyed("sprints", &self.sprints, out);
        out.extend(self.issues.iter().filter_map(|(key, issue)| line("work_items", key, &issue.item)));
        out.extend(self.changes().iter().filter_map(|(key, (issue, change))| {
            let key = OfIssue { scope: key.scope, issue, external_id: Some(&key.external_id), sprint: None };
            line("changelogs", &key, change)
        }));
        out.extend(self.memberships().filter_map(|(key, _, sprint, membership)| {
            let key = OfIssue { scope: key.scope, issue: &key.external_id, external_id: None, sprint: Some(sprint) };
            line("work_items_sprints", &key, membership)
        }));
    }
}
