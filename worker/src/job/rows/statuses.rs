//! Statuses of issues, and which projects use them.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{Given, Key, Scope};

/// The category of a status of which no document says one.
pub const NO_CATEGORY: &str = "No Category";

/// A row of `statuses`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Status {
    /// As Jira calls it.
    pub original_name: String,
    /// `To Do`, `In Progress`, `Done`, or what else Jira says; `None` leaves the column as it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// `None` leaves the column as it is, `Some(None)` clears it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Given<String>,
}

/// How a document names a project.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ProjectName {
    /// By the key in its issues' keys.
    ProjectKey(String),
    /// By external id.
    ProjectId(String),
}

/// A row of `projects_statuses`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct ProjectStatus {
    /// Whose.
    #[serde(flatten)]
    pub scope: Scope,
    /// The status, by external id.
    pub status: String,
    /// The project.
    #[serde(flatten)]
    pub project: ProjectName,
}

/// Whether an earlier relation names a status that only the later document brings: written together, it would find it.
pub(super) fn relation_comes_too_early(
    relations: &BTreeSet<ProjectStatus>,
    earlier: &BTreeMap<Key, Status>,
    later: &BTreeMap<Key, Status>,
) -> bool {
    later.keys().filter(|key| !earlier.contains_key(key)).any(|key| {
        // Sorted by status, so the first relation from here on is one of this status if there is any.
        let project = ProjectName::ProjectKey(String::new());
        let first = ProjectStatus { scope: key.scope, status: key.external_id.clone(), project };
        let found = relations.range(first..).next();
        found.is_some_and(|found| (found.scope, &found.status) == (key.scope, &key.external_id))
    })
}

/// Lays later statuses over earlier ones.
pub(super) fn merge(earlier: &mut BTreeMap<Key, Status>, later: BTreeMap<Key, Status>) {
    for (key, mut status) in later {
        if let Some(old) = earlier.remove(&key) {
            status.category = status.category.or(old.category);
            status.description = status.description.or(old.description);
        }
        earlier.insert(key, status);
    }
}
