//! The data types that this worker knows. A new one is a file under `transform/` and a line in the list below.

use std::fmt;

use super::{
    batching::{Table, Tables},
    context::Context,
    references::References,
    rows::RowSet,
    transform,
    warnings::Warnings,
};

const DATA_TYPES: &[&DataType] = &[
    &transform::jira_custom_fields::DATA_TYPE,
    &transform::jira_special_fields::DATA_TYPE,
    &transform::jira_projects_and_issue_types::DATA_TYPE,
    &transform::jira_statuses_and_relationships::DATA_TYPE,
    &transform::jira_issues_with_changelogs::DATA_TYPE,
    &transform::jira_dev_status::DATA_TYPE,
    &transform::jira_sprint_reports::DATA_TYPE,
    &transform::github_repositories::DATA_TYPE,
    &transform::github_prs_commits_reviews_comments::DATA_TYPE,
];

/// One data type.
pub struct DataType {
    /// Its name.
    pub name: &'static str,
    /// Other names that messages and raw rows use for it.
    pub aliases: &'static [&'static str],
    /// What it looks for among stored rows once its own are written.
    pub seeks: Tables,
    /// What it has to know before it starts.
    pub needs: Tables,
    /// What it stores.
    pub stores: Tables,
    /// Turns a document, as JSON text, into rows.
    pub transform: fn(&str, &Context<'_>) -> Result<Transformed, PayloadShape>,
}

impl DataType {
    /// Whether the transform has to know which custom fields are mapped.
    pub const fn needs_mapping(&self) -> bool {
        self.needs.contains(Table::Fields)
    }
}

/// What a document turned into.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Transformed {
    /// The rows to write.
    pub rows: RowSet,
    /// What could not be used.
    pub warnings: Warnings,
    /// What it refers to.
    pub references: References,
}

/// The document has another shape than its type promises. The text says what was expected and never quotes the document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PayloadShape(pub String);

/// Resolves a name or an alias.
pub fn find(name: &str) -> Option<&'static DataType> {
    DATA_TYPES.iter().copied().find(|known| known.name == name || known.aliases.contains(&name))
}

/// The known names, for a person.
pub fn names() -> String {
    DATA_TYPES.iter().map(|known| known.name).collect::<Vec<_>>().join(", ")
}

impl PartialEq for DataType {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl fmt::Debug for DataType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_name_and_no_alias_is_used_twice() {
        let all: Vec<&str> =
            DATA_TYPES.iter().flat_map(|known| known.aliases.iter().chain([&known.name])).copied().collect();
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
        for name in all {
            assert!(find(name).is_some());
        }
        assert_eq!(find("jira_custom_field"), None);
    }

    #[test]
    fn whoever_publishes_is_told_the_same_names() {
        let known: Vec<_> = DATA_TYPES.iter().map(|known| (known.name, known.aliases)).collect();
        assert_eq!(known, etl_shared::data_types::DATA_TYPES);
    }
}
