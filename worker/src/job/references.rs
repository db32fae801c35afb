//! What a document refers to and does not bring itself: looked for once its rows are written.

use std::collections::BTreeSet;

use super::{rows::Key, warnings::Warnings};

/// Something that should be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Target {
    /// `projects` by external id.
    Project,
    /// `projects` by key; the id of the [`Key`] is the project's key.
    ProjectByKey,
    /// `wits` by external id.
    Wit,
    /// `statuses` by external id.
    Status,
    /// `work_items` by external id.
    WorkItem,
    /// `work_items` by key; the id of the [`Key`] is the issue's key.
    WorkItemByKey,
    /// `sprints` by external id.
    Sprint,
    /// `sprints` by external id and board: the id of the [`Key`] is `SPRINT/BOARD`. A sprint without a board is on any.
    SprintOnBoard,
    /// `work_items_sprints` by external ids: the id of the [`Key`] is `SPRINT/ISSUE`.
    Membership,
    /// `repositories` by full name in lower case, which is the id of the [`Key`].
    Repository,
}

/// Names something in one of several ways.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// Found where any of these is stored.
    pub any_of: Vec<(Target, Key)>,
    /// The warning that is counted where none is.
    pub warning: &'static str,
    /// How the warning names it.
    pub name: String,
}

/// All that one document refers to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct References {
    /// Each that is not stored is a warning.
    pub optional: Vec<Reference>,
    /// Where there are any and none is stored, the document has to wait: it belongs to what is not there yet.
    pub parents: Vec<Reference>,
}

impl References {
    /// Refers to one thing by one name; missing, it is the warning.
    pub fn add(&mut self, target: Target, key: Key, warning: &'static str) {
        let name = key.external_id.clone();
        let reference = Reference { any_of: vec![(target, key)], warning, name };
        if !self.optional.contains(&reference) {
            self.optional.push(reference);
        }
    }

    /// Everything that has to be looked for.
    pub fn wanted(&self) -> impl Iterator<Item = &(Target, Key)> {
        self.optional.iter().chain(&self.parents).flat_map(|reference| &reference.any_of)
    }

    /// Counts what is missing; `false` where every parent is.
    pub fn settle(&self, stored: &BTreeSet<(Target, Key)>, warnings: &mut Warnings) -> bool {
        let is_stored = |reference: &Reference| reference.any_of.iter().any(|name| stored.contains(name));
        if !self.parents.is_empty() && !self.parents.iter().any(is_stored) {
            return false;
        }
        for missing in self.optional.iter().chain(&self.parents).filter(|reference| !is_stored(reference)) {
            warnings.add(missing.warning, Some(&missing.name));
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::Scope;

    fn key(id: &str) -> Key {
        Key { scope: Scope { tenant: 7.try_into().unwrap(), integration: 1 }, external_id: id.to_owned() }
    }

    fn parent(id: &str) -> Reference {
        let any_of = vec![(Target::WorkItem, key(id)), (Target::WorkItemByKey, key(&format!("BEN-{id}")))];
        Reference { any_of, warning: "unresolved_issue", name: id.to_owned() }
    }

    #[test]
    fn one_parent_is_enough_and_the_others_are_warnings() {
        let references = References { optional: Vec::new(), parents: vec![parent("1"), parent("2")] };
        let mut warnings = Warnings::default();
        assert!(!references.settle(&BTreeSet::new(), &mut warnings));
        assert_eq!(warnings.total(), 0);
        assert!(references.settle(&BTreeSet::from([(Target::WorkItemByKey, key("BEN-2"))]), &mut warnings));
        assert_eq!(warnings.total(), 1);
        assert!(warnings.to_json().unwrap().contains(r#""ids":["1"]"#));
    }

    #[test]
    fn what_is_missing_is_counted_once_and_nothing_waits_for_it() {
        let mut references = References::default();
        references.add(Target::Status, key("3"), "unresolved_status");
        references.add(Target::Status, key("3"), "unresolved_status");
        references.add(Target::Project, key("3"), "unresolved_project");
        let mut warnings = Warnings::default();
        assert!(references.settle(&BTreeSet::from([(Target::Project, key("3"))]), &mut warnings));
        assert_eq!(warnings.total(), 1);
        assert_eq!(references.wanted().count(), 2);
    }
}
