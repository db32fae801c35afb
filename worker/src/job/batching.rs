//! Which messages may share a transaction.
//!
//! A batch writes its tables one after the other, so a reference of an earlier message would find what only a later message
//! stores. Then the tables would depend on where the queue happened to be cut into batches. So a batch ends before a message
//! that stores what an earlier one of the same integration looks for.

use std::collections::BTreeMap;

use super::{admission::Assignment, rows::Scope};

/// What messages look for and store, as far as others depend on it. A set of these is a [`Tables`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub enum Table {
    /// Projects.
    Projects = 1,
    /// Work item types.
    Wits = 1 << 1,
    /// Statuses.
    Statuses = 1 << 2,
    /// Custom fields and their mapping, which transforms need before they start.
    Fields = 1 << 3,
    /// Issues.
    WorkItems = 1 << 4,
    /// Sprints.
    Sprints = 1 << 5,
    /// Repositories.
    Repositories = 1 << 6,
    /// Pull requests.
    PullRequests = 1 << 7,
}

/// A set of tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tables(u16);

impl Tables {
    /// No table.
    pub const NONE: Self = Self(0);

    /// These tables.
    pub const fn of(tables: &[Table]) -> Self {
        let (mut set, mut n) = (0, 0);
        while n < tables.len() {
            set |= tables[n] as u16;
            n += 1;
        }
        Self(set)
    }

    /// Whether this table is among them.
    pub const fn contains(self, table: Table) -> bool {
        self.meets(Self::of(&[table]))
    }

    const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// How many of these messages, from the first one on, may be one batch: at least one where there are any.
pub fn share_a_batch<'a>(works: impl IntoIterator<Item = &'a Assignment>) -> usize {
    let mut before: BTreeMap<Scope, (Tables, Tables)> = BTreeMap::new();
    works
        .into_iter()
        .take_while(|work| {
            let kind = work.data_type;
            let (sought, stored) = before.entry(work.scope).or_default();
            let fits = !sought.meets(kind.stores) && !stored.meets(kind.needs);
            (*sought, *stored) = (sought.with(kind.seeks), stored.with(kind.stores));
            fits
        })
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::registry;

    fn work(integration: i64, name: &str) -> Assignment {
        let scope = Scope { tenant: 7.try_into().unwrap(), integration };
        Assignment { scope, raw_data_id: 1, data_type: registry::find(name).unwrap() }
    }

    fn together(names: &[&str]) -> usize {
        share_a_batch(&names.iter().map(|name| work(1, name)).collect::<Vec<_>>())
    }

    #[test]
    fn what_is_stored_before_it_is_looked_for_shares_a_batch() {
        assert_eq!(together(&["jira_projects_and_issue_types", "jira_statuses_and_relationships"]), 2);
        assert_eq!(together(&["jira_statuses_and_relationships", "jira_issues_with_changelogs", "jira_dev_status"]), 3);
        assert_eq!(together(&["jira_issues_with_changelogs"; 50]), 50);
        assert_eq!(together(&["github_repositories", "github_prs_commits_reviews_comments"]), 2);
        assert_eq!(together(&[]), 0);
    }

    #[test]
    fn a_batch_ends_before_what_an_earlier_message_has_looked_for() {
        assert_eq!(together(&["jira_statuses_and_relationships", "jira_projects_and_issue_types"]), 1);
        assert_eq!(together(&["jira_issues_with_changelogs", "jira_dev_status", "jira_issues_with_changelogs"]), 2);
    }

    #[test]
    fn a_transform_that_needs_the_mapping_does_not_run_beside_one_that_changes_it() {
        assert_eq!(together(&["jira_custom_fields", "jira_issues_with_changelogs"]), 1);
        assert_eq!(together(&["jira_special_fields", "jira_custom_fields"]), 2);
    }

    #[test]
    fn integrations_do_not_hinder_each_other() {
        let works = [work(1, "jira_dev_status"), work(2, "jira_issues_with_changelogs"), work(1, "jira_dev_status")];
        assert_eq!(share_a_batch(&works), 3);
    }
}
